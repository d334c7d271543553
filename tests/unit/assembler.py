"""The compiler's own assembler and linker, for tests that read machine code."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import find_toolchain


def assemble(text: str, target: str, folder: Path) -> bytes:
    """The machine code of an assembly text's `.text`."""
    source, output = folder / "a.s", folder / "a.o"
    source.write_text(text)
    machine = ["--target=amdgcn-amd-amdhsa", f"-mcpu={target}"]
    command = [
        *find_toolchain(target).clang,
        "-x",
        "assembler",
        *machine,
        "-c",
        str(source),
        "-o",
        str(output),
    ]
    subprocess.run(command, check=True, capture_output=True)
    section: Any = ELFFile(io.BytesIO(output.read_bytes())).get_section_by_name(".text")
    return bytes(section.data())


def code_object(assembly: Path, source: Path, target: str, flags: Sequence[str] = ()) -> bytes:
    """The loadable code object of an assembly file; of its source, by greta's compile, where clang is ROCm's."""
    toolchain = find_toolchain(target)
    if not toolchain.linker:
        return run_compiler(toolchain, Job(source, target, flags=tuple(flags)))[0]
    unlinked, linked = assembly.with_suffix(".o"), assembly.with_suffix(".hsaco")
    machine = ["--target=amdgcn-amd-amdhsa", f"-mcpu={target}", *flags]
    subprocess.run(
        [*toolchain.clang, "-x", "assembler", *machine, "-c", assembly, "-o", unlinked], check=True
    )
    subprocess.run([*toolchain.linker, "-shared", unlinked, "-o", linked], check=True)
    return linked.read_bytes()
