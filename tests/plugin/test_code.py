"""Code compiled elsewhere, as a user sees it: gated for the targets it holds, left out where it is for another."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler
from tests.plugin.conftest import REPOSITORY, Run, write_gates

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

CONFTEST = """\
import pathlib, sys

sys.path.insert(0, {repository!r})

from pytest_greta import Variant
from tests.faulty.faulty import Faulty

HERE = pathlib.Path(__file__).parent


class Binary(Faulty):
    variants = [*(v for v in Faulty.variants if v.name == "good"), Variant("binary", code={code!r}, entry="good")]

    def source_path(self, variant):
        return HERE / variant.code if variant.code else super().source_path(variant)

    folder = pathlib.Path({repository!r}) / "tests" / "faulty"


def pytest_greta_kernels():
    return [Binary()]
"""

GATES = """\
version: 1
targets: [gfx942, gfx1100]
kernels:
  faulty:
    baseline: {baseline}
    contexts: {{cpu: [256], hip: [4096]}}
    gates:
      "*": {{scratch_bytes: 0, vgprs: {vgprs}, speedup: {{min: 0.001, devices: [cpu]}}}}
"""


@pytest.fixture
def binary(project: pytest.Pytester, code_cache: Path) -> pytest.Pytester:
    """A project whose variant `binary` is code for gfx942."""
    compiler = Compiler(code_cache, 1)
    made = compiler.compile(Job(REPOSITORY / "tests" / "faulty" / "good.hip", "gfx942"))
    compiler.close()
    (project.path / "good.hsaco").write_bytes(made.code)
    project.makeconftest(CONFTEST.format(repository=str(REPOSITORY), code="good.hsaco"))
    write_gates(project, GATES.format(baseline="good", vgprs=128))
    return project


@pytest.mark.usefixtures("binary")
def test_it_is_gated_for_the_target_that_it_holds(greta: Run) -> None:
    result = greta("--greta-variant=binary", "-v")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*test_resources?binary-gfx942? PASSED*"])
    reason = "variant binary is good.hsaco, code for gfx942"
    result.stdout.fnmatch_lines(["*NOT MEASURED*", f"*{reason}; the device is spirv64"])
    result.stdout.fnmatch_lines([f"left out: faulty binary @ gfx1100: {reason}"])


def test_its_bytes_are_what_is_gated(greta: Run, binary: pytest.Pytester) -> None:
    write_gates(binary, GATES.format(baseline="good", vgprs=1))
    result = greta("--greta-variant=binary", "-k", "resources")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*binary @ gfx942  vgprs <= 1*measured 6*FAIL"])


def test_as_a_baseline_it_is_missing_on_the_cpu(greta: Run, binary: pytest.Pytester) -> None:
    write_gates(binary, GATES.format(baseline="binary", vgprs=128))
    result = greta("--greta-variant=good", "-k", "test_run")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*speedup*NOT MEASURED*", "*the baseline binary cannot run here: *is good.hsaco, code for gfx942"]
    )


def test_a_file_that_is_none_is_a_mistake(greta: Run, binary: pytest.Pytester) -> None:
    (binary.path / "good.hsaco").write_bytes(b"text")
    result = greta()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: conftest.py: kernel 'faulty': variant 'binary': good.hsaco: is no code object: neither *"]
    )
    (binary.path / "good.hsaco").unlink()
    greta().stderr.fnmatch_lines(["ERROR: *variant 'binary': there is no code *good.hsaco"])
