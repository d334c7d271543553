"""What follows from the times of a run: how long, how fast, against the baseline. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_greta import contract
from pytest_greta.gates.model import Limit, Quantity
from pytest_greta.measure.executable import BASELINE, CANDIDATE

if TYPE_CHECKING:
    from pytest_greta.measure.run import Run


def add_quantities(run: Run) -> None:
    """What follows from the times: how long, how fast, against the baseline."""
    plan, found = run.plan, run.quantities
    fault = run.fault
    found["no_fault"] = Quantity(fault is None, reason=str(fault) if fault else "")
    if fault and fault.kind == "deadline" and run.fault_of == CANDIDATE:
        found["deadline_seconds"] = Quantity(run.slowest_wall_seconds, reason="the process was killed")
    elif run.slowest_wall_seconds:
        found["deadline_seconds"] = Quantity(run.slowest_wall_seconds)
    if not run.seconds:
        return
    found["prefill_seconds"] = Quantity(run.prefill_seconds, reason=f"median of {len(run.seconds)}")
    if run.prefill_seconds > 0:
        tokens = contract.tokens(plan.kernel, plan.problem)
        found["tokens_per_second"] = Quantity(tokens / run.prefill_seconds)
    found["speedup"] = _speedup(run)


def _speedup(run: Run) -> Quantity:
    plan, baseline = run.plan, run.baseline
    if plan.single_shot:
        return Quantity(None, reason="a single shot has no baseline beside it")
    if BASELINE not in plan.yardsticks:
        return Quantity(None, reason=plan.missing[BASELINE])
    yardstick = plan.yardsticks[BASELINE]
    if baseline.problem:
        return Quantity(None, reason=f"the baseline {yardstick.contender.name} {baseline.problem}")
    return ratio_quantity(run, BASELINE, yardstick.limits)


def ratio_quantity(run: Run, slot: str, limits: Sequence[Limit]) -> Quantity:
    """The ratio of a yardstick's pairs, with its interval."""
    beside = run.beside(slot)
    pairs = beside.pairs
    if not pairs.blocks or min([*run.seconds, *beside.seconds]) <= 0:
        return Quantity(None, reason=f"no pair with the {slot} was measured")
    interval = pairs.interval
    if interval is None:
        return Quantity(pairs.ratio, reason=f"{pairs.blocks} pair{'s' if pairs.blocks > 1 else ''}")
    reason = pairs.verdict(limits[0])[1] if limits else str(pairs.shape)
    return Quantity(min(max(pairs.ratio, interval.low), interval.high), interval, reason)


def log_ratio(slot: str, seconds: Mapping[str, float]) -> float:
    """Of one round: how much faster than the baseline, or how much slower than the accepted code.

    0 where a time is no time: a gate of its own fails such a run.
    """
    candidate, other = seconds[CANDIDATE], seconds[slot]
    if min(candidate, other) <= 0:
        return 0.0
    return math.log(other / candidate) if slot == BASELINE else math.log(candidate / other)
