"""Times of a run alone against those of accepted runs before it: where no accepted code can be timed beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_greta.gates.model import Limit, Quantity
from pytest_greta.history.records import NO_HISTORY, YOUNG
from pytest_greta.stats.runs import (
    FEWEST_ROUNDS,
    Comparison,
    HistoricRun,
    compare,
    smallest_regression,
    steps,
)


@dataclass(frozen=True)
class Now:
    """A run of today as history has it, and what it is held against."""

    run: HistoricRun
    before: Sequence[HistoricRun] = ()
    """Earlier runs of the same data that were timed in the same way, oldest first."""
    changed: str = ""
    """Why others are not among those, if so."""
    problem: str = ""
    """Why its own times mean nothing, if so."""
    nothing_yet: str = NO_HISTORY
    """What is said where there is no accepted run."""


def compared(now: Now, is_saved: bool) -> Comparison | Quantity:
    """A run against history, or why it is not held against it. `is_saved` says whether this session is stored."""
    if now.problem:
        return Quantity(None, reason=now.problem)
    if not now.run.seconds or min([*now.run.seconds, *now.run.baseline_seconds]) <= 0:
        return Quantity(None, reason="no time above zero was measured")
    if len(now.run.seconds) < FEWEST_ROUNDS:
        return Quantity(None, reason=f"fewer than {FEWEST_ROUNDS} rounds were measured")
    comparison = compare(now.run, now.before)
    if comparison.interval is None:
        hint = "" if is_saved else "; runs are kept with --benchmark-autosave"
        why = now.changed or comparison.reason
        return Quantity(None, reason=f"{now.nothing_yet}: {why}{hint}", excused=True)
    return comparison


def against_times(now: Now, is_saved: bool, limit: Limit, measure_again: Callable[[], Now]) -> Quantity:
    """The ratio to the times of accepted runs. Where it would fail, it is measured once more: a FAIL needs both.

    With a hint of what such a history can find, where it cannot decide.
    """
    first = compared(now, is_saved)
    if isinstance(first, Quantity):
        return first
    both = first
    if first.interval and limit.excludes(first.interval):
        second = compared(measure_again(), is_saved)
        if isinstance(second, Quantity):
            return Quantity(None, reason=f"slower, but not confirmed: {second.reason}")
        both = first.confirmed_by(second)
    assert both.ratio is not None
    assert both.interval is not None
    reason = both.reason
    if limit.excludes(both.interval):
        reason = "; ".join(filter(None, [step(now, both.relative), reason]))
    elif limit.max is not None and not limit.allows(both.interval.high):
        reason += f"; with this history {smallest_regression(first, limit.max):.3g}x fails in 95 of 100 runs"
    return Quantity(both.ratio, both.interval, reason, excused=both.runs < YOUNG)


def step(now: Now, relative: bool) -> str:
    """Where the slowdown began, if several runs show it: a step after which most runs were not accepted."""
    runs = [*now.before, now.run]
    found = steps(runs, relative)
    if not found or found[-1].ratio <= 1:
        return ""
    since = runs[next(i for i, r in enumerate(runs) if r is found[-1].run) :]
    return str(found[-1]) if 2 * sum(not r.accepted for r in since) >= len(since) else ""
