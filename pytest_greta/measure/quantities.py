"""What follows from the times of a run: how long, how fast, against the baseline. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_greta import contract
from pytest_greta.gates.model import Interval, Limit, Peak, Quantity
from pytest_greta.measure.executable import BASELINE, CANDIDATE
from pytest_greta.stats.shape import median_interval

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
    times = median_interval(run.seconds)
    found["prefill_seconds"] = Quantity(run.prefill_seconds, times, f"median of {len(run.seconds)}")
    found["seconds"] = found["prefill_seconds"]
    _add_throughput(run)
    if run.prefill_seconds > 0:
        tokens = contract.tokens(plan.kernel, plan.problem)
        found["tokens_per_second"] = Quantity(tokens / run.prefill_seconds, _rate(tokens, times))
    found["speedup"] = _speedup(run)


_RATES = {
    "flops": ("tflops", 1e12, "flops_of_peak", "TFLOP/s"),
    "bytes_moved": ("gbytes_per_second", 1e9, "bytes_of_peak", "GB/s"),
}
"""By the method that says the work: the rate, its unit in plain numbers, its share of a peak, the unit in words."""


def _add_throughput(run: Run) -> None:
    """The rates of a run, their shares of the device's peaks, and whether those allow them."""
    plan, found = run.plan, run.quantities
    work, too_fast, known = contract.work(plan.kernel, plan.problem), [], False
    for method, (rate, unit, share, words) in _RATES.items():
        peak = getattr(plan.peak, rate, None)
        if method not in work or run.prefill_seconds <= 0:
            reason = (
                f"kernel {plan.kernel.name} has no {method}()" if method not in work else "no time above zero"
            )
            found[rate] = found[share] = Quantity(None, reason=reason)
            continue
        value = work[method] / run.prefill_seconds / unit
        interval = _rate(work[method] / unit, median_interval(run.seconds))
        found[rate] = Quantity(value, interval)
        if peak is None:
            file = (plan.peak or Peak()).file
            missing = f"{file} states no peak of {run.device.name} ({run.device.target})"
            found[share] = Quantity(None, reason=missing)
            continue
        known = True
        of_peak = Interval(interval.low / peak, interval.high / peak) if interval else None
        found[share] = Quantity(value / peak, of_peak, f"of {peak:g} {words}")
        if value > peak:
            too_fast.append(f"{value:.4g} {words}, where the peak is {peak:g}")
    if known:
        found["impossible"] = Quantity(bool(too_fast), reason="; ".join(too_fast))
    else:
        found["impossible"] = Quantity(None, reason="no peak of what the kernel says it does is stated")


def _rate(amount: float, seconds: Interval | None) -> Interval | None:
    """Of so much in a time."""
    return Interval(amount / seconds.high, amount / seconds.low) if seconds else None


def _speedup(run: Run) -> Quantity:
    plan, baseline = run.plan, run.baseline
    if plan.single_shot:
        return Quantity(None, reason="a single shot has no baseline beside it")
    if BASELINE not in plan.counterparts:
        return Quantity(None, reason=plan.missing[BASELINE])
    counterpart = plan.counterparts[BASELINE]
    if baseline.problem:
        return Quantity(None, reason=f"the baseline {counterpart.executable.name} {baseline.problem}")
    return ratio_quantity(run, BASELINE, counterpart.limits or counterpart.judged)


def ratio_quantity(run: Run, slot: str, limits: Sequence[Limit]) -> Quantity:
    """The ratio of a counterpart's pairs, with its interval."""
    paired = run.paired(slot)
    pairs = paired.pairs
    if not pairs.blocks or min([*run.seconds, *paired.seconds]) <= 0:
        return Quantity(None, reason=f"no pair with the {slot} was measured")
    pairs = pairs.against(limits)
    interval = pairs.interval
    if interval is None:
        return Quantity(
            pairs.ratio, reason=f"{pairs.blocks} pair{'s are' if pairs.blocks > 1 else ' is'} too few"
        )
    reason = pairs.verdict(limits[0])[1] if limits else pairs.note
    return Quantity(min(max(pairs.ratio, interval.low), interval.high), interval, reason)


def log_ratio(slot: str, seconds: Mapping[str, float]) -> float:
    """Of one round: how much faster than the baseline, or how much slower than the accepted code.

    0 where a time is no time: a gate of its own fails such a run.
    """
    candidate, other = seconds[CANDIDATE], seconds[slot]
    if min(candidate, other) <= 0:
        return 0.0
    faster = math.log(other) - math.log(candidate)  # whose quotient may be no number
    return faster if slot == BASELINE else -faster
