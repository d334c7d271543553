"""A record as the run that it is of, with what follows from its times by the gates of today. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_greta.errors import NotRecorded
from pytest_greta.gates.evaluation import scaling, scaling_interval
from pytest_greta.gates.model import Gate, Limit, Peak, Quantity, Status
from pytest_greta.measure.executable import BASELINE, CANDIDATE, Executable
from pytest_greta.measure.plan import Counterpart, Plan
from pytest_greta.measure.quantities import add_quantities, log_ratio
from pytest_greta.measure.run import Run
from pytest_greta.records.model import Recorded
from pytest_greta.records.recordings import Found
from pytest_greta.results import Result
from pytest_greta.stats.pairs import PairedTest

if TYPE_CHECKING:
    from pytest_greta.compiler.codeobject import CodeObject
    from pytest_greta.kernel import Kernel, Problem, Variant


@dataclass(frozen=True)
class ReplayedResult(Result):
    """What was recorded elsewhere of code or of a run."""

    found: Sequence[Found] = ()
    """The records that the measurements are of."""
    notes: tuple[str, ...] = ()
    """Where and when, and what to know of it: told in the summary."""

    @property
    def seconds(self) -> list[float]:
        """Device seconds of every timed launch."""
        return [seconds for one in self.found for seconds in one.recorded.seconds]

    @property
    def baseline(self) -> str:
        """The variant that it was timed beside; empty where none, or the records do not say."""
        return next((one.recorded.baseline for one in self.found if one.recorded.baseline), "")

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """Those of the first record."""
        return self.measurements[0].measurement.quantities

    output = printed = ""
    """What a program printed is not recorded."""

    @property
    def code_object(self) -> CodeObject:
        """Raises NotRecorded."""
        raise NotRecorded("a record holds no code object: it is there where code is compiled")


NOT_HELD = "the record does not say"
UNKNOWN = Quantity(None, reason=NOT_HELD)
_BY_TODAY = ("speedup", "flops_of_peak", "bytes_of_peak", "impossible")
"""What follows from times by the limits and peaks of gates.yaml: those of today count."""

_FROM_TIMES = (
    *_BY_TODAY,
    *("prefill_seconds", "seconds", "tokens_per_second", "tflops", "gbytes_per_second"),
)
_NO_TIME = "no time above zero was recorded"
_EXPECTED = Status.EXPECTED_FAILURE.value


def quantities_of(
    found: Found,
    kernel: Kernel,
    variant: Variant,
    problem: Problem,
    gates: Sequence[Gate],
    beside: Mapping[str, Found],
    baseline: str,
    peak: Peak,
) -> dict[str, Quantity]:
    """What a record of a run says: what was recorded, and what follows from its times where that is not, or where it
    depends on gates.yaml. `beside` are records of the same session: that of the `baseline`, which today's gates name,
    and the variant's own for the smallest context, as `first`.
    """
    recorded, named = found.recorded, dict(found.recorded.quantities)
    asked = {gate.name for gate in gates}
    derived: dict[str, Quantity] = {}
    is_decided = _is_decided(recorded, gates)
    if recorded.seconds and min(recorded.seconds) <= 0:
        derived = {
            "prefill_seconds": Quantity(min(recorded.seconds)),
            "speedup": Quantity(None, reason=_NO_TIME),
        }
    elif recorded.seconds and (not is_decided or peak.is_stated or (asked & set(_FROM_TIMES)) - named.keys()):
        run = _run(found, kernel, variant, problem, gates, baseline, peak)
        add_quantities(run)
        derived = {name: one for name, one in run.quantities.items() if name != "no_fault"}
    told = {name: derived[name] for name in _BY_TODAY if name in derived}
    if is_decided or (not recorded.orders and _value(named.get("speedup")) is not None):
        told.pop("speedup", None)  # or a ratio that somebody else has taken
    elif not recorded.orders and baseline != variant.name:
        told["speedup"] = apart_from(recorded.seconds, beside.get(BASELINE), baseline)
    if baseline and recorded.baseline not in (None, baseline):
        told["speedup"] = Quantity(
            None, reason=f"timed beside {recorded.baseline}; the baseline is {baseline}"
        )
    quantities = {**derived, **named, **told}
    scaled = _scaling(quantities, problem, beside.get("first"))
    if scaled:
        quantities["scaling"] = scaled
    elif "scaling" in asked:
        quantities.setdefault(
            "scaling", Quantity(None, reason="no record of the smallest context in the same session")
        )
    for gate in gates:
        quantities.setdefault(gate.name, UNKNOWN)
    return quantities


def _is_decided(recorded: Recorded, gates: Sequence[Gate]) -> bool:
    """Whether the recorded speedup was held against the limits of today: then it is what its pairs would say again."""
    then = [one for one in recorded.verdicts if one["gate"] == "speedup"]
    now = [gate for gate in gates if gate.name == "speedup"]
    if any(gate.expected for gate in now) or any(one["status"] == _EXPECTED for one in then):
        return False
    limits = {(gate.limit.min, gate.limit.max) for gate in now}
    return "speedup" in recorded.quantities and limits == {(one["min"], one["max"]) for one in then}


def _run(
    found: Found,
    kernel: Kernel,
    variant: Variant,
    problem: Problem,
    gates: Sequence[Gate],
    baseline: str,
    peak: Peak,
) -> Run:
    """The run that a record is of, with its pairs held against the limits of today."""
    recorded = found.recorded
    limits = tuple(g.expected.bound if g.expected else g.limit for g in gates if g.name == "speedup")
    counterparts, missing = {}, {}
    if recorded.orders:
        counterparts[BASELINE] = Counterpart(_nothing(recorded.baseline or baseline), limits, {})
    else:
        missing[BASELINE] = (
            "it is the baseline itself" if baseline == variant.name else "no baseline was timed beside it"
        )
    plan = Plan(
        kernel=kernel,
        variant=variant,
        problem=problem,
        candidate=_nothing(variant.name),
        tolerances={},
        counterparts=counterparts,
        missing=missing,
        fewest_rounds=0,
        most_rounds=len(recorded.seconds),
        budget_seconds=0.0,
        single_shot=False,
        seed=0,
        peak=peak,
    )
    run = Run(plan, found.device, list(recorded.seconds))
    if recorded.orders:
        run.baseline.seconds = list(recorded.baseline_seconds)
        run.baseline.pairs = pairs_of(found, limits)
    return run


def pairs_of(found: Found, limits: Sequence[Limit]) -> PairedTest:
    """The pairs of a record, held against limits."""
    one = found.recorded
    test = PairedTest(limits, most_blocks=max(1, len(one.orders)), resolution=max(0.0, one.resolution))
    test.carries = one.carries
    for seconds, other, order in zip(one.seconds, one.baseline_seconds, one.orders, strict=False):
        test.add_block(log_ratio(BASELINE, {CANDIDATE: seconds, BASELINE: other}), order=order)
    return test


def _nothing(name: str) -> Executable:
    """In the place of code that ran elsewhere."""
    return Executable(name, "", b"", (), {}, 0.0)


def apart_from(mine: Sequence[float], baseline: Found | None, name: str) -> Quantity:
    """The ratio to a baseline that was timed in the same session and not in pairs: it has no interval, for nobody knows
    what the machine did between the two.
    """
    if baseline is None:
        return Quantity(None, reason=f"no record of the baseline {name} in the same session")
    others = baseline.recorded.seconds
    if not mine or not others or min([*mine, *others]) <= 0:
        return Quantity(None, reason=_NO_TIME)
    reason = (
        "1 pair is too few"
        if len(mine) == len(others) == 1
        else "candidate and baseline were not timed in pairs"
    )
    return Quantity(statistics.median(others) / statistics.median(mine), reason=reason)


def _scaling(quantities: Mapping[str, Quantity], problem: Problem, first: Found | None) -> Quantity | None:
    """The exponent against the smallest context of the same session; None where that is not known."""
    now = quantities.get("prefill_seconds")
    if first is None or first.recorded.problem is None or now is None:
        return None
    then, context = first.recorded.quantities.get("prefill_seconds"), first.recorded.problem.context
    if then is None or context >= problem.context:
        return None
    if not isinstance(now.value, (int, float)) or not isinstance(then.value, (int, float)):
        return None
    exponent = scaling(now.value, problem.context, then.value, context)
    interval = (
        scaling_interval(now.interval, problem.context, then.interval, context)
        if exponent == exponent
        else None
    )
    return Quantity(exponent, None if math.isnan(exponent) else interval, f"from {context}")


def _value(quantity: Quantity | None) -> Any:
    return quantity.value if quantity else None
