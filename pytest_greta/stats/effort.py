"""What so many pairs can tell, what more would take, and when more are of no use. Pure."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from pytest_greta.stats.game import ERROR, FAIL_ERROR, refuted_below
from pytest_greta.stats.shape import centre

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

POWER = 1.4
"""A distance of half an interval is decided in every second case; this times as far, in 95 of 100. On normal noise the
half is 4.8 standard errors, and 1.645 more make it 95 %; the rest is for heavy tails (tests/unit/test_effort.py)."""

FEWEST_COUPLES = 10
"""Fewer coins decide nothing at 1 in 1000."""

_HALF = 4.6
"""What the game takes at least, in standard errors of the mean, on noise with the spread of `_spread`: heavier tails
take more."""

_Z = 3.1
"""Quantile of a chance of 1 in 1000."""


def tells(means: NDArray[np.float64], pairs: NDArray[np.float64], fails: bool) -> float:
    """Distance above zero (a logarithm) that so many pairs decide in 95 of 100 cases; infinite for too few.

    `means` are those of the couples, `pairs` their log-ratios. The spread is in the evidence itself: what it refutes of
    these very values lies so far from their centre.
    """
    middle = centre(means.tolist())
    half = middle - refuted_below(means, ERROR, ever=False)
    if fails:
        half = max(half, middle - refuted_below(pairs, FAIL_ERROR, ever=False))
    return POWER * half


def is_futile(means: NDArray[np.float64], more: float, distance: float) -> bool:
    """Whether `more` further couples decide on which side of a bound the ratio is in less than 1 of 1000 cases.

    `distance` is how far the centre of the couples' `means` is from the bound. The centre after all N couples, given
    that of n, has a spread of sigma sqrt(1/n - 1/N), and has to be `_HALF` standard errors, sigma / sqrt(N), away from
    the bound. (Predictive distribution of a mean under a flat prior: Gelman et al., "Bayesian Data Analysis", 3rd edition,
    section 2.5.) sigma is taken small where it helps and large where it harms, as far as n couples leave it open.
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
