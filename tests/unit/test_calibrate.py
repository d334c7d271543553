"""What a calibration comes to, and its file."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from pytest_greta.calibrate import Added, Calibration, Found, _part, added_by, load, store, table
from pytest_greta.kernel import Launch
from pytest_greta.stats.pairs import PairedTest

LAUNCH = Launch((64, 8, 1), (64, 1, 1), ("x", np.int32(1)))


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
    line = "k v @ 64: speedup >= 0.99: 0 false alarms in 200, finds 2.0% slower 95% of the time (60 s a gate)"
    assert str(calibration((0.01, 0), (0.02, 95))) == line
    assert "does not find 5.0% slower" in str(calibration((0.05, 0)))
    assert "0 false alarms in 200, nothing found yet (60 s a gate)" in str(calibration())  # interrupted


def test_the_file_keeps_the_latest_of_each_variant_and_context(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert load(path) == []
    first, other = calibration((0.02, 1)), calibration(context=128)
    again = dataclasses.replace(first, when="2026-03-03")
    for one in (first, other, again):
        store(path, one)
    assert load(path) == [other, again]
    header, rule, *rows = table(load(path))
    assert {line.count("|") for line in (header, rule)} == {10}
    assert len(rows) == 2
    assert rows[0].count("not measured") == 5
    store(path, calibration())  # one that has just begun does not replace one that went further
    assert load(path) == [other, again]
    path.write_text("[{}]")
    assert load(path) == []


@pytest.mark.parametrize("wanted", [0.001, 0.01, 0.02, 0.1, 0.9])
def test_the_part_of_the_grid_adds_what_was_asked_for(wanted: float) -> None:
    def added(launch: Launch) -> float:
        """Causal: blocks further on do more work."""
        return (launch.grid[0] / 64) ** 2 * launch.grid[1] / 8

    part = _part(LAUNCH, wanted, lambda launch, _: Added(added(launch), 0.0))
    assert part is not None
    assert added(part) == pytest.approx(wanted, rel=0.1, abs=1 / 512)
    assert dataclasses.replace(part, grid=LAUNCH.grid) == LAUNCH


def test_a_grid_of_one_block_has_one_part() -> None:
    whole = dataclasses.replace(LAUNCH, grid=(1, 1, 1))
    assert _part(whole, 1.1, lambda *_: Added(1.0, 0.0)) == whole
    assert _part(whole, 0.02, lambda *_: Added(1.0, 0.0)) is None


def test_the_part_is_found_under_noise_or_not_at_all() -> None:
    rng = np.random.default_rng(5)
    found = []

    def timed(share: float, spread: float, pairs: int) -> Added:
        test = PairedTest()
        for _ in range(pairs):
            test.add_block(-math.log1p(share) + spread * rng.standard_t(2))
        return added_by(test)

    def search(wanted: float, spread: float) -> float | None:
        def added(launch: Launch, wanted: float) -> Added:
            share = launch.grid[0] * launch.grid[1] / 512
            for pairs in (16, 64, 256):
                one = timed(share, spread, pairs)
                if abs(one.share - wanted) > 3 * one.error:
                    break
            return one

        part = _part(LAUNCH, wanted, added)
        return None if part is None else part.grid[0] * part.grid[1] / 512

    found = [search(0.02, 0.01) for _ in range(20)]
    assert all(share is not None and 0.01 <= share <= 0.035 for share in found)
    # 51.7 % was once taken for 2 %.
    wild = [search(0.02, 0.3) for _ in range(20)]
    assert all(share is None or share <= 0.1 for share in wild)
    assert wild.count(None) > 15


def test_what_could_not_be_made_is_told() -> None:
    one = calibration((0.02, 95))
    none = Found(0.01, 0.0, 0, 0, 0, 0.0)
    both = dataclasses.replace(one, slower=(none, *one.slower))
    assert both.finds == 0.02
    assert str(both).endswith(
        "finds 2.0% slower 95% of the time; 1% more work could not be made: the noise here is larger (60 s a gate)"
    )
    assert "nothing found yet; 1% more work could not be made" in str(
        dataclasses.replace(one, slower=(none,))
    )
    assert "| could not be made |" in list(table([both]))[2]
