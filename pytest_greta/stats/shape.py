"""Statistics of timings. Pure: no clock, no I/O, no randomness.

The pair (one launch of the baseline and one of the candidate, side by side, in random order) is the unit, not the
launch: launches of one run share clocks, temperature and neighbours, and are not independent of each other.
`pairs.py` decides on pairs, `runs.py` on runs; what both need is here.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.gates.model import Interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
FEWEST_PAIRS = 3
"""With fewer, an interval says next to nothing (the t quantile of one degree of freedom is 12.7)."""

FEWEST_FOR_MEDIAN = 6
FALSE_ENDS = 0.001
"""How often each end of the interval of a median may be wrong."""

FALSE_SHAPES = 0.001
"""How often data of one level may be said to have two modes, and how often a trend."""


def speedup(
    baseline_seconds: Sequence[float], candidate_seconds: Sequence[float]
) -> tuple[float, Interval | None]:
    """Baseline time over candidate time, pair by pair: the geometric mean, and its confidence interval.

    The interval is Student's t on the logarithms of the ratios (None with fewer than `FEWEST_PAIRS` pairs).
    Raises ValueError when the two are of different length, empty, or hold a time that is not above zero.
    """
    if not baseline_seconds or len(baseline_seconds) != len(candidate_seconds):
        raise ValueError("speedup needs as many baseline times as candidate times, and at least one")
    if min(*baseline_seconds, *candidate_seconds) <= 0:
        raise ValueError("speedup needs times above zero")
    logs = [math.log(b / c) for b, c in zip(baseline_seconds, candidate_seconds, strict=True)]
    mean = statistics.fmean(logs)
    if len(logs) < FEWEST_PAIRS:
        return math.exp(mean), None
    standard_error = statistics.stdev(logs) / math.sqrt(len(logs))
    half = t_quantile(0.5 + CONFIDENCE / 2, len(logs) - 1) * standard_error
    return math.exp(mean), Interval(math.exp(mean - half), math.exp(mean + half))


def median_interval(values: Sequence[float]) -> Interval | None:
    """Where the median of such values is; each end is wrong with a probability of at most 0.001, for independent ones.

    None with fewer than `FEWEST_FOR_MEDIAN`, or where one of them is not above zero. From ten on, the ends are two of
    the values: as many lie outside as of so many fair coins fall alike once in 1000 times (H. David, H. Nagaraja,
    "Order Statistics", 3rd edition, section 7.1). Ten coins are the fewest that do; with fewer it is Student's interval
    of the logarithms, and holds all values.
    """
    count = len(values)
    if count < FEWEST_FOR_MEDIAN or min(values) <= 0:
        return None
    ordered = sorted(values)
    outside, ways, tail = (
        0,
        1,
        1,
    )  # of 2**count ways to fall, as whole numbers: a float holds those of 1029 coins
    while tail / 2**count <= FALSE_ENDS:
        outside += 1
        ways = ways * (count - outside + 1) // outside
        tail += ways
    if outside:
        return Interval(ordered[outside - 1], ordered[-outside])
    logs = [math.log(value) for value in values]
    middle, half = statistics.fmean(logs), t_quantile(1 - FALSE_ENDS, count - 1) * statistics.stdev(logs)
    half /= math.sqrt(count)
    return Interval(min(ordered[0], math.exp(middle - half)), max(ordered[-1], math.exp(middle + half)))


def centre(values: ArrayLike) -> float:
    """The centre of symmetric data: the median of the means of all pairs of values, each with itself as well.

    As robust as a median against a quarter of outliers, and nearly as exact as a mean on normal data.
    Hodges and Lehmann, "Estimates of location based on rank tests", Annals of Mathematical Statistics 34 (1963).
    Raises ValueError when there are no values.
    """
    array = np.sort(np.asarray(values, dtype=float))
    if not len(array):
        raise ValueError("centre needs at least one value")
    if len(array) <= _FEW_FOR_CENTRE:
        first, second = np.triu_indices(len(array))
        return float(np.median((array[first] + array[second]) / 2))
    # Of many the middle is where half of all means lie below: to the last digits of the values, found in n log n.
    places, half = np.arange(1, len(array) + 1), len(array) * (len(array) + 1) / 4
    low, high = float(array[0]), float(array[-1])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = np.minimum(np.searchsorted(array, 2 * middle - array, side="right"), places).sum()
        low, high = (low, middle) if below >= half else (middle, high)
    return high


_FEW_FOR_CENTRE = 200
_HALVINGS = 52
"""So many leave of a range what a double leaves of it."""


@dataclass(frozen=True)
class Shape:
    """What hides behind a single number. All arrays have the shape of the data without their last axis."""

    bimodal: NDArray[np.bool_]
    """The values lie in two separate groups, each with at least a fifth of them."""
    modes: NDArray[np.float64]
    """Shape (..., 2): medians of the lower and the upper group, of the best division in two."""
    upper_share: NDArray[np.float64]
    """Share of the values in the upper group."""
    drifting: NDArray[np.bool_]
    """The values rise or fall with time."""
    ends: NDArray[np.float64]
    """Shape (..., 2): medians of the first and of the last third."""

    def levels(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest level of the data; infinity and minus infinity where they have only one."""
        found = [(self.bimodal, self.modes), (self.drifting, self.ends)]
        low = np.minimum(*(np.where(has, pair.min(-1), np.inf) for has, pair in found))
        high = np.maximum(*(np.where(has, pair.max(-1), -np.inf) for has, pair in found))
        return low, high

    def __str__(self) -> str:
        """In words, of a single series of logarithms; empty where it has one level."""
        texts = []
        if self.bimodal:
            low, high = self.modes
            share = float(self.upper_share)
            texts.append(f"two modes {math.exp(high - low) - 1:.1%} apart ({share:.0%} in the upper one)")
        if self.drifting:
            texts.append(f"a drift of {math.exp(self.ends[1] - self.ends[0]) - 1:+.1%} from start to end")
        return " and ".join(texts)


def shape(values: ArrayLike) -> Shape:
    """Whether values, shape (..., n) in the order of their measurement, have two modes or a trend.

    Two modes: the best division of the sorted values in two groups takes away more of the sum of absolute deviations
    from the median than it does from evenly spread values, which are, of all data with one mode, those that lose most
    (half of it). The critical value 0.5 + 1.25/sqrt(n) is exceeded by evenly spread values once in a thousand times, by
    normal and heavy-tailed ones far more rarely (tests/unit/test_shape.py simulates both).
    Trend: Spearman's rank correlation with time, r * sqrt(n - 1) against the normal quantile. Ranks do not care about
    outliers. Fewer than 8 values have neither.
    """
    array = np.asarray(values, dtype=float)
    count = array.shape[-1]
    if count < _FEWEST_FOR_SHAPE:
        no, one = (
            np.zeros(array.shape[:-1], dtype=bool),
            np.repeat(np.median(array, axis=-1)[..., None], 2, axis=-1),
        )
        return Shape(no, one, np.zeros(array.shape[:-1]), no, one)
    explained, modes, share = _division(array)
    third = count // 3
    ends = np.stack(
        [np.median(array[..., :third], axis=-1), np.median(array[..., -third:], axis=-1)], axis=-1
    )
    z = statistics.NormalDist().inv_cdf(1 - FALSE_SHAPES / 2)
    return Shape(
        bimodal=explained > 0.5 + 1.25 / math.sqrt(count),
        modes=modes,
        upper_share=share,
        drifting=np.abs(_rank_correlation(array)) * math.sqrt(count - 1) > z,
        ends=ends,
    )


_FEWEST_FOR_SHAPE = 8


def _division(
    array: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The best division in two groups: share of the absolute deviations it takes away, medians, upper share."""
    ordered = np.sort(array, axis=-1)
    count = ordered.shape[-1]
    sums = np.concatenate([np.zeros((*ordered.shape[:-1], 1)), np.cumsum(ordered, axis=-1)], axis=-1)

    def deviations(begin: NDArray[np.int_], end: NDArray[np.int_]) -> NDArray[np.float64]:
        half = (end - begin) // 2  # the upper half minus the lower half; a middle value adds nothing
        upper, lower = sums[..., end] - sums[..., end - half], sums[..., begin + half] - sums[..., begin]
        return np.asarray(upper - lower)

    fewest = max(3, -(-count // 5))
    splits = np.arange(fewest, count - fewest + 1)
    start, stop = np.zeros_like(splits), np.full_like(splits, count)
    apart = deviations(start, splits) + deviations(splits, stop)
    together = deviations(start[:1], stop[:1])
    # Rounding leaves crumbs of deviations in values that are all equal: those have one mode.
    real = together[..., 0] > 1e-12 * count * np.abs(ordered).max(axis=-1)
    explained = np.where(real, 1 - apart.min(axis=-1) / np.where(real, together[..., 0], 1.0), 0.0)
    best = splits[apart.argmin(axis=-1)]

    def middle(begin: NDArray[np.int_] | int, end: NDArray[np.int_] | int) -> NDArray[np.float64]:
        low, high = (np.asarray((begin + end - 1) // 2), np.asarray((begin + end) // 2))
        ends = [np.take_along_axis(ordered, i[..., None], axis=-1)[..., 0] for i in (low, high)]
        return np.asarray((ends[0] + ends[1]) / 2)

    modes = np.stack([middle(0, best), middle(best, count)], axis=-1)
    return explained, modes, np.asarray(1 - best / count)


def _rank_correlation(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's correlation of values (..., n) with their position, equal values in the middle of their ranks."""
    ordered = np.sort(array, axis=-1)
    if array.ndim == 1:
        ranks = (np.searchsorted(ordered, array, "left") + np.searchsorted(ordered, array, "right") - 1) / 2
    elif np.any(ordered[..., 1:] == ordered[..., :-1]):
        return np.apply_along_axis(_rank_correlation, -1, array)
    else:
        ranks = np.argsort(np.argsort(array, axis=-1), axis=-1).astype(float)
    ranks = ranks - ranks.mean(axis=-1, keepdims=True)
    times = np.arange(array.shape[-1]) - (array.shape[-1] - 1) / 2
    size = np.sqrt((ranks**2).sum(axis=-1) * (times**2).sum())
    return np.asarray((ranks * times).sum(axis=-1) / np.where(size > 0, size, 1.0))


@functools.lru_cache(maxsize=1024)
def t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t distribution with `degrees` degrees of freedom.

    Found by bisection on the exact distribution function (Abramowitz and Stegun 26.7.3 and 26.7.4).
    """
    if not 0 < probability < 1 or degrees < 1:
        raise ValueError("t_quantile needs 0 < probability < 1 and at least one degree of freedom")
    low, high = -1.0, 1.0
    while _t_distribution(low, degrees) > probability:
        low *= 2
    while _t_distribution(high, degrees) < probability:
        high *= 2
    while high - low > 1e-12 * max(1.0, abs(low)):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _t_distribution(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_distribution(t: float, degrees: int) -> float:
    """P(T <= t) for an integer number of degrees of freedom, by its finite series in the angle atan(t/sqrt(n))."""
    angle = math.atan(t / math.sqrt(degrees))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = term if degrees > 1 else 0.0
    for k in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 + within / 2
