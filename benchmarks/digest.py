"""What the digest of an output costs on a GPU, in reads of the output.

    python benchmarks/digest.py

Times between device events, the median of thirty: of the digest, and of the kernel that reads the same memory and does
nothing else, by turns. What fits into the L2 lies there, as it does behind the launch that wrote it.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

import pytest_greta.device
from pytest_greta.device import BoundLaunch, Work
from pytest_greta.device.hip import HipDevice, open_hip

SIZES_MIB = (1, 4, 16, 64, 256, 1024)
TIMES = 30


def main() -> None:
    """Print the cost for outputs of several sizes."""
    device = open_hip()
    assert isinstance(device, HipDevice)
    info = device.info
    print(
        f"{info.identity}; L2 {info.cache_bytes >> 21} MiB, an empty kernel {info.empty_seconds * 1e6:.1f} us"
    )
    source = Path(pytest_greta.device.__file__).with_name("queue.hip")
    module = device.load(device.compile(source.read_text(), source.name, ["-O3"]))
    data, sums = device.allocate(max(SIZES_MIB) << 20), device.allocate(16)
    device.fill(data, 7, 0, data.size_bytes)

    def work(entry: str, size: int, count: int) -> Work:
        blocks = min(max(1, size // 4096), 16 * info.compute_units)
        args = (data, 0), np.uint64(count), (sums, 0)
        return Work(
            [BoundLaunch(device.function(module, entry), (blocks, 1, 1), (256, 1, 1), args)], untimed=1
        )

    for mib in SIZES_MIB:
        size = mib << 20
        both = work("greta_digest", size, size), work("greta_flush", size, size // 16)
        times: list[list[float]] = [[], []]
        for _ in range(TIMES):
            device.begin([b""] * 2, 0)
            for one in both:
                with device.held():
                    device.enqueue(one)
            for found in times:
                found.append(device.result().seconds)
        digest, read = (statistics.median(found) for found in times)
        print(
            f"{mib:4} MiB: digest {digest * 1e6:.1f} us, read {read * 1e6:.1f} us: {digest / read:.3f} reads"
        )
    device.close()


if __name__ == "__main__":
    main()
