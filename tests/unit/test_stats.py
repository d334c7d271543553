"""Speedup from pairs: its value, its interval, and what both do not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.gates import Interval
from pytest_greta.stats import FEWEST_PAIRS, speedup, t_quantile

times = st.floats(1e-6, 1e4)
pairs = st.lists(st.tuples(times, times), min_size=FEWEST_PAIRS, max_size=20)


# Table of the 97.5 % quantiles: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2.
@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (100, 1.984)],
)
def test_t_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert t_quantile(0.975, degrees) == pytest.approx(quantile, abs=5e-4)
    assert t_quantile(0.025, degrees) == pytest.approx(-quantile, abs=5e-4)


@pytest.mark.parametrize(("probability", "degrees"), [(0.0, 3), (1.0, 3), (0.5, 0)])
def test_t_quantile_refuses_what_it_cannot_answer(probability: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="t_quantile needs"):
        t_quantile(probability, degrees)


def test_twice_as_fast_is_a_speedup_of_two() -> None:
    ratio, interval = speedup([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert ratio == pytest.approx(2.0)
    assert interval == Interval(pytest.approx(2.0), pytest.approx(2.0))


def test_too_few_pairs_have_no_interval() -> None:
    assert speedup([1.21], [1.0]) == (pytest.approx(1.21), None)
    assert speedup([1.21, 1.3], [1.0, 1.0])[1] is None


@pytest.mark.parametrize(
    ("baseline", "candidate"), [([], []), ([1.0], []), ([1.0], [0.0]), ([-1.0], [1.0]), ([1.0, 2.0], [1.0])]
)
def test_what_is_no_pair_of_times_is_refused(baseline: list[float], candidate: list[float]) -> None:
    with pytest.raises(ValueError, match="speedup needs"):
        speedup(baseline, candidate)


@given(pairs, st.floats(1e-3, 1e3))
def test_units_do_not_matter(measured: list[tuple[float, float]], scale: float) -> None:
    baseline, candidate = (list(side) for side in zip(*measured, strict=True))
    ratio, interval = speedup(baseline, candidate)
    scaled_ratio, scaled = speedup([b * scale for b in baseline], [c * scale for c in candidate])
    assert interval is not None
    assert scaled is not None
    assert scaled_ratio == pytest.approx(ratio)
    assert math.log(scaled.low) == pytest.approx(math.log(interval.low), abs=1e-6)


@given(pairs, st.randoms(use_true_random=False))
def test_the_order_of_pairs_does_not_matter(measured: list[tuple[float, float]], random: object) -> None:
    shuffled = list(measured)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = speedup(*(list(side) for side in zip(*measured, strict=True)))
    other = speedup(*(list(side) for side in zip(*shuffled, strict=True)))
    assert one[0] == pytest.approx(other[0])


@given(pairs)
def test_the_value_lies_in_its_interval_and_swapping_inverts_both(
    measured: list[tuple[float, float]],
) -> None:
    baseline, candidate = (list(side) for side in zip(*measured, strict=True))
    ratio, interval = speedup(baseline, candidate)
    inverse, _ = speedup(candidate, baseline)
    assert interval is not None
    assert interval.low <= ratio * (1 + 1e-12)
    assert ratio <= interval.high * (1 + 1e-12)
    assert inverse == pytest.approx(1 / ratio)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_the_interval_covers_the_truth_as_often_as_it_says(count: int) -> None:
    rng = np.random.default_rng(1)
    runs, covered, truth = 2000, 0, 1.3
    for _ in range(runs):
        candidate = np.exp(rng.normal(0, 0.02, count))
        baseline = truth * np.exp(rng.normal(0, 0.02, count))
        _, interval = speedup(list(baseline), list(candidate))
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    # 95 % of 2000, give or take four standard deviations of the binomial distribution
    assert 1861 <= covered <= 1939
