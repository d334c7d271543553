"""Statistics of paired timings. Pure: no clock, no I/O, no randomness.

The pair (one launch of the baseline and one of the candidate, side by side, in random order) is the unit, not the
launch: launches of one run share clocks, temperature and neighbours, and are not independent of each other.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_greta.gates import Interval

CONFIDENCE = 0.95
FEWEST_PAIRS = 3
"""With fewer, an interval says next to nothing (the t quantile of one degree of freedom is 12.7)."""


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
