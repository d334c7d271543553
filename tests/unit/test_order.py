"""The order of launches: balanced, what it does to a time, and what a launch does to the next one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from pytest_greta.stats.order import Launch, carries, carry_over, order_effects, orders, without_order


@pytest.mark.parametrize("slots", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_every_second_round_is_the_reverse_of_the_one_before(slots: list[str]) -> None:
    drawn = list(itertools.islice(orders(np.random.default_rng(1), slots), 2000))
    for first, second in zip(drawn[0::2], drawn[1::2], strict=True):
        assert second == first[::-1]
    firsts = [tuple(order) for order in drawn[0::2]]
    for order in itertools.permutations(slots):  # each as often as any other
        assert firsts.count(order) / 1000 == pytest.approx(1 / math.factorial(len(slots)), abs=0.06)
    assert list(itertools.islice(orders(np.random.default_rng(1), slots), 2000)) == drawn


def launched(coins: list[int], carry: float, noise: np.random.Generator) -> list[Launch]:
    """Couples of candidate and baseline; behind the candidate the next launch is slower, whichever it is."""
    slots = [(i, slot) for i, coin in enumerate(coins) for slot in ("cbbc" if coin else "bccb")]
    found, previous = [], ""
    for couple, slot in slots:
        seconds = (
            (1.3 if slot == "c" else 1.0) * (1 + carry * (previous == "c")) * math.exp(noise.normal(0, 0.01))
        )
        found.append(Launch(slot, previous, seconds, couple))
        previous = slot
    return found


def test_what_a_launch_does_to_the_next_one_is_found_in_the_middle_of_couples() -> None:
    rng = np.random.default_rng(2)
    coins = rng.integers(0, 2, 40).tolist()
    shown = carries(launched(coins, 0.05, rng), "c", "b")
    assert len(shown) == 40
    found = carry_over(shown)
    assert found.size == pytest.approx(0.05, abs=0.01)
    assert found.bias == pytest.approx(0.25 * 0.05, abs=0.005)
    assert carry_over(carries(launched(coins, 0.05, rng), "b", "c")).size < 0


def test_an_effect_on_the_next_launch_is_seldom_found_where_there_is_none() -> None:
    rng = np.random.default_rng(3)
    false = sum(
        carry_over(carries(launched(rng.integers(0, 2, 60).tolist(), 0.0, rng), "c", "b")).size != 0
        for _ in range(200)
    )
    assert false <= 8  # 4 expected at most
    assert carry_over([]).bias == 0.0
    assert carries([], "c", "b") == []
    assert (
        carries([Launch("c", "", 1.0, 0), Launch("c", "c", 1.0, 0), Launch("a", "c", 1.0, 0)], "c", "b") == []
    )


def test_the_effect_of_the_order_is_taken_out_by_what_was_known_before() -> None:
    rng = np.random.default_rng(4)
    turned = np.repeat(rng.choice([-1, 1], 30), 2) * np.tile([1, -1], 30)
    values = 0.02 + 0.05 * turned + rng.normal(0, 0.005, 60)
    assert order_effects(values, turned) == pytest.approx((0.05, 0.05), abs=0.005)
    assert order_effects(0.02 + rng.normal(0, 0.005, 60), turned) == (0.0, 0.0)
    assert order_effects(values, [0] * 60) == (0.0, 0.0)
    found = without_order(values, turned)
    assert found[:8].tolist() == values[:8].tolist()  # too few to know
    assert np.abs(found[12:] - 0.02).max() < 0.025
    later = values.copy()
    later[20:] += 1.0
    assert without_order(later, turned)[:22] == pytest.approx(
        [*found[:20], *(found[20:22] + 1.0)]
    )  # a couple does not know itself


def test_a_period_of_four_launches_is_an_effect_of_each_pair_of_a_couple() -> None:
    """slow, fast, fast, slow: the first pair gains what the second loses, and the mean of a couple is of its coin."""
    rng = np.random.default_rng(6)
    coins = rng.choice([-1, 1], 40)
    turned = np.stack([coins, -coins], axis=-1).reshape(80)
    values = 0.02 + turned * np.tile([-0.03, 0.03], 40) + rng.normal(0, 0.005, 80)
    assert order_effects(values, turned) == pytest.approx((-0.03, 0.03), abs=0.005)
    means = without_order(values, turned).reshape(40, 2).mean(axis=-1)
    assert np.abs(means[15:] - 0.02).max() < 0.015
    assert order_effects(np.full(80, 0.02), turned) == (0.0, 0.0)


def test_what_is_taken_from_a_couple_does_not_depend_on_its_coin_or_what_comes_after() -> None:
    rng = np.random.default_rng(7)
    coins = rng.choice([-1, 1], 30)
    noise = np.tile([-0.03, 0.04], 30) + rng.normal(0, 0.005, 60)
    for couple in range(30):
        fallen = coins.copy()
        fallen[couple:] *= -1  # all coins from here on fall differently
        found = []
        for one in (coins, fallen):
            turned = np.stack([one, -one], axis=-1).reshape(60)
            found.append(without_order(turned * noise, turned).reshape(30, 2))
        assert found[1][couple].tolist() == (-found[0][couple]).tolist()


def test_many_series_lose_their_order_as_one_by_one() -> None:
    rng = np.random.default_rng(5)
    turned = np.where(np.arange(260) % 2, 1, -1) * np.repeat(rng.choice([-1, 1], (5, 130)), 2, axis=-1)
    values = 0.03 * turned * np.tile([1, -0.5], 130) + rng.normal(0, 0.01, (5, 260))
    together = without_order(values, turned)
    assert (together[:, 60:] != values[:, 60:]).all()
    for one, of, all_at_once in zip(values, turned, together, strict=True):
        assert without_order(one, of).tolist() == all_at_once.tolist()
