"""How launches are queued and timed on a GPU: holds, graphs, digests, and what is kept of a launch that differs.

Without a GPU these tests skip and say what is missing; with GRETA_TEST_REQUIRE=hip they fail instead.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pytest_greta.device import BoundLaunch, Work, run_once
from pytest_greta.device.hip import HipDevice
from pytest_greta.device.hip_handles import Buffer, Function
from pytest_greta.device.protocol import Launched
from tests.devices.sources import FILL

SOURCE = (
    FILL
    + """
extern "C" __global__ void spin(float* out, int steps) {
  float x = out[0];
  for (int i = 0; i < steps; ++i) x = x * 0.9999999f + 1e-7f;
  out[0] = x;
}
extern "C" __global__ void wild(int* out) { *(volatile int*)16 = *out; }
"""
)
COUNT = 100_000


@pytest.fixture
def functions(device: HipDevice) -> dict[str, Function]:
    """The kernels of SOURCE."""
    module = device.load(device.compile(SOURCE, "queue_test.hip", ["-O3"]))
    return {name: device.function(module, name) for name in ("fill", "add", "spin")}


@pytest.fixture
def buffers(device: HipDevice) -> Iterator[list[Buffer]]:
    """An output, and a spare one."""
    found = [device.allocate(4 * COUNT) for _ in range(2)]
    for buffer in found:
        device.fill(buffer, 0, 0, buffer.size_bytes)
    yield found
    for buffer in found:
        device.free(buffer)


@pytest.fixture
def timed(device: HipDevice) -> None:
    """Only where times mean something."""
    if device.info.emulated:
        pytest.skip("nothing is held on an emulated GPU: its times mean nothing")


def on(function: Function, *args: Any, blocks: int = -(-COUNT // 256)) -> list[BoundLaunch]:
    """One launch."""
    return [BoundLaunch(function, (blocks, 1, 1), (256, 1, 1), args)]


def values(device: HipDevice, buffer: Buffer) -> set[int]:
    """The different values of a buffer."""
    data = np.empty(COUNT, np.int32)
    device.read(buffer, 0, data.view(np.uint8).data)
    return {int(x) for x in np.unique(data)}


def in_batch(
    device: HipDevice, buffers: list[Buffer], steps: list[list[BoundLaunch]], expected: list[bytes]
) -> list[Launched]:
    """Launch steps in a batch whose outputs should have digests, each held."""
    out, spare = ((buffer, 0, buffer.size_bytes) for buffer in buffers)
    device.begin(expected, 1)
    found = []
    for step in steps:
        with device.held():
            device.enqueue(Work(step, [out], [spare]))
        found.append(device.result())
    return found


def test_every_launch_of_a_batch_has_its_digest(
    device: HipDevice, functions: dict[str, Function], buffers: list[Buffer]
) -> None:
    fill, n = functions["fill"], np.int32(COUNT)
    steps = [on(fill, (buffers[0], 0), n, np.int32(value)) for value in (1, 2, 1, 3)]
    one, two, again, three = (found.digest for found in in_batch(device, buffers, steps, [b""] * 4))
    assert one == again
    assert len({one, two, three}) == 3
    assert device.digests([(buffers[0], 0, 4 * COUNT)]) == [three]


def test_the_first_launch_that_differs_is_kept(
    device: HipDevice, functions: dict[str, Function], buffers: list[Buffer]
) -> None:
    fill, n = functions["fill"], np.int32(COUNT)
    steps = [on(fill, (buffers[0], 0), n, np.int32(value)) for value in (7, 7, 5, 7, 6, 7)]
    (right,) = (found.digest for found in in_batch(device, buffers, steps[:1], [b""]))
    found = in_batch(device, buffers, steps, [right] * 6)
    assert [one.is_kept for one in found] == [False, False, True, False, False, False]
    assert [one.digest == right for one in found] == [True, True, False, True, False, True]
    assert values(device, buffers[1]) == {5}
    # The next batch begins anew; what nobody knows yet is not kept.
    assert [one.is_kept for one in in_batch(device, buffers, steps[2:4], [b"", right])] == [False, False]
    assert values(device, buffers[1]) == {5}


def test_launches_in_a_graph_run_as_often_as_asked_and_the_mean_is_their_time(
    device: HipDevice, functions: dict[str, Function], buffers: list[Buffer]
) -> None:
    add = on(functions["add"], (buffers[0], 0), np.int32(COUNT), np.int32(1))
    device.begin([b""] * 2, 0)
    with device.held():
        device.enqueue(Work(add, count=40, untimed=2))
    device.result()
    assert values(device, buffers[0]) == {42}
    if device.info.emulated:
        return
    spin = on(functions["spin"], (buffers[0], 0), np.int32(20_000), blocks=1)
    alone = run_once(device, spin)
    device.begin([b""], 0)
    device.enqueue(Work(spin, count=20))
    assert device.result().seconds == pytest.approx(alone, rel=0.5)  # an idle GPU is slower


def test_launches_are_queued_again_after_their_memory_has_moved(
    device: HipDevice, functions: dict[str, Function]
) -> None:
    for value in range(3):
        buffer = device.allocate(4 * COUNT)
        launch = on(functions["fill"], (buffer, 0), np.int32(COUNT), np.int32(value))
        device.begin([b""], 0)
        device.enqueue(Work(launch, count=3))
        device.result()
        assert values(device, buffer) == {value}
        device.free(buffer)


@pytest.mark.usefixtures("timed")
def test_nothing_runs_before_all_is_queued(
    device: HipDevice, functions: dict[str, Function], buffers: list[Buffer]
) -> None:
    spin = on(functions["spin"], (buffers[0], 0), np.int32(1000), blocks=1)
    run_once(device, spin)
    times = []
    for pause in (0.0, 0.05):
        device.begin([b""], 0)
        with device.held():
            device.enqueue(Work(spin))
            time.sleep(pause)
        times.append(device.result().seconds)
    assert times[1] < 0.02, times  # the host's pause is not in it


@pytest.mark.usefixtures("timed")
def test_a_hold_that_nobody_ends_ends_by_itself(
    device: HipDevice, functions: dict[str, Function], buffers: list[Buffer]
) -> None:
    fill = on(functions["fill"], (buffers[0], 0), np.int32(COUNT), np.int32(9))
    device.begin([b""], 0)
    began = time.monotonic()
    with device.held():
        device.enqueue(Work(fill))
        device.result()
    assert 0.05 < time.monotonic() - began < 20
    assert values(device, buffers[0]) == {9}


def test_the_clock_has_small_steps_and_an_empty_kernel_its_cost(device: HipDevice) -> None:
    if device.info.emulated:
        assert (device.info.clock_seconds, device.info.empty_seconds) == (0.0, 0.0)
        return
    assert 0 < device.info.clock_seconds <= 2e-6
    assert 0 < device.info.empty_seconds < 100e-6


@pytest.mark.usefixtures("timed")
def test_cold_launches_take_longer_than_warm_ones(
    device: HipDevice, functions: dict[str, Function], buffers: list[Buffer]
) -> None:
    add = on(functions["add"], (buffers[0], 0), np.int32(COUNT), np.int32(1))
    seconds = {}
    for is_cold in (True, False):
        device.begin([b""] * 20, 0)
        found = []
        for _ in range(20):
            with device.held():
                if is_cold:
                    device.flush_caches()
                device.enqueue(Work(add, untimed=0 if is_cold else 1))
            found.append(device.result().seconds)
        seconds[is_cold] = statistics.median(found)
    assert seconds[True] > seconds[False], seconds


WILD = """
import sys
import numpy as np
from pytest_greta.device import BoundLaunch, Work
from pytest_greta.device.hip import open_hip
from pytest_greta.device.hip_bindings import HipError

device = open_hip()
module = device.load(device.compile(sys.argv[1], "wild.hip", []))
buffer, spare = (device.allocate(4096) for _ in range(2))
value = np.int32(1)
fill = [BoundLaunch(device.function(module, "fill"), (1, 1, 1), (256, 1, 1), ((buffer, 0), value, value))]
wild = [BoundLaunch(device.function(module, "wild"), (1, 1, 1), (1, 1, 1), ((buffer, 0),))]
device.begin([b""] * 4, 1)
for step in (fill, fill, wild, fill):
    device.enqueue(Work(step, [(buffer, 0, 4096)], [(spare, 0, 4096)]))
try:
    [device.result() for _ in range(4)]
except HipError as error:
    print("ended:", error.steps_done)
"""


def test_a_fault_says_how_many_launches_of_the_batch_had_ended(device: HipDevice) -> None:
    if device.info.target.startswith("gfx"):
        pytest.skip("AMD's runtime ends the process")
    done = subprocess.run(
        [sys.executable, "-c", WILD, SOURCE], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "ended: 2"
