"""How launches come in batches, and how they are timed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_greta.measure.batches import (
    MOST_ROUNDS,
    Manner,
    Round,
    is_settled,
    manner_of,
    rounds_at_once,
    shortest,
    steps_of,
)

ALONE = 20e-6
"""Shorter launches are not timed by themselves."""


@pytest.mark.parametrize(
    ("caches", "seconds", "repeatable", "expected"),
    [
        ("auto", 1e-3, True, Manner(cold=True)),
        ("auto", 5e-6, True, Manner(counts={"candidate": 100, "baseline": 50}, untimed=1)),
        ("auto", 5e-6, False, Manner(cold=True)),  # what a launch starts from cannot be restored between two
        ("cold", 5e-6, True, Manner(cold=True)),
        ("warm", 1e-3, True, Manner(counts={"candidate": 1, "baseline": 1}, untimed=1)),
        ("warm", 1e-3, False, Manner()),
        ("warm", 0.0, True, Manner(counts={"candidate": 1, "baseline": 1}, untimed=1)),
        ("warm", 1e-9, True, Manner(counts={"candidate": 1000, "baseline": 1000}, untimed=1)),
    ],
)
def test_what_is_too_short_to_be_timed_alone_is_timed_warm_and_many_times(
    caches: str, seconds: float, repeatable: bool, expected: Manner
) -> None:
    both = {"candidate": seconds, "baseline": 2 * seconds}
    assert manner_of(caches, both, ALONE, repeatable) == expected
    assert manner_of(caches, both, ALONE, repeatable, one_core=True) == replace(expected, one_core=True)


def test_the_shortest_launch_depends_on_the_clock_and_on_what_events_cost() -> None:
    assert shortest(1e-6, 2e-6) == pytest.approx(50e-6)
    assert shortest(32e-9, 4e-6) == pytest.approx(16e-6)
    assert shortest(0.0, 0.0) == 0.0


@pytest.mark.parametrize(
    ("manner", "words"),
    [
        (Manner(cold=True), "caches cold"),
        (Manner(untimed=1), "caches warm"),
        (Manner(counts={"a": 80, "b": 160}, untimed=1), "caches warm, 80 to 160 launches between two events"),
        (Manner(), "caches as they come"),
        (Manner(cold=True, one_core=True), "caches cold, one core"),
        (
            Manner(counts={"a": 3, "b": 3}, untimed=1, one_core=True),
            "caches warm, one core, 3 launches between two events",
        ),
    ],
)
def test_a_manner_says_what_it_is(manner: Manner, words: str) -> None:
    assert str(manner) == words


def test_a_batch_takes_a_tenth_of_a_second_and_whole_couples() -> None:
    assert rounds_at_once(1e-6, 2, 1) == MOST_ROUNDS
    assert rounds_at_once(0.02, 2, 1) == 4
    assert rounds_at_once(0.033, 2, 1) == 2
    assert rounds_at_once(3.0, 2, 1) == 1
    assert rounds_at_once(1e-6, 2, 400) == 2  # so many digests


def test_every_launch_of_a_round_is_a_step_that_knows_what_to_expect() -> None:
    rounds = [Round(["b", "c"], "first", 0xFF), Round(["c", "b"], "second", 0x7F)]
    manner = Manner(cold=True, counts={"c": 7}, one_core=True)
    steps = steps_of(rounds, manner, lambda slot, draw: f"{slot}{draw}".encode(), lambda *_: ())
    assert [(s.slot, s.draw, s.poison, s.count) for s in steps] == [
        ("b", "first", 0xFF, 1),
        ("c", "first", 0xFF, 7),
        ("c", "second", 0x7F, 7),
        ("b", "second", 0x7F, 1),
    ]
    assert steps[2].expected == b"csecond"
    assert all(step.cold and step.one_core for step in steps)


def test_times_settle_when_they_stop_to_fall() -> None:
    def window(level: float) -> list[float]:
        return [level * (1 + 0.001 * i) for i in range(-3, 4)]

    assert not is_settled([window(1.0), window(1.0)])
    assert not is_settled([window(level) for level in (1.10, 1.04, 1.01)])
    assert is_settled([window(level) for level in (1.10, 1.002, 1.001, 1.0)])


def test_noise_that_explains_the_difference_is_settled() -> None:
    noisy = [[1.0, 1.3, 0.8, 1.1, 0.9], [1.05, 0.75, 1.2, 1.0, 0.95], [0.9, 1.15, 0.85, 1.02, 1.1]]
    assert is_settled(noisy)
