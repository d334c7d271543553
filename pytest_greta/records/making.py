"""What tests found, as records."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.model import Quantity, Verdict
from pytest_greta.history.records import timing_of
from pytest_greta.measure.executable import sha256_of
from pytest_greta.records.model import Recorded, RecordedProblem, interval_plain, value_plain
from pytest_greta.records.recordings import Found
from pytest_greta.records.replay import ReplayedResult
from pytest_greta.results import RunResult

if TYPE_CHECKING:
    from pytest_greta.binaries.artifacts import ArtifactResult
    from pytest_greta.kernel import Problem
    from pytest_greta.measure.run import Run
    from pytest_greta.programs.execution import Execution
    from pytest_greta.programs.result import ProgramResult
    from pytest_greta.results import CodeResult, GatedMeasurement


def replayed(result: ReplayedResult) -> list[Recorded]:
    """Records that were gated again: with the verdicts of today, of this session and no other, and with where they are
    from.
    """
    return [_replayed(found, gated) for found, gated in zip(result.found, result.measurements, strict=True)]


def records_of(result: CodeResult | RunResult, digests: Mapping[str, str]) -> list[Recorded]:
    """What a test of a variant found, with the verdicts of its gates. `digests` are those of its source.

    A run that was measured a second time is one record: the second has its verdicts with the first.
    """
    found: list[Recorded] = []
    runs: list[GatedMeasurement] = []
    for gated in result.measurements:
        if gated.measurement.device is None:
            found.append(_of_code(gated, digests))
        else:
            runs.append(gated)
    if found and not isinstance(result, RunResult):
        held = [verdict_plain(verdict) for verdict in result.held.verdicts]
        notes = [*found[0].notes, *result.notes]
        found[0] = dataclasses.replace(found[0], verdicts=[*found[0].verdicts, *held], notes=notes)
    if runs and isinstance(result, RunResult) and result.run:
        found.append(_of_run(runs, result, result.run, digests))
    return found


def _replayed(found: Found, gated: GatedMeasurement) -> Recorded:
    recorded, quantities = found.recorded, gated.measurement.quantities
    added = _units(quantities.keys() - recorded.units.keys())
    return dataclasses.replace(
        recorded,
        source=None,
        recorded=found.where,
        problem=_problem(gated.measurement.problem),
        quantities=quantities,
        units={**recorded.units, **added},
        verdicts=[verdict_plain(verdict) for verdict in gated.verdicts()],
    )


def _of_code(gated: GatedMeasurement, digests: Mapping[str, str]) -> Recorded:
    measurement = gated.measurement
    return Recorded(
        "code",
        measurement.kernel,
        measurement.variant,
        measurement.quantities,
        target=measurement.target,
        problem=_problem(measurement.problem),
        units=_units(measurement.quantities),
        digests={"code": gated.code, **digests},
        verdicts=[verdict_plain(verdict) for verdict in gated.verdicts()],
    )


def _of_run(
    runs: Sequence[GatedMeasurement], result: RunResult, run: Run, digests: Mapping[str, str]
) -> Recorded:
    measurement, pairs = runs[0].measurement, run.baseline.pairs
    timed = bool(run.baseline.seconds) and not run.baseline.problem
    return Recorded(
        "run",
        measurement.kernel,
        measurement.variant,
        measurement.quantities,
        baseline=result.baseline or None,
        problem=_problem(measurement.problem),
        device_kind=measurement.device,
        untimed=measurement.untimed,
        units=_units(measurement.quantities),
        seconds=[float(seconds) for seconds in run.seconds],
        baseline_seconds=[float(seconds) for seconds in run.baseline.seconds] if timed else [],
        orders=[int(order) for order in pairs.orders] if timed else [],
        carries=[float(carry) for carry in pairs.carries if math.isfinite(carry)] if timed else [],
        resolution=float(pairs.resolution),
        timing=timing_of(run),
        telemetry=_finite(dataclasses.asdict(run.telemetry)) if run.telemetry else None,
        digests={"code": sha256_of(run.plan.candidate.code), **digests},
        verdicts=[verdict_plain(verdict) for gated in runs for verdict in gated.verdicts()],
        notes=[*result.told, *result.notes],
    )


def records_of_artifact(result: ArtifactResult, artifact: str) -> list[Recorded]:
    """The kernels of a file that was built elsewhere, a record for each target: of each quantity the worst. `artifact`
    is its name.
    """
    targets: dict[str, dict[str, Quantity]] = {}
    for kernel in result.file.kernels:
        worst = targets.setdefault(kernel.target, {})
        for name, quantity in kernel.quantities.items():
            if name not in worst or _is_worse(name, quantity, worst[name]):
                worst[name] = quantity
    verdicts = result.verdicts()
    for verdict in verdicts:
        targets.setdefault(verdict.where, {})
    return [
        Recorded(
            "artifact",
            artifact,
            result.file.name,
            quantities,
            target=target,
            units=_units(quantities),
            verdicts=[verdict_plain(verdict) for verdict in verdicts if verdict.where == target],
            notes=result.notes,
        )
        for target, quantities in targets.items()
    ]


def record_of_program(result: ProgramResult) -> Recorded:
    """What a test of a program found."""
    run = result.run
    own = {name: quantity.unit for name, quantity in run.quantities.items() if quantity.unit}
    return Recorded(
        "program",
        run.program,
        run.variant,
        run.quantities,
        baseline=result.baseline or None,
        problem=_problem(run.problem),
        device_kind="program",
        untimed=run.untimed,
        units={**_units(run.quantities), **own},
        seconds=[float(seconds) for seconds in run.seconds],
        telemetry=_vram(run.last),
        baseline_seconds=[float(seconds) for seconds in run.baseline_seconds],
        orders=[int(order) for order in run.orders],
        digests=dict(run.digests),
        recipe=dict(run.recipe),
        each=result.each,
        verdicts=[verdict_plain(verdict) for verdict in result.verdicts()],
        notes=[*result.told, *result.notes],
    )


def _vram(last: Execution) -> dict[str, Any] | None:
    """Device memory over the last run of a program; None where nothing tells."""
    if last.vram_bytes is None:
        return None
    course = [list(one) for one in last.vram_course]
    return {"vram_peak_bytes": last.vram_bytes, "vram_of": last.vram_how, "vram_over_time": course}


def _is_worse(name: str, one: Quantity, other: Quantity) -> bool:
    if not isinstance(one.value, (int, float)):
        return False
    if not isinstance(other.value, (int, float)):
        return True
    return one.value < other.value if CATALOGUE[name].better == "higher" else one.value > other.value


def verdict_plain(verdict: Verdict) -> dict[str, Any]:
    """A verdict for JSON, with its gate."""
    quantity = verdict.measured
    return {
        **verdict.gate.plain,
        "value": value_plain(quantity.value),
        "interval": interval_plain(quantity.interval),
        "measured": verdict.found,
        "status": verdict.status.value,
        "reason": verdict.reason,
    }


def _problem(problem: Problem | None) -> RecordedProblem | None:
    """None for the problem that stands for all."""
    if problem is None or not problem.context:
        return None
    return RecordedProblem(problem.id, problem.context, dict(problem.axes), dict(problem.sizes))


def _units(quantities: Iterable[str]) -> dict[str, str]:
    """Units by name; a quantity of one output is called `max_error:out`."""
    definitions = {name: CATALOGUE.get(name.partition(":")[0]) for name in quantities}
    return {name: definition.unit for name, definition in definitions.items() if definition}


def _finite(value: Any) -> Any:
    """Plain values without those that JSON has not."""
    if isinstance(value, dict):
        return {str(name): _finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
