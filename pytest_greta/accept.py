"""What verdicts mean for a test, and for history: which fail it, what a run is held against, what may become a
reference. No clock and no I/O: what was stored comes from `history.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from pytest_greta.catalogue import CATALOGUE
from pytest_greta.contender import ACCEPTED, BASELINE, code_info, sha256
from pytest_greta.gates import Gate, Interval, Limit, Quantity, Status, Verdict, measured_text
from pytest_greta.quantities import ratio_quantity
from pytest_greta.regression import (
    FEWEST_ROUNDS,
    Comparison,
    HistoricRun,
    compare,
    smallest_regression,
    steps,
)

if TYPE_CHECKING:
    from pytest_greta.devices import DeviceInfo
    from pytest_greta.kernel import Kernel, Problem, Variant
    from pytest_greta.measure import Run

YOUNG = 10
"""With fewer accepted runs the spread between runs is hardly known, and an undecided gate is no fault."""

NO_HISTORY = "no accepted run of this kernel, variant, context and device yet"

Identity = tuple[str, str, int, str, str]
"""Kernel, variant, context, problem, device: what must be equal for two runs to be compared. Never a test's name."""


class Past(Protocol):
    """What was stored, and what this session will store."""

    @property
    def commit(self) -> str:
        """The commit of the working tree."""

    @property
    def not_clean(self) -> str:
        """Why the commit does not say what runs here; empty where it does."""

    @property
    def is_saved(self) -> bool:
        """Whether this session's runs are stored."""

    def runs(self, identity: Identity) -> list[HistoricRun]:
        """The stored runs of one identity, oldest first."""

    def code(self, sha256: str) -> bytes | None:
        """The kept code of that SHA-256, if it is there and whole."""

    def keep_code(self, code: bytes) -> None:
        """Keep the code of an accepted run."""


def identity_of(kernel: Kernel, variant: Variant, problem: Problem, device: DeviceInfo) -> Identity:
    """What a run is compared by."""
    return kernel.name, variant.name, problem.context, str(problem), device.identity


def _identity(run: Run) -> Identity:
    return identity_of(run.plan.kernel, run.plan.variant, run.plan.problem, run.device)


def info_of(run: Run) -> dict[str, Any]:
    """What history keeps of a run, so that `historic_run` can read it again."""
    kernel, variant, context, problem, device = _identity(run)
    baseline = run.plan.yardsticks.get(BASELINE)
    return {
        "kernel": kernel,
        "variant": variant,
        "context": context,
        "problem": problem,
        "device": device,
        "seconds": list(run.seconds),
        "baseline": baseline.contender.name if baseline else None,
        "code": code_info(run.plan.candidate, run.buffers),
        "baseline_code": _baseline_code(run),
        "baseline_seconds": list(run.baseline.seconds),
        "accepted_seconds": list(run.accepted.seconds),
        "accepted": False,
        "why_not": "its gates were not evaluated",
        "new_level": "",
        "yardstick": False,
    }


def historic_run(info: Mapping[str, Any], commit: str, when: str) -> tuple[Identity, HistoricRun] | None:
    """A stored entry as a run with its identity; None for one that is not greta's, or holds no times."""
    try:
        kernel, variant, context = str(info["kernel"]), str(info["variant"]), int(info["context"])
        seconds, beside = [float(s) for s in info["seconds"]], [float(s) for s in info["baseline_seconds"]]
        time = datetime.fromisoformat(when)
        baseline = str(info["baseline_code"])
        if not seconds or min(*seconds, *beside, 1.0) <= 0:
            return None
        if len(beside) != len(seconds):
            beside, baseline = [], ""
        run = HistoricRun(
            commit=commit,
            when=time if time.tzinfo else time.replace(tzinfo=timezone.utc),
            device=str(info["device"]),
            seconds=seconds,
            baseline_seconds=beside,
            baseline=baseline,
            accepted=info["accepted"] is True,
            why_not=str(info["why_not"]),
            new_level=str(info["new_level"]),
            code=info["code"]
            if isinstance(info.get("code"), Mapping) and info.get("yardstick") is True
            else {},
        )
        return (kernel, variant, context, str(info["problem"]), run.device), run
    except (KeyError, TypeError, ValueError):
        return None


def _baseline_code(run: Run) -> str:
    """Identity of the code that ran as the baseline; empty where none did, or a wrong one."""
    baseline = run.plan.yardsticks.get(BASELINE)
    return sha256(baseline.contender.code)[:16] if baseline and run.baseline.seconds else ""


# -- a run against history -------------------------------------------------------------------------------


def regression(
    run: Run, untimed: Callable[[Run], str], limit: Limit, past: Past, measure_again: Callable[[], Run]
) -> tuple[Quantity, Run | None]:
    """The quantity of the gate `regression`, and the second measurement where the first one would fail.

    The code of the last accepted run, timed beside the new one, decides: what the machine is like today touches both.
    Where times of earlier runs show a slowdown all the same, it is one of the machine, and fails as well.
    `untimed` says why the times of a run mean nothing, if so.
    """
    definition = CATALOGUE["regression"]
    beside = None if untimed(run) or run.fault else _beside_accepted_code(run, limit)
    if beside is not None and beside.value is not None:
        if beside.interval and limit.excludes(beside.interval):
            # Slower than its own past code: times change nothing about that, but they know since when.
            since = _step(run, past, relative=bool(_baseline_code(run)))
            return replace(beside, reason="; ".join(filter(None, [since, beside.reason]))), None
        times, again = _against_times(run, untimed, limit, past, measure_again, hint=False)
        if times.interval and limit.excludes(times.interval):
            reason = f"{times.reason}; {beside.reason}: {measured_text(definition, beside, limit)}"
            if beside.interval and limit.allows(beside.interval.high):
                reason += ": not the code, but what it runs on"
            return replace(times, reason=reason), again
        if beside.is_exact:
            return beside, again
        history = (
            f"{times.reason}: {measured_text(definition, times, limit)}"
            if times.value is not None
            else times.reason
        )
        return replace(beside, reason=f"{beside.reason}; {history}"), again
    times, again = _against_times(run, untimed, limit, past, measure_again, hint=True)
    missing = beside.reason if beside else run.plan.missing.get(ACCEPTED, "")
    return replace(times, reason="; ".join(filter(None, [times.reason, missing]))), again


def _beside_accepted_code(run: Run, limit: Limit) -> Quantity | None:
    """The ratio to the code of the last accepted run, of this run's own pairs; None where there is no such code."""
    plan = run.plan
    if plan.unchanged_since:
        reason = f"the code is that of commit {plan.unchanged_since}, byte for byte"
        return Quantity(1.0, Interval(1.0, 1.0), reason)
    if ACCEPTED not in plan.yardsticks:
        return None
    name, pairs = f"the accepted {plan.yardsticks[ACCEPTED].contender.name}", run.accepted.pairs
    if run.accepted.problem:
        return Quantity(None, reason=f"{name} {run.accepted.problem}")
    found = ratio_quantity(run, ACCEPTED, [limit])
    reason = f"beside {name}, {pairs.blocks} pairs"
    return replace(found, reason="; ".join(filter(None, [reason, found.reason])))


def _against_times(
    run: Run,
    untimed: Callable[[Run], str],
    limit: Limit,
    past: Past,
    measure_again: Callable[[], Run],
    hint: bool,
) -> tuple[Quantity, Run | None]:
    """The ratio to the times of accepted runs, and the second measurement where the first one would fail.

    With a `hint` of what such a history can find, where it cannot decide.
    """
    first = _compared(run, untimed(run), past)
    if isinstance(first, Quantity):
        return first, None
    again, both = None, first
    if first.interval and limit.excludes(first.interval):
        again = measure_again()
        second = _compared(again, untimed(again), past)
        if isinstance(second, Quantity):
            return Quantity(None, reason=f"slower, but not confirmed: {second.reason}"), again
        both = first.confirmed_by(second)
    assert both.ratio is not None
    assert both.interval is not None
    reason = both.reason
    if limit.excludes(both.interval):
        reason = "; ".join(filter(None, [_step(run, past, both.relative), reason]))
    elif hint and limit.max is not None and not limit.allows(both.interval.high):
        reason += f"; with this history {smallest_regression(first, limit.max):.3g}x fails in 95 of 100 runs"
    return Quantity(both.ratio, both.interval, reason, excused=both.runs < YOUNG), again


def _compared(run: Run, untimed: str, past: Past) -> Comparison | Quantity:
    """A run against history, or why it is not held against it."""
    if untimed or run.fault:
        return Quantity(None, reason=untimed or "the run ended with a fault")
    if not run.seconds or min([*run.seconds, *run.baseline.seconds]) <= 0:
        return Quantity(None, reason="no time above zero was measured")
    if len(run.seconds) < FEWEST_ROUNDS:
        return Quantity(None, reason=f"fewer than {FEWEST_ROUNDS} rounds were measured")
    comparison = compare(_current(run, past), past.runs(_identity(run)))
    if comparison.interval is None:
        hint = "" if past.is_saved else "; runs are kept with --benchmark-autosave"
        return Quantity(None, reason=f"{NO_HISTORY}: {comparison.reason}{hint}", excused=True)
    return comparison


def _current(run: Run, past: Past) -> HistoricRun:
    return HistoricRun(
        commit=past.commit,
        when=datetime.now(timezone.utc),
        device=run.device.identity,
        seconds=run.seconds,
        baseline_seconds=run.baseline.seconds,
        baseline=_baseline_code(run),
        accepted=False,
    )


def _step(run: Run, past: Past, relative: bool) -> str:
    """Where the slowdown began, if several runs show it: a step after which most runs were not accepted."""
    runs = [*past.runs(_identity(run)), _current(run, past)]
    found = steps(runs, relative)
    if not found or found[-1].ratio <= 1:
        return ""
    since = runs[next(i for i, r in enumerate(runs) if r is found[-1].run) :]
    return str(found[-1]) if 2 * sum(not r.accepted for r in since) >= len(since) else ""


# -- a run into history ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Acceptance:
    """Whether a run becomes a reference."""

    accepted: bool
    why_not: str = ""
    new_level: str = ""
    """The reason of `--greta-accept`, where it made the run a reference."""
    yardstick: bool = False
    """Whether its code is what later code is timed beside: not where it may be slower than that before it."""


def no_reference(run: Run, untimed: str, past: Past) -> str:
    """Why a run cannot become a reference whatever its verdicts; empty where it can."""
    if run.fault:
        return "failed: a device fault"
    if untimed:
        return untimed
    if run.plan.single_shot:
        return "a single shot"
    return past.not_clean


def with_acceptance(gate: Gate, reason: str) -> Gate:
    """The gate `regression` where its failure is accepted on purpose; any other as it is."""
    return replace(gate, accepted=reason) if gate.name == "regression" else gate


def acceptance(verdicts: Sequence[Verdict], cannot: str) -> Acceptance:
    """Whether a run becomes a reference, from its verdicts and `no_reference`.

    What is undecided does not keep its times out: a history of runs that happened to look fast would know too little
    of the spread between runs, and cry wolf. But its code is no yardstick: measured once more it would be as fast as
    itself, and a regression forgotten.
    """
    failed = [verdict.gate.name for verdict in verdicts if verdict.status is Status.FAIL]
    if "regression" in failed:
        return Acceptance(False, "regressed")
    if failed:
        return Acceptance(False, f"failed: {', '.join(dict.fromkeys(failed))}")
    if cannot:
        return Acceptance(False, cannot)
    new_level = next((v.gate.accepted for v in verdicts if v.is_accepted_failure), "")
    undecided = any(
        v.status is Status.INCONCLUSIVE or (v.status is Status.NOT_MEASURED and not v.measured.excused)
        for v in verdicts
        if v.gate.name == "regression"
    )
    return Acceptance(True, new_level=new_level, yardstick=not undecided)


def failing(verdicts: Sequence[Verdict], require: str | None, inconclusive: str = "") -> list[Verdict]:
    """The verdicts that fail a test: every FAIL, and with `--greta-require` what was not decided.

    `inconclusive` is what gates.yaml says of INCONCLUSIVE: `fail`, `warn`, or nothing: it fails where something is
    required. `--greta-require=hip` fails all that was not measured; `--greta-require=cpu` asks for what a CPU can
    decide, so gates on GPU speed stay NOT MEASURED there. A gate whose history is still short is excused: a new
    benchmark must be able to start.
    """

    def fails(verdict: Verdict) -> bool:
        if verdict.status is Status.INCONCLUSIVE:
            if verdict.measured.excused and not inconclusive:
                return False
            return inconclusive == "fail" or (not inconclusive and require is not None)
        if verdict.status is Status.NOT_MEASURED:
            if verdict.measured.excused:
                return False
            return require == "hip" or (require == "cpu" and not CATALOGUE[verdict.gate.name].speed)
        return verdict.status is Status.FAIL

    return [verdict for verdict in verdicts if fails(verdict)]
