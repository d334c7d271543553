"""What so many pairs can tell, what more would take, and when more are of no use. Pure."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.stats.game import ERROR, FAIL_ERROR, couple_evidence, pair_evidence
from pytest_greta.stats.shape import centre

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = 100
_SHARE = 0.95

_CAUTION = 10.0
"""How much farther a distance must be than what 95 of 100 samples of n couples show, in units of 1 / n."""

FEWEST_COUPLES = 10
"""Fewer coins decide nothing at 1 in 1000."""

_HALF = 4.6
"""What the game takes at least, in standard errors of the mean, on noise with the spread of `_spread`: heavier tails
take more."""

_Z = 3.1
"""Quantile of a chance of 1 in 1000."""


def tells(pairs: NDArray[np.float64], fails: bool) -> float:
    """Distance from the limit (a logarithm) that so many `pairs` decide in 95 of 100 cases; infinite for too few.

    Found on couples like these: `SAMPLES` series of as many, drawn from them and moved until 95 of 100 are decided
    (B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979)). Their tails and modes
    are those of the noise. What so few have not seen is for `caution`.
    """
    count = len(pairs) // 2
    if count < FEWEST_COUPLES:
        return math.inf
    two = pairs[: 2 * count].reshape(count, 2)
    two = two - centre(two.mean(axis=1).tolist())
    drawn = two[np.random.default_rng(count).integers(count, size=(SAMPLES, count))]

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
    return high


def caution(blocks: int) -> float:
    """By how much to multiply what `tells` says, for it to be true in 95 of 100 cases: tests/unit/test_pairs.py."""
    return 1 + _CAUTION / (blocks // 2)


def is_futile(means: NDArray[np.float64], more: float, distance: float) -> bool:
    """Whether `more` further couples decide on which side of a bound the ratio is in less than 1 of 1000 cases.

    `distance` is how far the centre of the couples' `means` is from the bound. The centre after all N couples, given
    that of n, has a spread of sigma sqrt(1/n - 1/N), and has to be `_HALF` standard errors, sigma / sqrt(N), away from
    the bound. (Predictive distribution of a mean under a flat prior: Gelman et al., "Bayesian Data Analysis", 3rd
    edition, section 2.5.) sigma is taken small where it helps and large where it harms, as far as n couples leave it
    open.
    """
    count = len(means)
    total = count + more
    if total < FEWEST_COUPLES:
        return True
    if count < 6 or math.isinf(total):
        return False
    spread = _spread(means)
    doubt = 1.5 / math.sqrt(count)
    needed = _HALF * spread * max(0.0, 1 - doubt) / math.sqrt(total)
    wanders = spread * (1 + doubt) * math.sqrt(1 / count - 1 / total)
    return abs(distance) + _Z * wanders < needed


def _spread(values: NDArray[np.float64]) -> float:
    """Standard deviation, hardly touched by wild values: 1.4826 MAD, as of normal noise."""
    middle = statistics.median(values.tolist())
    return float(1.4826 * statistics.median(abs(x - middle) for x in values.tolist()))
