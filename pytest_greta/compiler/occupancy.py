"""Wavefronts that can be on a SIMD at the same time, from what a kernel takes and what a target offers.

The limits are LLVM's (AMDGPUBaseInfo.cpp: getTotalNumVGPRs, getVGPRAllocGranule, getMaxWavesPerEU, getEUsPerCU,
getMaxWorkGroupsPerCU, getLocalMemorySize; AMDGPUSubtarget.cpp: getOccupancyWithWorkGroupSizes), and so is the count but
for what LLVM leaves out, each of which can only lower it:

- Blocks start and end whole. LLVM divides the registers of a SIMD among waves, whatever block they are of.
- LDS is given out in granules (Mesa's lds_alloc_granule; LLVM: "FIXME: We should take into account the LDS allocation
  granularity").
- A block that does not fit at all is 0; LLVM says 1.
- SGPRs of gfx9 are given out in sixteens, of 800 (AMD's ISA manuals, "SGPR Allocation"; LLVM's getSGPRAllocGranule): 8
  waves to 96, 7 above. The table of LLVM's getOccupancyWithNumSGPRs says 9 waves to 88 and 8 to 100.

tests/unit/test_occupancy.py holds it against what clang prints for a grid of registers, LDS and threads.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_greta.compiler.codeobject import KernelResources
from pytest_greta.compiler.targets import has_unified_registers, processor

_KIB = 1024


@dataclass(frozen=True)
class TargetLimits:
    """What one SIMD offers, and what `simds` of them share: a compute unit, or a WGP of two (gfx10 and later)."""

    vgprs_per_simd: int
    """VGPRs a lane can spread over the waves of one SIMD."""
    vgpr_granule: int
    max_waves: int
    """Hardware limit of waves on one SIMD."""
    sgprs_per_simd: int | None
    """None where SGPRs never limit occupancy (gfx10 and later)."""
    lds_granule: int
    lds_bytes: int = 64 * _KIB
    """LDS shared by `simds` SIMDs."""
    block_lds_bytes: int = 64 * _KIB
    """Of it, what one block can have."""
    simds: int = 4
    max_blocks: int = 16
    """Blocks of more than one wave, each of which takes a barrier."""


def target_limits(target: str, wave_size: int, is_cu_mode: bool = False) -> TargetLimits | None:
    """Limits of a target, or None for one this table does not know (its occupancy is then not measured).

    Those of a generic target hold on every processor of its family: of gfx11-generic, the smaller register file.
    """
    arch = processor(target)
    if arch == "gfx950":
        return TargetLimits(512, 8, 8, 800, 1280, 160 * _KIB, 160 * _KIB)
    if has_unified_registers(arch):
        return TargetLimits(512, 8, 8, 800, 512)
    if arch in ("gfx900", "gfx902", "gfx904", "gfx906", "gfx908", "gfx909", "gfx90c", "gfx9-generic"):
        return TargetLimits(256, 4, 10, 800, 512)
    lanes = 64 // wave_size  # a wavefront of 64 takes two registers of the file for one
    if arch in ("gfx1100", "gfx1101", "gfx1151", "gfx1200", "gfx1201", "gfx12-generic"):
        file, granule, waves, lds_granule = 1536, 24, 16, 1024
    elif arch.startswith(("gfx110", "gfx115", "gfx103", "gfx11-generic", "gfx10-3-generic")):
        file, granule, waves, lds_granule = 1024, 16, 16, 1024
    elif arch.startswith(("gfx101", "gfx10-1-generic")):
        file, granule, waves, lds_granule = 1024, 8, 20, 512
    else:
        return None
    half = 2 if is_cu_mode else 1
    return TargetLimits(
        vgprs_per_simd=file * lanes // 2,
        vgpr_granule=granule * lanes // 2,
        max_waves=waves,
        sgprs_per_simd=None,
        lds_granule=lds_granule,
        lds_bytes=128 * _KIB // half,
        simds=4 // half,
        max_blocks=32 // half,
    )


def occupancy(
    resources: KernelResources, target: str, block_threads: int, dynamic_lds_bytes: int = 0
) -> int | None:
    """Waves on the fullest SIMD when as many whole blocks are resident as registers, LDS and the hardware allow.

    Returns None for a target whose limits are not known, and 0 when one block does not fit at all.
    """
    limits = target_limits(target, resources.wave_size, resources.is_cu_mode)
    if limits is None:
        return None
    # AGPRs of gfx908 have a file of their own.
    vgprs = max(resources.vgprs, resources.agprs, resources.allocated_vgprs, 1)
    waves = min(limits.max_waves, limits.vgprs_per_simd // _round_up(vgprs, limits.vgpr_granule))
    if limits.sgprs_per_simd is not None:
        sgprs = max(resources.sgprs, resources.allocated_sgprs, 1)
        waves = min(waves, limits.sgprs_per_simd // _round_up(sgprs, 16))
    waves_per_block = -(-block_threads // resources.wave_size)
    blocks = waves * limits.simds // waves_per_block
    if waves_per_block > 1:  # a block of one wave has nobody to wait for
        blocks = min(blocks, limits.max_blocks)
    lds_bytes = _round_up(resources.lds_bytes + dynamic_lds_bytes, limits.lds_granule)
    if lds_bytes > limits.block_lds_bytes:
        return 0
    if lds_bytes:
        blocks = min(blocks, limits.lds_bytes // lds_bytes)
    return -(-blocks * waves_per_block // limits.simds)


def _round_up(value: int, granule: int) -> int:
    return -(-value // granule) * granule
