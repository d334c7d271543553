"""greta's own kernels of the hip device, where they can run on a CPU: what they count is what the cpu device counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import pytest_greta.device
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.device import BoundLaunch, run_once
from pytest_greta.device.cpu import CpuDevice
from pytest_greta.device.protocol import NUMBERS
from tests.devices.near_cases import CASES, WIDTH, Case

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOURCE = Path(pytest_greta.device.__file__).with_name("queue.hip")


@pytest.fixture(scope="module")
def code() -> bytes:
    return run_compiler(find_toolchain(CPU_TARGET), Job(SOURCE, CPU_TARGET))[0]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_elements_beyond_are_counted(cpu_device: CpuDevice, code: bytes, case: Case) -> None:
    function = cpu_device.function(cpu_device.load(code), "greta_deviations")
    digests, count = np.array([1, 2], np.uint64), np.zeros(1, np.uint64)
    arrays: list[NDArray[Any]] = [digests[:1], digests[1:], case.output, case.first, case.allowed, count]
    buffers = [cpu_device.allocate(array.nbytes) for array in arrays]
    for buffer, array in zip(buffers, arrays, strict=True):
        cpu_device.write(buffer, 0, array.reshape(-1).view(np.uint8).data)
    places = [(buffer, 0) for buffer in buffers]
    numbers = (
        *(np.uint64(case.output.nbytes), np.uint64(WIDTH)),
        *(np.uint32(NUMBERS.index(case.number)), np.float64(case.rtol)),
    )
    launch = BoundLaunch(function, (3, 1, 1), (256, 1, 1), (*places[:5], *numbers, places[5]))
    run_once(cpu_device, [launch])
    cpu_device.read(buffers[5], 0, count.view(np.uint8).data)
    assert count[0] == case.beyond
