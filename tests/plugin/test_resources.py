"""What is told of resources that are not known, or could be better: as a user sees it."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import REPOSITORY, Run, write_gates

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

CONFTEST = """\
import pathlib, sys

sys.path.insert(0, {repository!r})

from pytest_greta import Variant
from tests.faulty.faulty import Faulty

HERE = pathlib.Path(__file__).parent


class Own(Faulty):
    variants = [
        *(v for v in Faulty.variants if v.name == "good"),
        Variant("recursive", "own.hip", "recursive"),
        Variant("unbounded", "own.hip", "unbounded"),
    ]

    def source_path(self, variant):
        return HERE / variant.file if variant.file == "own.hip" else super().source_path(variant)

    folder = pathlib.Path({repository!r}) / "tests" / "faulty"


def pytest_greta_kernels():
    return [Own()]
"""

SOURCE = """\
#include <hip/hip_runtime.h>

__device__ __attribute__((noinline)) float ways(int n) { return n < 2 ? n : ways(n - 1) + 3 * ways(n - 2); }
extern "C" __global__ __launch_bounds__(64) void recursive(const float* x, float* out, int context) {
  out[threadIdx.x] = ways(context);
}
extern "C" __global__ void unbounded(const float* x, float* out, int context) { out[threadIdx.x] = x[context]; }
"""

GATES = """\
version: 1
targets: [gfx942, gfx9-4-generic, gfx11-generic, gfx1100]
kernels:
  faulty:
    baseline: good
    contexts: {cpu: [256], hip: [4096]}
    gates:
      "*":
        scratch_bytes: 0
        occupancy: [8, {min: 16, targets: [gfx11-generic, gfx1100]}]
        mfma: {max: 0, targets: gfx9-4-generic}
"""


@pytest.fixture
def own(project: pytest.Pytester, greta: Run) -> Run:
    """A project with the kernels of `own.hip`, gated for generic targets too."""
    (project.path / "own.hip").write_text(SOURCE)
    project.makeconftest(CONFTEST.format(repository=str(REPOSITORY)))
    write_gates(project, GATES)
    return greta


def test_a_stack_without_bounds_is_not_measured(own: Run) -> None:
    result = own("--greta-variant=recursive", "-k", "resources", "--greta-target=gfx942")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "*scratch_bytes <= 0 *NOT MEASURED [[]?]",
            "*the stack of recursive has no known size (.uses_dynamic_stack): *",
        ]
    )


def test_small_blocks_of_code_for_large_ones_have_a_note(own: Run) -> None:
    result = own("--greta-variant=unbounded", "-k", "resources")
    result.assert_outcomes(passed=4)
    (note,) = [line for line in result.outlines if line.startswith("note: ")]  # of four targets
    assert note == (
        "note: unbounded is compiled for blocks of up to 1024 threads and launched with at most 64: "
        "__launch_bounds__(64) leaves each thread more registers"
    )
    assert "note: " not in own("--greta-variant=good", "-k", "resources").stdout.str()


def test_generic_targets_are_gated_like_any_other(own: Run) -> None:
    result = own("--greta-variant=good", "-k", "resources", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_resources?good-gfx9-4-generic? PASSED*"])
    result.stdout.fnmatch_lines(["*mfma <= 0 *0 (gfx9-4-generic)*PASS"])
    result.stdout.fnmatch_lines(["*occupancy >= 16 *16 (gfx11-generic, gfx1100)*PASS"])
