"""What the address of code is worth: one code object, loaded several times side by side, each copy timed.

    python -m benchmarks.copies

Copies of a kernel differ in nothing but where they lie in memory. Their launches come in random order, on the same
buffers, caches cold, each behind a hold, as greta times them. Prints by how much the medians of the copies differ, and
by how much they would by chance: the same launches, dealt out to the copies at random, 1000 times.

Needs a HIP device (an NVIDIA GPU under tests/hip_on_cuda will do).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.harnesses import CASES, SOURCE
from pytest_greta.device import BoundLaunch, Work
from pytest_greta.device.hip import HipDevice, open_hip

COPIES, ROUNDS = 12, 150
LONG_STEPS = 4000
"""Of a kernel whose code is long: 4000 different multiplications, some 64 KB."""

LONG = """
extern "C" __global__ __launch_bounds__(256) void straight(float* y, const float* x, int n, int extra) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  float a = x[i];
  %s
  y[i] = a;
}
"""


def timed(device: HipDevice, launches: list[list[BoundLaunch]]) -> list[list[float]]:
    """Seconds of `ROUNDS` launches of each, in random order."""
    rng = np.random.default_rng()
    order = [int(one) for _ in range(ROUNDS) for one in rng.permutation(len(launches))]
    seconds: list[list[float]] = [[] for _ in launches]
    device.begin([b""] * len(order), 0)
    for number, one in enumerate(order):
        with device.held():
            if number:
                seconds[order[number - 1]].append(device.result().seconds)
            device.flush_caches()
            device.enqueue(Work(launches[one]))
    seconds[order[-1]].append(device.result().seconds)
    return seconds


def spread(seconds: np.ndarray) -> float:
    """By how much medians of rows differ: their standard deviation, relative to their mean."""
    medians = np.median(seconds, axis=1)
    return float(medians.std() / medians.mean())


def report(device: HipDevice) -> Iterator[str]:
    """A line for each kernel."""
    body = "\n  ".join(f"a = a * {1 - 1e-6 * k:.7f}f + {1e-7 * k:.7f}f;" for k in range(LONG_STEPS))
    code = device.compile(SOURCE + LONG % body, "copies.hip", ["-O3"])
    modules = [device.load(code) for _ in range(COPIES)]
    x, y = (device.allocate(4 * max(case.size for case in CASES)) for _ in range(2))
    device.fill(x, 0x3D, 0, x.size_bytes)
    kernels = [(case.name, case.entry, case.launch()) for case in CASES[:5]]
    kernels.append(("straight code", "straight", CASES[0].launch()))
    for name, entry, launch in kernels:
        args = ((y, 0), (x, 0), *launch.args[2:])
        copies = [
            [BoundLaunch(device.function(module, entry), launch.grid, launch.block, args)]  # type: ignore[arg-type]
            for module in modules
        ]
        timed(device, copies)
        seconds = np.array(timed(device, copies))
        rng, all_of_them = np.random.default_rng(1), seconds.ravel()
        by_chance = [spread(rng.permutation(all_of_them).reshape(seconds.shape)) for _ in range(1000)]
        between, usual, most = spread(seconds), np.median(by_chance), np.quantile(by_chance, 0.99)
        yield (
            f"{name}: {np.median(seconds) * 1e6:.2f} us; copies differ by {100 * between:.3f} %, by chance "
            f"{100 * usual:.3f} % (99 of 100 under {100 * most:.3f} %)"
        )


def main() -> None:
    """Print the lines."""
    device = open_hip()
    assert isinstance(device, HipDevice)
    print(device.info.identity, flush=True)
    for line in report(device):
        print(line, flush=True)
    device.close()


if __name__ == "__main__":
    main()
