"""The stopping rule: its guarantee under repeated looks, what it needs, and what it does not depend on."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.gates.model import Interval, Limit, Status
from pytest_greta.stats.pairs import (
    ERROR,
    FEWEST_BLOCKS,
    PairedTest,
    decisions,
    evidence,
    smallest_difference,
)

log_ratios = st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=40)

Draw = Callable[[np.random.Generator, tuple[int, int]], "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"]

# Differences of two launches whose order a coin decides are symmetric, whatever the launches are.
SYMMETRIC: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(0, 0.014, shape),
    "cauchy": lambda rng, shape: 0.01 * rng.standard_cauchy(shape),
    "two modes": lambda rng, shape: rng.choice([-0.05, 0.05], shape) + rng.normal(0, 0.001, shape),
    "growing": lambda rng, shape: rng.normal(0, 0.002, shape) * np.arange(1, shape[1] + 1),
    "second launch slower": lambda rng, shape: 0.03 * rng.choice([-1, 1], shape),
}


def fed(values: list[float], *limits: Limit, **options: float) -> PairedTest:
    test = PairedTest(limits, **options)  # type: ignore[arg-type]
    for value in values:
        test.add_block(value)
    return test


@pytest.mark.parametrize("noise", SYMMETRIC)
def test_looking_after_every_block_does_not_raise_the_error(noise: str) -> None:
    series = SYMMETRIC[noise](np.random.default_rng(1), (4000, 200))
    ever = evidence(series).max(axis=-1)
    # Ville: the evidence ever reaches x with a probability of at most 1/x. Four standard deviations of slack.
    for reached in (10, 20, 1 / ERROR):
        share, bound = float((ever >= math.log(reached)).mean()), 1 / reached
        assert share <= bound + 4 * math.sqrt(bound / 4000)
    assert (ever >= math.log(10)).mean() > 0.01, "the bound is no empty one"


def test_the_interval_covers_the_truth_whenever_the_test_stops() -> None:
    rng, missed, truth = np.random.default_rng(2), 0, math.log(1.2)
    for _ in range(400):
        test = PairedTest([Limit(min=1.2)], most_blocks=40)  # the truth is the limit: the worst there is
        while not test.is_finished:
            test.add_block(truth + 0.02 * rng.standard_t(2))
        interval = test.interval
        assert interval is not None
        missed += not interval.low <= 1.2 <= interval.high
    assert missed <= 4  # 0.8 expected at most


@given(log_ratios, st.randoms(use_true_random=False))
def test_the_order_of_blocks_does_not_change_the_evidence(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert evidence(values)[-1] == pytest.approx(evidence(shuffled)[-1], abs=1e-8)


@given(log_ratios, st.floats(1e-4, 0.5))
def test_a_higher_ratio_is_more_evidence(values: list[float], shift: float) -> None:
    assert evidence(np.asarray(values) + shift)[-1] >= evidence(values)[-1] - 1e-9


@given(st.lists(st.floats(-0.5, 0.5), min_size=FEWEST_BLOCKS, max_size=30))
def test_swapping_the_two_inverts_ratio_and_interval(values: list[float]) -> None:
    one, other = fed(values), fed([-x for x in values])
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert one.interval is not None
    assert other.interval is not None
    assert one.interval.low == pytest.approx(1 / other.interval.high, abs=1e-9)
    assert one.interval.low <= one.ratio * (1 + 1e-9)
    assert one.ratio <= one.interval.high * (1 + 1e-9)


@given(st.floats(1e-9, 1e9), st.lists(st.floats(0.5, 2.0), min_size=FEWEST_BLOCKS, max_size=20))
def test_units_of_time_do_not_matter(scale: float, seconds: list[float]) -> None:
    one = fed([math.log(1.0 / s) for s in seconds]).interval
    other = fed([math.log((1.0 * scale) / (s * scale)) for s in seconds]).interval
    assert one is not None
    assert other is not None
    assert other.low == pytest.approx(one.low, abs=1e-9)
    assert other.high == pytest.approx(one.high, rel=1e-9)


@pytest.mark.parametrize("spread", [0.001, 0.02])
def test_many_series_at_once_are_decided_as_one_by_one(spread: float) -> None:
    series = np.random.default_rng(3).normal(0.012, spread, (40, 80))
    used, side = decisions(series, 1.0)
    for i, values in enumerate(series):
        limit = Limit(min=1.0)
        test = PairedTest([limit], most_blocks=80)
        for value in values:
            test.add_block(value)
            if test.is_finished:
                break
        assert test.blocks == used[i]
        expected = {1: Status.PASS, -1: Status.FAIL, 0: Status.INCONCLUSIVE}[int(side[i])]
        assert test.verdict(limit)[0] is expected


def test_eleven_equal_blocks_are_too_few_and_twelve_decide() -> None:
    limit = Limit(min=1.0)
    test = fed([0.05] * (FEWEST_BLOCKS - 1), limit)
    assert not test.is_finished
    test.add_block(0.05)
    assert test.why_finished == "decided"
    assert test.verdict(limit) == (Status.PASS, "")


def test_both_sides_of_a_limit_are_found() -> None:
    rng = np.random.default_rng(4)
    slow = fed(list(rng.normal(-0.03, 0.014, 60)), Limit(min=1.0))
    assert slow.verdict(Limit(min=1.0))[0] is Status.FAIL
    assert slow.verdict(Limit(max=1.0))[0] is Status.PASS
    assert slow.verdict(Limit(min=0.9, max=1.1))[0] is Status.PASS


def test_a_budget_ends_the_test_and_is_named() -> None:
    limit = Limit(min=1.0)
    test = PairedTest([limit], budget_seconds=10.0)
    for value in (0.01, -0.01, 0.01, -0.01):
        assert not test.is_finished
        test.add_block(value, seconds=2.5)
    assert test.is_finished
    assert test.verdict(limit) == (
        Status.INCONCLUSIVE,
        "undecided after 4 pairs (the budget of 10 s is used up)",
    )


def test_the_most_blocks_end_the_test_and_are_named() -> None:
    limit = Limit(min=1.0)
    test = fed(list(np.random.default_rng(9).normal(0, 0.01, 20)), limit, most_blocks=20)
    assert test.verdict(limit) == (
        Status.INCONCLUSIVE,
        "undecided after 20 pairs (20 pairs are the most); with this spread they tell 1.8% from the limit",
    )


def test_without_a_limit_all_blocks_are_measured() -> None:
    assert not fed([0.5] * 50).is_finished
    assert fed([0.5] * 50, Limit(above=0.0), most_blocks=50).is_finished


def test_few_blocks_decide_only_what_no_noise_explains() -> None:
    assert fed([0.5, 0.5]).interval is None
    few = fed([math.log(1.76), math.log(1.75), math.log(1.77)])
    assert few.verdict(Limit(min=1.20))[0] is Status.PASS
    assert few.verdict(Limit(min=1.65))[0] is Status.INCONCLUSIVE
    assert fed([-0.05] * 5).verdict(Limit(min=1.0))[0] is Status.INCONCLUSIVE
    assert fed([0.5]).verdict(Limit(min=1.0)) == (Status.INCONCLUSIVE, "1 pairs are too few")


def test_one_wild_block_changes_no_verdict() -> None:
    calm = list(np.random.default_rng(5).normal(0.03, 0.01, 60))
    limit = Limit(min=1.0)
    assert fed(calm, limit).verdict(limit)[0] is Status.PASS
    assert fed([*calm[:30], -3.0, *calm[30:]], limit).verdict(limit)[0] is Status.PASS


def test_two_modes_on_both_sides_of_the_limit_are_named_and_not_averaged() -> None:
    rng = np.random.default_rng(6)
    values = list(rng.choice([-0.03, 0.10], 200, p=[0.35, 0.65]) + rng.normal(0, 0.004, 200))
    test, limit = fed(values), Limit(min=1.0)
    status, reason = test.verdict(limit)
    assert status is Status.INCONCLUSIVE
    assert "two modes 13" in reason
    assert test.interval is not None
    assert test.interval.low < 0.98
    assert test.interval.high > 1.09
    assert test.verdict(Limit(min=0.9))[0] is Status.PASS


def test_a_drift_across_the_limit_is_named() -> None:
    values = list(np.linspace(-0.03, 0.09, 100) + np.random.default_rng(7).normal(0, 0.005, 100))
    status, reason = fed(values).verdict(Limit(min=1.0))
    assert status is Status.INCONCLUSIVE
    assert "a drift of +8" in reason


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_ratio_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        PairedTest().add_block(value)


def test_the_smallest_difference_is_found_in_95_of_100() -> None:
    rng = np.random.default_rng(8)
    for spread, blocks in ((0.014, 100), (0.03, 200)):
        difference = smallest_difference(spread, blocks)
        _, side = decisions(rng.normal(difference, spread, (1000, blocks)), 1.0)
        assert 0.92 <= (side > 0).mean() <= 0.985


def test_an_interval_is_a_pair_of_ratios() -> None:
    interval = fed([0.0] * 11).interval
    assert isinstance(interval, Interval)
    assert (interval.low, interval.high) == pytest.approx((1 / 1.1, 1.1))


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ([math.log(1.05) + 0.001 * (i % 3) for i in range(30)], True),
        ([math.log(1.05) + 0.001 * (i % 3) for i in range(5)], False),  # too few to say so
        ([0.001 * (i % 3) for i in range(30)], False),
        ([0.2 * (i % 3 - 1) for i in range(30)], False),  # undecided
    ],
)
def test_a_run_has_failed_as_soon_as_that_is_sure(values: list[float], failed: bool) -> None:
    assert fed(values, Limit(max=1.01)).has_failed is failed
