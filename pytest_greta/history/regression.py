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
    NO_HISTORY,
    YOUNG,
    PastRuns,
    baseline_code_of,
    identity_of_run,
    of_family,
    of_timing,
    timing_of,
)
from pytest_greta.measure.executable import ACCEPTED
from pytest_greta.measure.quantities import ratio_quantity
from pytest_greta.stats.runs import (
    FEWEST_ROUNDS,
    Comparison,
    HistoricRun,
    compare,
    smallest_regression,
    steps,
)

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
        since = _step(run, past, relative=bool(baseline_code_of(run)))
        return Regression(replace(paired, reason="; ".join(filter(None, [since, paired.reason]))))
    times = _compared(run, "", past)
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
    """The ratio to the times of accepted runs, and the second measurement where the first one would fail.

    With a hint of what such a history can find, where it cannot decide.
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
    elif limit.max is not None and not limit.allows(both.interval.high):
        reason += f"; with this history {smallest_regression(first, limit.max):.3g}x fails in 95 of 100 runs"
    return Quantity(both.ratio, both.interval, reason, excused=both.runs < YOUNG), again


def _compared(run: Run, untimed: str, past: PastRuns) -> Comparison | Quantity:
    """A run against history, or why it is not held against it."""
    if untimed or run.fault:
        return Quantity(None, reason=untimed or "the run ended with a fault")
    if not run.seconds or min([*run.seconds, *run.baseline.seconds]) <= 0:
        return Quantity(None, reason="no time above zero was measured")
    if len(run.seconds) < FEWEST_ROUNDS:
        return Quantity(None, reason=f"fewer than {FEWEST_ROUNDS} rounds were measured")
    runs, changed = _comparable(run, past)
    comparison = compare(_current(run, past), runs)
    if comparison.interval is None:
        hint = "" if past.is_saved else "; runs are kept with --benchmark-autosave"
        return Quantity(None, reason=f"{NO_HISTORY}: {changed or comparison.reason}{hint}", excused=True)
    return comparison


def _comparable(run: Run, past: PastRuns) -> tuple[list[HistoricRun], str]:
    """The earlier runs of the same data that were timed in the same way, and why others were not; else empty."""
    same, changed = of_family(past.runs(identity_of_run(run)), run.plan.kernel, run.buffers)
    alike, otherwise = of_timing(same, timing_of(run))
    return alike, "; ".join(filter(None, [changed, otherwise]))


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


def _step(run: Run, past: PastRuns, relative: bool) -> str:
    """Where the slowdown began, if several runs show it: a step after which most runs were not accepted."""
    before, _ = _comparable(run, past)
    runs = [*before, _current(run, past)]
    found = steps(runs, relative)
    if not found or found[-1].ratio <= 1:
        return ""
    since = runs[next(i for i, r in enumerate(runs) if r is found[-1].run) :]
    return str(found[-1]) if 2 * sum(not r.accepted for r in since) >= len(since) else ""
