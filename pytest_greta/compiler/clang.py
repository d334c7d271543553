"""One source for one target through clang: to a loadable code object, or to SPIR-V for the cpu device."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_greta.compiler.diagnostics import in_short
from pytest_greta.compiler.directives import as_text
from pytest_greta.compiler.inputs import Reading
from pytest_greta.compiler.spirv import (
    force_wavefront,
    make_constants_settable,
    obey_traps,
    saturate,
    size_dynamic_lds,
)
from pytest_greta.compiler.toolchain import CPU_TARGET, Toolchain, compiler_environment
from pytest_greta.errors import CompileError, ToolMissing

_DEADLINE_SECONDS = 300


_DEPENDENCIES = "files.d"


FOR_HIPRTC = ("-D__HIPCC_RTC__",)
"""What makes clang read what hiprtc would."""

_PRINTF = ("-mllvm", "-spirv-ext=+SPV_EXT_relaxed_printf_string_address_space")
"""Lets printf take its format from where clang puts string constants."""


_TAKEN = re.compile(r'^(?:Configuration file: |ignoring nonexistent directory ")([^"\n]+)', re.MULTILINE)
_LINKED = re.compile(r'-mlink-builtin-bitcode"? (?:"((?:\\.|[^"\\])*)"|(\S+))')
_GCC = re.compile(r"^Found candidate GCC installation: (.+)", re.MULTILINE)


_NO_REPRODUCER = "-fno-crash-diagnostics"
"""A clang that crashes leaves nothing behind in the folder of temporary files."""


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
    flags: tuple[str, ...] = ()
    """What the author compiles it with besides."""
    include: tuple[Path, ...] = ()
    """The author's folders of headers."""


def run_compiler(toolchain: Toolchain, job: Job) -> tuple[bytes, tuple[Path, ...]]:
    """Compile, and return the code with every file that was read. Raises CompileError."""
    build = _build_spirv if job.target == CPU_TARGET else _build_amdgpu
    try:
        with tempfile.TemporaryDirectory(prefix="greta-") as name:
            code = build(toolchain, job, Path(name))
            return code, _dependencies(job, Path(name, _DEPENDENCIES))
    except OSError as error:  # no room for temporary files, most likely
        raise CompileError(f"{job.source.name} cannot be compiled for {job.target}: {error}") from error


def preprocess_for_hiprtc(toolchain: Toolchain, job: Job) -> tuple[str, tuple[Path, ...]]:
    """What clang includes where `__HIPCC_RTC__` is defined, as text, with every file that was read. CompileError."""
    with tempfile.TemporaryDirectory(prefix="greta-") as name:
        output = Path(name, "code.i")
        front = (*_front(toolchain, job, Path(name)), *_for_target(job), *FOR_HIPRTC)
        _run(job, *front, "-E", "-dI", job.source, "-o", output)
        return output.read_text(errors="replace"), _dependencies(job, Path(name, _DEPENDENCIES))


def reading(toolchain: Toolchain, job: Job, *besides: str) -> Reading | None:
    """What a job reads and where it looks, by clang's preprocessor. None where that fails, as compiling will."""
    try:
        with tempfile.TemporaryDirectory(prefix="greta-") as name:
            front = (*_front(toolchain, job, Path(name)), *_for_target(job), *besides)
            said = _run(job, *front, "-w", "-v", "-E", job.source, "-o", os.devnull)
            files = _dependencies(job, Path(name, _DEPENDENCIES))
    except (OSError, CompileError):
        return None
    folders, taken = search_path(said)
    embedded = (flag.removeprefix("--embed-dir=") for flag in job.flags if flag.startswith("--embed-dir="))
    named = (*taken, *named_files(job.flags, job.source.parent))
    folders = (*folders, *(job.source.parent / name for name in embedded))
    return Reading(files, folders, named, as_text(job.defines, job.flags), toolchain.released)


def search_path(said: str) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """From what clang says with `-v`: the folders it looks for headers in, and what else its answer depends on.

    That is its configuration files and the device libraries it links, folders that do not exist, and the folders with
    the versions of GCC among which it chooses.
    """
    listed = said.partition('#include "..." search starts here:\n')[2].partition("End of search list.")[0]
    folders = [Path(line[1:]) for line in listed.splitlines() if line.startswith(" ")]
    taken = [Path(found) for found in _TAKEN.findall(said)]
    taken += [Path(re.sub(r"\\(.)", r"\1", quoted or plain)) for quoted, plain in _LINKED.findall(said)]
    taken += [Path(found).parent for found in _GCC.findall(said)]
    return tuple(folders), tuple(taken)


def named_files(flags: Sequence[str], folder: Path) -> Iterator[Path]:
    """The files that flags name, as `-fprofile-use=FILE` does; a relative name is one in `folder`."""
    places = (folder / name for flag in flags for name in (flag, *re.split("[=,]", flag)))
    return (place for place in places if place.is_file())


def _build_amdgpu(toolchain: Toolchain, job: Job, folder: Path) -> bytes:
    """Source to a loadable ELF.

    ROCm's driver does it alone. Elsewhere the linker is called by hand, because the driver looks for an executable
    named ld.lld that the wheel does not have.
    """
    output = folder / "code.hsaco"
    front = (*_front(toolchain, job, folder), *_for_target(job))
    if not toolchain.linker:
        _run(job, *front, "--no-gpu-bundle-output", job.source, "-c", "-o", output)
        return output.read_bytes()
    unlinked = folder / "code.o"
    # By -S and -emit-obj the driver makes an object, and calls neither assembler nor linker.
    _run(job, *front, "-S", "-Xclang", "-emit-obj", job.source, "-o", unlinked)
    _run(job, *toolchain.linker, "-shared", "--no-undefined", unlinked, "-o", output)
    return output.read_bytes()


def _build_spirv(toolchain: Toolchain, job: Job, folder: Path) -> bytes:
    """Source to IR, edits of it (see spirv.py), IR to SPIR-V."""
    ir, output = folder / "code.ll", folder / "code.spv"
    front = (*_front(toolchain, job, folder), *_for_target(job))
    _run(job, *front, "-emit-llvm", "-S", job.source, "-o", ir)
    text = obey_traps(saturate(size_dynamic_lds(ir.read_text(), job.dynamic_lds_bytes)))
    ir.write_text(force_wavefront(make_constants_settable(text), job.wave_size))
    translate = (
        "--target=spirv64-unknown-unknown",
        "-Wno-override-module",
        _NO_REPRODUCER,
        *_PRINTF,
        "-x",
        "ir",
        "-c",
    )
    _run(job, *toolchain.clang, *translate, ir, "-o", output)
    return output.read_bytes()


def _for_target(job: Job) -> tuple[str, ...]:
    """The part of the command that says what code is generated for."""
    if job.target != CPU_TARGET:
        return (f"--offload-arch={job.target}",)
    # What does not fit an integer becomes the nearest one that does, and NaN 0, as by a GPU's instructions.
    saturating = "-fno-strict-float-cast-overflow"
    target = ("--offload=spirv64", saturating, f"-DGRETA_WAVE_SIZE={job.wave_size}")
    if job.block[1:] == (1, 1):
        return target
    # Launched as one axis, along which its wavefronts run.
    return (*target, *(f"-DGRETA_BLOCK_{axis}={n}" for axis, n in zip("XYZ", job.block, strict=True)))


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
        _NO_REPRODUCER,
        "--cuda-device-only",
    )
    record: tuple[str, ...] = ()
    for option in ("-dependency-file", str(folder / _DEPENDENCIES), "-MT", "code", "-sys-header-deps"):
        record += ("-Xclang", option)
    defines = tuple(f"-D{name}={value}" for name, value in job.defines)
    include = tuple(f"-I{path}" for path in job.include)
    # The author's come last: of two flags that exclude each other, clang takes the later.
    return (*toolchain.clang, *flags, *toolchain.flags, *record, *include, *defines, *job.flags)


def _run(job: Job, *command: str | Path) -> str:
    """Run a compiler in the folder of the source, with an environment of its own; returns what it said."""
    argv = [str(part) for part in command]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_DEADLINE_SECONDS,
            cwd=job.source.parent,
            env=compiler_environment(),
        )
    except subprocess.TimeoutExpired as error:
        what = f"{job.source.name} for {job.target}"
        raise CompileError(f"the compiler did not finish {what} in {_DEADLINE_SECONDS} s") from error
    except OSError as error:
        if not job.source.parent.is_dir():
            raise CompileError(f"{job.source.name} cannot be read: its folder is gone") from error
        raise ToolMissing(f"the compiler {argv[0]} cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        how = f"exit code {done.returncode}" if done.returncode > 0 else f"signal {-done.returncode}"
        message = in_short(done.stderr.strip(), job.target) or f"the compiler said nothing ({how})"
        raise CompileError(f"{job.source.name} does not compile for {job.target}:\n{message}")
    return done.stderr


def _dependencies(job: Job, path: Path) -> tuple[Path, ...]:
    """The files of a make-style dependency file (`code: a.hip b.h`), which writes a space, `#` and `$` as two signs."""
    _, _, listing = path.read_text(errors="surrogateescape").replace("\\\n", " ").partition(":")
    names = (re.sub(r"\\([ #])|\$(?=\$)", r"\1", name) for name in re.findall(r"(?:\\.|\S)+", listing))
    return tuple(dict.fromkeys(job.source.parent / name for name in names))
