"""Property tests without deadlines, and what several of these tests need of a compiler."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from pytest_greta.binaries.kernels import BinaryFile, read_file
from pytest_greta.compiler.cache import CodeCache
from pytest_greta.compiler.toolchain import find_toolchain
from tests.unit.assembler import code_object
from tests.unit.binary_files import compiled_sums, library_of

# They say what is true, not how fast: a busy machine would miss a deadline.
settings.register_profile("greta", deadline=None)
settings.load_profile("greta")


@dataclass(frozen=True)
class Compiled:
    """What clang makes of a source for a target."""

    assembly: str
    remarks: str
    """On the resources of its kernels."""
    code: bytes
    """The code object of that assembly."""


Compile = Callable[[Path, str], Compiled]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """Compiles a source for a target, once for all processes of a session.

    The flags are greta's, the compile is not.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    folder.mkdir(exist_ok=True)

    @cache
    def made(source: Path, target: str) -> Compiled:
        assembly, remarks, code = (
            folder / f"{source.stem}-{target}.{end}" for end in ("s", "remarks", "code")
        )
        with CodeCache(folder).lock(f"{source} {target}"):
            if not code.exists():
                toolchain = find_toolchain(target)
                command = [*toolchain.clang, "-x", "hip", "-O3", "-std=c++17", *toolchain.flags, "-S"]
                command += [
                    "--cuda-device-only",
                    f"--offload-arch={target}",
                    str(source),
                    "-o",
                    str(assembly),
                ]
                command += ["-Rpass-analysis=kernel-resource-usage"]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                remarks.write_text(done.stderr)
                code.write_bytes(code_object(assembly, source, target))
        return Compiled(assembly.read_text(), remarks.read_text(), code.read_bytes())

    return made


@pytest.fixture(scope="session")
def built(code_cache: Path) -> dict[str, bytes]:
    """The code of sums.hip by target: two instantiations of a template, of which one spills, and a plain kernel."""
    pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
    return compiled_sums(code_cache)


@pytest.fixture(scope="session")
def library_path(built: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shared library with that code in a compressed bundle."""
    path = tmp_path_factory.mktemp("library") / "libk.so"
    path.write_bytes(library_of(built))
    return path


@pytest.fixture(scope="session")
def library(library_path: Path) -> BinaryFile:
    """What is read of it."""
    return read_file(library_path, library_path.name)
