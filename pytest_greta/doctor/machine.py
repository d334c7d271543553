"""What is installed here: packages, compilers, programs; and where compiled code is kept."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_greta import __version__
from pytest_greta.compiler.cache import DEFAULT_CACHE_BYTES
from pytest_greta.compiler.cache_folder import cache_folder
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import Toolchain, find_toolchain, rocm_toolchain, wheel_toolchain
from pytest_greta.device.hip_missing import rocm_root
from pytest_greta.doctor.devices import ENTRY, SOURCE
from pytest_greta.doctor.finding import Finding, one_line
from pytest_greta.errors import CompileError, ConfigError, ToolMissing
from pytest_greta.gates import file as gatefile
from pytest_greta.remedies import install_extra

TARGETS = ("gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201")
"""What is tried where no gates.yaml says: MI200, MI300, MI350, Radeon RX 7000 and 9000."""
CODE = "targets"
KEPT = Path(".pytest_cache/d/greta-code")
"""Where pytest keeps compiled code, from the root directory."""
EXTRAS = {
    "binaries": (("zstandard", "pydemumble"), "compressed code objects, demangled names"),
    "report": (("jinja2", "matplotlib"), "the page of --greta-report"),
    "gguf": (("gguf",), "context limits of models"),
}
"""What each is for, and what it imports."""
PROGRAMS = {
    "git": "the gate regression needs it: which runs came before",
    "ssh-keygen": "--greta-sign and --greta-allowed-signers need it",
}
_MIB, _GIB = 1 << 20, 1 << 30


def packages() -> Iterator[Finding]:
    """Python, and what every session takes."""
    machine = f"{platform.system()} {platform.machine()}"
    yield Finding("Python", True, f"{platform.python_version()} on {machine}")
    if machine != "Linux x86_64":
        yield Finding(
            "platform", False, "hip-python, the wheel's clang and the cpu device are for Linux x86_64"
        )
    yield Finding("pytest-greta", True, f"{__version__} from {Path(__file__).parents[1]}")
    yield from map(_package, ("pytest", "pytest-benchmark", "numpy"))


def _package(name: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, "not installed", f"python -m pip install {name}")


def compilers() -> Iterator[Finding]:
    """The clangs for AMD code, and for what they compile a kernel."""
    root, _ = rocm_root(os.environ)
    try:
        rocm = rocm_toolchain()
        told = rocm.identity.splitlines()[0] if rocm else f"none in {root} (set ROCM_PATH if it is elsewhere)"
        yield Finding("ROCm clang", rocm is not None, told)
    except ToolMissing as error:
        yield Finding("ROCm clang", False, one_line(error))
    try:
        yield Finding("wheel clang", True, wheel_toolchain(TARGETS[0]).identity)
    except ToolMissing as error:
        yield Finding("wheel clang", False, one_line(error), error.command)
    yield _targets()


def _targets() -> Finding:
    targets, whose = _asked_for()
    try:
        toolchain = find_toolchain(targets[0])
    except ToolMissing as error:
        return Finding(CODE, False, f"nothing compiles for {' '.join(targets)}", error.command)
    failed = {target: why for target in targets if (why := _refusal(toolchain, target))}
    compiled = [target for target in targets if target not in failed]
    told = [f"a kernel compiles for {' '.join(compiled)}{whose}"] if compiled else []
    told += [f"not for {target}: {why}" for target, why in failed.items()]
    return Finding(CODE, bool(compiled), "; ".join(told))


def _asked_for() -> tuple[Sequence[str], str]:
    """The targets of the gates file of this folder, else some of today's; and whose they are."""
    path = Path("gates.yaml")
    if path.is_file():
        try:
            targets = gatefile.load(path).targets
        except ConfigError:
            return TARGETS, " (gates.yaml cannot be read: pytest says why)"
        return (targets, " (of gates.yaml)") if targets else (TARGETS, "")
    return TARGETS, ""


def _refusal(toolchain: Toolchain, target: str) -> str:
    with tempfile.TemporaryDirectory(prefix="greta-") as folder:
        source = Path(folder, f"{ENTRY}.hip")
        source.write_text(SOURCE)
        try:
            run_compiler(toolchain, Job(source, target))
        except (CompileError, ToolMissing) as error:
            return str(error).splitlines()[-1]
    return ""


def storage() -> Iterator[Finding]:
    """Where compiled code is kept, how much of it there is, and what room is left."""
    if KEPT.is_dir():
        found = cache_folder(KEPT)
        held = sum(path.stat().st_size for path in found.path.rglob("*") if path.is_file())
        told = found.note or str(found.path)
        yield Finding("cache", not found.note, f"{told}: {held / _MIB:.0f} MiB, at most {_limit()}")
    else:
        yield Finding("cache", True, f"{KEPT}, which the first run makes: at most {_limit()}")
    for name, folder in (("disk", Path.cwd()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        enough = free >= _GIB // 4
        yield Finding(name, enough, f"{free / _GIB:.1f} GiB free in {folder}")


def _limit() -> str:
    return f"{DEFAULT_CACHE_BYTES >> 30} GiB (--greta-cache-size)"


def extras() -> Iterator[Finding]:
    """What some of greta's parts need besides."""
    for extra, (modules, what) in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        told = f"{what}: " + (f"without {' and '.join(missing)}" if missing else "installed")
        yield Finding(f"extra {extra}", not missing, told, install_extra(extra) if missing else "")
    for name, what in PROGRAMS.items():
        path = shutil.which(name)
        yield Finding(name, path is not None, path or f"not in PATH; {what}")
