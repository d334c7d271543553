"""AMD's runtime and compiler, as far as they go without a GPU: versions, what they refuse, and what greta says then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.compiler.codeobject import read_resources
from pytest_greta.compiler.includes import BUILT_IN_HEADERS
from pytest_greta.device.hip import open_hip
from pytest_greta.device.hiprtc import compile_source
from pytest_greta.errors import CompileError, DeviceUnavailable
from tests.rocm.names import ROOT

KERNEL = 'extern "C" __global__ void k(float* out) { out[threadIdx.x] = __expf(out[threadIdx.x]); }\n'


def compile_for(hiprtc: Any, source: str, *options: str, target: str = "gfx90a") -> bytes:
    return compile_source(hiprtc, source, "k.hip", [f"--offload-arch={target}", *options])


def refusal(hiprtc: Any, source: str, *options: str) -> str:
    with pytest.raises(CompileError) as caught:
        compile_for(hiprtc, source, *options)
    return str(caught.value)


def test_the_version_is_told(hiprtc: Any) -> None:
    status, major, minor = hiprtc.hiprtcVersion()
    assert status.value == 0
    assert major > 0
    assert minor >= 0


@pytest.mark.usefixtures("hiprtc")
def test_a_runtime_without_a_gpu_is_no_device_with_a_reason() -> None:
    from hip import hip

    runtime: Any = hip
    status, count = runtime.hipGetDeviceCount()
    if count:
        pytest.skip("there is a GPU")
    assert status.name == "hipErrorNoDevice"
    with pytest.raises(DeviceUnavailable, match=r"^no HIP device: .+"):
        open_hip()


def test_code_is_for_the_target_asked_for(hiprtc: Any, target: str) -> None:
    (taken,) = read_resources(compile_for(hiprtc, KERNEL, target=target)).values()
    assert taken.name == "k"
    assert taken.wave_size == (64 if target.startswith("gfx9") else 32)


def test_an_error_names_the_source_and_its_line(hiprtc: Any) -> None:
    log = refusal(hiprtc, "// one\n// two\n__global__ void k(int* out) { *out = missing; }\n")
    assert log.startswith("k.hip:3:")
    assert "error: use of undeclared identifier 'missing'" in log
    assert "comgr" not in log


def test_an_error_in_a_header_names_the_header(hiprtc: Any, tmp_path: Path) -> None:
    (tmp_path / "part.h").write_text("int broken = missing;\n")
    log = refusal(hiprtc, f'#include "part.h"\n{KERNEL}', f"-I{tmp_path}")
    assert "In file included from k.hip:1:" in log
    assert str(tmp_path / "part.h") in log


def test_an_option_that_it_does_not_know_is_named(hiprtc: Any) -> None:
    assert "--nonsense" in refusal(hiprtc, KERNEL, "--nonsense")


def test_definitions_reach_the_compiler(hiprtc: Any) -> None:
    checked = "static_assert(VALUE == 42);\n" + KERNEL
    assert compile_for(hiprtc, checked, "-DVALUE=42", "-std=c++17")
    assert "VALUE" in refusal(hiprtc, checked, "-std=c++17")


@pytest.mark.usefixtures("hiprtc")
def test_an_unknown_target_ends_no_more_than_its_process() -> None:
    """Some releases refuse it, some abort: why sources are compiled in the worker."""
    program = (
        "from hip import hiprtc\n"
        "from pytest_greta.device.hiprtc import compile_source\n"
        "from pytest_greta.errors import CompileError\n"
        "try:\n"
        f"    compile_source(hiprtc, {KERNEL!r}, 'k.hip', ['--offload-arch=gfx9999'])\n"
        "except CompileError:\n"
        "    raise SystemExit(3)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 3 or done.returncode < 0, done.stderr


@pytest.mark.parametrize("header", sorted(BUILT_IN_HEADERS))
def test_what_is_built_in_may_be_included_by_a_source_and_its_headers(
    hiprtc: Any, header: str, tmp_path: Path
) -> None:
    (tmp_path / "part.h").write_text(f"#include <{header}>\n")
    assert compile_for(hiprtc, f"#include <{header}>\n{KERNEL}")
    assert compile_for(hiprtc, f'#include "part.h"\n{KERNEL}', f"-I{tmp_path}")


def test_other_headers_of_hip_come_from_rocms_folder(hiprtc: Any) -> None:
    source = (
        "#include <hip/hip_runtime.h>\n#include <hip/hip_bf16.h>\n"
        'extern "C" __global__ void k(float* out) { out[0] = __bfloat162float(__float2bfloat16(out[1])); }\n'
    )
    if not Path(os.environ.get("ROCM_PATH", "/opt/rocm"), "include/hip/hip_bf16.h").exists():
        pytest.skip("ROCm's headers are not installed")
    assert compile_for(hiprtc, source, "-std=c++17")


def test_a_header_that_is_nowhere_gets_no_advice(hiprtc: Any) -> None:
    log = refusal(hiprtc, f"#include <mine/nowhere.h>\n{KERNEL}")
    assert "'mine/nowhere.h' file not found" in log
    assert "__HIPCC_RTC__" not in log


@pytest.mark.parametrize("name", ["math.h", "cmath", "float.h", "cfloat", "limits.h", "stdint.h", "vector"])
def test_a_library_header_is_refused_with_the_way_out(hiprtc: Any, name: str) -> None:
    log = refusal(hiprtc, f"#include <hip/hip_runtime.h>\n#include <{name}>\n{KERNEL}")
    assert log.splitlines()[-1] == (
        f"hiprtc has no C or C++ library headers (<{name}>): leave it out there with #if !defined(__HIPCC_RTC__)"
    )
    assert compile_for(hiprtc, f"#if !defined(__HIPCC_RTC__)\n#include <{name}>\n#endif\n{KERNEL}")


def test_nothing_of_the_machine_is_read_without_being_named(
    hiprtc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hidden.h").write_text("")
    for name in ("linux/limits.h", "features.h", "hidden.h"):
        log = refusal(hiprtc, f"#include <{name}>\n{KERNEL}", "-nostdinc")
        assert f"'{name}' file not found" in log
    assert compile_for(hiprtc, f"#include <hip/hip_runtime.h>\n{KERNEL}", "-nostdinc")
    # Why the worker has no such variables (READ_BY_COMPILERS):
    monkeypatch.setenv("CPATH", str(tmp_path))
    assert compile_for(hiprtc, f"#include <hidden.h>\n{KERNEL}", "-nostdinc")
