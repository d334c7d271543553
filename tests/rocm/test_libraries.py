"""Kernels that use ROCm's libraries compile where ROCm is installed, with its compiler and its headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.codeobject import read_resources
from pytest_greta.compiler.toolchain import Toolchain, find_toolchain

SOURCES = {
    "hipcub/block/block_reduce.hpp": """
extern "C" __global__ __launch_bounds__(256) void k(const float* x, float* y) {
  using Reduce = hipcub::BlockReduce<float, 256>;
  __shared__ typename Reduce::TempStorage shared;
  float sum = Reduce(shared).Sum(x[blockIdx.x * 256 + threadIdx.x]);
  if (threadIdx.x == 0) y[blockIdx.x] = sum;
}
""",
    "rocprim/block/block_scan.hpp": """
extern "C" __global__ __launch_bounds__(256) void k(const int* x, int* y) {
  using Scan = rocprim::block_scan<int, 256>;
  __shared__ typename Scan::storage_type shared;
  int i = blockIdx.x * 256 + threadIdx.x, sum;
  Scan().inclusive_scan(x[i], sum, shared);
  y[i] = sum;
}
""",
    "thrust/reduce.h": """
#include <thrust/execution_policy.h>
extern "C" __global__ void k(const float* x, float* y, int n) { *y = thrust::reduce(thrust::seq, x, x + n); }
""",
}


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "k.hip"
    path.write_text(f"#include <hip/hip_runtime.h>\n#include <{request.param}>\n{SOURCES[request.param]}")
    return path


def rocm(source: Path, target: str) -> Toolchain:
    """ROCm's toolchain; the test is skipped where it or a library is not here."""
    toolchain = find_toolchain(target)
    if toolchain.linker:
        pytest.skip(
            "no compiler of ROCm's: `python3 tests/rocm/make_root.py --libraries FOLDER`, ROCM_PATH=FOLDER"
        )
    header = source.read_text().splitlines()[1].split("<")[1].rstrip(">")
    folders = (Path(flag.removeprefix("-I")) for flag in toolchain.flags if flag.startswith("-I"))
    if not any((folder / header).is_file() for folder in folders):
        pytest.skip(f"the ROCm that is installed has no <{header}>")
    return toolchain


@pytest.mark.parametrize("target", ["gfx942", "gfx1100"])
def test_a_kernel_that_uses_a_library_compiles(source: Path, target: str) -> None:
    code, files = run_compiler(rocm(source, target), Job(source, target))
    assert list(read_resources(code)) == ["k"]
    assert any(file.as_posix().endswith("hip/amd_detail/amd_hip_runtime.h") for file in files)
