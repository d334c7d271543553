"""The clang that generates code for a target: ROCm's own where it is installed, else that of the `ziglang` wheel."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_greta.errors import ToolMissing

CPU_TARGET = "spirv64"


_INCLUDE = Path(__file__).resolve().parents[1] / "include"


@dataclass(frozen=True)
class Toolchain:
    """A clang that generates code for a target, and how it is called."""

    clang: tuple[str, ...]
    linker: tuple[str, ...]
    """An ld.lld to call after clang, or empty where clang's driver links by itself."""
    flags: tuple[str, ...]
    identity: str
    """Changes whenever the compiler does."""


@cache
def find_toolchain(target: str) -> Toolchain:
    """The toolchain for a target. Raises ToolMissing, which says what to install."""
    if target != CPU_TARGET:
        rocm = _find_rocm()
        if rocm:
            return rocm
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        raise ToolMissing(
            f"nothing here compiles for {target}: install the extra 'cpu' (pip install 'pytest-greta[cpu]')"
            + ("" if target == CPU_TARGET else " or ROCm (looked in $ROCM_PATH and /opt/rocm)")
        )
    zig = str(Path(spec.submodule_search_locations[0]) / "zig")
    return Toolchain(
        clang=(zig, "clang"),
        linker=(zig, "ld.lld"),
        flags=("-nogpulib", "-nogpuinc", f"-I{_INCLUDE}"),
        identity=f"ziglang {_version('ziglang')}",
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise ToolMissing(f"{package} is there without its metadata: install the extra 'cpu' again") from None


def _find_rocm() -> Toolchain | None:
    """ROCm's own clang, headers and device libraries, from `$ROCM_PATH` or /opt/rocm."""
    root = Path(os.environ.get("ROCM_PATH") or "/opt/rocm")
    clang = next((p for p in (root / "lib/llvm/bin/clang++", root / "llvm/bin/clang++") if p.exists()), None)
    if clang is None or not (root / "include/hip/hip_runtime.h").exists():
        return None
    try:
        version = subprocess.run([clang, "--version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissing(
            f"ROCm's compiler {clang} does not run ({error}); repair it or set ROCM_PATH"
        ) from error
    return Toolchain(
        clang=(str(clang),),
        linker=(),
        flags=(f"--rocm-path={root}", f"-I{root / 'include'}"),
        identity=f"{clang} {version.stdout}",
    )
