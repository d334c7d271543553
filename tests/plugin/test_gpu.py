"""The plugin on a real GPU: an AMD one, or an NVIDIA one under tests/hip_on_cuda. Skips, and says why, without one.

With GRETA_TEST_REQUIRE=hip a missing GPU is a failure.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_greta.device import DeviceInfo
from pytest_greta.device.worker import Worker
from pytest_greta.errors import DeviceUnavailable
from tests.plugin.conftest import GATES, Run, write_gates


@pytest.fixture(scope="session")
def gpu(code_cache: Path) -> DeviceInfo | str:
    """The GPU, or why there is none; found out in another process, which keeps this one free of the driver."""
    try:
        worker = Worker("hip", code_cache)
    except DeviceUnavailable as error:
        return str(error)
    worker.close()
    return worker.info


@pytest.fixture
def on_gpu(greta: Run, gpu: DeviceInfo | str) -> Run:
    """Run the project's runs on the GPU."""
    if isinstance(gpu, str):
        assert os.environ.get("GRETA_TEST_REQUIRE") != "hip", gpu
        pytest.skip(gpu)
    return lambda *options: greta("--greta-device=hip", "-k", "test_run", *options)


def failure(result: pytest.RunResult) -> str:
    """The text of the one failing test, beside the good one that runs after it."""
    result.assert_outcomes(failed=1, passed=1)
    text = result.stdout.str()
    return text[text.index("= FAILURES =") :]


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (
            "crashes",
            "hipErrorIllegalAddress|the worker process died of SIG",
        ),  # AMD's runtime ends the process
        ("endless", "the process was killed"),
        ("out_of_memory", "hipErrorOutOfMemory"),
        ("block_too_large", "hipErrorInvalid|hipErrorLaunchOutOfResources|compiled for 64"),
        ("missing_entry", "not_in_good"),
        ("does_not_compile", "does_not_compile.hip"),
        ("noop", "4096 of 4096 elements of 'out' were not written"),
        ("skips_last_row", "1 of 4096 elements of 'out' were not written"),
        ("half_written", "2048 of 4096 elements of 'out' were not written"),
        ("writes_past_end", "past the end of 'out'"),
        ("writes_before_start", "before 'out'"),
        ("modifies_input", "bytes of 'x' were modified"),
        ("returns_nan", "measured inf"),
        ("truncates", "max_error <= 1.00e-04"),
        ("nondeterministic", "differ between two launches"),
    ],
)
def test_a_fault_fails_its_test_and_the_next_one_passes(
    project: pytest.Pytester, on_gpu: Run, variant: str, message: str
) -> None:
    write_gates(project, GATES.replace("        scratch_bytes: 0\n", ""))  # printf takes scratch on some GPUs
    # Variants run in the order of their class, where `prints` stands last.
    text = failure(on_gpu(f"--greta-variant={variant},prints", "--greta-deadline=5"))
    assert re.search(message, text)
    assert "Traceback" not in text


@pytest.fixture
def on_timed_gpu(on_gpu: Run, gpu: DeviceInfo | str) -> Run:
    """The same, where times mean something."""
    if isinstance(gpu, DeviceInfo) and gpu.emulated:
        pytest.skip("an emulated GPU: its times mean nothing")
    return on_gpu


def test_a_slow_kernel_fails_its_speedup_gate(project: pytest.Pytester, on_timed_gpu: Run) -> None:
    write_gates(project, GATES + "        speedup: 0.9\n")
    result = on_timed_gpu("--greta-variant=slow", "--benchmark-json=run.json")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["gates.yaml:15  slow @ 4096  speedup >= 0.90   measured 0.* FAIL*"])
    (entry,) = json.loads((project.path / "run.json").read_text())["benchmarks"]
    assert entry["extra_info"]["device"].startswith("hip: ")
    assert entry["extra_info"]["quantities"]["vram_bytes"] > 0


def test_the_code_that_runs_is_gated_before_it_is_launched(project: pytest.Pytester, on_gpu: Run) -> None:
    write_gates(project, GATES.replace("vgprs: 128", "vgprs: 1"))
    result = on_gpu("--greta-variant=good")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["gates.yaml:12  good @ *  vgprs <= 1   measured * FAIL*", "it was not launched"]
    )


def test_serialised_launches_are_not_timed(project: pytest.Pytester, on_timed_gpu: Run) -> None:
    write_gates(project, GATES + "        speedup: 0.01\n")
    result = on_timed_gpu("--greta-variant=slow", "--greta-serialize")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["device hip: *, serialised", "*speedup*NOT MEASURED*", "*launches are serialised*"]
    )


def test_an_emulated_gpu_is_verified_and_not_timed(
    project: pytest.Pytester, on_gpu: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library of the emulator's name in the worker makes any GPU an emulated one."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler makes the library")
    library = project.path / "librocjitsu.so"
    subprocess.run([compiler, "-shared", "-x", "c", "/dev/null", "-o", str(library)], check=True)
    write_gates(project, GATES + "        speedup: 0.9\n")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    result = on_gpu("--greta-variant=slow", "--benchmark-json=run.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*device: hip: *, emulated*", "*speedup >= 0.90 *NOT MEASURED*"])
    (entry,) = json.loads((project.path / "run.json").read_text())["benchmarks"]
    assert entry["stats"]["rounds"] == 1


FACTORS = """\
import numpy as np
from pytest_greta import Array, Kernel, Launch, Variant


class Scale(Kernel):
    name = "scale"
    variants = (Variant("plain", "scale.hip", "scale"),)

    def inputs(self, problem, rng):
        return {"x": rng.random(problem.context, np.float32)}

    def outputs(self, problem):
        return {"y": Array((problem.context,), np.float32)}

    def rows(self, problem):
        return (problem.context,)

    def constants(self, problem, variant):
        return {"factors": np.arange(1, FACTORS + 1, dtype=np.float32)}

    def launch(self, problem, variant):
        return Launch((problem.context // 64, 1, 1), (64, 1, 1), ("x", "y"))

    def reference_all(self, problem, inputs):
        return {"y": inputs["x"].astype(np.float64) * (np.arange(problem.context) % 4 + 1)}


def pytest_greta_kernels():
    return [Scale()]
"""


@pytest.mark.parametrize(("factors", "message"), [(4, ""), (5, "factors holds 16 bytes, not 20")])
def test_constants_are_there_when_a_kernel_runs(
    project: pytest.Pytester, on_gpu: Run, factors: int, message: str
) -> None:
    project.makeconftest(FACTORS.replace("FACTORS + 1", f"{factors} + 1"))
    (project.path / "scale.hip").write_text(
        "#include <hip/hip_runtime.h>\n"
        "__constant__ float factors[4];\n"
        'extern "C" __global__ __launch_bounds__(64) void scale(const float* x, float* y) {\n'
        "  const int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
        "  y[i] = factors[i % 4] * x[i];\n"
        "}\n"
    )
    scale = "{baseline: plain, contexts: {hip: [4096]}, gates: {'*': {max_error: 1.0e-6}}}"
    gates = f"{{version: 1, kernels: {{scale: {scale}}}}}"
    write_gates(project, gates)
    result = on_gpu()
    if message:
        result.assert_outcomes(failed=1)
        result.stdout.re_match_lines([f".*({re.escape(message)}|constants gives 20).*"])
    else:
        result.assert_outcomes(passed=1)
