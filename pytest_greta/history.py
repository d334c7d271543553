"""Timings into pytest-benchmark's history. The only module that knows pytest-benchmark."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


class DeviceClock:
    """A clock for pytest-benchmark that shows device times.

    pytest-benchmark reads its timer before and after each round; a round here only hands over the next measured
    time, so the difference of the two readings is that time, exactly.
    """

    def __init__(self) -> None:
        self._shown = 0.0

        def device_seconds() -> float:
            shown, self._shown = self._shown, 0.0
            return shown

        self.read: Callable[[], float] = device_seconds

    def show(self, seconds: float) -> None:
        """Show `seconds` at the next reading, and zero after it."""
        self._shown = seconds


def prepare(item: pytest.Item, clock: DeviceClock, group: str) -> None:
    """Make the item's `benchmark` fixture read device times, and group it with what it can be compared with."""
    given = item.get_closest_marker("benchmark")
    settings = {"group": group, **(given.kwargs if given else {}), "timer": clock.read}
    item.add_marker(pytest.mark.benchmark(**settings), append=False)


def record(benchmark: BenchmarkFixture, clock: DeviceClock, seconds: Sequence[float]) -> None:
    """Store measured device seconds as the rounds of this benchmark."""
    remaining = iter(seconds)
    pedantic: Any = benchmark.pedantic
    # Where benchmarks are disabled (xdist, --benchmark-disable), pytest-benchmark calls it once and stores nothing.
    pedantic(lambda: clock.show(next(remaining)), rounds=len(seconds))


def add_info(benchmark: BenchmarkFixture, info: Mapping[str, Any]) -> None:
    """Add to the entry's `extra_info`. What JSON cannot hold (NaN, infinity) is stored as None."""
    benchmark.extra_info.update({name: _plain(value) for name, value in info.items()})


def forgive(benchmark: BenchmarkFixture) -> None:
    """Nothing was measured, and the test has said why: no warning that the fixture went unused."""
    benchmark.skipped = True


def compares(config: pytest.Config) -> bool:
    """Whether pytest-benchmark compares with an earlier run, and so asks for the machine before anything has run."""
    return bool(config.getoption("benchmark_compare", None))


def update_machine_info(machine_info: dict[str, Any], device: str) -> None:
    """Make the device part of the machine's identity, and drop from it what changes from minute to minute.

    pytest-benchmark compares machines by the whole of this as text; the momentary clock of CPU 0 is no identity.
    """
    machine_info["greta_device"] = device
    cpu = machine_info.get("cpu")
    if isinstance(cpu, dict):
        for name in ("hz_actual", "hz_actual_friendly"):
            cpu.pop(name, None)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    json.dumps(value)
    return value
