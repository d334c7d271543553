"""Structs and vectors by value, through the worker to the cpu device; and one of another size, told without a GPU."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run, write_gates

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

CONFTEST = """\
import numpy as np

from pytest_greta import Array, Kernel, Launch, Variant

PARAMS = np.dtype([("n", "i4"), ("scale", "f4"), ("shift", "f8")], align=True)


class Scale(Kernel):
    name = "scale"
    variants = [Variant("right", "scale.hip", "scale"), Variant("wrong", "scale.hip", "scale")]

    def inputs(self, problem, rng):
        return {"x": rng.standard_normal(problem.context, np.float32)}

    def outputs(self, problem):
        return {"y": Array((problem.context,), np.float32)}

    def rows(self, problem):
        return (problem.context,)

    def reference(self, problem, inputs, row):
        return {"y": np.asarray(2.0 * inputs["x"][row] + 10.0 + (row[0] % 4 + 1))}

    def launch(self, problem, variant):
        params = np.array((problem.context, 2.0, 10.0), PARAMS)[()]
        vector = np.array([1, 2, 3, 4], np.float32 if variant.name == "right" else np.float64)
        return Launch((-(-problem.context // 64), 1, 1), (64, 1, 1), ("x", params, vector, "y"))


def pytest_greta_kernels():
    return [Scale()]
"""

SOURCE = """\
#include <hip/hip_runtime.h>

struct Params { int n; float scale; double shift; };

extern "C" __global__ __launch_bounds__(64) void scale(const float* x, Params p, float4 v, float* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const float add = i % 4 == 0 ? v.x : i % 4 == 1 ? v.y : i % 4 == 2 ? v.z : v.w;
  if (i < p.n) y[i] = p.scale * x[i] + (float)p.shift + add;
}
"""

GATES = """\
version: 1
targets: [gfx942]
kernels:
  scale:
    baseline: right
    contexts: {cpu: [200], hip: [4096]}
    gates:
      "*": {scratch_bytes: 0, max_error: 1.0e-5}
"""


@pytest.fixture
def scale(greta: Run, project: pytest.Pytester) -> Run:
    project.makeconftest(CONFTEST)
    (project.path / "scale.hip").write_text(SOURCE)
    write_gates(project, GATES)
    return greta


def test_structs_and_vectors_arrive(scale: Run) -> None:
    scale("--greta-variant=right").assert_outcomes(passed=2)


def test_an_argument_of_another_size_fails_the_resource_test(scale: Run) -> None:
    result = scale("--greta-variant=wrong", "-k", "resources")
    result.assert_outcomes(failed=1)
    wrong = "scale: argument 3 is float64 [[]1. 2. 3. 4.[]] of 32 bytes; the kernel takes a value of 16 bytes"
    result.stdout.fnmatch_lines(
        [f"built-in  wrong @ *  launchable is true   measured false   FAIL ({wrong})"]
    )


def test_a_run_with_too_few_arguments_says_so_on_the_cpu_too(scale: Run, project: pytest.Pytester) -> None:
    path = project.path / "conftest.py"
    text = path.read_text()
    assert ', vector, "y")' in text
    path.write_text(text.replace(', vector, "y")', ', "y")'))
    result = scale("--greta-variant=right", "-k", "run")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no_fault is true * FAIL (scale takes * arguments, and * are passed)"])


def test_a_block_above_the_launch_bounds_fails_its_resources_and_loses_no_verdict(greta: Run) -> None:
    result = greta("--greta-variant=block_too_large")
    result.assert_outcomes(failed=1, passed=1)
    wrong = "good: launched with 1024 threads a block, compiled for at most 64 (__launch_bounds__)"
    result.stdout.fnmatch_lines([f"*block_too_large @ gfx942  launchable is true * FAIL ({wrong})"])
    assert "Traceback" not in result.stdout.str()
