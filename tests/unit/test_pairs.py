"""The stopping rule: its guarantee under repeated looks, what it needs, and what it does not depend on."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_greta.gates.model import Interval, Limit, Status
from pytest_greta.stats.bounds import FEWEST_PAIRS, coarseness, decisions
from pytest_greta.stats.effort import caution, tells
from pytest_greta.stats.game import ERROR, FAIL_ERROR, couple_evidence, evidence
from pytest_greta.stats.looks import next_look
from pytest_greta.stats.pairs import FEWEST_BLOCKS, MOST_BLOCKS, PairedTest
from tests.marks import crossing

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


def balanced(
    rng: np.random.Generator, launches: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float64]], np.ndarray[tuple[int, ...], np.dtype[np.int_]]]:
    """Log-ratios and orders of equal code, from what launches in their order lasted (logarithms)."""
    pairs = launches.reshape(len(launches), -1, 2)
    coins = rng.integers(0, 2, (len(pairs), pairs.shape[1] // 2)) * 2 - 1
    orders = np.stack([coins, -coins], axis=-1).reshape(pairs.shape[:2])
    return orders * (pairs[..., 1] - pairs[..., 0]), orders


# Noise that knows the place of a launch, in logarithms: the coin of a couple is all that is fair.
ORDERLY: dict[str, Draw] = {
    "second launch slower": lambda rng, shape: rng.normal(0, 0.01, shape) + 0.1 * (np.arange(shape[1]) % 2),
    "period of four": lambda rng, shape: (
        rng.normal(0, 0.001, shape) + np.array([0.03, 0, 0, 0.03])[np.arange(shape[1]) % 4]
    ),
    "period of three": lambda rng, shape: (
        rng.normal(0, 0.001, shape) + np.array([0.05, 0, 0])[np.arange(shape[1]) % 3]
    ),
}


@pytest.mark.parametrize("noise", SYMMETRIC)
def test_looking_after_every_block_does_not_raise_the_error(noise: str) -> None:
    series = SYMMETRIC[noise](np.random.default_rng(1), (2000, 150))
    ever = evidence(series).max(axis=-1)
    # Ville: the evidence ever reaches x with a probability of at most 1/x. Four standard deviations of slack.
    for reached in (10, 20, 1 / ERROR):
        share, bound = float((ever >= math.log(reached)).mean()), 1 / reached
        assert share <= bound + 4 * math.sqrt(bound / 2000)
    assert (ever >= math.log(10)).mean() > 0.01, "the bound is no empty one"


@pytest.mark.parametrize("noise", ORDERLY)
def test_the_coin_of_a_couple_is_fair_where_noise_knows_the_place_of_a_launch(noise: str) -> None:
    rng = np.random.default_rng(11)
    values, _ = balanced(rng, ORDERLY[noise](rng, (2000, 160)))
    ever = couple_evidence(values).max(axis=-1)
    for reached in (10, 100):
        share, bound = float((ever >= math.log(reached)).mean()), 1 / reached
        assert share <= bound + 4 * math.sqrt(bound / 2000)


def test_the_order_of_the_launches_costs_no_pairs_and_is_named() -> None:
    rng = np.random.default_rng(12)
    limit = Limit(max=1.01)
    used = {}
    for second in (0.0, 0.1):
        launches = rng.normal(0, 0.01, (100, 600)) + second * (np.arange(600) % 2)
        values, orders = balanced(rng, launches)
        used[second], side = decisions(values, limit, orders)
        assert (side < 0).all()
    assert used[0.1].mean() == pytest.approx(used[0.0].mean(), rel=0.2)
    test = PairedTest([limit], most_blocks=40)
    for value, order in zip(values[0, :40] + 0.01, orders[0, :40], strict=True):
        test.add_block(value, order=int(order))
    assert test.orders == orders[0, :40].tolist()
    assert re.search(
        r"; the order of its two launches makes (9|10|11)\.\d% of a pair's ratio", test.verdict(limit)[1]
    )


def test_a_period_of_four_launches_costs_hardly_more_pairs_than_calm_noise() -> None:
    rng = np.random.default_rng(20)
    pattern = np.array([0.03, 0, 0, 0.03])[(rng.integers(4, size=(100, 1)) + np.arange(400)) % 4]
    values, orders = balanced(rng, pattern + rng.normal(0, 0.01, pattern.shape))
    used, side = decisions(values + 0.03, Limit(max=1.01), orders)
    assert (side > 0).all()
    assert used.mean() < 50
    test = PairedTest([Limit(max=1.01)], most_blocks=200)
    for value, order in zip(values[0] + 0.03, orders[0], strict=True):
        test.add_block(value, order=int(order))
    assert test.ratio == pytest.approx(1.03, abs=0.005)
    assert test.verdict(Limit(max=1.01)) == (Status.FAIL, "")


def test_looks_of_a_long_series_cost_in_proportion_to_its_length() -> None:
    looks = [1]
    while looks[-1] < 10_000:
        looks.append(next_look(looks[-1]))
    assert looks[:100] == list(range(1, 101))
    assert all(later - look <= max(1, 0.02 * look) for look, later in itertools.pairwise(looks))
    for couples in (150, 500, 1500, 10_000):
        assert sum(look for look in looks if look <= couples) <= 102 * couples
    assert MOST_BLOCKS / 2 in looks


def test_long_series_are_decided_as_one_by_one() -> None:
    rng, limit = np.random.default_rng(21), Limit(max=1.0)
    values, orders = balanced(rng, rng.normal(0, 0.01, (4, 1200)) + np.tile([0.02, 0, 0, 0.02], 300))
    values += 0.003
    used, side = decisions(values, limit, orders)
    assert max(used) > 300
    assert (side > 0).sum() >= 2
    for i in range(4):
        test = PairedTest([limit], most_blocks=600)
        for value, order in zip(values[i], orders[i], strict=True):
            test.add_block(float(value), order=int(order))
            if test.why_finished == "decided":
                break
        assert test.blocks == used[i]
        assert test.has_failed == (side[i] > 0)


def test_the_interval_covers_the_truth_whenever_the_test_stops() -> None:
    rng, missed, truth = np.random.default_rng(2), 0, math.log(1.2)
    for _ in range(100):
        test = PairedTest([Limit(min=1.2)], most_blocks=40)  # the truth is the limit: the worst there is
        while not test.is_finished:
            test.add_block(truth + 0.02 * rng.standard_t(2))
            if test.is_futile:
                break
        interval = test.interval
        assert interval is not None
        missed += not interval.low <= 1.2 <= interval.high
    assert missed <= 2  # 0.2 expected at most


@given(log_ratios, st.randoms(use_true_random=False))
def test_the_order_of_blocks_does_not_change_the_evidence(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert evidence(values)[-1] == pytest.approx(evidence(shuffled)[-1], abs=1e-8)


@given(log_ratios, st.floats(1e-4, 0.5))
def test_a_higher_ratio_is_more_evidence(values: list[float], shift: float) -> None:
    assert evidence(np.asarray(values) + shift)[-1] >= evidence(values)[-1] - 1e-9


@settings(max_examples=30)
@given(st.lists(st.floats(-0.5, 0.5), min_size=FEWEST_BLOCKS, max_size=30))
def test_swapping_the_two_inverts_ratio_and_interval(values: list[float]) -> None:
    one, other = fed(values), fed([-x for x in values])
    assert one.ratio == pytest.approx(1 / other.ratio)
    assert one.interval is not None
    assert other.interval is not None
    assert one.interval.low == pytest.approx(1 / other.interval.high, abs=1e-9)
    assert one.interval.low <= one.ratio * (1 + 1e-9)
    assert one.ratio <= one.interval.high * (1 + 1e-9)


@settings(max_examples=30)
@given(st.floats(1e-9, 1e9), st.lists(st.floats(0.5, 2.0), min_size=FEWEST_BLOCKS, max_size=30))
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
    limit = Limit(min=1.0)
    used, side = decisions(series, limit)
    for i, values in enumerate(series):
        test = PairedTest([limit], most_blocks=80)
        for value in values:
            test.add_block(value)
            if test.is_finished and not test.is_futile:
                break
        assert test.blocks == used[i]
        expected = {1: Status.PASS, -1: Status.FAIL, 0: Status.INCONCLUSIVE}[int(side[i])]
        assert test.verdict(limit)[0] is expected


def test_ten_coins_decide_at_the_earliest() -> None:
    limit = Limit(min=1.0)
    test = fed([0.05] * (FEWEST_BLOCKS - 4), limit)
    assert not test.is_finished
    for _ in range(4):
        test.add_block(0.05)
    assert test.why_finished == "decided"
    assert test.verdict(limit) == (Status.PASS, "")


@pytest.mark.parametrize("count", range(FEWEST_PAIRS))
def test_nothing_is_decided_on_fewer_than_six_pairs(count: int) -> None:
    test = fed([2.0] * count, Limit(min=1.0))
    assert test.interval is None
    text = f"{count} pair{' is' if count == 1 else 's are'} too few"
    assert test.verdict(Limit(min=1.0)) == (Status.INCONCLUSIVE, text)
    assert test.verdict(Limit(max=1.0)) == (Status.INCONCLUSIVE, text)


def test_a_fail_takes_more_than_a_pass() -> None:
    values = 0.015 + np.random.default_rng(10).normal(0, 0.02, 300)
    passes, fails = (decisions(values, limit)[0] for limit in (Limit(min=1.0), Limit(max=1.0)))
    assert 26 <= passes < fails


def test_a_wrong_fail_is_rarer_than_once_in_ten_thousand() -> None:
    rng = np.random.default_rng(13)
    values, orders = balanced(rng, rng.normal(0, 0.01, (10_000, 120)))
    _, side = decisions(values, Limit(max=1.0), orders)
    assert (side > 0).sum() <= 1
    assert FAIL_ERROR == 1e-5
    assert (side < 0).mean() <= ERROR


def test_without_limits_both_ends_are_as_sure_as_a_fail() -> None:
    values = list(0.012 + np.random.default_rng(18).normal(0, 0.014, 60))
    judged, free = fed(values, Limit(min=1.0)).interval, fed(values).interval
    assert judged is not None
    assert free is not None
    assert free.low < judged.low
    assert free.high >= judged.high


def test_what_was_decided_stays_decided() -> None:
    rng = np.random.default_rng(14)
    limit, other = Limit(max=1.01), Limit(max=1.2)
    test = PairedTest([limit])
    while not test.is_finished:
        test.add_block(0.014 * rng.standard_normal())
    for _ in range(200):  # another gate of the run goes on, and the code becomes slower
        test.add_block(0.012 + 0.03 * rng.standard_normal())
    assert test.why_finished == "decided"
    assert test.verdict(limit)[0] is Status.PASS
    assert test.interval is not None
    assert test.interval.high < 1.01
    assert test.verdict(other)[0] is Status.PASS


def test_a_test_is_not_decided_while_two_modes_hide_the_ratio() -> None:
    rng = np.random.default_rng(6)
    values = rng.choice([-0.03, 0.10], 400, p=[0.35, 0.65]) + rng.normal(0, 0.004, 400)
    test, limit = PairedTest([Limit(min=1.0)]), Limit(min=1.0)
    for value in values:
        test.add_block(value)
        if test.is_finished:
            break
    assert test.why_finished == "more pairs within the budget would hardly decide"
    assert test.blocks == 300  # what the coins say was said long before
    assert test.verdict(limit)[0] is Status.INCONCLUSIVE
    assert [int(found) for found in decisions(values, limit)] == [300, 0]


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
        "4 pairs are too few",
    )


def test_a_budget_that_was_too_small_says_which_one_would_do() -> None:
    rng, limit = np.random.default_rng(9), Limit(min=1.0)
    test = PairedTest([limit], budget_seconds=20.0)
    while test.spent_seconds < 20.0:
        test.add_block(0.009 + 0.02 * rng.standard_normal(), seconds=0.5)
    status, reason = test.verdict(limit)
    assert status is Status.INCONCLUSIVE
    assert re.fullmatch(
        r"undecided after 40 pairs \(the budget of 20 s is used up\); with this spread they tell \d\.\d% from the "
        r"limit; the measured difference would take --greta-budget=\d\d",
        reason,
    )
    few = PairedTest([limit], budget_seconds=10.0)
    for _ in range(10):
        few.add_block(0.016, seconds=1.0)
    assert few.verdict(limit)[1] == (
        "undecided after 10 pairs (the budget of 10 s is used up); 26 pairs would take --greta-budget=26"
    )


def test_what_cannot_be_decided_any_more_ends_early_and_is_named() -> None:
    rng, limit = np.random.default_rng(15), Limit(min=1.0)
    test = PairedTest([limit], budget_seconds=60.0)
    while not test.is_finished:
        test.add_block(0.03 * rng.standard_normal(), seconds=1.0)
    assert test.is_futile
    assert test.blocks < 50
    assert "(more pairs within the budget would hardly decide)" in test.verdict(limit)[1]
    test.budget_seconds = 1e6  # a pool of the session gives more time
    assert not test.is_finished


def test_ending_early_costs_hardly_any_power() -> None:
    rng, limit = np.random.default_rng(16), Limit(min=1.0)
    lost = 0
    for values in rng.normal(0.016, 0.02, (150, 60)):  # decided by 60 pairs in two of three cases
        test = PairedTest([limit], budget_seconds=60.0)
        for value in values:
            test.add_block(value, seconds=1.0)
            if test.is_futile:
                lost += int(decisions(values, limit)[1] != 0)
                break
    assert lost <= 4


def test_an_effect_on_the_next_launch_is_found_before_it_makes_a_verdict() -> None:
    rng, limit = np.random.default_rng(17), Limit(max=1.01)
    # Whatever follows the candidate is 8 % slower, so it looks 2 % faster than it is.
    test = PairedTest([limit])
    values = math.log(1.02) - 0.02 + rng.normal(0, 0.007, 200)
    for i, value in enumerate(values):
        test.carries = (0.08 + rng.normal(0, 0.014, (i + 1) // 2)).tolist()
        test.add_block(value)
    status, reason = test.verdict(limit)
    assert status is Status.INCONCLUSIVE
    assert re.search(
        r"the launch behind one of the two is 8\.\d% slower .* the ratio may be off by 2\.\d%", reason
    )
    assert test.verdict(Limit(max=1.1))[0] is Status.PASS
    assert test.verdict(Limit(max=0.9))[0] is Status.FAIL


def test_a_coarse_clock_tells_nothing_finer_than_its_tick() -> None:
    assert coarseness([5e-6, 6e-6, 5e-6], 1e-6) == pytest.approx(math.log(1.2))
    assert coarseness([60e-6] * 5, 1e-6) == 0.0
    assert coarseness([5e-6], 0.0) == 0.0
    assert coarseness([], 1e-6) == 0.0
    limit = Limit(min=0.97)
    test = fed([0.0] * 40, limit, resolution=math.log(1.2))
    status, reason = test.verdict(limit)
    assert status is Status.INCONCLUSIVE
    assert reason.startswith(
        "launches last fewer than 50 ticks of their clock, so the ratio may be off by 20.0%; undecided after 40 pairs"
    )
    assert test.verdict(Limit(min=0.7))[0] is Status.PASS


def test_the_most_blocks_end_the_test_and_are_named() -> None:
    limit = Limit(min=1.0)
    test = fed(list(np.random.default_rng(9).normal(0.0, 0.01, 40)), limit, most_blocks=40)
    status, reason = test.verdict(limit)
    assert status is Status.INCONCLUSIVE
    assert re.fullmatch(
        r"undecided after 40 pairs \(40 pairs are the most\); with this spread they tell [12]\.\d% from the limit",
        reason,
    )


def test_without_a_limit_all_blocks_are_measured() -> None:
    assert not fed([0.5] * 50).is_finished
    assert fed([0.5] * 50, Limit(above=0.0), most_blocks=50).is_finished


def test_few_blocks_decide_only_what_no_noise_explains() -> None:
    few = fed([math.log(1.76), math.log(1.75), math.log(1.77)] * 2)
    assert few.verdict(Limit(min=1.20))[0] is Status.PASS
    assert few.verdict(Limit(min=1.65))[0] is Status.INCONCLUSIVE
    assert few.verdict(Limit(max=1.20))[0] is Status.FAIL
    assert fed([-0.05] * 10).verdict(Limit(min=1.0))[0] is Status.INCONCLUSIVE
    assert few.why_finished != "decided"  # of a test without limits
    assert fed([math.log(0.77), math.log(0.78)] * 3, Limit(min=1.0)).why_finished == "decided"
    assert fed([math.log(0.79), math.log(0.80)] * 3, Limit(min=1.0)).why_finished == ""
    # Once in a thousand times is not seldom enough for a FAIL.
    spread = fed([0.45, 0.3, 0.45, 0.3, 0.45, 0.3])
    assert spread.verdict(Limit(min=1.08))[0] is Status.PASS
    assert spread.verdict(Limit(max=1.08))[0] is Status.INCONCLUSIVE


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
    values = list(np.linspace(-0.03, 0.09, 40) + np.random.default_rng(7).normal(0, 0.03, 40))
    status, reason = fed(values).verdict(Limit(min=1.02))
    assert status is Status.INCONCLUSIVE
    assert "a drift of +" in reason


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_ratio_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        PairedTest().add_block(value)


TAILS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(0, 0.014, shape),
    "heavy": lambda rng, shape: 0.01 * rng.standard_t(3, shape),
    "two modes": lambda rng, shape: 0.05 * (rng.random(shape) < 0.3) - 0.05 * (rng.random(shape) < 0.3),
}


@pytest.mark.parametrize("noise", TAILS)
@pytest.mark.parametrize("limit", [Limit(min=1.0), pytest.param(Limit(max=1.0), marks=crossing)])
def test_the_difference_that_is_told_is_found_in_95_of_100(noise: str, limit: Limit) -> None:
    rng = np.random.default_rng(8)
    for blocks in (50, 100):
        told = [
            caution(blocks) * tells(x, limit.max is not None) for x in TAILS[noise](rng, (20, blocks)) + 0.001
        ]
        series = np.concatenate([TAILS[noise](rng, (20, blocks)) + distance for distance in told])
        assert (decisions(series, limit)[1] > 0).mean() >= 0.93


def test_the_difference_that_is_told_of_a_long_series_is_found_as_well() -> None:
    rng = np.random.default_rng(22)
    told = caution(600) * tells(TAILS["heavy"](rng, (1, 600))[0], fails=True)
    series = TAILS["heavy"](rng, (100, 600))
    assert (decisions(series + told, Limit(max=1.0))[1] > 0).mean() >= 0.93
    assert (decisions(series + told / 2, Limit(max=1.0))[1] > 0).mean() < 0.5


def test_an_interval_is_a_pair_of_ratios() -> None:
    interval = fed([0.0] * 8).interval
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


def test_a_test_that_spent_more_than_its_budget_is_judged_all_the_same() -> None:
    """The last batch of rounds may end after the budget."""
    test = PairedTest([Limit(min=1.0)], budget_seconds=2.9)
    for value in np.random.default_rng(12).normal(0, 0.2, 60):
        test.add_block(float(value), seconds=0.05)
    assert test.spent_seconds > test.budget_seconds
    assert test.is_futile
    assert test.why_finished == "the budget of 2.9 s is used up"
