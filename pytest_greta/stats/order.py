"""In which order the launches of a round come, and what follows from it. Pure: no clock, no I/O.

Rounds come in couples: the second has the order of the first reversed, and the first is drawn. So every slot is as
often early as late, and what the place of a launch does to its time leaves the mean of a couple.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.stats.game import ERROR, evidence
from pytest_greta.stats.shape import t_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SIGNS = 3.0
"""So many standard deviations of fair coins show an effect of the order: once in 370 times by chance, which costs a
little power and no guarantee."""

SHARE_OF_CARRY = 0.25
"""What an effect on the successor does to the ratio of the two. In AB BA, A follows B and (as the coin of the couple
before fell) A or B; averaged over the coins A follows A in 3 of 8 launches, and B follows A in 5 of 8."""

CARRY_ERROR = 0.01
"""Probability of finding an effect on the successor where there is none, of either sign: it is to be found before it
makes a verdict, and what it costs is that the interval is wider."""

_CERTAIN = 1 - ERROR / 2
_FAR = statistics.NormalDist().inv_cdf(_CERTAIN)


def orders(rng: np.random.Generator, slots: Sequence[str]) -> Iterator[list[str]]:
    """Orders of the rounds, without end: a random permutation of the slots, then its reverse, then a new one.

    `rng` must not be what inputs are drawn with: one seed of inputs would always give the same coins.
    """
    while True:
        drawn = [slots[i] for i in rng.permutation(len(slots))]
        yield drawn
        yield drawn[::-1]


def halves(log_ratios: ArrayLike, orders: ArrayLike) -> NDArray[np.float64]:
    """The effect of the order as each couple shows it, shape (..., couples): half the difference of its two pairs.

    `log_ratios` and `orders` have shape (..., n). NaN where the two pairs did not have opposite orders.
    """
    values, signs = np.asarray(log_ratios, dtype=float), np.asarray(orders)
    count = values.shape[-1] // 2 * 2
    first, second = signs[..., 0:count:2], signs[..., 1:count:2]
    found = first * (values[..., 0:count:2] - values[..., 1:count:2]) / 2
    return np.where(first * second == -1, found, np.nan)


def order_effect(log_ratios: Sequence[float], orders: Sequence[int]) -> float:
    """What the log-ratio gains where the candidate was launched after its counterpart; 0 where nothing is certain."""
    shown = halves(log_ratios, orders)
    shown = shown[~np.isnan(shown)]
    return float(np.median(shown)) if len(shown) and _is_certain(shown[None])[0] else 0.0


def without_order(log_ratios: ArrayLike, orders: ArrayLike) -> NDArray[np.float64]:
    """Log-ratios (..., n) less the effect of their order, as far as earlier couples show it.

    What is taken from a couple was known before its coin fell, so that no bet on it becomes unfair.
    """
    values = np.array(log_ratios, dtype=float)
    signs = np.broadcast_to(np.asarray(orders), values.shape)
    flat, turned = values.reshape(-1, values.shape[-1]), signs.reshape(-1, values.shape[-1])
    shown = halves(flat, turned)
    for couple in range(_FEWEST_COUPLES, shown.shape[-1] + 1):
        past = shown[:, :couple]
        known = _is_certain(past) & ~np.isnan(past).any(axis=-1)
        there = slice(2 * couple, 2 * couple + 2)
        flat[known, there] -= turned[known, there] * np.median(past[known], axis=-1)[:, None]
    return flat.reshape(values.shape)


_FEWEST_COUPLES = 4


def _is_certain(shown: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether values (series, couples) lie beside zero: by their signs, or by Student's t where they are calm."""
    count = shown.shape[-1]
    if count < _FEWEST_COUPLES:
        return np.zeros(len(shown), dtype=bool)
    by_signs = np.abs(np.sign(shown).sum(axis=-1)) > SIGNS * math.sqrt(count)
    spread = shown.std(axis=-1, ddof=1) / math.sqrt(count)
    by_size = np.abs(shown.mean(axis=-1)) > t_quantile(_CERTAIN, count - 1) * spread
    return np.asarray(by_signs | by_size)


@dataclass(frozen=True)
class Launch:
    """One timed launch, as far as what it does to the next one is concerned."""

    slot: str
    previous: str
    """The slot that was launched before it in the same batch; empty where there was none."""
    seconds: float
    couple: int
    """The number of its couple of rounds."""


def carries(launches: Sequence[Launch], slot: str, other: str) -> list[float]:
    """By how much (as a logarithm) a launch is slower behind `slot` than behind `other`, a value of each couple.

    In the middle of a couple a slot is launched twice, side by side: behind another, and behind itself. Which of the
    two this is was decided by the coin of the couple. Without an effect on the successor each value is therefore
    symmetric around zero, given all before, whatever the noise. (Where one couple ends with the slot that the next one
    begins with, the coin that tells is that of the first of the two, which has told already.)
    """
    found = []
    for first, second in itertools.pairwise(launches):
        pair = {first.previous, first.slot}
        side_by_side = second.slot == first.slot == second.previous and second.couple == first.couple
        if side_by_side and pair == {slot, other}:
            change = (
                math.log(first.seconds / second.seconds) if min(first.seconds, second.seconds) > 0 else 0.0
            )
            found.append(change if first.previous == slot else -change)
    return found


@dataclass(frozen=True)
class CarryOver:
    """What a launch does to the next one's time, as a logarithm, where that is certain."""

    size: float
    """The next launch is slower by this behind the one slot than behind the other; 0 where nothing is certain."""
    largest: float = 0.0
    """The largest size, without its sign, that the launches allow: 3.3 standard errors of their median more."""

    @property
    def bias(self) -> float:
        """How far the log-ratio of the two may be off."""
        return SHARE_OF_CARRY * self.largest


def carry_over(shown: Sequence[float]) -> CarryOver:
    """What `carries` show: an effect where the game of `game.evidence` refutes that there is none, at 1 in 100.

    Each value has the coin of its couple alone, and the game is as fair as that of the ratio.
    """
    if not shown or not is_carried(shown)[-1]:
        return CarryOver(0.0)
    return CarryOver(statistics.median(shown), float(largest_carry(shown)))


def is_carried(shown: ArrayLike) -> NDArray[np.bool_]:
    """After each of the values `shown`, shape (..., n): whether an effect on the next launch is certain by then."""
    values = np.asarray(shown, dtype=float)
    either = np.maximum(evidence(values), evidence(-values)) >= -math.log(CARRY_ERROR)
    return np.asarray(np.logical_or.accumulate(either, axis=-1))


def largest_carry(shown: ArrayLike) -> NDArray[np.float64]:
    """`CarryOver.largest` of values, shape (..., n)."""
    values = np.asarray(shown, dtype=float)
    middle = np.median(values, axis=-1)
    spread = 1.4826 * np.median(np.abs(values - middle[..., None]), axis=-1)
    return np.asarray(np.abs(middle) + _FAR * 1.2533 * spread / math.sqrt(values.shape[-1]))
