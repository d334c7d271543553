"""Noise of launches: models, and traces of real launches played again. Times are factors around 1."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int, int], Times]
"""(generator, sessions, launches) to times of shape (sessions, launches), in the order of launching."""

WITHIN = 0.01
"""Spread of the launches of a run."""


def lognormal(rng: np.random.Generator, sessions: int, launches: int) -> Times:
    """Every launch on its own, 1 %."""
    return np.exp(rng.normal(0.0, WITHIN, (sessions, launches)))


def heavy_tailed(rng: np.random.Generator, sessions: int, launches: int) -> Times:
    """Student's t with 2 degrees of freedom (no variance), and 3 % of the launches up to several times slower."""
    times = np.exp(np.clip(WITHIN * rng.standard_t(2, (sessions, launches)), -1.0, 1.0))
    stalled = rng.random((sessions, launches)) < 0.03
    return np.where(stalled, times * (1 + rng.exponential(0.5, times.shape)), times)


def drifting(rng: np.random.Generator, sessions: int, launches: int) -> Times:
    """Each session warms up or cools down at its own pace: 3 % (one standard deviation) in 100 launches."""
    slope = rng.normal(0.0, 0.03 / 100, (sessions, 1))
    return lognormal(rng, sessions, launches) * np.exp(slope * np.arange(launches))


def bimodal(rng: np.random.Generator, sessions: int, launches: int) -> Times:
    """Three launches in ten are 5 % slower."""
    slow = rng.random((sessions, launches)) < 0.3
    return lognormal(rng, sessions, launches) * np.where(slow, 1.05, 1.0)


def bursts(rng: np.random.Generator, sessions: int, launches: int) -> Times:
    """A neighbour comes for about 20 launches, which are 10 % slower, and stays away for about 40."""
    times = lognormal(rng, sessions, launches)
    busy = rng.random(sessions) < 1 / 3
    for launch in range(launches):
        changes = rng.random(sessions) < np.where(busy, 1 / 20, 1 / 40)
        busy = busy ^ changes
        times[:, launch] *= np.where(busy, 1.10, 1.0)
    return times


@dataclass(frozen=True)
class Periodic:
    """A pattern of factors that begins anew with every few launches."""

    pattern: tuple[float, ...]
    anywhere: bool = True
    """Whether a session begins anywhere in it, or at its front."""

    def __call__(self, rng: np.random.Generator, sessions: int, launches: int) -> Times:
        """As the models: shape (sessions, launches)."""
        begin = rng.integers(len(self.pattern), size=(sessions, 1)) if self.anywhere else 0
        places = (begin + np.arange(launches)) % len(self.pattern)
        return np.asarray(lognormal(rng, sessions, launches) * np.asarray(self.pattern)[places])


def wave(rng: np.random.Generator, sessions: int, launches: int) -> Times:
    """A sine of 3 % with a period of 2 to 8 launches, which is no whole number."""
    period, phase = rng.uniform(2, 8, (sessions, 1)), rng.uniform(0, 1, (sessions, 1))
    return lognormal(rng, sessions, launches) * (
        1 + 0.03 * np.sin(2 * np.pi * (np.arange(launches) / period + phase))
    )


def neighbours_alike(rng: np.random.Generator, sessions: int, launches: int) -> Times:
    """Each launch takes after the one before it: correlation 0.5."""
    steps = rng.normal(0.0, WITHIN * np.sqrt(0.75), (sessions, launches))
    times = np.empty((sessions, launches))
    times[:, 0] = rng.normal(0.0, WITHIN, sessions)
    for launch in range(1, launches):
        times[:, launch] = 0.5 * times[:, launch - 1] + steps[:, launch]
    return np.asarray(np.exp(times))


MODELS: Mapping[str, Noise] = {
    "lognormal": lognormal,
    "heavy-tailed": heavy_tailed,
    "drifting": drifting,
    "bimodal": bimodal,
    "bursts": bursts,
}

ORDERLY: Mapping[str, Noise] = {
    "second launch +3 %": Periodic((1.0, 1.03), anywhere=False),
    "second launch +10 %": Periodic((1.0, 1.10), anywhere=False),
    "period of 3": Periodic((1.05, 1.0, 1.0)),
    "period of 4": Periodic((1.03, 1.0, 1.0, 1.03)),
    "waves": wave,
    "neighbours alike": neighbours_alike,
}
"""Noise that knows the place of a launch."""


class Recorded:
    """Sessions cut from traces of real launches, each at a random place, begun again from the front at the end."""

    def __init__(self, traces: Sequence[Times]) -> None:
        self.traces = [trace / np.median(trace) for trace in traces]

    def __call__(self, rng: np.random.Generator, sessions: int, launches: int) -> Times:
        """As the models: shape (sessions, launches)."""
        times = np.empty((sessions, launches))
        for row in times:
            trace = self.traces[rng.integers(len(self.traces))]
            row[:] = trace[(rng.integers(len(trace)) + np.arange(launches)) % len(trace)]
        return times


def recorded(path: Path) -> Recorded:
    """The traces of a file that `pytest --benchmark-json=PATH` wrote with pytest-greta.

    Launches of variant and baseline are put back side by side, each in units of its own median.
    Raises ValueError when there is no benchmark with at least 20 rounds.
    """
    traces = []
    for benchmark in json.loads(path.read_text())["benchmarks"]:
        rounds = benchmark["stats"].get("data") or []
        sides = [rounds, benchmark.get("extra_info", {}).get("baseline_seconds") or []]
        sides = [np.asarray(side) / statistics.median(side) for side in sides if len(side) == len(rounds)]
        if len(rounds) >= 20:
            traces.append(np.stack(sides, axis=1).reshape(-1))
    if not traces:
        raise ValueError(f"{path}: no benchmark with the times of at least 20 rounds")
    return Recorded(traces)
