"""The speedup of a program: pairs of runs in balanced random order, until they decide. Pure but for its coins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from pytest_greta.gates.evaluation import evaluate
from pytest_greta.gates.model import Gate, Limit, Measurement, Quantity, Status, measured_text
from pytest_greta.gates.programs import ProgramEntry
from pytest_greta.kernel import Problem
from pytest_greta.programs.execution import Execution, add_missing, quantities_of
from pytest_greta.programs.journal import Round
from pytest_greta.stats.order import orders
from pytest_greta.stats.pairs import MOST_BLOCKS, PairedTest

CANDIDATE, BASELINE = "candidate", "baseline"


def limits_of(gates: Sequence[Gate]) -> tuple[Limit, ...]:
    """What a speedup will be held against."""
    return tuple(g.expected.bound if g.expected else g.limit for g in gates if g.name == "speedup")


def pairs_of(limits: Sequence[Limit], rounds: int | None, budget_seconds: float) -> PairedTest:
    """The test of a speedup: as many pairs as were asked for, or as many as its limits need."""
    return PairedTest(() if rounds else limits, budget_seconds, rounds or MOST_BLOCKS)


def own_failure(entry: ProgramEntry, problem: Problem, run: Execution) -> str:
    """Why a run of the baseline is not what its own gates ask every run to be (built in, equal, above a bound); empty
    where it is. How fast it is does not matter.
    """
    gates = [gate for gate in entry.gates_for(entry.baseline, problem) if _asks_each_run(gate)]
    found = quantities_of([run], entry.output)
    add_missing(found, gates)
    measurement = Measurement(entry.name, entry.baseline, found, problem=problem, device="program")
    for verdict in (evaluate(gate, measurement) for gate in gates):
        if verdict.status is Status.FAIL:
            measured = measured_text(verdict.gate.definition, verdict.measured, verdict.gate.limit)
            return f"{verdict.gate.text} fails: {f'measured {measured}' if measured else verdict.reason}"
    return ""


def _asks_each_run(gate: Gate) -> bool:
    if gate.name == "deterministic":
        return False
    return gate.limit.equals is not None or gate.limit.above is not None or gate.name == "left_processes"


def orders_after(past: Sequence[Round], slots: Sequence[str]) -> Iterator[list[str]]:
    """The orders of the next rounds: where the last couple is not whole, first the reverse of its first."""
    if len(past) % 2 and past[-1].order:
        last = [BASELINE, CANDIDATE] if past[-1].order > 0 else [CANDIDATE, BASELINE]
        yield last[::-1]
    yield from orders(np.random.default_rng(), slots)


def add_pair(
    pairs: PairedTest, seconds: float, baseline_seconds: float, spent_seconds: float, order: int
) -> None:
    """Add one pair, with the time that it took in all."""
    pairs.add_block(math.log(baseline_seconds / seconds), spent_seconds, order)


def speedup(pairs: PairedTest, limits: Sequence[Limit], problem: str) -> Quantity:
    """The speedup of the pairs there are; `problem` is why there are no more."""
    if not pairs.blocks:
        return Quantity(None, reason=problem or "no pair with the baseline was measured", unit="x")
    pairs = pairs.against(limits)
    interval = pairs.interval
    if interval is None:
        few = f"{pairs.blocks} pair{'s are' if pairs.blocks > 1 else ' is'} too few"
        return Quantity(pairs.ratio, reason="; ".join(filter(None, [few, problem])), unit="x")
    reason = pairs.verdict(limits[0])[1] if limits else pairs.note
    value = min(max(pairs.ratio, interval.low), interval.high)
    return Quantity(value, interval, "; ".join(filter(None, [reason, problem])), unit="x")
