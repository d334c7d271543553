"""Source lines are those that an independent reader of line information finds, and damage costs no more than them."""

from __future__ import annotations

import io
import signal
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.codeobject import source_lines
from pytest_greta.compiler.toolchain import find_toolchain
from tests.fuzz.code_objects import SOURCE
from tests.fuzz.common import limited

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")


def compiled(folder: Path, *flags: str) -> bytes:
    source = folder / "k.hip"
    source.write_text(SOURCE)
    return run_compiler(find_toolchain("gfx942"), Job(source, "gfx942", flags=flags))[0]


@pytest.mark.parametrize("flag", ["-gline-tables-only", "-g", "-gdwarf-4", "-gdwarf-3", "-gdwarf-2"])
def test_they_are_what_pyelftools_reads(flag: str, tmp_path: Path) -> None:
    code = compiled(tmp_path, flag)
    found = source_lines(code)
    assert found == by_pyelftools(code)
    assert {line.partition(":")[0] for line in found.values()} >= {"k.hip"}


def by_pyelftools(code: bytes) -> dict[int, str]:
    information: Any = ELFFile(io.BytesIO(code)).get_dwarf_info()
    lines = {}
    for unit in information.iter_CUs():
        program = information.line_program_for_CU(unit)
        first = 0 if program["version"] >= 5 else 1
        for entry in program.get_entries():
            if entry.state is not None and not entry.state.end_sequence:
                name = program["file_entry"][entry.state.file - first].name.decode()
                lines[entry.state.address] = f"{Path(name).name}:{entry.state.line}"
    return lines


def test_code_without_line_information_has_none(tmp_path: Path) -> None:
    assert source_lines(compiled(tmp_path)) == {}
    assert source_lines(b"garbage") == {}


def test_a_count_without_an_end_costs_the_lines_and_no_time(tmp_path: Path) -> None:
    code = bytearray(compiled(tmp_path, "-gline-tables-only"))
    formats = bytes(code).index(b"\x01\x01\x1f")  # of folders: one field, a path, in .debug_line_str
    code[formats : formats + 10] = b"\0" + b"\xff" * 8 + b"\x7f"
    with limited(5):
        assert source_lines(bytes(code)) == {}
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
