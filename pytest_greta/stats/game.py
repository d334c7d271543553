"""The game whose wealth is the evidence of a verdict. Pure: no clock, no I/O, no randomness.

Pairs come in couples: candidate and counterpart are launched in one order, then in the other; a fair coin says which
order comes first. Suppose the true ratio is r, and that noise does not know which variant it meets. Had the coin fallen
differently, the two would have met each other's noise: both values x - log r of the couple would have the opposite
sign. So, given all that came before and all noise of the couple, the couple's mean s = (x1 + x2) / 2 - log r is +a or
-a, as one fair coin falls. (Its two pairs are not two coins: with noise of period four, slow, fast, fast, slow, both
have the same sign. A game that bets on the second pair after it saw the first is not fair.) For any stake 0 < g <= 1
and any slope b > 0

    E(g, b) = product over couples of (1 + g tanh(b s))

is a fair game (tanh is odd, so each factor has mean 1), and so is its mean over several bets (g, b). By Ville's
inequality it ever reaches 1 / error with a probability of at most `error`, however often one looks, whatever the noise:
heavy tails, drifts, modes, bursts, periods, order. What the place in a pair does to a time cancels in s: one x has it
with the one sign, one with the other. No variance is estimated and no distribution assumed; tanh is bounded, so a wild
value weighs no more than any other large one. The price: no rule can be wrong once in 1000 times with fewer than ten
couples, as ten coins fall alike that often.

With g = 1, the factor is the likelihood ratio of N(m, s^2) against its symmetrised self for b = m / s^2: no other bet
against symmetry grows faster on normal data. Smaller stakes with steep slopes are close to counting signs, and are what
decides when the noise has heavy tails. Sources:
- J. Ville, "Etude critique de la notion de collectif" (1939);
- V. de la Pena, "A general class of exponential inequalities for martingales and ratios", Annals of Probability 27
  (1999);
- A. Ramdas, J. Ruf, M. Larsson, W. Koolen, "Admissible anytime-valid sequential inference must rely on nonnegative
  martingales" (arXiv 2009.03167);
- V. Vovk, R. Wang, "Nonparametric e-tests of symmetry" (arXiv 2208.08925);
- S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
  Annals of Statistics 49 (2021).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

ERROR = 0.001
"""Probability that one end of an interval is wrong, at any time of looking, whatever the noise."""

FAIL_ERROR = 1e-5
"""Probability of a wrong FAIL where the two pairs of a couple are no more alike than two coins: 500 gates a day give
0.04 wrong FAILs a week."""

STAKES, SLOPES = np.array(
    [(1.0, 4.0**k) for k in range(7)] + [(stake, 4.0**k) for stake in (0.5, 0.25) for k in range(2, 6)]
).T
"""The bets; slopes in units of 1 / log-ratio. On normal noise the best slope is distance / variance: 50 at 1 % from the
limit with 1.4 % noise. Slope 4096 resolves a distance of 0.03 %. With twice as many bets it takes as many blocks."""


def couples(values: ArrayLike) -> NDArray[np.float64]:
    """Means of two values each, shape (..., n) to (..., n // 2): a last one alone counts when it has its other."""
    array = np.asarray(values, dtype=float)
    count = array.shape[-1] // 2 * 2
    return np.asarray((array[..., 0:count:2] + array[..., 1:count:2]) / 2)


def evidence(excess: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the evidence that the centre of `excess` is above zero, after each value.

    `excess` has shape (..., n): values less what is doubted, in the order of measurement. The result has the same
    shape; from `log(1 / ERROR)` on, "at or below zero" is refuted.
    """
    array = np.asarray(excess, dtype=float)
    # tanh is never quite -1; rounded to it, one value would ruin a bet for good.
    odd = np.maximum(np.tanh(array[..., None] * SLOPES), -1 + 1e-15)
    growth = np.cumsum(np.log1p(STAKES * odd), axis=-2)
    top = growth.max(axis=-1, keepdims=True)
    return np.asarray(top[..., 0] + np.log(np.exp(growth - top).mean(axis=-1)))


def reached(excess: ArrayLike) -> NDArray[np.float64]:
    """The highest evidence so far, after each value: what was refuted once stays refuted, shape (..., n)."""
    return np.asarray(np.maximum.accumulate(evidence(excess), axis=-1))


def refuted_below(values: NDArray[np.float64], error: float = ERROR, ever: bool = True) -> float:
    """The largest centre of `values` that the evidence refutes from above, `ever` or now; minus infinity if none."""
    judge = reached if ever else evidence
    low, high = float(values.min()) - 1.0, float(values.max())
    if judge(values - low)[-1] < -math.log(error):
        return -math.inf
    for _ in range(60):
        middle = (low + high) / 2
        if judge(values - middle)[-1] >= -math.log(error):
            low = middle
        else:
            high = middle
    return low
