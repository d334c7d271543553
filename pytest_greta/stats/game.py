"""The game whose wealth is the evidence of a verdict. Pure: no clock, no I/O, no randomness.

Pairs come in couples: candidate and counterpart are launched in one order, then in the other; a fair coin says which
order comes first. Suppose the true ratio is r, and that noise does not know which variant it meets. Had the coin fallen
differently, the two would have met each other's noise: both values z = x - log r of the couple would have the opposite
sign. So, given all that came before and all noise of the couple, (z1, z2) is (a, b) or (-a, -b), as one fair coin
falls. Its two pairs are not two coins: with noise of period four (slow, fast, fast, slow) they always have the same
sign, and a game that bets on the second pair after it saw the first is not fair. Let t = tanh(slope z), and let

    F(t1, t2) = (1 + g t1) (1 + g t2) / (1 + g^2 t1 t2) = 1 + (g t1 + g t2) / (1 + g^2 t1 t2)

for a stake 0 < g <= 1: the bet on both pairs, divided by its mean over the coin. The mean of F over the coin is 1, so

    E(g, slope) = product over couples of F

is a fair game, and so is its mean over several bets (g, slope). By Ville's inequality it ever reaches 1 / error with a
probability of at most `error`, however often one looks, whatever the noise: heavy tails, drifts, modes, bursts,
periods, order. With g = 1, F is 1 + tanh(slope (z1 + z2)): what the place in a pair does to a time cancels. No variance
is estimated and no distribution assumed; F is at most 2, so a wild value weighs no more than any other large one. The
price: no rule can be wrong once in 1000 times with fewer than ten couples, as ten coins fall alike that often.

With g = 1, 1 + t is the likelihood ratio of N(m, s^2) against its symmetrised self for b = m / s^2: no other bet
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
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

ERROR = 0.001
"""Probability that one end of an interval is wrong, at any time of looking, whatever the noise."""

FAIL_ERROR = 1e-5
"""Probability of a wrong FAIL where the two pairs of a couple are no more alike than two coins: 500 gates a day give
0.04 wrong FAILs a week."""

SLOPES = np.array([4.0**k for k in range(7)])
SMALL_STAKES, THEIRS = (0.5, 0.25), slice(2, 6)
"""The bets: a stake of 1 with each slope, each smaller stake with four of them; slopes in units of 1 / log-ratio. On
normal noise the best slope is distance / variance: 50 at 1 % from the limit with 1.4 % noise. Slope 4096 resolves a
distance of 0.03 %. With twice as many bets it takes as many blocks."""


def evidence(values: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the evidence that the centre of `values` is above zero, after each, where each has its own coin.

    `values` has shape (..., n), in the order of measurement, less what is doubted. The result has the same shape.
    """
    odd = _odd(values)
    return _mixed([odd, *(stake * odd[THEIRS] for stake in SMALL_STAKES)])


def pair_evidence(pairs: ArrayLike) -> NDArray[np.float64]:
    """`evidence` of `pairs`, shape (..., n), after each couple, shape (..., n // 2): as if each had its own coin."""
    return np.asarray(evidence(_whole(pairs))[..., 1::2])


def couple_evidence(pairs: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the evidence that the centre of `pairs` is above zero, after each couple, which has one coin.

    `pairs` has shape (..., n), log-ratios less what is doubted, in the order of measurement, the result (..., n // 2):
    a last pair alone counts when it has its other. From `log(1 / ERROR)` on, "at or below zero" is refuted.
    """
    array = _whole(pairs)
    first, second = array[..., 0::2], array[..., 1::2]
    odd, other = (_odd(each, SLOPES[THEIRS]) for each in (first, second))
    both, product = odd + other, odd * other
    small = [stake * both / (1 + stake**2 * product) for stake in SMALL_STAKES]
    # With a stake of 1 it is tanh of the sum, which loses no digits.
    return _mixed([_odd(first + second), *small])


def _whole(pairs: ArrayLike) -> NDArray[np.float64]:
    """Without a last pair that has no other."""
    array = np.asarray(pairs, dtype=float)
    return array[..., : array.shape[-1] // 2 * 2]


def _odd(values: ArrayLike, slopes: NDArray[np.float64] = SLOPES) -> NDArray[np.float64]:
    """tanh(slope value) for every slope, shape (slopes, ...)."""
    # It is never quite 1; rounded to it, one value would ruin a bet for good.
    odd = np.tanh(np.multiply.outer(slopes, np.asarray(values, dtype=float)))
    return np.asarray(np.clip(odd, -1 + 1e-15, 1 - 1e-15))


def _mixed(won: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The logarithm of the mean of all bets, from what each wins of its wealth in turn, (bets, ..., n)."""
    growth = np.cumsum(np.log1p(np.concatenate(won)), axis=-1)
    top = growth.max(axis=0)
    return np.asarray(top + np.log(np.exp(growth - top).mean(axis=0)))


Judge = Callable[["NDArray[np.float64]"], "NDArray[np.float64]"]


def refuted_below(values: NDArray[np.float64], judge: Judge, error: float = ERROR) -> float:
    """The largest centre of `values` that the evidence of `judge` has ever refuted from above; minus infinity if none.

    What was refuted once stays refuted: Ville's inequality is about all looks at once.
    """
    low, high = float(values.min()) - 1.0, float(values.max())
    if judge(values - low).max(initial=-math.inf) < -math.log(error):
        return -math.inf
    for _ in range(45):
        middle = (low + high) / 2
        if judge(values - middle).max() >= -math.log(error):
            low = middle
        else:
            high = middle
    return low
