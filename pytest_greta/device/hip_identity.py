"""What identifies a HIP device besides its properties: the cache behind the L2, versions, the emulator."""

from __future__ import annotations

from pathlib import Path

MIB = 1 << 20

INFINITY_CACHE_MIB = {
    "gfx942": 256,
    "gfx950": 256,
    "gfx1030": 128,
    "gfx1031": 96,
    "gfx1032": 32,
    "gfx1034": 16,
    "gfx1100": 96,
    "gfx1101": 64,
    "gfx1102": 32,
    "gfx1151": 32,
    "gfx1200": 32,
    "gfx1201": 64,
}
"""Last-level (Infinity) cache in MiB, which HIP's device properties do not tell. Where products of one
architecture differ, the largest: overwriting too much is harmless. An architecture not listed has none
(MI100, MI200, integrated graphics). Source: AMD, "Accelerator and GPU hardware specifications",
rocm.docs.amd.com/en/latest/reference/gpu-arch-specs.html; gfx1034 and gfx1151 from AMD's product pages."""


def infinity_cache_bytes(target: str) -> int:
    """Bytes of last-level cache behind the L2 of an architecture; `target` may carry feature flags."""
    return INFINITY_CACHE_MIB.get(target.split(":")[0], 0) * MIB


def hip_version(number: int) -> str:
    """`70253211` is 7.2.53211 (HIP_VERSION in hip_version.h: major * 10^7 + minor * 10^5 + patch)."""
    return f"{number // 10_000_000}.{number // 100_000 % 100}.{number % 100_000}"


def kernel_driver() -> str:
    """`amdgpu 6.12.12`, where the kernel module tells its version (the one that ROCm installs does)."""
    try:
        return f"amdgpu {Path('/sys/module/amdgpu/version').read_text().strip()}"
    except OSError:
        return ""


def is_emulated() -> bool:
    """AMD's emulator of its GPUs, rocjitsu, is mapped into this process."""
    try:
        return "librocjitsu" in Path("/proc/self/maps").read_text(errors="replace")
    except OSError:
        return False
