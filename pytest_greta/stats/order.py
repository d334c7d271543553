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
from pytest_greta.stats.looks import next_look
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


def order_effects(log_ratios: ArrayLike, orders: ArrayLike) -> tuple[float, float]:
    """What the log-ratio gains where the candidate was launched after its counterpart: in the first pair of a couple,
    and in the second. 0 where nothing is certain.

    `log_ratios` and `orders` have shape (n,). Couples whose pairs did not have opposite orders show nothing.
    """
    values, signs = _couples(log_ratios), _couples(orders)
    opposite = signs.prod(axis=-1) == -1
    first, second = _effects(values[None, opposite], signs[None, opposite, 0])[0]
    return float(first), float(second)


def without_order(log_ratios: ArrayLike, orders: ArrayLike) -> NDArray[np.float64]:
    """Log-ratios (..., n) less the effects of their order, as far as couples before the last look show them.

    What is taken from a couple was known before its coin fell, so that no bet on it becomes unfair.
    """
    values = np.array(log_ratios, dtype=float)
    signs = np.broadcast_to(np.asarray(orders), values.shape)
    flat, turned = values.reshape(-1, values.shape[-1]), signs.reshape(-1, values.shape[-1])
    couples, coins = _couples(flat), _couples(turned)
    opposite = np.logical_and.accumulate(coins.prod(axis=-1) == -1, axis=-1)
    found, couple = couples.copy(), _FEWEST_COUPLES
    while couple < couples.shape[1]:
        known, until = opposite[:, couple - 1], next_look(couple)
        effects = _effects(couples[known, :couple], coins[known, :couple, 0])
        found[known, couple:until] -= coins[known, couple:until] * effects[:, None]
        couple = until
    flat[:, : 2 * couples.shape[1]] = found.reshape(len(flat), -1)
    return flat.reshape(values.shape)


_FEWEST_COUPLES = 4
_FEWEST_OF_A_COIN = 3
"""So many couples of either coin have medians that one wild value does not move."""


def _couples(values: ArrayLike) -> NDArray[np.float64]:
    """Values (..., n) as couples (..., n // 2, 2)."""
    array = np.asarray(values, dtype=float)
    count = array.shape[-1] // 2
    return array[..., : 2 * count].reshape(*array.shape[:-1], count, 2)


def _effects(couples: NDArray[np.float64], coins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of couples (series, n, 2), whose first pairs have the orders `coins`, (series, n): both effects, (series, 2).

    Half the difference of the two pairs of a couple shows what the two effects have in common. What they differ by,
    which noise with a period of four launches makes, turns the mean of a couple as its coin falls: half of it is half
    the difference of the means of couples whose coins fell differently.
    """
    series, count = coins.shape
    if count < _FEWEST_COUPLES:
        return np.zeros((series, 2))
    alike, means = coins * (couples[..., 0] - couples[..., 1]) / 2, (couples[..., 0] + couples[..., 1]) / 2
    common, known = np.zeros(series), _is_certain(alike)
    common[known] = np.median(alike[known], axis=-1)
    up, down = (_median_where(means, coins == coin) for coin in (1, -1))
    away = coins * (means - (up + down)[:, None] / 2)
    enough = count - np.abs(coins.sum(axis=-1)) >= 2 * _FEWEST_OF_A_COIN
    apart = np.where(enough & _is_certain(away), (up - down) / 2, 0.0)
    return np.stack([common + apart, common - apart], axis=-1)


def _median_where(values: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median of those values of each row, shape (rows, n), where the mask is set; of none that of all."""
    mask = mask | ~mask.any(axis=-1, keepdims=True)
    ordered = np.sort(np.where(mask, values, np.inf), axis=-1)
    count = mask.sum(axis=-1)[:, None]
    ends = [np.take_along_axis(ordered, at, axis=-1)[:, 0] for at in ((count - 1) // 2, count // 2)]
    return np.asarray((ends[0] + ends[1]) / 2)


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
