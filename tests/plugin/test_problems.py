"""Problems with several axes, as a user sees them: names of tests, options, what is left out, gates with `where`."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import Run, write_gates

KERNEL = """\
import numpy as np

from pytest_greta import Array, Kernel, Launch, Variant


class {name}(Kernel):
    name = "{kernel}"
    sizes = {{"rows": 2, "dtype": "fp32"}}
    variants = [
        Variant("simple", "{kernel}.hip", "scale"),
        Variant("short", "{kernel}.hip", "scale", max_context=64),
        Variant("cdna", "{kernel}.hip", "scale", targets=["gfx942"]),
    ]

    def inputs(self, problem, rng):
        return {{"x": rng.standard_normal((problem["rows"], problem.context), np.float32)}}

    def outputs(self, problem):
        return {{"y": Array((problem["rows"], problem.context), np.float32)}}

    def rows(self, problem):
        return (problem["rows"], problem.context)

    def reference(self, problem, inputs, row):
        return {{"y": {factor} * inputs["x"][row].astype(np.float64)}}

    def refuses(self, problem, variant):
        return "bf16 is for later" if problem.text("dtype") == "bf16" else ""

    def launch(self, problem, variant):
        n = problem["rows"] * problem.context
        return Launch((-(-n // 64), 1, 1), (64, 1, 1), ("x", "y", np.int32(n)))


def pytest_greta_kernels():
    return [{name}()]
"""

SOURCE = """\
#include <hip/hip_runtime.h>

extern "C" __global__ __launch_bounds__(64) void scale(const float* x, float* y, int n) {{
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = {factor}.0f * x[i];
}}
"""

TESTS = """\
import pytest


@pytest.mark.greta("{kernel}")
def test_{kernel}_resources(greta_code):
    greta_code.check()


@pytest.mark.greta("{kernel}")
def test_{kernel}(greta_run, greta_context, greta_problem):
    assert greta_problem.context == greta_context
    greta_run.check()
"""

GATES = """\
version: 1
targets: [gfx942, gfx1100]
kernels:
  one:
    baseline: simple
    problems:
      cpu: [64, {context: [64, 128], rows: 3}, {context: 64, dtype: bf16}]
      hip: [4096]
    gates:
      "*":
        vgprs: 16
        max_error: [1.0e-6, {max: 1.0e-5, where: {rows: 3}}]
"""


def write_kernel(project: pytest.Pytester, folder: str, name: str, factor: int) -> None:
    """A kernel `name` in a folder's own conftest.py, with its source and its tests."""
    path = project.path / folder
    path.mkdir(exist_ok=True)
    (path / "conftest.py").write_text(KERNEL.format(name=name.capitalize(), kernel=name, factor=factor))
    (path / f"{name}.hip").write_text(SOURCE.format(factor=factor))
    (path / f"test_{name}.py").write_text(TESTS.format(kernel=name))


@pytest.fixture
def one(greta: Run, project: pytest.Pytester) -> Run:
    """A project with the kernel `one` in its root."""
    (project.path / "test_gates.py").unlink()
    write_kernel(project, ".", "one", 3)
    write_gates(project, GATES)
    return greta


def names(result: pytest.RunResult) -> list[str]:
    """The names of the collected runs."""
    return [line.partition("test_one[")[2].rstrip("]") for line in result.outlines if "test_one[" in line]


def test_tests_are_named_after_what_was_set(one: Run) -> None:
    result = one("--collect-only", "-q", "--greta-variant=simple")
    assert names(result) == ["simple-64", "simple-64-rows3", "simple-128-rows3"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--greta-ctx=128"], ["128", "128-rows3"]),
        (["--greta-ctx=32"], ["32", "32-rows3"]),
        (["--greta-axis=rows=3"], ["64-rows3", "128-rows3"]),
        (["--greta-axis=rows=2"], ["64"]),
        (["--greta-axis=rows=5", "--greta-ctx=64"], ["64-rows5"]),
    ],
)
def test_options_take_listed_problems_or_replace_values(
    one: Run, options: list[str], expected: list[str]
) -> None:
    result = one("--collect-only", "-q", "--greta-variant=simple", *options)
    assert names(result) == [f"simple-{name}" for name in expected]


def test_what_cannot_run_is_left_out_with_its_reason(one: Run) -> None:
    result = one("--greta-variant=short", "-k", "test_one[")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "left out: one short @ 64-bf16: bf16 is for later",
            "left out: one short @ 128-rows3: it processes at most 64*",
        ]
    )


def test_a_context_and_a_variant_that_were_both_named_are_a_mistake(one: Run) -> None:
    result = one("--greta-variant=short", "--greta-ctx=128")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --greta-ctx: context 128: variant 'short' *cannot run it: *at most 64*"]
    )


def test_an_axis_of_numbers_takes_no_text(one: Run) -> None:
    result = one("--greta-axis=rows=many")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --greta-axis: axis 'rows' of kernel * is a number such as *, not 'many'"]
    )


def test_gates_apply_where_they_say(one: Run, project: pytest.Pytester) -> None:
    write_gates(project, GATES.replace("max: 1.0e-5", "max: 1.0e-9"))  # fp32 is not as exact
    result = one("--greta-variant=simple", "-k", "test_one[")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*simple @ 64-rows3  max_error <= 1.00e-09   measured * FAIL*",
            "*max_error <= 1.00e-06 * (64) *PASS",
        ]
    )


def test_a_variant_for_one_target_is_compiled_for_no_other(one: Run) -> None:
    result = one("--greta-variant=cdna")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(["*NOT MEASURED*", "*variant cdna is for gfx942; the device is spirv64*"])


def test_with_no_gpu_a_family_for_hip_alone_still_has_its_resources_gated(
    one: Run, project: pytest.Pytester
) -> None:
    write_gates(
        project,
        GATES.replace(
            "      cpu: [64, {context: [64, 128], rows: 3}, {context: 64, dtype: bf16}]\n", ""
        ).replace("where: {rows: 3}", "contexts: 4096"),
    )
    result = one("--greta-variant=simple", "--greta-device=cpu", "-rs")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["*lists problems of kernel 'one' for hip alone*"])
    required = one("--greta-variant=simple", "--greta-require=cpu")
    required.assert_outcomes(passed=2, failed=1)


def test_kernels_of_two_conftests_find_their_own_sources(greta: Run, project: pytest.Pytester) -> None:
    (project.path / "test_gates.py").unlink()
    (project.path / "conftest.py").unlink()
    write_kernel(project, "a", "one", 3)
    write_kernel(project, "b", "two", 5)
    kernels = GATES[GATES.index("  one:") :]
    write_gates(project, GATES + kernels.replace("  one:", "  two:"))
    greta("--greta-variant=simple", "-k", "64").assert_outcomes(passed=4)
    # Also when pytest is called for one folder, whose kernels alone it loads.
    greta("b", "--greta-variant=simple", "-k", "64").assert_outcomes(passed=2)


def test_of_several_kernels_a_failed_verdict_says_which(greta: Run, project: pytest.Pytester) -> None:
    (project.path / "test_gates.py").unlink()
    (project.path / "conftest.py").unlink()
    write_kernel(project, "a", "one", 3)
    write_kernel(project, "b", "two", 5)
    kernels = GATES[GATES.index("  one:") :].replace("vgprs: 16", "vgprs: 0")
    write_gates(project, GATES + kernels.replace("  one:", "  two:"))
    result = greta("--greta-variant=simple", "--greta-target=gfx942", "-k", "resources")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "gates.yaml:*  two simple @ gfx942  vgprs <= 0   measured * FAIL",
            "FAILED b/test_two.py::test_two_resources[[]simple-gfx942[]] - vgprs *",
        ]
    )


def test_a_kernel_that_k_deselects_raises_no_complaint(greta: Run, project: pytest.Pytester) -> None:
    (project.path / "test_gates.py").unlink()
    (project.path / "conftest.py").unlink()
    write_kernel(project, "a", "one", 3)
    write_kernel(project, "b", "two", 5)
    write_gates(project, GATES + "  two: {baseline: simple}\n")
    assert greta().ret == pytest.ExitCode.USAGE_ERROR
    result = greta("-k", "test_one and simple-64 and not rows3")
    result.assert_outcomes(passed=1)
