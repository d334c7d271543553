"""Speedup from pairs: its value, its interval, and what both do not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.gates.model import Interval
from pytest_greta.stats.shape import (
    FALSE_SHAPES,
    FEWEST_PAIRS,
    centre,
    median_interval,
    shape,
    speedup,
    t_quantile,
)

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
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((2.0, 2.0))


def test_too_few_pairs_have_no_interval() -> None:
    assert speedup([1.21], [1.0])[0] == pytest.approx(1.21)
    assert speedup([1.21], [1.0])[1] is None
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


def test_the_centre_is_exact_on_symmetric_data_and_deaf_to_outliers() -> None:
    assert centre([1.0, 2.0, 3.0]) == 2.0
    assert centre([5.0]) == 5.0
    many = np.random.default_rng(3).standard_cauchy(401)
    first, second = np.triu_indices(401)
    assert centre(many) == pytest.approx(np.median((many[first] + many[second]) / 2), abs=1e-3)
    assert centre([7.0] * 401) == 7.0
    calm = list(np.random.default_rng(2).normal(3.0, 0.1, 40))
    assert centre([*calm, 1e6, 1e6, 1e6]) == pytest.approx(3.0, abs=0.1)
    with pytest.raises(ValueError, match="at least one"):
        centre([])


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), st.floats(-1e3, 1e3))
def test_the_centre_moves_with_the_data_and_stays_inside(values: list[float], shift: float) -> None:
    assert min(values) <= centre(values) <= max(values)
    assert centre([x + shift for x in values]) == pytest.approx(centre(values) + shift, abs=1e-9)


@pytest.mark.parametrize("count", [12, 30, 100])
@pytest.mark.parametrize("law", ["uniform", "normal", "t3", "exponential"])
def test_data_of_one_level_are_seldom_said_to_have_two(count: int, law: str) -> None:
    rng = np.random.default_rng(count)
    size = (20_000, count)
    draws = {
        "uniform": lambda: rng.random(size),
        "normal": lambda: rng.normal(size=size),
        "t3": lambda: rng.standard_t(3, size),
        "exponential": lambda: rng.exponential(size=size),
    }
    found = shape(draws[law]())
    # Four standard deviations above one in a thousand of 20000; evenly spread data come close to it, others do not.
    most = FALSE_SHAPES * 20_000 + 4 * math.sqrt(FALSE_SHAPES * 20_000)
    assert found.bimodal.sum() <= most
    assert found.drifting.sum() <= most


def test_two_modes_are_found_with_their_places_and_shares() -> None:
    rng = np.random.default_rng(3)
    upper = rng.random((500, 60)) < 0.4
    found = shape(np.where(upper, 0.10, 0.0) + rng.normal(0, 0.01, upper.shape))
    assert found.bimodal.mean() > 0.99
    assert np.median(found.modes, axis=0) == pytest.approx([0.0, 0.10], abs=0.003)
    assert np.median(found.upper_share) == pytest.approx(0.4, abs=0.05)
    assert str(shape([0.0, 0.001] * 20 + [0.1, 0.101] * 20)).startswith(
        "two modes 10.5% apart (50% in the upper one)"
    )


def test_a_drift_is_found_with_its_size() -> None:
    rng = np.random.default_rng(4)
    found = shape(np.linspace(0.0, 0.03, 60) + rng.normal(0, 0.01, (500, 60)))
    assert found.drifting.mean() > 0.95
    low, high = found.levels()
    assert np.median(high - low) == pytest.approx(0.02, abs=0.003)
    assert "drift of -" in str(shape([-x / 100 for x in range(20)]))


def test_data_of_one_level_have_no_levels_and_no_words() -> None:
    for values in ([0.5] * 30, [1.0], list(np.random.default_rng(5).normal(0, 1, 30))):
        low, high = shape(values).levels()
        assert (float(low), float(high)) == (math.inf, -math.inf)
        assert str(shape(values)) == ""


@given(st.lists(st.integers(-50, 50), min_size=8, max_size=30), st.integers(1, 9), st.integers(-50, 50))
def test_a_shape_does_not_depend_on_scale_and_level(values: list[int], scale: int, level: int) -> None:
    one, other = shape(values), shape([scale * x + level for x in values])
    assert bool(one.drifting) == bool(other.drifting)
    assert bool(one.bimodal) == bool(other.bimodal)
    assert bool(one.bimodal) == bool(shape([-x for x in values]).bimodal)


@pytest.mark.parametrize("count", [6, 9, 10, 15, 50])
def test_the_interval_of_a_median_covers_it(count: int) -> None:
    rng = np.random.default_rng(count)
    missed = 0
    for values in np.exp(0.1 * rng.standard_t(2, (2000, count))):
        interval = median_interval(values.tolist())
        assert interval is not None
        missed += not interval.low <= 1.0 <= interval.high
    assert missed <= 12  # 4 expected at most


def test_the_interval_of_a_median_needs_launches_and_times() -> None:
    assert median_interval([1.0] * 5) is None
    assert median_interval([1.0] * 9 + [0.0]) is None
    assert median_interval([1.0] * 50) == Interval(1.0, 1.0)
    many = median_interval(
        [float(i) for i in range(1, 4001)]
    )  # of 4000 coins: half of them less 3.09 deviations
    assert many == Interval(1902.0, 2099.0)
    assert median_interval([float(i) for i in range(1, 11)]) == Interval(1.0, 10.0)
