"""Compile one `.hip` source for one target, through a cache, on as many cores as there are.

Code for AMD targets comes from ROCm's clang where ROCm is installed, else from the clang in the `ziglang` wheel
with greta's own HIP header. Code for the cpu device (`spirv64`) always comes from the latter.
Optimised IR is never put through the optimiser again: that gives other registers than one compile does.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_greta import includes, spirv
from pytest_greta.cache import CodeCache
from pytest_greta.codeobject import CodeObject, read_resources
from pytest_greta.errors import CompileError, ToolMissing

CPU_TARGET = "spirv64"
_DEADLINE_SECONDS = 300
_DEPENDENCIES = "files.d"
_PRINTF = ("-mllvm", "-spirv-ext=+SPV_EXT_relaxed_printf_string_address_space")
"""Lets printf take its format from where clang puts string constants."""
_INCLUDE = Path(__file__).resolve().parent / "include"


@dataclass(frozen=True)
class Job:
    """One compilation: equal jobs give equal code."""

    source: Path
    target: str
    defines: tuple[tuple[str, str], ...] = ()
    wave_size: int = 64
    """Lanes of a wavefront on the cpu device; a GPU target has its own."""
    dynamic_lds_bytes: int = 0
    """Dynamic LDS on the cpu device; on a GPU the launch decides it."""
    block: tuple[int, int, int] = (0, 1, 1)
    """Block of the launch on the cpu device, where it has several axes; on a GPU the launch decides it."""


@dataclass(frozen=True)
class Toolchain:
    """A clang that generates code for a target, and how it is called."""

    clang: tuple[str, ...]
    linker: tuple[str, ...]
    """An ld.lld to call after clang, or empty where clang's driver links by itself."""
    flags: tuple[str, ...]
    identity: str
    """Changes whenever the compiler does."""


class Compiler:
    """Compiles jobs in the background; the second request for a job shares the first one's result."""

    def __init__(self, cache_folder: Path, workers: int | None = None) -> None:
        self.cache = CodeCache(cache_folder)
        self._pool = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="greta-compile")
        self._results: dict[Job, Future[CodeObject]] = {}

    def submit(self, jobs: Iterable[Job]) -> None:
        """Start compiling in the background."""
        for job in jobs:
            if job not in self._results:
                self._results[job] = self._pool.submit(self._compile, job)

    def compile(self, job: Job) -> CodeObject:
        """The code object of `job`.

        Raises CompileError with the compiler's message, or ToolMissing when no compiler is installed.
        """
        self.submit([job])
        return self._results[job].result()

    def hiprtc_notes(self, job: Job) -> tuple[str, ...]:
        """A line for each file of a job that includes what hiprtc has not. Preprocessed as hiprtc would, and cached."""
        files = includes.local_files(job.source)
        if not includes.mentions_library(files):
            return ()
        toolchain = find_toolchain(job.target)
        request = repr((toolchain.identity, toolchain.flags, job, "includes for hiprtc"))
        listing = self.cache.lookup(request)
        if listing is None:
            try:
                text, dependencies = preprocess_for_hiprtc(toolchain, job)
            except CompileError:  # it has a part for hiprtc, which only hiprtc understands
                return ()
            listing = json.dumps(includes.library_includes(text, files)).encode()
            self.cache.store(request, dependencies, listing)
        return includes.notes(json.loads(listing))

    def settle(self) -> None:
        """Wait until nothing compiles any more, so that a measurement has the cores to itself."""
        for result in self._results.values():
            result.exception()

    def close(self) -> None:
        """Drop what has not started; running compilers are waited for."""
        self._pool.shutdown(cancel_futures=True)

    def _compile(self, job: Job) -> CodeObject:
        toolchain = find_toolchain(job.target)
        request = repr((toolchain.identity, toolchain.flags, _recipe(), job))
        code = self.cache.lookup(request)
        cached = True
        if code is None:
            with self.cache.lock(request):
                code = self.cache.lookup(request)  # another run may have made it while this one waited
                if code is None:
                    cached = False
                    code, dependencies = run_compiler(toolchain, job)
                    self.cache.store(request, dependencies, code)
        kernels = {} if job.target == CPU_TARGET else read_resources(code)
        return CodeObject(job.target, code, kernels, cached)


@cache
def _recipe() -> str:
    """Changes whenever the way from source to code does: code that another release of greta made is not taken."""
    return hashlib.sha256(
        b"".join(Path(str(file)).read_bytes() for file in (__file__, spirv.__file__))
    ).hexdigest()


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


def run_compiler(toolchain: Toolchain, job: Job) -> tuple[bytes, list[Path]]:
    """Compile, and return the code with every file that was read. Raises CompileError."""
    build = _build_spirv if job.target == CPU_TARGET else _build_amdgpu
    try:
        with tempfile.TemporaryDirectory(prefix="greta-") as name:
            code = build(toolchain, job, Path(name))
            return code, _dependencies(Path(name, _DEPENDENCIES))
    except OSError as error:  # no room for temporary files, most likely
        raise CompileError(f"{job.source.name} cannot be compiled for {job.target}: {error}") from error


def preprocess_for_hiprtc(toolchain: Toolchain, job: Job) -> tuple[str, list[Path]]:
    """What clang includes where `__HIPCC_RTC__` is defined, as text, with every file that was read. CompileError."""
    with tempfile.TemporaryDirectory(prefix="greta-") as name:
        output = Path(name, "code.i")
        front = (*_front(toolchain, job, Path(name)), f"--offload-arch={job.target}", "-D__HIPCC_RTC__")
        _run(job, *front, "-E", "-dI", job.source, "-o", output)
        return output.read_text(errors="replace"), _dependencies(Path(name, _DEPENDENCIES))


def _build_amdgpu(toolchain: Toolchain, job: Job, folder: Path) -> bytes:
    """Source to a loadable ELF.

    ROCm's driver does it alone. Elsewhere assembler and linker are called by hand, because the driver looks for
    an executable named ld.lld that the wheel does not have.
    """
    output = folder / "code.hsaco"
    front = (*_front(toolchain, job, folder), f"--offload-arch={job.target}")
    if not toolchain.linker:
        _run(job, *front, "--no-gpu-bundle-output", job.source, "-c", "-o", output)
        return output.read_bytes()
    assembly, unlinked = folder / "code.s", folder / "code.o"
    _run(job, *front, "-S", job.source, "-o", assembly)
    machine = ("--target=amdgcn-amd-amdhsa", f"-mcpu={job.target}")
    _run(job, *toolchain.clang, "-x", "assembler", *machine, "-c", assembly, "-o", unlinked)
    _run(job, *toolchain.linker, "-shared", "--no-undefined", unlinked, "-o", output)
    return output.read_bytes()


def _build_spirv(toolchain: Toolchain, job: Job, folder: Path) -> bytes:
    """Source to IR, two edits of it (see spirv.py), IR to SPIR-V."""
    ir, output = folder / "code.ll", folder / "code.spv"
    front = (*_front(toolchain, job, folder), "--offload=spirv64", f"-DGRETA_WAVE_SIZE={job.wave_size}")
    if job.block[1:] != (1, 1):  # launched as one axis, along which its wavefronts run
        front += tuple(f"-DGRETA_BLOCK_{axis}={n}" for axis, n in zip("XYZ", job.block, strict=True))
    _run(job, *front, "-emit-llvm", "-S", job.source, "-o", ir)
    text = spirv.size_dynamic_lds(ir.read_text(), job.dynamic_lds_bytes)
    ir.write_text(spirv.force_wavefront(text, job.wave_size))
    translate = ("--target=spirv64-unknown-unknown", "-Wno-override-module", *_PRINTF, "-x", "ir", "-c")
    _run(job, *toolchain.clang, *translate, ir, "-o", output)
    return output.read_bytes()


def _front(toolchain: Toolchain, job: Job, folder: Path) -> tuple[str, ...]:
    """The part of the command that all targets share."""
    # Without -fuse-cuid=none the code holds a hash of the temporary file's name.
    flags = (
        "-x",
        "hip",
        "-O3",
        "-std=c++17",
        "-fuse-cuid=none",
        "-fno-color-diagnostics",
        "--cuda-device-only",
    )
    record: tuple[str, ...] = ()
    for option in ("-dependency-file", str(folder / _DEPENDENCIES), "-MT", "code"):
        record += ("-Xclang", option)
    defines = tuple(f"-D{name}={value}" for name, value in job.defines)
    return (*toolchain.clang, *flags, *toolchain.flags, *record, *defines)


def _run(job: Job, *command: str | Path) -> None:
    argv = [str(part) for part in command]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, errors="replace", check=False, timeout=_DEADLINE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        what = f"{job.source.name} for {job.target}"
        raise CompileError(f"the compiler did not finish {what} in {_DEADLINE_SECONDS} s") from error
    except OSError as error:
        raise ToolMissing(f"the compiler {argv[0]} cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        how = f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        message = done.stderr.strip() or f"the compiler said nothing ({how})"
        raise CompileError(f"{job.source.name} does not compile for {job.target}:\n{message}")


def _dependencies(path: Path) -> list[Path]:
    """The files of a make-style dependency file (`code: a.hip b.h`), where a backslash escapes a space."""
    _, _, listing = path.read_text(errors="surrogateescape").replace("\\\n", " ").partition(":")
    return [Path(re.sub(r"\\(.)", r"\1", name)).resolve() for name in re.findall(r"(?:\\.|\S)+", listing)]
