"""How often one wrong element, or one wrong row of one head, is found: each run has it at another random place.

    python benchmarks/one_wrong.py --runs 100

Two kernels on the cpu device: README's `scale` with 65536 elements and no baseline but itself, once with the reference
of the whole output and once by row; and rows of 4 numbers of 32 heads x 4096, with a right baseline.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = """\
#include <hip/hip_runtime.h>

extern "C" __global__ __launch_bounds__(256) void scale(const float* x, float* y, int n, int first, int last) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = (i >= first && i < last ? 3.1f : 3.0f) * x[i];
}
"""

CONFTEST = """\
import os

import numpy as np

from pytest_greta import Array, Kernel, Launch, Variant

PLACE = int(os.environ["PLACE"])


class Scale(Kernel):
    name = "scale"
    variants = [Variant("wrong", "scale.hip", "scale")]
    extent, width = (65536,), 1

    def shape(self):
        return self.extent if self.width == 1 else (*self.extent, self.width)

    def inputs(self, problem, rng):
        return {"x": rng.standard_normal(self.shape(), np.float32)}

    def outputs(self, problem):
        return {"y": Array(self.shape(), np.float32)}

    def rows(self, problem):
        return self.extent

    def reference(self, problem, inputs, row):
        return {"y": 3.0 * inputs["x"][row].astype(np.float64)}

    def launch(self, problem, variant):
        n = int(np.prod(self.shape()))
        first, last = (0, 0) if variant.name == "right" else (PLACE * self.width, (PLACE + 1) * self.width)
        return Launch((n // 256, 1, 1), (256, 1, 1), ("x", "y", np.int32(n), np.int32(first), np.int32(last)))


class Whole(Scale):
    name = "whole"

    def reference_all(self, problem, inputs):
        return {"y": 3.0 * inputs["x"].astype(np.float64)}


class Heads(Scale):
    name = "heads"
    variants = [Variant("right", "scale.hip", "scale"), Variant("wrong", "scale.hip", "scale")]
    extent, width = (32, 4096), 4


def pytest_greta_kernels():
    return [Scale(), Whole(), Heads()]
"""

GATES = """\
version: 1
targets: [gfx942]
kernels:
  scale: {baseline: wrong, contexts: {cpu: 65536}}
  whole: {baseline: wrong, contexts: {cpu: 65536}}
  heads: {baseline: right, contexts: {cpu: 4096}}
"""

TESTS = """\
import pytest


@pytest.mark.greta("{kernel}")
def test_{kernel}(greta_run):
    greta_run.check()
"""

KERNELS = {"scale": 65536, "whole": 65536, "heads": 32 * 4096}


def main() -> None:
    """Count the runs in which each was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100)
    runs: int = parser.parse_args().runs
    places = random.Random(0)
    found = dict.fromkeys(KERNELS, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scale.hip").write_text(SOURCE)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "gates.yaml").write_text(GATES)
        for kernel in KERNELS:
            (folder / f"test_{kernel}.py").write_text(TESTS.format(kernel=kernel))
        for number in range(runs):
            for kernel, rows in KERNELS.items():
                options = (f"test_{kernel}.py", "--greta-variant=wrong", "--greta-rounds=3", "-q")
                environment = {**os.environ, "PLACE": str(places.randrange(rows))}
                command = [sys.executable, "-m", "pytest", *options]
                done = subprocess.run(
                    command, cwd=folder, env=environment, capture_output=True, text=True, check=False
                )
                lines = [n for n in done.stdout.splitlines() if "max_error" in n and " FAIL (" in n]
                found[kernel] += done.returncode == 1 and bool(lines)
            if number % 10 == 9:
                print(f"after {number + 1} runs: {found}", flush=True)
    for kernel, count in found.items():
        print(f"{kernel}: found in {count} of {runs} runs")


if __name__ == "__main__":
    main()
