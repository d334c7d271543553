"""Fixtures that compile HIP source and run it on the CPU device."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from pytest_greta.compiler.cache import CodeCache
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.device import BoundLaunch, run_once
from pytest_greta.device.cpu import CpuDevice, open_cpu
from pytest_greta.device.hip import HipDevice, open_hip
from pytest_greta.errors import DeviceUnavailable

Run = Callable[..., None]
Numbers = NDArray[Any]

INCLUDES = """
#include <hip/hip_runtime.h>
#include <hip/hip_bf16.h>
#include <hip/hip_bfloat16.h>
#include <hip/hip_fp16.h>
"""


@pytest.fixture(scope="session")
def cpu_device(code_cache: Path) -> Iterator[CpuDevice]:
    opened = open_cpu(CodeCache(code_cache))
    yield opened
    opened.close()


@pytest.fixture
def device() -> Iterator[HipDevice]:
    """A GPU, or the reason why there is none."""
    try:
        opened = open_hip()
    except DeviceUnavailable as error:
        if os.environ.get("GRETA_TEST_REQUIRE") == "hip":
            raise
        pytest.skip(str(error))
    assert isinstance(opened, HipDevice)
    yield opened
    opened.close()


@pytest.fixture
def run_hip(cpu_device: CpuDevice, tmp_path: Path) -> Run:
    """Compile `extern "C" __global__ void k(...)`, launch it once, and leave what it wrote in the arrays."""

    def compile_and_launch(
        source: str,
        *arrays: Numbers,
        grid: int = 1,
        block: tuple[int, int, int] = (64, 1, 1),
        wave: int = 64,
        defines: Sequence[tuple[str, str]] = (),
    ) -> None:
        path = tmp_path / "k.hip"
        path.write_text(INCLUDES + source)
        job = Job(path, CPU_TARGET, tuple(defines), wave_size=wave)
        code, _ = run_compiler(find_toolchain(CPU_TARGET), job)
        module = cpu_device.load(code)
        buffers = [cpu_device.allocate(array.nbytes) for array in arrays]
        for buffer, array in zip(buffers, arrays, strict=True):
            cpu_device.write(buffer, 0, array.data)
        arguments = tuple((buffer, 0) for buffer in buffers)
        run_once(cpu_device, [BoundLaunch(cpu_device.function(module, "k"), (grid, 1, 1), block, arguments)])
        for buffer, array in zip(buffers, arrays, strict=True):
            cpu_device.read(buffer, 0, array.data)
            cpu_device.free(buffer)

    return compile_and_launch
