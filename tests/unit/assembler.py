"""The compiler's own assembler, for tests that read machine code."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

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
