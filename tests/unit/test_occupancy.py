"""Occupancy is what the compiler computes, in whole blocks: clang's figures over a grid, and examples."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.codeobject import KernelResources, read_resources
from pytest_greta.compiler.occupancy import occupancy
from pytest_greta.compiler.targets import GENERIC
from pytest_greta.compiler.toolchain import find_toolchain
from tests.marks import crossing
from tests.unit.assembler import code_object

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

KIB = 1024
VGPRS = (1, 24, 25, 37, 64, 65, 74, 84, 96, 97, 128, 129, 168, 200, 241, 256)
LDS = (0, 10 * KIB, 30 * KIB, 40 * KIB, 64 * KIB)  # all of whole granules
THREADS = (32, 64, 96, 128, 256, 320, 576, 1024)
GRID = [
    *itertools.product(VGPRS, (0,), THREADS),
    *itertools.product((1, 74, 168), LDS[1:], THREADS),
]
TARGETS = (
    "gfx900",
    "gfx908",
    "gfx90a",
    "gfx942",
    "gfx950",
    "gfx1010",
    "gfx1030",
    "gfx1100",
    "gfx1102",
    "gfx1201",
)
WAYS = [
    *((target, ()) for target in (*TARGETS, *GENERIC)),
    *((target, ("-mwavefrontsize64",)) for target in ("gfx1010", "gfx1030", "gfx1100", "gfx1201")),
    *((target, ("-mcumode",)) for target in ("gfx1010", "gfx1030", "gfx1100", "gfx1201")),
]


USUAL = ("gfx908", "gfx90a", "gfx942", "gfx1030", "gfx1100", "gfx1201")


@pytest.mark.parametrize(
    ("target", "flags"),
    [
        pytest.param(*way, marks=[] if way[0] in USUAL and way[1] != ("-mcumode",) else crossing)
        for way in WAYS
    ],
)
def test_it_is_what_clang_prints_rounded_down_to_whole_blocks(
    target: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    printed, taken = compiled(target, flags, tmp_path)
    assert len(printed) == len(taken) == len(GRID)
    for number, (vgprs, lds_bytes, threads) in enumerate(GRID):
        one = taken[f"k{number}"]
        assert (one.lds_bytes, one.max_block_threads) == (lds_bytes, threads)
        assert one.vgprs >= vgprs
        simds = 2 if "-mcumode" in flags else 4
        expected = in_whole_blocks(printed[number], -(-threads // one.wave_size), simds)
        assert occupancy(one, target, threads) == expected, (vgprs, lds_bytes, threads, one)


def in_whole_blocks(waves: int, waves_per_block: int, simds: int) -> int:
    """Of so many waves on each SIMD, those of the blocks that are complete."""
    blocks = waves * simds // waves_per_block
    return -(-blocks * waves_per_block // simds)


def compiled(
    target: str, flags: Sequence[str], folder: Path, grid: Sequence[tuple[int, int, int]] = GRID
) -> tuple[list[int], dict[str, KernelResources]]:
    """What clang prints of every kernel of the grid, and what we read."""
    source, assembly = folder / "grid.hip", folder / "grid.s"
    source.write_text("".join(itertools.starmap(kernel_text, enumerate(grid))))
    toolchain = find_toolchain(target)
    command = [*toolchain.clang, "-x", "hip", "-O0", *toolchain.flags, *flags, "--cuda-device-only"]
    command += [f"--offload-arch={target}", "-Rpass-analysis=kernel-resource-usage", "-S", str(source)]
    done = subprocess.run([*command, "-o", assembly], capture_output=True, text=True, check=True)
    printed = [int(waves) for waves in re.findall(r"Occupancy \[waves/SIMD\]: (\d+)", done.stderr)]
    return printed, read_resources(code_object(assembly, source, target, flags))


def kernel_text(number: int, wanted: tuple[int, int, int]) -> str:
    """A kernel that takes these VGPRs and this LDS, for blocks of these threads."""
    vgprs, lds_bytes, threads = wanted
    lds = f"__attribute__((shared)) char lds[{lds_bytes}];" if lds_bytes else ""
    use = 'asm volatile("" :: "v"(&lds[0]));' if lds_bytes else ""
    bounds = f"amdgpu_flat_work_group_size({threads}, {threads})"
    return f"""extern "C" __attribute__((global, {bounds})) void k{number}() {{
  {lds} {use} asm volatile("" ::: "v{vgprs - 1}");
}}
"""


def kernel(vgprs: int = 32, lds_bytes: int = 0, wave_size: int = 64, sgprs: int = 32) -> KernelResources:
    """A kernel that takes these."""
    return KernelResources("k", 0, vgprs, 0, sgprs, 0, 0, lds_bytes, 100, 1024, wave_size)


@pytest.mark.parametrize(
    ("target", "vgprs", "threads", "waves"),
    [
        ("gfx942", 74, 1024, 4),  # 6 waves a SIMD are 24, of which one block has 16
        ("gfx942", 168, 1024, 0),  # 3 waves a SIMD are 12, less than a block
        ("gfx942", 74, 64, 6),
        ("gfx942", 74, 320, 5),  # 4 blocks of 5 waves on 4 SIMDs
        ("gfx1100", 246, 256, 4),  # v6: 5 waves a SIMD are 20, 2 blocks of 8
        ("gfx908", 32, 128, 8),  # 16 barriers for blocks of 2 waves
        ("gfx1010", 32, 64, 16),  # 32 in a WGP
        ("gfx1010", 32, 32, 20),
    ],
)
def test_blocks_are_resident_whole(target: str, vgprs: int, threads: int, waves: int) -> None:
    wave_size = 32 if target.startswith("gfx1") else 64
    assert occupancy(kernel(vgprs, wave_size=wave_size), target, threads) == waves


@pytest.mark.parametrize(
    ("target", "lds_bytes", "waves"),
    [
        ("gfx942", 64 * KIB, 1),
        ("gfx942", 64 * KIB + 1, 0),
        ("gfx942", 21_504, 3),
        ("gfx942", 21_505, 2),  # three of them would fit, three of 22016 do not
        ("gfx950", 160 * KIB, 1),
        ("gfx950", 53_760, 3),
        ("gfx950", 53_761, 2),  # granules of 1280
        ("gfx1100", 64 * KIB, 4),  # the WGP has twice as much, a block of it has half
        ("gfx1100", 64 * KIB + 1, 0),
        ("gfx1201", 100 * KIB, 0),
        ("gfx1030", 25 * KIB, 10),
        ("gfx1030", 25 * KIB + 1, 8),  # granules of 1024
    ],
)
def test_lds_is_given_out_in_granules_and_within_what_a_block_can_have(
    target: str, lds_bytes: int, waves: int
) -> None:
    wave_size = 32 if target.startswith("gfx1") else 64
    for static in (0, 1000, lds_bytes):
        taken = kernel(lds_bytes=static, wave_size=wave_size)
        assert occupancy(taken, target, 256, lds_bytes - static) == waves


def test_registers_count_as_they_are_allocated(tmp_path: Path) -> None:
    source = tmp_path / "k.hip"
    source.write_text(
        'extern "C" __attribute__((global, amdgpu_flat_work_group_size(64, 64), amdgpu_waves_per_eu(2, 2)))\n'
        "void k(float* x) { x[0] *= 2; }\n"
    )
    for target, waves in (("gfx942", 2), ("gfx908", 2), ("gfx1100", 5)):  # as clang prints
        (taken,) = read_resources(run_compiler(find_toolchain(target), Job(source, target))[0]).values()
        assert taken.vgprs == 2
        assert taken.allocated_vgprs > 80
        assert occupancy(taken, target, 64) == waves


@pytest.mark.parametrize(("sgprs", "waves"), [(80, 10), (81, 8), (96, 8), (97, 7), (102, 7)])
def test_sgprs_of_gfx9_are_given_out_in_sixteens(sgprs: int, waves: int) -> None:
    """Clang prints 9 for 81 to 88 and 8 for 97 to 100, as if they were not."""
    assert occupancy(kernel(1, sgprs=sgprs), "gfx906", 64) == waves


def test_of_an_unknown_target_it_is_not_made_up() -> None:
    for target in ("gfx9999", "gfx1250", "gfx1170", "gfx13-generic", "sm_90", ""):
        assert occupancy(kernel(), target, 256) is None
