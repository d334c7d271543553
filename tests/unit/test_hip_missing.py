"""Every way the hip device can be missing has its own line. Met for real: a process with that environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_greta.device import hip_missing
from pytest_greta.remedies import hip_runtime_command

ROOT = Path(__file__).resolve().parents[2]
OPEN = (
    "from pytest_greta.device.hip import open_hip\n"
    "from pytest_greta.errors import DeviceUnavailable\n"
    "try:\n"
    "    print(open_hip().info)\n"
    "except DeviceUnavailable as error:\n"
    "    print('UNAVAILABLE', error)\n"
)
UNSET = ("ROCM_PATH", "ROCM_HOME", "LD_LIBRARY_PATH", *hip_missing.VISIBLE)

needs_hip_python = pytest.mark.skipif(find_spec("hip") is None, reason="hip-python is not installed")


def open_in_process(before: str = "", **env: str) -> str:
    """What open_hip says in a new process whose ROCm variables are only those given."""
    inherited = {k: v for k, v in os.environ.items() if k not in UNSET}
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", before + OPEN],
        check=False,
        env={**inherited, "PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, done.stdout
    return lines[0]


def loadable(library: str) -> bool:
    """The system's loader finds this library without being told where."""
    program = f"import ctypes; ctypes.CDLL({library!r})"
    env = {k: v for k, v in os.environ.items() if k not in UNSET}
    return (
        subprocess.run(
            [sys.executable, "-c", program], check=False, env=env, stderr=subprocess.DEVNULL
        ).returncode
        == 0
    )


@pytest.fixture
def no_rocm() -> None:
    if Path("/opt/rocm").exists() or loadable("libamdhip64.so") or find_spec("rocm_sdk"):
        pytest.skip("ROCm is installed where hip-python finds it without being told")


def shared_library(path: Path, source: str) -> None:
    """Compile a real shared library; skips without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc)")
    code = path.with_suffix(".c")
    code.write_text(source)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(path), str(code)], check=True)


def namespaced() -> bool:
    """hip-python 10, which looks in ROCM_PATH; 6.4 and 7 only in LD_LIBRARY_PATH."""
    return find_spec("rocm") is not None and find_spec("rocm.bindings") is not None


def pointing_at(folder: Path) -> dict[str, str]:
    """Variables by which the installed hip-python finds the libraries in `folder`/lib."""
    return {"LD_LIBRARY_PATH": str(folder / "lib"), "ROCM_PATH": str(folder)}


@pytest.fixture
def rocm(tmp_path: Path) -> Path:
    """A folder laid out as ROCm, its lib empty."""
    (tmp_path / "rocm" / "lib").mkdir(parents=True)
    return tmp_path / "rocm"


def test_package_not_installed() -> None:
    line = open_in_process("import sys; sys.modules['hip'] = None\n")
    assert line == (
        "UNAVAILABLE hip-python is not installed: python -m pip install hip-python (Linux x86-64 only)"
    )


def test_package_that_does_not_import(tmp_path: Path) -> None:
    (tmp_path / "hip").mkdir()
    (tmp_path / "hip" / "__init__.py").write_text("from .hip import hip, hiprtc\n")
    (tmp_path / "hip" / "hip.py").write_text("raise ImportError('built for another Python')\n")
    line = open_in_process(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n")
    assert "installed but cannot be imported: built for another Python; install it again" in line


@needs_hip_python
@pytest.mark.usefixtures("no_rocm")
def test_library_not_found(rocm: Path) -> None:
    line = open_in_process(**pointing_at(rocm))
    assert "UNAVAILABLE libamdhip64.so is not found by hip-python" in line
    assert f"LD_LIBRARY_PATH={rocm / 'lib'}" in line
    if namespaced():
        assert f"rocm_sdk (not installed), {rocm / 'lib'} ($ROCM_PATH)" in line
    assert "install ROCm's HIP runtime" in line
    assert (" (https://rocm.docs.amd.com/" in line) != bool(hip_runtime_command())


@needs_hip_python
@pytest.mark.usefixtures("no_rocm")
def test_only_a_versioned_library(rocm: Path) -> None:
    (rocm / "lib" / "libamdhip64.so.6").touch()
    line = open_in_process(**pointing_at(rocm))
    assert f"there is only {rocm / 'lib' / 'libamdhip64.so.6'}: install ROCm's development package" in line


@needs_hip_python
@pytest.mark.usefixtures("no_rocm")
def test_damaged_library(rocm: Path) -> None:
    (rocm / "lib" / "libamdhip64.so").write_text("no ELF, but long enough to have a header of 64 bytes " * 4)
    line = open_in_process(**pointing_at(rocm))
    assert "UNAVAILABLE libamdhip64.so was found but cannot be loaded" in line
    assert "invalid ELF header" in line


@needs_hip_python
@pytest.mark.usefixtures("no_rocm")
def test_wrong_rocm(rocm: Path) -> None:
    shared_library(rocm / "lib" / "libamdhip64.so", "int nothing_of_hip;\n")
    line = open_in_process(**pointing_at(rocm))
    assert "UNAVAILABLE this ROCm does not fit hip-python" in line
    assert "it has no hipGetDeviceCount" in line


@needs_hip_python
@pytest.mark.usefixtures("no_rocm")
def test_compiler_library_not_found(rocm: Path) -> None:
    shared_library(rocm / "lib" / "libamdhip64.so", "int hipGetDeviceCount(int* n) { return *n = 0; }\n")
    line = open_in_process(**pointing_at(rocm))
    assert "UNAVAILABLE libhiprtc.so is not found by hip-python" in line


@needs_hip_python
@pytest.mark.parametrize("hidden", [{}, {"HIP_VISIBLE_DEVICES": ""}, {"HIP_VISIBLE_DEVICES": "-1"}])
def test_no_device_under_a_real_runtime(hidden: dict[str, str]) -> None:
    """With ROCm's runtime, where it is installed. Where there is a GPU it must be hidden."""
    found = {k: os.environ[k] for k in ("ROCM_PATH", "LD_LIBRARY_PATH") if k in os.environ}
    line = open_in_process(**found, **hidden)
    if "is not found by hip-python" in line or "cannot be loaded" in line:
        pytest.skip(line.removeprefix("UNAVAILABLE "))
    if not line.startswith("UNAVAILABLE") and hidden.get("HIP_VISIBLE_DEVICES", "") == "":
        pytest.skip("there is a GPU, and the runtime does not take an empty variable for hiding it")
    assert line.startswith("UNAVAILABLE no HIP device: ")
    if hidden:
        assert "HIP_VISIBLE_DEVICES is " in line
        assert "which hides every GPU" in line


# -- the state of the machine, in a folder of the test -----------------------------------------------------


@pytest.fixture
def dev() -> Iterator[Path]:
    """A /dev with both of the driver's nodes, as plain files, in a folder that any user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        (path / "dri").mkdir()
        (path / "kfd").touch()
        (path / "dri" / "renderD128").touch()
        for node in (path / "kfd", path / "dri" / "renderD128"):
            node.chmod(0o666)
        yield path


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Root may read anything: be somebody else while the test runs."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_no_driver(dev: Path) -> None:
    (dev / "kfd").unlink()
    text = hip_missing.no_device_lack({}, dev).text
    assert text.startswith(f"no {dev / 'kfd'}: the amdgpu driver is not loaded")
    assert "--device=/dev/kfd" in text


def test_no_render_node(dev: Path) -> None:
    (dev / "dri" / "renderD128").unlink()
    assert "has no renderD*" in hip_missing.no_device_lack({}, dev).text


@pytest.mark.parametrize("closed", ["kfd", "dri/renderD128"])
def test_no_permission(dev: Path, closed: str, request: pytest.FixtureRequest) -> None:
    (dev / closed).chmod(0)
    request.getfixturevalue("ordinary_user")
    text = hip_missing.no_device_lack({}, dev).text
    assert text.startswith(f"no permission to read and write {dev / closed}, which belong to group ")
    assert "sudo usermod -aG " in text
    assert hip_missing.no_device_lack({}, dev).command in text
    assert text.endswith(f"--group-add {(dev / closed).stat().st_gid}")


@pytest.mark.parametrize("variable", hip_missing.VISIBLE)
@pytest.mark.parametrize(("value", "said"), [("", "is set and empty"), ("-1", "is '-1'")])
def test_hidden_by_a_variable(dev: Path, variable: str, value: str, said: str) -> None:
    text = hip_missing.no_device_lack({variable: value}, dev).text
    assert text == f"{variable} {said}, which hides every GPU: unset it, or name one ({variable}=0)"
    assert hip_missing.no_device_lack({variable: value}, dev).command == f"unset {variable}"


def test_a_variable_that_names_no_device(dev: Path) -> None:
    text = hip_missing.no_device_lack({"HIP_VISIBLE_DEVICES": "7"}, dev).text
    assert text.startswith("the runtime finds no GPU under HIP_VISIBLE_DEVICES=7")
    assert "rocminfo" in hip_missing.no_device_lack({}, dev).text
    assert hip_missing.driver_lack({}, dev) is None


def test_the_driver_is_loaded_where_there_is_a_gpu(tmp_path: Path) -> None:
    for name, vendor, kind in (
        ("a", "0x1022", "0x060000"),
        ("b", "0x10de", "0x030000"),
        ("c", "0x1002", "0x120000"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
        assert hip_missing._has_amd_gpu(tmp_path) == (name == "c")


@pytest.mark.usefixtures("no_rocm")
@pytest.mark.parametrize("missing", ["libamdhip64.so", "libhiprtc.so"])
def test_a_runtime_that_is_too_old_is_told_and_no_command(rocm: Path, missing: str) -> None:
    for name in {"libamdhip64.so", "libamdhip64.so.5", "libamdhip64.so.5.7.31921"} - {missing}:
        (rocm / "lib" / name).touch()
    reason = (
        f"failed to dlopen {missing}: {missing}: cannot open shared object file: No such file or directory"
    )
    lack = hip_missing.library_lack(RuntimeError(reason), "7.2.0", False, {"ROCM_PATH": str(rocm)})
    assert lack.text.endswith(
        "; HIP 5 is there, and hip-python 7.2.0 is for HIP 6 and later: "
        "install a newer ROCm (https://rocm.docs.amd.com/projects/install-on-linux/)"
    )
    assert lack.command == ""


@pytest.mark.parametrize(
    ("hip", "version", "made_for"),
    [
        ("6.4.43484", "6.4.4", ""),
        ("7.15.1", "7.2.0", ""),
        ("7.15.1", "10.0.0.0.1.2", ""),
        ("6.4.43484", "7.2.0", "7"),
        ("6.4.43484", "10.0.0.0.1.2", "7"),
        ("7.2.1", "6.4.4", "6"),
    ],
)
def test_a_hip_python_of_another_generation_is_told(hip: str, version: str, made_for: str) -> None:
    told = hip_missing.misfit(hip, version)
    assert bool(told) == bool(made_for)
    if told:
        assert told.startswith(f"hip-python {version} is made for HIP {made_for}: ")
        assert f"python -m pip install 'hip-python=={hip.rpartition('.')[0]}.*'" in told


def test_where_hiprtc_finds_hips_other_headers() -> None:
    folders = hip_missing.header_folders
    assert folders({}) == (Path("/opt/rocm/include"), Path("/opt/rocm/hip/include"))
    assert folders({"ROCM_PATH": "/a"}) == (Path("/a/include"), Path("/a/hip/include"))
    assert folders({"ROCM_HOME": "/a", "HIP_PATH": "/b"}) == (Path("/a/include"), Path("/b/include"))
