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
from pytest_greta.remedies import extra_text, install_extra

CPU_TARGET = "spirv64"


_INCLUDE = Path(__file__).resolve().parents[1] / "include"

_QUIET = "--system-header-prefix=hip/"
"""What an author asks to be warned of is not looked for in our headers."""

_LIBRARY_FOLDERS = (
    "libcxx/include",
    "libcxxabi/include",
    "include",
    "libc/include/x86_64-linux-musl",
    "libc/include/generic-musl",
    "libc/include/x86-linux-any",
    "libc/include/any-linux-any",
)
"""Where the wheel has the headers of libc++, libc++abi, clang, musl and Linux, in the order they are looked for."""

READ_BY_COMPILERS = (
    *("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "OBJCPLUS_INCLUDE_PATH"),
    *("GCC_EXEC_PREFIX", "COMPILER_PATH", "LIBRARY_PATH", "SDKROOT"),
    *("HIP_DEVICE_LIB_PATH", "CCC_OVERRIDE_OPTIONS"),
    *("HIPRTC_COMPILE_OPTIONS_APPEND", "HIPRTC_LINK_OPTIONS_APPEND", "SOURCE_DATE_EPOCH"),
)
"""Variables by which clang and hiprtc make other code of the same source: no process that compiles has them."""

_NEEDED_TO_RUN = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
"""Where programs, their libraries and temporary files are."""


def compiler_environment() -> dict[str, str]:
    """All that clang is told by variables. A time of day is none of a source's: `__DATE__` is always the same."""
    needed = {name: os.environ[name] for name in _NEEDED_TO_RUN if name in os.environ}
    return {**needed, "LC_ALL": "C", "SOURCE_DATE_EPOCH": "0"}


@dataclass(frozen=True)
class Toolchain:
    """A clang that generates code for a target, and how it is called."""

    clang: tuple[str, ...]
    linker: tuple[str, ...]
    """An ld.lld to call after clang, or empty where clang's driver links by itself."""
    flags: tuple[str, ...]
    identity: str
    """Changes whenever the compiler does."""
    released: tuple[Path, ...] = ()
    """Folders of headers that came with the compiler: what `identity` stands for too."""


@cache
def find_toolchain(target: str) -> Toolchain:
    """The toolchain for a target. Raises ToolMissing, which says what to install."""
    if target != CPU_TARGET:
        rocm = rocm_toolchain()
        if rocm:
            return rocm
    return wheel_toolchain(target)


def wheel_toolchain(target: str) -> Toolchain:
    """The clang of the `ziglang` wheel. Raises ToolMissing."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        extra = "cpu" if target == CPU_TARGET else "compile"
        raise ToolMissing(
            f"nothing here compiles for {target}: {extra_text(extra)}"
            + ("" if target == CPU_TARGET else "; or install ROCm (looked in $ROCM_PATH and /opt/rocm)"),
            install_extra(extra),
        )
    root = Path(spec.submodule_search_locations[0]).absolute()
    zig = str(root / "zig")
    return Toolchain(
        clang=(zig, "clang"),
        linker=(zig, "ld.lld"),
        flags=("-nogpulib", "-nogpuinc", f"-I{_INCLUDE}", _QUIET, *_library_flags(root / "lib")),
        identity=f"ziglang {_version('ziglang')}",
        released=(root / "lib",),
    )


def _library_flags(lib: Path) -> tuple[str, ...]:
    """The C and C++ library of the wheel in place of the machine's, so that a compile takes nothing from the host."""
    folders = (f"-isystem{lib / folder}" for folder in _LIBRARY_FOLDERS)
    return ("-nostdinc", "-nostdinc++", *folders, "-imacros", str(_INCLUDE / "libcxx_config.h"))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        said = f"{package} is there without its metadata: {extra_text('compile')}"
        raise ToolMissing(said, install_extra("compile")) from None


def rocm_toolchain() -> Toolchain | None:
    """ROCm's own clang, headers and device libraries, from `$ROCM_PATH` or /opt/rocm; None where they are not there.

    Raises ToolMissing where they are and do not run.
    """
    root = Path(os.environ.get("ROCM_PATH") or "/opt/rocm").absolute()
    clang = next((p for p in (root / "lib/llvm/bin/clang++", root / "llvm/bin/clang++") if p.exists()), None)
    if clang is None or not (root / "include/hip/hip_runtime.h").exists():
        return None
    try:
        version = subprocess.run(
            [clang, "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env=compiler_environment(),
        )
        built = clang.stat()  # one that was built again has the same version
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissing(
            f"ROCm's compiler {clang} does not run ({error}); repair it or set ROCM_PATH"
        ) from error
    return Toolchain(
        clang=(str(clang),),
        linker=(),
        flags=(f"--rocm-path={root}", f"-I{root / 'include'}"),
        identity=f"{clang} {version.stdout} {built.st_size} {built.st_mtime_ns}",
    )
