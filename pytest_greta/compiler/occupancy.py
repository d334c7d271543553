"""Wavefronts that fit on a SIMD at the same time, from what a kernel takes and what a target offers."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_greta.compiler.codeobject import KernelResources


@dataclass(frozen=True)
class TargetLimits:
    """What one SIMD and one compute unit (or WGP) of a target offer."""

    vgprs_per_simd: int
    """VGPRs a lane can spread over the waves of one SIMD."""
    vgpr_granule: int
    max_waves: int
    """Hardware limit of waves on one SIMD."""
    lds_bytes: int
    """LDS shared by `simds` SIMDs."""
    simds: int
    sgprs_per_simd: int | None
    """None where SGPRs never limit occupancy (gfx10 and later)."""


def target_limits(target: str, wave_size: int) -> TargetLimits | None:
    """Limits of a target, or None for one this table does not know (its occupancy is then not measured).

    Source: LLVM's AMDGPUBaseInfo.cpp (getVGPRAllocGranule, getTotalNumVGPRs, getMaxWavesPerEU,
    getLocalMemorySize) and the "Instruction Set Architecture" manuals of AMD for each generation.
    """
    arch = target.split(":")[0]
    if arch in ("gfx90a", "gfx942", "gfx950"):
        lds_bytes = 160 * 1024 if arch == "gfx950" else 64 * 1024
        return TargetLimits(512, 8, 8, lds_bytes, 4, 800)
    if arch in ("gfx900", "gfx906"):
        return TargetLimits(256, 4, 10, 64 * 1024, 4, 800)
    if arch == "gfx908":
        return TargetLimits(256, 4, 10, 64 * 1024, 4, 800)
    wave32 = wave_size == 32
    if arch in ("gfx1100", "gfx1101", "gfx1151", "gfx1200", "gfx1201"):  # 1.5 times the registers
        return TargetLimits(1536 if wave32 else 768, 24 if wave32 else 12, 16, 128 * 1024, 4, None)
    if arch.startswith(("gfx11", "gfx103")):
        return TargetLimits(1024 if wave32 else 512, 16 if wave32 else 8, 16, 128 * 1024, 4, None)
    if arch.startswith("gfx101"):
        return TargetLimits(1024 if wave32 else 512, 8 if wave32 else 4, 20, 128 * 1024, 4, None)
    return None


def occupancy(
    resources: KernelResources, target: str, block_threads: int, dynamic_lds_bytes: int = 0
) -> int | None:
    """Waves that can be resident on one SIMD, limited by VGPRs, SGPRs, LDS and the hardware.

    Returns None for a target whose limits are not known, and 0 when one block does not fit at all.
    """
    limits = target_limits(target, resources.wave_size)
    if limits is None:
        return None
    registers = max(resources.vgprs, resources.agprs, 1)  # gfx908 has a file of its own for AGPRs
    by_vgprs = limits.vgprs_per_simd // _round_up(registers, limits.vgpr_granule)
    waves = min(limits.max_waves, by_vgprs)
    if limits.sgprs_per_simd is not None:
        waves = min(waves, limits.sgprs_per_simd // _round_up(max(resources.sgprs, 1), 16))
    lds_bytes = resources.lds_bytes + dynamic_lds_bytes
    if lds_bytes:
        blocks = limits.lds_bytes // lds_bytes
        waves_per_block = -(-block_threads // resources.wave_size)
        waves = min(waves, -(-blocks * waves_per_block // limits.simds))
    return waves


def _round_up(value: int, granule: int) -> int:
    return -(-value // granule) * granule
