"""A run against its past: the quantity of the gate `regression`."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.model import Interval, Limit, Quantity, measured_text
from pytest_greta.history.records import (
    PastRuns,
    baseline_code_of,
    identity_of_run,
    of_family,
    of_timing,
    timing_of,
)
from pytest_greta.history.times import Now, against_times, compared, step
from pytest_greta.measure.executable import ACCEPTED
from pytest_greta.measure.quantities import ratio_quantity
from pytest_greta.stats.runs import FEWEST_ROUNDS, HistoricRun

if TYPE_CHECKING:
    from pytest_greta.measure.run import Run


@dataclass(frozen=True)
class Regression:
    """What a run is against its past."""

    quantity: Quantity
    """Of the gate `regression`."""
    again: Run | None = None
    """The second measurement, where the first one would fail by its times."""
    machine: float | None = None
    """Times now over those before, where the code is known to be as fast as ever: what the machine is slower by. 1
    where the times show nothing; None where they say nothing of the machine."""


def regression(
    run: Run, untimed: Callable[[Run], str], limit: Limit, past: PastRuns, measure_again: Callable[[], Run]
) -> Regression:
    """A run against its past.

    The code of the last accepted run, timed in pairs with the new one, decides: the machine of today touches both.
    Times of earlier runs decide only where there is no such code. Where the code is the same or passes in its pairs,
    they say something of the machine. `untimed` says why the times of a run mean nothing, if so.
    """
    paired = None if untimed(run) or run.fault else _against_accepted_code(run, limit)
    if paired is None or paired.value is None:
        alone, again = _against_times(run, untimed, limit, past, measure_again)
        missing = paired.reason if paired else run.plan.missing.get(ACCEPTED, "")
        return Regression(replace(alone, reason="; ".join(filter(None, [alone.reason, missing]))), again)
    if paired.interval and limit.excludes(paired.interval):
        # Slower than its own past code: times change nothing about that, but they know since when.
        since = step(_now(run, "", past), relative=bool(baseline_code_of(run)))
        return Regression(replace(paired, reason="; ".join(filter(None, [since, paired.reason]))))
    times = compared(_now(run, "", past), past.is_saved)
    if isinstance(times, Quantity):
        reason = paired.reason if paired.is_exact else f"{paired.reason}; {times.reason}"
        return Regression(replace(paired, reason=reason))
    assert times.ratio is not None
    found = measured_text(CATALOGUE["regression"], Quantity(times.ratio, times.interval), limit)
    slower = times.interval is not None and limit.excludes(times.interval)
    reason = f"{paired.reason}; {times.reason}: {found}"
    if not paired.interval or not limit.allows(paired.interval.high):
        return Regression(replace(paired, reason=reason))
    if slower:
        reason += ": not the code, but what it runs on"
    elif paired.is_exact:
        reason = paired.reason
    return Regression(replace(paired, reason=reason), machine=times.ratio if slower else 1.0)


def machine_note(found: Sequence[float]) -> str:
    """What `Regression.machine` of all runs of a session comes to, in words; empty where no run is slower."""
    slower = [ratio for ratio in found if ratio > 1]
    if not slower:
        return ""
    one = len(slower) == 1
    whose, runs = (
        ("its" if one else "their"),
        f"{len(slower)} of {len(found)} runs {'is' if one else 'are'} slower",
    )
    by = statistics.median(slower) - 1
    return f"the machine: {runs} than {whose} history by {by:.1%}, and {whose} code is the same or passes in pairs"


def _against_accepted_code(run: Run, limit: Limit) -> Quantity | None:
    """The ratio to the code of the last accepted run, of this run's own pairs; None where there is no such code."""
    plan = run.plan
    if plan.unchanged_since:
        reason = f"the code is that of commit {plan.unchanged_since}, byte for byte"
        return Quantity(1.0, Interval(1.0, 1.0), reason)
    if ACCEPTED not in plan.counterparts:
        return None
    name, pairs = f"the accepted {plan.counterparts[ACCEPTED].executable.name}", run.accepted.pairs
    if run.accepted.problem:
        return Quantity(None, reason=f"{name} {run.accepted.problem}")
    found = ratio_quantity(run, ACCEPTED, [limit, *plan.counterparts[ACCEPTED].limits])
    reason = f"beside {name}, {pairs.blocks} pairs"
    return replace(found, reason="; ".join(filter(None, [reason, found.reason])))


def _against_times(
    run: Run,
    untimed: Callable[[Run], str],
    limit: Limit,
    past: PastRuns,
    measure_again: Callable[[], Run],
) -> tuple[Quantity, Run | None]:
    """The ratio to the times of accepted runs, and the second measurement where the first one would fail."""
    again: list[Run] = []

    def once_more() -> Now:
        again.append(measure_again())
        return _now(again[0], untimed(again[0]), past)

    found = against_times(_now(run, untimed(run), past), past.is_saved, limit, once_more)
    return found, again[0] if again else None


def _now(run: Run, untimed: str, past: PastRuns) -> Now:
    """A run, and the earlier ones of the same data that were timed in the same way."""
    problem = untimed or ("the run ended with a fault" if run.fault else "")
    if problem or len(run.seconds) < FEWEST_ROUNDS:
        return Now(_current(run, past), problem=problem)
    same, changed = of_family(past.runs(identity_of_run(run)), run.plan.kernel, run.buffers)
    alike, otherwise = of_timing(same, timing_of(run))
    return Now(_current(run, past), alike, "; ".join(filter(None, [changed, otherwise])))


def _current(run: Run, past: PastRuns) -> HistoricRun:
    return HistoricRun(
        commit=past.commit,
        when=datetime.now(timezone.utc),
        device=run.device.identity,
        seconds=run.seconds,
        baseline_seconds=run.baseline.seconds,
        baseline=baseline_code_of(run) if len(run.baseline.seconds) >= FEWEST_ROUNDS else "",
        accepted=False,
        timing=timing_of(run),
    )
