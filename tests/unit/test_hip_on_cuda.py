"""The rig of tests/hip_on_cuda without a GPU: layouts and numbers are HIP's, it compiles all kernels.

Layouts and numbers are compared with hip-python's, which must be installed. The rest needs a C++ compiler,
CUDA's headers and libnvrtc (README.md there), and skips without them.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_greta.device.hip_bindings import text

hip: Any = pytest.importorskip("hip", reason="hip-python is not installed").hip

ROOT = Path(__file__).resolve().parents[2]
RIG = ROOT / "tests" / "hip_on_cuda"
HEADER = RIG / "hip_on_cuda.h"
SKIP_RIG_BUILD = shutil.which("g++") is None

NUMBERS = {
    "totalGlobalMem": 8,
    "sharedMemPerBlock": 8,
    "regsPerBlock": 4,
    "warpSize": 4,
    "maxThreadsPerBlock": 4,
    "clockRate": 4,
    "major": 4,
    "minor": 4,
    "multiProcessorCount": 4,
    "pciBusID": 4,
    "pciDeviceID": 4,
    "pciDomainID": 4,
    "l2CacheSize": 4,
    "sharedMemPerMultiprocessor": 8,
    "sharedMemPerBlockOptin": 8,
    "reservedSharedMemPerBlock": 8,
    "maxSharedMemoryPerMultiProcessor": 8,
    "clockInstructionRate": 4,
}
"""Members of the property struct that are integers, with their size in bytes."""


def load_build() -> ModuleType:
    """The rig's build script as a module."""
    spec = importlib.util.spec_from_file_location("hip_on_cuda_build", RIG / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def offsets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Offset of every member in the rig's struct, as the C++ compiler lays it out, and `sizeof`."""
    if SKIP_RIG_BUILD:
        pytest.skip("no C++ compiler (g++)")
    members = ["name", *NUMBERS, "gcnArchName"]
    lines = [f'  std::printf("{m} %zu\\n", offsetof(HipDeviceProperties, {m}));' for m in members]
    lines.append('  std::printf("sizeof %zu\\n", sizeof(HipDeviceProperties));')
    folder = tmp_path_factory.mktemp("layout")
    (folder / "layout.cpp").write_text("\n".join(['#include "hip_on_cuda.h"', "int main() {", *lines, "}"]))
    command = [
        "g++",
        "-std=c++17",
        f"-I{RIG}",
        "-o",
        str(folder / "layout"),
        str(folder / "layout.cpp"),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    printed = subprocess.run([str(folder / "layout")], check=True, capture_output=True, text=True).stdout
    return {name: int(offset) for name, offset in (line.split() for line in printed.splitlines())}


def test_the_property_struct_has_hips_layout(offsets: dict[str, int]) -> None:
    properties = hip.hipDeviceProp_t()
    assert offsets["sizeof"] == properties.c_sizeof()
    for i, (member, size_bytes) in enumerate(NUMBERS.items(), start=1):
        value = (i * 1_000_003).to_bytes(size_bytes, "little")
        ctypes.memmove(int(properties) + offsets[member], value, size_bytes)
    ctypes.memmove(int(properties) + offsets["name"], b"a product\0", 10)
    ctypes.memmove(int(properties) + offsets["gcnArchName"], b"sm_90\0", 6)
    for i, member in enumerate(NUMBERS, start=1):
        assert getattr(properties, member) == i * 1_000_003, member
    assert text(properties.name) == "a product"
    assert text(properties.gcnArchName) == "sm_90"


def test_error_numbers_are_hips() -> None:
    numbers = re.findall(r"^  (hip\w+) = (\d+),$", HEADER.read_text(), re.MULTILINE)
    assert len(numbers) > 20
    for name, number in numbers:
        assert getattr(hip.hipError_t, name).value == int(number), name


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the built libraries."""
    build = load_build()
    if SKIP_RIG_BUILD:
        pytest.skip("no C++ compiler (g++)")
    try:
        build.cuda_home()
    except SystemExit as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("rig")
    build.build(folder)
    return folder


CONSTANTS = {
    "hipFunction_attribute",
    "hipHostMallocCoherent",
    "hipHostMallocMapped",
    "hipStreamCaptureMode",
}


def test_the_libraries_have_every_call_that_the_device_makes(rig: Path) -> None:
    source = "".join(path.read_text() for path in (ROOT / "pytest_greta/device").glob("hip*.py"))
    calls = set(re.findall(r"\b(?:_?hip|_?hiprtc|rtc)\.(hip[A-Z]\w+|hiprtc[A-Z]\w+)", source)) - {
        "hipDeviceProp_t"
    }
    assert {"hipMalloc", "hiprtcCompileProgram", "hipModuleLaunchKernel"} <= calls
    for call in calls:
        if call in CONSTANTS:
            continue
        library = ctypes.CDLL(str(rig / ("libhiprtc.so" if call.startswith("hiprtc") else "libamdhip64.so")))
        symbol = {"hipGetDeviceProperties": "hipGetDevicePropertiesR0600"}.get(call, call)
        assert hasattr(library, symbol), call


COMPILE = """
import sys
from pathlib import Path
from pytest_greta.device.hip_bindings import import_bindings
from pytest_greta.device.hiprtc import compile_source
from pytest_greta.errors import CompileError, DeviceFault

hiprtc = import_bindings().hiprtc
for path in sys.argv[2:]:
    source = Path(path)
    try:
        options = [f"--offload-arch={sys.argv[1]}", "-O3", f"-I{source.parent}"]
        code = compile_source(hiprtc, source.read_text(), source.name, options)
        print(source.name, code[:4].hex())
    except (CompileError, DeviceFault) as error:
        print(source.name, str(error).splitlines()[0])
"""


def compile_all(rig: Path, arch: str, *sources: Path) -> dict[str, str]:
    """First bytes of every source's code object in hex, or the first line of its error."""
    python_path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    env = {**os.environ, "LD_LIBRARY_PATH": str(rig), "PYTHONPATH": python_path, "ROCM_PATH": str(rig)}
    command = [sys.executable, "-c", COMPILE, arch, *map(str, sources)]
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    if lines and "HIPRTC_ERROR_BUILTIN_OPERATION_FAILURE" in lines[0][2]:
        pytest.skip("no libnvrtc: python -m pip install nvidia-cuda-nvrtc, or set NVRTC_LIBRARY")
    return {name: text for name, _, text in lines}


def test_every_kernel_compiles_unmodified(rig: Path) -> None:
    sources = sorted([*ROOT.glob("kernels/*/*.hip"), ROOT / "pytest_greta/device/queue.hip"])
    assert len(sources) >= 8
    compiled = compile_all(rig, "sm_90", *sources)
    assert compiled == {s.name: b"\x7fELF".hex() for s in sources}


def test_sm_90_has_the_instructions_of_its_generation(rig: Path, tmp_path: Path) -> None:
    source = tmp_path / "k.hip"
    source.write_text(
        "#ifndef __CUDA_ARCH_FEAT_SM90_ALL\n#error not sm_90a\n#endif\n__global__ void k() {}\n"
    )
    assert compile_all(rig, "sm_90", source)["k.hip"] == b"\x7fELF".hex()


def test_a_compile_error_has_file_and_line(rig: Path, tmp_path: Path) -> None:
    source = tmp_path / "broken.hip"
    source.write_text(
        '#include <hip/hip_runtime.h>\nextern "C" __global__ void k(int* o) {\n  *o = missing;\n}\n'
    )
    assert compile_all(rig, "sm_90", source)["broken.hip"].startswith("broken.hip(3): error: identifier")


def test_an_amd_architecture_gives_code_for_any_device(rig: Path, tmp_path: Path) -> None:
    source = tmp_path / "k.hip"
    source.write_text('extern "C" __global__ void k(int* o) { *o = 1; }\n')
    assert bytes.fromhex(compile_all(rig, "gfx942", source)["k.hip"]) == b"//\n/"  # PTX begins with a comment
