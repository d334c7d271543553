"""What follows from the times of a run: how long, how fast, against the baseline. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_greta import contract
from pytest_greta.gates import Quantity

if TYPE_CHECKING:
    from pytest_greta.measure import Run


def add_quantities(run: Run) -> None:
    """What follows from the times: how long, how fast, against the baseline."""
    plan, found = run.plan, run.quantities
    fault = run.fault
    found["no_fault"] = Quantity(fault is None, reason=str(fault) if fault else "")
    if fault and fault.kind == "deadline" and "baseline" not in str(fault):
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
    plan = run.plan
    if plan.baseline is None or plan.single_shot:
        return Quantity(
            None,
            reason="a single shot has no baseline beside it" if plan.single_shot else plan.baseline_missing,
        )
    if run.baseline_problem:
        name = plan.baseline.variant.name
        return Quantity(None, reason=f"the baseline {name} is wrong: {run.baseline_problem}")
    pairs = run.pairs
    if not pairs.blocks or min(*run.seconds, *run.baseline_seconds) <= 0:
        return Quantity(None, reason="no pair with the baseline was measured")
    interval = pairs.interval
    if interval is None:
        return Quantity(pairs.ratio, reason=f"{pairs.blocks} pair{'s' if pairs.blocks > 1 else ''}")
    reason = pairs.verdict(plan.limits[0])[1] if plan.limits else str(pairs.shape)
    return Quantity(min(max(pairs.ratio, interval.low), interval.high), interval, reason)


def log_ratio(seconds: Mapping[str, float]) -> float:
    """Of one round; 0 without a baseline, and where a time is no time: a gate of its own fails such a run."""
    if "baseline" not in seconds or min(seconds.values()) <= 0:
        return 0.0
    return math.log(seconds["baseline"] / seconds["candidate"])
