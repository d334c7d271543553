"""How launches come in rounds and batches, and how they are timed. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_greta.device.protocol import MOST_DIGESTS, Near, Step

BATCH_SECONDS = 0.1
"""So long a batch may take: the GPU does not run dry inside, and a verdict is looked for after each."""

MOST_ROUNDS = 16
"""In one batch. A runtime takes about a thousand operations before it waits for the device; a round is some thirty."""

TICKS = 50
"""A launch of fewer ticks of the clock is not timed alone: one tick would be more than 2 % of it."""

EMPTIES = 4
"""Nor one that is not so many times as long as what lies between two events around a kernel that does nothing."""

_WARM_SECONDS = 500e-6
"""What lies between two events where several launches do: a hundred times what two events cost."""
_MOST_LAUNCHES = 1000


@dataclass(frozen=True)
class Manner:
    """How launches are timed."""

    cold: bool = False
    """Whether caches are overwritten before each."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many launches lie between two events, by slot: one where it is not said."""
    untimed: int = 0
    """How many launches come before, so that the caches hold what they leave there."""
    one_core: bool = False
    """Whether they run on one core of a CPU."""

    @property
    def name(self) -> str:
        """What times must have in common to be compared."""
        caches = "cold" if self.cold else "warm" if self.untimed else "as they come"
        return f"{caches}, one core" if self.one_core else caches

    def __str__(self) -> str:
        """As in `caches warm, 160 launches between two events`."""
        counts = [count for count in self.counts.values() if count > 1]
        several = f", {_range(counts)} launches between two events" if counts else ""
        return f"caches {self.name}{several}"


@dataclass(frozen=True)
class Round:
    """One launch of each slot."""

    order: Sequence[str]
    draw: str
    poison: int
    places: tuple[int, ...] = ()
    """Of the slots' memory: times are of equal addresses only where these are equal."""
    copies: Mapping[str, int] = field(default_factory=dict)
    """Which copy of its code each slot runs: the first where it is not said."""


def steps_of(
    rounds: Sequence[Round],
    manner: Manner,
    expected: Callable[[str, str], bytes],
    near: Callable[[str, str], tuple[Near | None, ...]],
) -> list[Step]:
    """What the worker is told to do; `expected` gives the digest of a slot's outputs on a draw, `near` what they have
    to be near to where they are others.
    """
    return [
        Step(
            slot=slot,
            draw=one.draw,
            poison=one.poison,
            expected=expected(slot, one.draw),
            cold=manner.cold,
            one_core=manner.one_core,
            count=manner.counts.get(slot, 1),
            untimed=manner.untimed,
            copy=one.copies.get(slot, 0),
            near=near(slot, one.draw),
        )
        for one in rounds
        for slot in one.order
    ]


def rounds_at_once(round_seconds: float, slots: int, outputs: int) -> int:
    """How many rounds make a batch, of which one took so long on the wall: an even number, or one."""
    fit = int(BATCH_SECONDS / max(round_seconds, 1e-9))
    most = min(MOST_ROUNDS, MOST_DIGESTS // (slots * outputs), fit)
    return max(1, most // 2 * 2)


def manner_of(
    caches: str,
    seconds: Mapping[str, float],
    shortest_seconds: float,
    is_repeatable: bool,
    one_core: bool = False,
) -> Manner:
    """How to time launches that take `seconds`, by slot, with caches `cold`, `warm` or `auto`: cold, where no launch is
    shorter than the device can tell. What is not `is_repeatable` starts from something that a launch changes.
    """
    too_short = min(seconds.values()) < shortest_seconds
    if not is_repeatable or (caches != "warm" and not (caches == "auto" and too_short)):
        return Manner(cold=caches != "warm", one_core=one_core)
    counts = {
        slot: min(_MOST_LAUNCHES, max(1, math.ceil(_WARM_SECONDS / one))) if one > 0 else 1
        for slot, one in seconds.items()
    }
    return Manner(counts=counts, untimed=1, one_core=one_core)


def shortest(clock_seconds: float, empty_seconds: float) -> float:
    """Seconds of the shortest launch that is timed alone, on a clock of such steps."""
    return max(TICKS * clock_seconds, EMPTIES * empty_seconds)


def is_settled(windows: Sequence[Sequence[float]]) -> bool:
    """Whether times have stopped to rise or fall: the medians of the last three windows lie within 0.5 % of each other,
    or within what their own spread explains.
    """
    if len(windows) < 3:
        return False
    last = [[math.log(one) for one in window] for window in windows[-3:]]
    middles = [statistics.median(window) for window in last]
    spread = max(
        1.4826 * statistics.median(abs(x - middle) for x in window) / math.sqrt(len(window))
        for window, middle in zip(last, middles, strict=True)
    )
    return max(middles) - min(middles) < max(0.005, 4 * spread)


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
