"""What a calibration comes to, and its file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pytest_greta.calibrate import Calibration, Found, _part, _WithMoreWork, load, store, table
from pytest_greta.kernel import Kernel, Launch, Problem, Variant

LAUNCH = Launch((64, 8, 1), (64, 1, 1), ("x", np.int32(1)))
VARIANT = Variant("v", "v.hip", "v")


class OneLaunch(Kernel):
    name = "k"
    variants = (VARIANT,)

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        assert variant is VARIANT  # a kernel never sees a variant that is not its own
        return LAUNCH


def calibration(*found: tuple[float, int], context: int = 64) -> Calibration:
    slower = tuple(Found(measured, measured, 100, failed, 0, 20.0) for measured, failed in found)
    equal = Found(0.0, 0.0, 200, 0, 3, 40.0)
    return Calibration("cpu: x", "k", "v", context, "context=64", "2026-03-02", 60.0, equal, slower)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(0.01, 0), (0.02, 95), (0.05, 100)], 0.02),
        ([(0.01, 99), (0.02, 94), (0.05, 100)], 0.05),  # what is found by chance below a gap does not count
        ([(0.05, 94)], None),
        ([(0.10, 100), (0.02, 100)], 0.02),
    ],
)
def test_the_smallest_slowdown_that_is_found(found: list[tuple[float, int]], expected: float | None) -> None:
    assert calibration(*found).finds == expected


def test_a_calibration_reads_as_one_line() -> None:
    line = (
        "k v @ 64: speedup >= 0.99: 0 false alarms in 200, finds 2.0% slower (95% of the time, 60 s a gate)"
    )
    assert str(calibration((0.01, 0), (0.02, 95))) == line
    assert "does not find 5.0% slower" in str(calibration((0.05, 0)))


def test_the_file_keeps_the_latest_of_each_variant_and_context(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert load(path) == []
    first, other = calibration((0.02, 1)), calibration((0.02, 1), context=128)
    again = dataclasses.replace(first, when="2026-03-03")
    for one in (first, other, again):
        store(path, one)
    assert load(path) == [other, again]
    header, rule, *rows = table(load(path))
    assert {line.count("|") for line in (header, rule)} == {10}
    assert len(rows) == 2
    path.write_text("[{}]")
    assert load(path) == []


@pytest.mark.parametrize("wanted", [0.001, 0.01, 0.02, 0.1, 0.9])
def test_the_part_of_the_grid_takes_the_time_that_was_asked_for(wanted: float) -> None:
    def share(launches: Sequence[Launch]) -> float:
        """Causal: blocks further on do more work."""
        (launch,) = launches
        return (launch.grid[0] / 64) ** 2 * launch.grid[1] / 8

    part = _part(OneLaunch(), Problem(64), VARIANT, wanted, share)
    assert share([part]) >= wanted
    assert share([part]) < wanted * 1.2 + 1 / 512
    assert dataclasses.replace(part, grid=LAUNCH.grid) == LAUNCH


def test_the_further_work_is_only_in_the_slower_variant() -> None:
    slower = dataclasses.replace(VARIANT, name="slower")
    more = [dataclasses.replace(LAUNCH, grid=(3, 8, 1))]
    both = _WithMoreWork(OneLaunch(), VARIANT, slower, more, alone=False)
    assert both.launch(Problem(64), VARIANT) == [LAUNCH]
    assert both.launch(Problem(64), slower) == [LAUNCH, *more]
    assert _WithMoreWork(OneLaunch(), VARIANT, slower, more, alone=True).launch(Problem(64), slower) == more
    assert both.name == "k"
