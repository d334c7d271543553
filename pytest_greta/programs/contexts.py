"""What follows from the runs of one variant at several contexts. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_greta.gates.evaluation import scaling, scaling_interval
from pytest_greta.gates.model import Quantity
from pytest_greta.programs.execution import missing
from pytest_greta.programs.result import ProgramRun


def scaling_of(run: ProgramRun, first: ProgramRun) -> Quantity:
    """The exponent of the time against the context, from the run at the smallest one."""
    now, then = run.quantities["seconds"], first.quantities["seconds"]
    if not isinstance(now.value, (int, float)) or not isinstance(then.value, (int, float)):
        return Quantity(None, reason=now.reason or then.reason, excused=now.excused)
    contexts = run.problem.context, first.problem.context
    value = scaling(now.value, contexts[0], then.value, contexts[1])
    interval = scaling_interval(now.interval, contexts[0], then.interval, contexts[1])
    times = f"{now.value / then.value:.3g}x the time of context {contexts[1]}" if then.value else ""
    return Quantity(value, interval, times)


def over_contexts_of(name: str, runs: Sequence[ProgramRun]) -> Quantity:
    """The largest value of a quantity at any context, over the smallest."""
    found = {run.problem.context: run.quantities.get(name, Quantity(None)) for run in runs}
    last = runs[-1].quantities.get(name)
    if last is None or last.value is None:
        return last or missing(name, runs[-1].quantities)
    numbers = {
        c: q.value
        for c, q in found.items()
        if isinstance(q.value, (int, float)) and not isinstance(q.value, bool)
    }
    if len(numbers) < 2:
        return Quantity(None, reason="it takes a second context in the same session", excused=True)
    least, most = min(numbers, key=lambda c: numbers[c]), max(numbers, key=lambda c: numbers[c])
    if numbers[least] <= 0:
        return Quantity(math.inf, reason=f"{numbers[least]:g} at context {least}", unit="x")
    if numbers[least] == numbers[most]:
        return Quantity(1.0, reason=f"{numbers[least]:.4g} at every context", unit="x")
    told = f"{numbers[most]:.4g} at context {most}, {numbers[least]:.4g} at {least}"
    return Quantity(numbers[most] / numbers[least], reason=told, unit="x")
