"""A source with its host code, and kernels called by their C++ names."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run, write_gates

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
pytest.importorskip("pydemumble", reason="names of templates need the extra 'cpu'")

CONFTEST = """\
import numpy as np

from pytest_greta import Array, Kernel, Launch, Variant


class Scale(Kernel):
    name = "scale"
    variants = [Variant("four", "app.hip", "scale<4>"), Variant("typo", "app.hip", "scale<5>")]

    def inputs(self, problem, rng):
        return {"x": rng.standard_normal(problem.context, np.float32)}

    def outputs(self, problem):
        return {"y": Array((problem.context,), np.float32)}

    def rows(self, problem):
        return (problem.context,)

    def constants(self, problem, variant):
        shift = np.array([(0.5, 3)], np.dtype([("by", "f8"), ("times", "i4")], align=True))
        return {"app::shift": shift, "signs": np.array([1, -1], np.float32)}

    def reference(self, problem, inputs, row):
        return {"y": np.asarray(4.0 * inputs["x"][row] + (1.5 if row[0] % 2 == 0 else -1.5))}

    def launch(self, problem, variant):
        return Launch((-(-problem.context // 64), 1, 1), (64, 1, 1), ("x", "y", np.int32(problem.context)))


def pytest_greta_kernels():
    return [Scale()]
"""

SOURCE = """\
#include <hip/hip_runtime.h>

namespace app {
struct Shift { double by; int times; };
__constant__ Shift shift;
}
__constant__ float signs[2];

template <int factor> __global__ __launch_bounds__(64) void scale(const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (n < 0) printf("%d elements", n);
  if (i < n) y[i] = factor * x[i] + signs[i % 2] * app::shift.times * app::shift.by;
}

int main() {
  float *x, *y;
  if (hipMalloc(&x, 256) != hipSuccess || hipMalloc(&y, 256) != hipSuccess) return 1;
  app::Shift shift = {0.5, 3};
  if (hipMemcpyToSymbol(HIP_SYMBOL(app::shift), &shift, sizeof shift) != hipSuccess) return 1;
  scale<4><<<1, 64>>>(x, y, 64);
  hipLaunchKernelGGL(scale<6>, dim3(1), dim3(64), 0, 0, x, y, 64);
  return hipDeviceSynchronize() == hipSuccess ? 0 : 1;
}
"""

GATES = """\
version: 1
targets: [gfx942]
kernels:
  scale:
    baseline: four
    contexts: {cpu: [200], hip: [4096]}
    gates:
      "*": {scratch_bytes: 0}
"""


@pytest.fixture
def scale(greta: Run, project: pytest.Pytester) -> Run:
    project.makeconftest(CONFTEST)
    (project.path / "app.hip").write_text(SOURCE)
    write_gates(project, GATES)
    return greta


def test_an_instantiation_is_gated_and_launched_by_its_name(scale: Run) -> None:
    result = scale("--greta-variant=four")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        ["*app.hip calls printf, which is left out here for gfx942: *without it; ROCm*"]
    )


def test_constants_that_the_code_has_not_fail_without_a_device(scale: Run, project: pytest.Pytester) -> None:
    wrong = CONFTEST.replace('"signs"', '"sign"')
    for conftest, told in (
        (wrong, "app.hip has no __constant__ variable 'sign'; there is *did you mean signs?*"),
        (CONFTEST.replace("[1, -1]", "[1, -1, 1]"), "app.hip: signs holds 8 bytes, and constants gives 12"),
    ):
        project.makeconftest(conftest)
        result = scale("--greta-variant=four", "-k", "resources")
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines([f"*launchable is true *FAIL ({told})"])


def test_a_name_that_is_not_there_is_told_with_those_that_are(scale: Run) -> None:
    result = scale("--greta-variant=typo")
    result.assert_outcomes(failed=2)
    words = (
        "app.hip has no kernel 'scale<5>' (__global__); there is scale<4>, scale<6>; did you mean scale<*>?"
    )
    result.stdout.fnmatch_lines([f"*{words}*"])
    assert "Traceback" not in result.stdout.str()
