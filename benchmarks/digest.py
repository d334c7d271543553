"""What the digest of an output costs on a GPU, in reads of the output.

    python benchmarks/digest.py

Wall times of calls that wait, the shortest of ten. Copying within the device reads and writes everything once: half of
that time is a read. The cost of a call without bytes is taken off both.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pytest_greta.device.hip import HipDevice, open_hip

SIZES_MIB = (1, 16, 256, 1024)


def shortest(action: Callable[[], object]) -> float:
    """Seconds of the shortest of ten calls."""
    seconds = []
    for _ in range(10):
        began = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main() -> None:
    """Print the cost for outputs of several sizes."""
    device = open_hip()
    assert isinstance(device, HipDevice)
    print(device.info.identity)
    one, other = (device.allocate(max(SIZES_MIB) << 20) for _ in range(2))
    device.fill(one, 7, 0, max(SIZES_MIB) << 20)
    empty_digest = shortest(lambda: device.digests([(one, 0, 8)]))

    def copy_bytes(size: int) -> None:
        device.copy(one, 0, other, 0, size)
        device.queue.synchronize("after a copy")

    empty_copy = shortest(lambda: copy_bytes(8))
    print(f"a digest of 8 bytes takes {empty_digest * 1e6:.0f} us")
    for mib in SIZES_MIB:
        size = mib << 20
        digest = shortest(lambda size=size: device.digests([(one, 0, size)])) - empty_digest  # type: ignore[misc]
        copy = shortest(lambda size=size: copy_bytes(size)) - empty_copy  # type: ignore[misc]
        print(
            f"{mib} MiB: digest {digest * 1e6:.1f} us, copy {copy * 1e6:.1f} us: {2 * digest / copy:.2f} reads"
        )
    device.close()


if __name__ == "__main__":
    main()
