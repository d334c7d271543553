"""Rounds of new and old code as greta launches them, in noise of many kinds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.noise import MODELS, ORDERLY, Noise, Times, lognormal, recorded
from pytest_greta.gates.model import Limit
from pytest_greta.stats.bounds import coarseness, decisions, steady
from pytest_greta.stats.effort import Level, is_futile

if TYPE_CHECKING:
    from numpy.typing import NDArray

STAGES = (40, 120, 300, 800, 1200)
"""After so many pairs it is seen which series go on: a test sees it after each couple."""

BETWEEN = (0.0, 0.005, 0.01, 0.02)
"""Spread between runs."""


@dataclass(frozen=True)
class Case:
    """One kind of noise, with one spread between runs."""

    name: str
    noise: Noise
    between: float
    carry: float = 0.0
    """What a launch of the new code adds to the time of the next launch, of whichever code."""
    offset: float = 0.0
    """Spread of what a process adds to one of the two codes: their addresses, for example."""
    tick: float = 0.0
    """Tick of the clock, in units of a launch."""
    state: float = 0.0
    """What the state of the machine adds to the current run, and to none of those before."""
    rare: float = 0.0
    """Share of runs that are 4 % slower."""

    @property
    def label(self) -> str:
        """As in the first columns of the tables."""
        return f"{self.name} | {100 * self.between:g} %"

    @property
    def knows(self) -> bool:
        """Whether the noise depends on the code that it meets: nothing that compares the two can be right then."""
        return bool(self.carry or self.offset or self.tick)

    def measured(self, times: Times) -> Times:
        """Times as the clock gives them."""
        return np.maximum(np.round(times / self.tick), 1) * self.tick if self.tick else times

    def shifts(self, rng: np.random.Generator, *shape: int) -> Times:
        """What a whole run is slower by, as a factor: of `shape` the last axis has the runs, the current one last."""
        found = np.exp(rng.normal(0.0, self.between, shape))
        found *= np.where(rng.random(shape) < self.rare, 1.04, 1.0)
        found[..., -1] *= 1 + self.state
        return np.asarray(found)


@dataclass(frozen=True)
class Rounds:
    """Rounds of new and old code: logarithms of their times, in rounds of balanced order, shape (..., rounds)."""

    new: Times
    old: Times
    orders: Times
    """+1 where the new code came second, else -1."""
    carries: Times
    """Shape (..., rounds // 2): what `order.carries` finds."""

    def decided(self, case: Case, limit: float) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """`bounds.decisions`, without looking at pairs that come long after the decision, or that are futile."""
        values, rounds = self.new - self.old, self.new.shape[-1]
        coarse = coarseness([1.0], case.tick)
        used, side = np.full(len(values), 0), np.zeros(len(values), dtype=int)
        left = np.arange(len(values))
        for offered in (*(n for n in STAGES if n < rounds), rounds):
            if not left.size:
                break
            used[left], side[left] = decisions(
                values[left, :offered],
                Limit(max=limit),
                self.orders[left, :offered],
                self.carries[left, : offered // 2],
                coarse,
            )
            left = np.flatnonzero((side == 0) & (used == offered))
            pairs = steady(values[left, :offered], self.orders[left, :offered])
            means = pairs.reshape(len(left), offered // 2, 2).mean(axis=-1)
            more = (rounds - offered) // 2
            left = left[
                [i for i, one in enumerate(means) if not is_futile(Level.of(one), more, math.log(limit))]
            ]
        return used, side


def rounds_of(rng: np.random.Generator, case: Case, shifts: Times, slowdown: float, rounds: int) -> Rounds:
    """Rounds of new and old code in runs with the given shifts: couples of opposite order, the first by a coin."""
    where = shifts.shape
    times = case.noise(rng, shifts.size, 2 * rounds).reshape(*where, 2 * rounds) * shifts[..., None]
    coins = rng.integers(0, 2, (*where, rounds // 2, 1))
    # New code (1) and old (0) in a couple: 1 0 0 1, or 0 1 1 0.
    is_new = np.where(coins, [1, 0, 0, 1], [0, 1, 1, 0]).reshape(*where, 2 * rounds)
    offsets = np.exp(rng.normal(0.0, case.offset, (*where, 2))) if case.offset else np.ones((*where, 2))
    times = times * np.where(is_new, slowdown * offsets[..., :1], offsets[..., 1:])
    times[..., 1:] *= np.where(is_new[..., :-1], 1 + case.carry, 1.0)
    logs = np.log(case.measured(times))
    slots, who = logs.reshape(*where, rounds, 2), is_new.reshape(*where, rounds, 2)
    new, old = (np.where(who[..., 0] == which, slots[..., 0], slots[..., 1]) for which in (1, 0))
    fours = logs.reshape(*where, rounds // 2, 4)
    carries = (2 * coins[..., 0] - 1) * (fours[..., 1] - fours[..., 2])
    return Rounds(new, old, np.where(who[..., 1] == 1, 1, -1), carries)


def cases(traces: Sequence[Path]) -> list[Case]:
    """All kinds of noise, those of recorded launches last."""
    found = [Case(name, noise, between) for name, noise in MODELS.items() for between in BETWEEN]
    found += [Case(name, noise, 0.01) for name, noise in ORDERLY.items()]
    found += [
        Case("2 % of runs +4 %", lognormal, 0.01, rare=0.02),
        Case("state of the machine +4 %", lognormal, 0.01, state=0.04),
        Case("a clock of 20 ticks a launch", lognormal, 0.01, tick=1 / 20),
        Case("a clock of 5 ticks a launch", lognormal, 0.01, tick=1 / 5),
        Case("behind the new code +4 %", lognormal, 0.01, carry=0.04),
        Case("behind the new code +8 %", lognormal, 0.01, carry=0.08),
        Case("0.5 % by process and code", lognormal, 0.01, offset=0.005),
    ]
    return found + [Case(f"recorded: {path.stem}", recorded(path), 0.0) for path in traces]
