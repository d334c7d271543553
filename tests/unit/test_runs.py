"""Comparison with history: what is compared, how sure it is, and where a shift began."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.stats.runs import (
    FARTHEST,
    RATIOS,
    SHORTEST_SEGMENT,
    STEP_PENALTY,
    TIMES,
    WINDOW,
    HistoricRun,
    compare,
    find_steps,
    predict,
    smallest_regression,
    steps,
)

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def run(number: int, level: float = 1.0, seed: int | None = None, **fields: object) -> HistoricRun:
    noise = np.random.default_rng(number if seed is None else seed).normal(0, 0.01, 30)
    made = HistoricRun(
        f"commit{number:04}", START + timedelta(days=number), "gpu", list(level * np.exp(noise))
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def history(count: int, level: float = 1.0) -> list[HistoricRun]:
    return [run(i, level) for i in range(count)]


def test_without_history_it_says_so() -> None:
    found = compare(run(99), [])
    assert (found.ratio, found.interval, found.runs) == (None, None, 0)
    assert found.reason == "there is no earlier run"


def test_runs_of_another_device_are_no_history() -> None:
    found = compare(run(99, device="other gpu"), history(5))
    assert found.ratio is None
    assert found.reason == "no earlier run was made on other gpu"


def test_runs_that_were_not_accepted_are_no_reference() -> None:
    refused = [run(i, 2.0, accepted=False, why_not="throttled") for i in range(3)]
    assert compare(run(99), refused).reason == "none of 3 earlier runs was accepted; the last: throttled"
    found = compare(run(99), [*history(4), *refused])
    assert found.runs == 4
    assert found.ratio == pytest.approx(1.0, abs=0.01)
    assert found.reason == "against 4 accepted runs, the last of commit commit0003"


def test_a_single_old_run_is_not_taken_as_truth() -> None:
    def low(slowdown: float, runs: int) -> float:
        interval = compare(run(99, slowdown), history(runs)).interval
        assert interval is not None
        return interval.low

    assert low(1.25, 1) < 1.0
    assert low(1.5, 1) > 1.0
    assert low(1.08, 2) < 1.0
    assert low(1.15, 2) > 1.0
    assert low(1.05, 10) > 1.02


def test_an_accepted_slowdown_begins_a_new_level() -> None:
    past = [*history(8), run(8, 1.3, new_level="needed for correctness"), run(9, 1.3)]
    found = compare(run(99, 1.3), past)
    assert found.runs == 2
    assert found.ratio == pytest.approx(1.0, abs=0.01)


def test_only_the_latest_runs_count() -> None:
    assert compare(run(99), history(WINDOW + 15)).runs == WINDOW


def test_runs_before_a_step_do_not_count() -> None:
    past = [*history(8), *(run(i, 0.8) for i in range(8, 13))]
    found = compare(run(99, 0.8), past)
    assert found.runs == 5
    assert found.ratio == pytest.approx(1.0, abs=0.01)


def test_too_few_rounds_are_not_compared() -> None:
    found = compare(replace(run(99), seconds=[1.0, 1.0]), history(5))
    assert found.ratio is None
    assert found.reason == "fewer than 3 rounds were measured"


def test_few_rounds_make_a_wider_interval() -> None:
    many, past = run(99), history(10)
    few = replace(many, seconds=[0.93, 1.0, 1.0, 1.08])
    widths = [math.log(i.high / i.low) for i in (compare(r, past).interval for r in (many, few)) if i]
    assert widths[1] > 1.3 * widths[0]


def beside(number: int, slower: float, shift: float, baseline: str = "b1") -> HistoricRun:
    own = run(number, slower * shift)
    return replace(own, baseline=baseline, baseline_seconds=run(number, shift, seed=1000 + number).seconds)


def test_what_slows_a_whole_run_cancels_in_ratios_to_the_baseline() -> None:
    shifts = np.exp(np.random.default_rng(1).normal(0, 0.03, 11))
    past = [beside(i, 0.5, shifts[i]) for i in range(10)]
    same, slower = (compare(beside(99, 0.5 * x, shifts[10]), past) for x in (1.0, 1.05))
    assert same.relative
    assert same.reason.endswith("relative to the baseline")
    assert same.interval is not None
    assert same.interval.low < 1 < same.interval.high < 1.03
    assert slower.interval is not None
    assert slower.interval.low > 1.02
    times = compare(replace(beside(99, 0.525, shifts[10]), baseline=""), past)
    assert not times.relative
    assert times.interval is not None
    assert times.interval.low < 1.0


def test_ratios_to_another_baseline_are_not_compared() -> None:
    past = [beside(i, 0.5, 1.0, baseline="old") for i in range(10)]
    assert not compare(beside(99, 0.5, 1.0), past).relative


def test_a_neighbour_for_half_a_run_is_named_and_no_regression() -> None:
    calm = run(99)
    busy = replace(calm, seconds=[s * (1.2 if 8 <= i < 26 else 1.0) for i, s in enumerate(calm.seconds)])
    found = compare(busy, history(10))
    assert found.ratio == pytest.approx(1.2, abs=0.02)
    assert found.interval is not None
    assert found.interval.low < 1.0
    assert "its rounds have two modes" in found.reason


def test_a_regression_that_a_second_measurement_does_not_see_is_none() -> None:
    past = history(10)
    slow, calm = (compare(run(number, level), past) for number, level in ((98, 1.3), (99, 1.0)))
    assert slow.interval is not None
    assert slow.interval.low > 1.2
    both = slow.confirmed_by(calm).interval
    assert both is not None
    assert both.low < 1.0
    assert both.high == slow.interval.high
    assert slow.confirmed_by(slow).interval == slow.interval
    with pytest.raises(ValueError, match="two comparisons"):
        slow.confirmed_by(compare(run(99), []))


@given(st.floats(1e-7, 1e5), st.integers(1, 12), st.floats(0.8, 1.3))
def test_units_of_time_do_not_matter(scale: float, runs: int, slowdown: float) -> None:
    past, now = history(runs), run(99, slowdown)
    scaled = [replace(r, seconds=[s * scale for s in r.seconds]) for r in [*past, now]]
    one, other = compare(now, past), compare(scaled[-1], scaled[:-1])
    assert one.interval is not None
    assert other.interval is not None
    assert other.ratio == pytest.approx(one.ratio)
    assert other.interval.low == pytest.approx(one.interval.low)


@given(st.permutations(range(5)))
def test_the_order_of_a_short_history_does_not_matter(order: list[int]) -> None:
    past = history(5)
    one, other = compare(run(99), past), compare(run(99), [past[i] for i in order])
    assert one.ratio == pytest.approx(other.ratio)
    assert one.interval == other.interval or one.interval == pytest.approx(other.interval)


@pytest.mark.parametrize("between", [0.0, 0.005, 0.01, 0.02])
@pytest.mark.parametrize("runs", [1, 2, 3, 5, 10, 20])
def test_identical_code_fails_a_one_percent_limit_less_than_once_in_a_thousand(
    between: float, runs: int
) -> None:
    levels = np.random.default_rng(runs).normal(0, math.hypot(between, 0.0018), (100_000, runs + 1))
    shift, half = predict(levels[:, :-1], levels[:, -1], TIMES)
    assert (shift - half > math.log(1.01)).mean() <= 0.001


def test_without_the_prior_the_interval_covers_as_often_as_student_says() -> None:
    levels = np.random.default_rng(3).normal(
        0, 5.0, (200_000, 11)
    )  # against such a spread the prior has no weight
    shift, half = predict(levels[:, :-1], levels[:, -1], RATIOS)
    # The prior's two degrees of freedom promise a little more than ten runs hold: up to 3 in 1000 a side.
    assert 0.0005 <= (shift - half > 0).mean() <= 0.003


def test_the_smallest_regression_is_found_in_95_of_100() -> None:
    rng, found = np.random.default_rng(4), 0
    for _ in range(300):
        levels = np.exp(rng.normal(0, 0.01, 16))
        past = [run(i, levels[i], seed=int(rng.integers(1 << 30))) for i in range(15)]
        slowdown = smallest_regression(compare(run(99, seed=int(rng.integers(1 << 30))), past), 1.02)
        interval = compare(run(99, levels[15] * slowdown, seed=int(rng.integers(1 << 30))), past).interval
        assert interval is not None
        found += interval.low > 1.02
    assert 0.90 <= found / 300 <= 0.99
    with pytest.raises(ValueError, match="needs a comparison"):
        smallest_regression(compare(run(1), []), 1.02)


def test_a_step_names_its_commit_and_size() -> None:
    rng = np.random.default_rng(5)
    levels = [1.0] * 12 + [1.06] * 7 + [0.9] * 5
    past = [run(i, level * math.exp(rng.normal(0, 0.005))) for i, level in enumerate(levels)]
    found = steps(past)
    assert [step.run.commit for step in found] == ["commit0012", "commit0019"]
    assert found[0].ratio == pytest.approx(1.06, abs=0.01)
    assert str(found[0]).endswith("% slower since 2026-01-13, commit commit0012")
    assert "faster" in str(found[1])
    assert steps([]) == []
    assert steps(past[:5]) == []


def test_one_or_two_stray_runs_are_no_step() -> None:
    levels = list(np.random.default_rng(6).normal(0, 0.01, 20))
    for stray in ([7], [7, 8]):
        bent = [x + (0.5 if i in stray else 0.0) for i, x in enumerate(levels)]
        assert find_steps(bent) == []


@pytest.mark.parametrize("count", [6, 10, 20, 40, 100])
def test_a_steady_history_shows_a_step_less_than_once_in_a_hundred(count: int) -> None:
    rng = np.random.default_rng(count)
    histories = 1500 if count < 40 else 300 if count < 100 else 100
    size = (histories, count)
    for levels in (rng.normal(size=size), rng.standard_t(3, size)):
        found = sum(bool(find_steps(row)) for row in levels.tolist())
        assert found <= 0.01 * histories + 3 * math.sqrt(0.01 * histories)


def test_the_step_penalty_costs_little_power() -> None:
    rng, found = np.random.default_rng(7), 0
    for _ in range(200):
        levels = rng.normal(0, 0.01, 20)
        levels[12:] += 0.04  # four times the spread of runs
        positions = find_steps(list(levels))
        found += len(positions) == 1 and abs(positions[0] - 12) <= 1
    assert found >= 190
    assert STEP_PENALTY > 0


@given(st.lists(st.integers(-1000, 1000), min_size=6, max_size=25), st.integers(-5, 5), st.integers(-64, 64))
def test_steps_do_not_depend_on_scale_and_level(levels: list[int], power: int, level: int) -> None:
    # Powers of two and whole numbers, so that rounding decides no tie.
    positions = find_steps([float(x) for x in levels])
    assert all(3 <= position <= len(levels) - 3 for position in positions)
    assert find_steps([2.0**power * (x + level) for x in levels]) == positions


def test_equal_levels_have_no_step_and_an_exact_one_has() -> None:
    assert find_steps([0.5] * 10) == []
    assert find_steps([0.0] * 5 + [1.0] * 5) == [5]


def best_division(levels: list[float], noise: float) -> list[int]:
    """What `find_steps` says it finds, by trying every division. Of equally good ones, later levels begin early."""
    differences = [abs(b - a) for a, b in itertools.pairwise(levels)]
    sigma = max(statistics.median(differences) / 0.954, noise) or max(differences) / 100 or 1.0

    def cost(begin: int, end: int) -> float:
        middle = sorted(levels[begin:end])[(end - begin) // 2]
        return sum(min(abs(x - middle) / sigma, FARTHEST) for x in levels[begin:end])

    penalty, places, found = STEP_PENALTY * (1 + 6 / len(levels)), range(1, len(levels)), {}
    for steps_ in range(len(levels) // SHORTEST_SEGMENT):
        for positions in itertools.combinations(places, steps_):
            segments = list(itertools.pairwise([0, *positions, len(levels)]))
            if all(end - begin >= SHORTEST_SEGMENT for begin, end in segments):
                found[positions] = sum(cost(*segment) + penalty for segment in segments)
    least = min(found.values())
    return list(min((p for p in found if found[p] <= least + 1e-9), key=lambda p: (0, *p)[::-1]))


level = st.integers(-5, 5) | st.sampled_from([-200, 40, 60, 1000]) | st.floats(-300.0, 300.0)


@given(
    st.lists(st.tuples(level, st.integers(1, 5)), min_size=6, max_size=9), st.sampled_from([0.0, 0.01, 2.0])
)
def test_the_division_in_levels_is_the_best_of_all(spans: list[tuple[float, int]], noise: float) -> None:
    levels = [value + 0.001 * (i % 2) for value, runs in spans for i in range(runs)][:13]
    assert find_steps(levels, noise) == best_division(levels, noise)


def test_steps_of_a_long_history_are_found() -> None:
    levels = np.random.default_rng(8).normal(-9.0, 0.01, 800)
    levels[300:] += 0.05
    levels[550:] -= 0.08
    assert {300, 550} <= set(find_steps(levels.tolist()))
