"""What so many pairs can tell, what more would take, and when more are of no use. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.stats.game import ERROR, FAIL_ERROR, couple_evidence, pair_evidence
from pytest_greta.stats.shape import centre

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = 100
_SHARE = 0.95

_LONGEST = 150
"""Couples in a sample, at most. What more of them tell follows: it falls with the root of their number."""

_CAUTION = 10.0
"""How much farther a distance must be than what 95 of 100 samples of n couples show, in units of 1 / n (of the couples
in a sample, where there are more)."""

FEWEST_COUPLES = 10
"""Fewer coins decide nothing at 1 in 1000."""

_HALF = 4.6
"""What the game takes at least, in standard errors of the mean, on noise with the spread of `_spread`: heavier tails
take more."""

_Z = 3.1
"""Quantile of a chance of 1 in 1000."""


def tells(pairs: NDArray[np.float64], fails: bool) -> float:
    """Distance from the limit (a logarithm) that so many `pairs` decide in 95 of 100 cases; infinite for too few.

    Found on couples like these: `SAMPLES` series of as many (at most `_LONGEST`), drawn from them and moved until 95 of
    100 are decided (B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979)). Their
    tails and modes are those of the noise. What so few have not seen is for `caution`.
    """
    count = len(pairs) // 2
    if count < FEWEST_COUPLES:
        return math.inf
    two = pairs[: 2 * count].reshape(count, 2)
    two = two - centre(two.mean(axis=1).tolist())
    length = min(count, _LONGEST)
    drawn = two[np.random.default_rng(count).integers(count, size=(SAMPLES, length))]

    def is_told(distance: float) -> bool:
        moved = drawn.reshape(SAMPLES, -1) + distance
        told = couple_evidence(moved).max(axis=-1) >= -math.log(ERROR)
        if fails:
            told &= pair_evidence(moved).max(axis=-1) >= -math.log(FAIL_ERROR)
        return float(told.mean()) >= _SHARE

    low, high = 0.0, 2 * float(np.abs(two).max()) + 1e-6
    if not is_told(high):
        return math.inf
    while high - low > high / 50:
        middle = (low + high) / 2
        low, high = (low, middle) if is_told(middle) else (middle, high)
    return high * math.sqrt(length / count)


def caution(blocks: int) -> float:
    """By how much to multiply what `tells` says, for it to be true in 95 of 100 cases: tests/unit/test_pairs.py."""
    return 1 + _CAUTION / min(blocks // 2, _LONGEST)


@dataclass(frozen=True)
class Level:
    """Where the means of couples lie, as far as so many show it."""

    couples: int
    centre: float
    spread: float
    """Standard deviation, hardly touched by wild values: 1.4826 MAD, as of normal noise."""

    @classmethod
    def of(cls, means: Sequence[float]) -> Level:
        """The level of these. Raises ValueError when there are none."""
        values = np.asarray(means)
        found = centre(values)
        return cls(len(values), found, float(1.4826 * np.median(np.abs(values - np.median(values)))))


def is_futile(level: Level, more: float, bound: float) -> bool:
    """Whether `more` further couples decide on which side of a bound the ratio is in less than 1 of 1000 cases.

    `bound` is a logarithm, as is `level`. The centre after all N couples, given that of n, has a spread of
    sigma sqrt(1/n - 1/N), and has to be `_HALF` standard errors, sigma / sqrt(N), away from the bound. (Predictive
    distribution of a mean under a flat prior: Gelman et al., "Bayesian Data Analysis", 3rd edition, section 2.5.) sigma
    is taken small where it helps and large where it harms, as far as n couples leave it open.
    """
    total = level.couples + more
    if total < FEWEST_COUPLES:
        return True
    if level.couples < 6 or math.isinf(total):
        return False
    doubt = 1.5 / math.sqrt(level.couples)
    needed = _HALF * level.spread * max(0.0, 1 - doubt) / math.sqrt(total)
    wanders = level.spread * (1 + doubt) * math.sqrt(1 / level.couples - 1 / total)
    return abs(level.centre - bound) + _Z * wanders < needed
