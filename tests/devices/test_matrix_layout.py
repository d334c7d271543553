"""matrix.h places values and operands where AMD's published formulas do.

The formulas are those of the "AMD matrix instruction calculator" (github.com/ROCm/amd_matrix_instruction_calculator),
`--detail-instruction`, "Matrix element to register mapping", for D = A B + C: our rows are A's i, our queries B's j,
and depth is k. `gpr` counts registers of 32 bits; two 16-bit numbers of A share one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.device import BoundLaunch, run_once
from pytest_greta.device.cpu import CpuDevice

HEADER = Path(__file__).resolve().parents[2] / "kernels" / "prefill" / "matrix.h"
SOURCE = f"""
#include "{HEADER}"
extern "C" __global__ void sizes(int* out) {{
  using namespace matrix;
  const int all[] = {{WAVE, ROWS, QUERIES, VALUES, INSTRUCTION_DEPTH, INSTRUCTION_WORDS}};
  for (int i = 0; i < 6; ++i) out[i] = all[i];
}}
// Of every lane and value its row and query; of every row and depth the lane and the 16-bit number.
extern "C" __global__ void layout(int* rows, int* queries, int* lanes, int* numbers) {{
  using namespace matrix;
  for (int lane = 0; lane < WAVE; ++lane)
    for (int i = 0; i < VALUES; ++i)
      rows[lane * VALUES + i] = row_of(lane, i), queries[lane * VALUES + i] = query_of(lane, i);
  for (int row = 0; row < ROWS; ++row)
    for (int k = 0; k < INSTRUCTION_DEPTH; ++k)
      lanes[row * INSTRUCTION_DEPTH + k] = holder(row, k), numbers[row * INSTRUCTION_DEPTH + k] = element(k);
}}
"""


@dataclass(frozen=True)
class Published:
    """One instruction: lanes of a wave, rows and columns, depth, and its formulas."""

    wave: int
    size: int
    depth: int
    a_lane: Callable[[int, int], int]
    a_gpr: Callable[[int], int]
    d_lane: Callable[[int, int], int]
    d_gpr: Callable[[int], int]


PUBLISHED = {
    # v_mfma_f32_32x32x8_f16 (CDNA3), and v_mfma_f32_32x32x8f16, ..bf16_1k (CDNA2)
    1: Published(
        wave=64,
        size=32,
        depth=8,
        a_lane=lambda i, k: 32 * (k // 4) + i,
        a_gpr=lambda k: k // 2 % 2,
        d_lane=lambda i, j: (32 * (i // 4)) % 64 + j,
        d_gpr=lambda i: 4 * (i // 8) + i % 4,
    ),
    # v_wmma_f32_16x16x16_f16 (RDNA3, wave32); A and B are in lanes i + 16 too
    2: Published(
        wave=32,
        size=16,
        depth=16,
        a_lane=lambda i, _: i,
        a_gpr=lambda k: k // 2,
        d_lane=lambda i, j: (16 * i) % 32 + j,
        d_gpr=lambda i: i // 2,
    ),
    # v_wmma_f32_16x16x16_f16 (RDNA4, wave32)
    3: Published(
        wave=32,
        size=16,
        depth=16,
        a_lane=lambda i, k: 16 * (k // 4 % 2) + i,
        a_gpr=lambda k: 2 * (k // 8) + k // 2 % 2,
        d_lane=lambda i, j: 16 * (i // 8) + j,
        d_gpr=lambda i: i % 8,
    ),
}


def run(device: CpuDevice, code: bytes, entry: str, counts: list[int]) -> list[list[int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runtime's remarks on vectorization arrive as warnings
        module = device.load(code)
    buffers = [device.allocate(4 * count) for count in counts]
    function = device.function(module, entry)
    run_once(device, [BoundLaunch(function, (1, 1, 1), (1, 1, 1), tuple((b, 0) for b in buffers))])
    found = []
    for buffer, count in zip(buffers, counts, strict=True):
        values = np.empty(count, np.int32)
        device.read(buffer, 0, values.data.cast("B"))
        device.free(buffer)
        found.append(values.tolist())
    device.unload(module)
    return found


@pytest.mark.parametrize("matrix_set", PUBLISHED, ids=["MFMA", "WMMA11", "WMMA12"])
def test_the_layout_is_the_published_one(cpu_device: CpuDevice, matrix_set: int, tmp_path: Path) -> None:
    published = PUBLISHED[matrix_set]
    source = tmp_path / "layout.hip"
    source.write_text(SOURCE)
    job = Job(source, CPU_TARGET, (("MATRIX_SET", str(matrix_set)),), wave_size=published.wave)
    code, _ = run_compiler(find_toolchain(CPU_TARGET), job)
    ((wave, rows, queries, values, depth, words),) = run(cpu_device, code, "sizes", [6])
    size = published.size
    assert (wave, rows, queries, depth) == (published.wave, size, size, published.depth)
    assert values == size * size // wave
    of_row, of_query, lanes, numbers = run(
        cpu_device, code, "layout", [wave * values] * 2 + [size * depth] * 2
    )
    place = {(of_row[n], of_query[n]): divmod(n, values) for n in range(wave * values)}
    assert place == {
        (i, j): (published.d_lane(i, j), published.d_gpr(i)) for i in range(size) for j in range(size)
    }
    for i in range(size):
        for k in range(depth):
            n = i * depth + k
            assert (lanes[n], divmod(numbers[n], 2)) == (published.a_lane(i, k), (published.a_gpr(k), k % 2))
    assert max(numbers) == 2 * words - 1
