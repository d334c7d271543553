"""The benchmark's noise: real launches played again, and models that are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.noise import MODELS, recorded


def benchmark_file(path: Path, rounds: int) -> Path:
    seconds = [2.0 + 0.01 * i for i in range(rounds)]
    entry = {"stats": {"data": seconds}, "extra_info": {"baseline_seconds": [3.0 * s for s in seconds]}}
    path.write_text(json.dumps({"benchmarks": [entry, {"stats": {"data": [1.0]}}]}))
    return path


def test_recorded_launches_are_played_in_their_order(tmp_path: Path) -> None:
    noise = recorded(benchmark_file(tmp_path / "run.json", 30))
    (trace,) = noise.traces
    assert len(trace) == 60  # each round is a launch of the variant and one of the baseline
    assert trace[0] == pytest.approx(trace[1])
    played = noise(np.random.default_rng(1), 5, 80)
    assert played.shape == (5, 80)
    for row in played:
        begin = int(np.argmin(np.abs(trace - row[0])))
        candidates = [np.take(trace, range(at, at + 80), mode="wrap") for at in (begin, begin + 1)]
        assert any(np.allclose(row, candidate) for candidate in candidates)


def test_a_file_without_rounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no benchmark with the times of at least 20 rounds"):
        recorded(benchmark_file(tmp_path / "run.json", 19))


@pytest.mark.parametrize("name", MODELS)
def test_models_give_positive_times_around_one(name: str) -> None:
    times = MODELS[name](np.random.default_rng(2), 200, 100)
    assert times.shape == (200, 100)
    assert times.min() > 0
    assert np.median(times) == pytest.approx(1.0, abs=0.03)
