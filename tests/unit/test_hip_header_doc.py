"""docs/hip-header.md names what the header has, and what it has not."""

from __future__ import annotations

import re
import subprocess
from itertools import product
from pathlib import Path

import pytest

from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from tests.devices.hip_functions import all_rows
from tests.rocm import names

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "pytest_greta/include/hip"
DOC = (ROOT / "docs/hip-header.md").read_text()
THERE, _, MISSING = DOC.partition("## Missing")
HEADERS = ("runtime", "bf16", "fp8", "complex", "cooperative_groups")


def expanded(text: str) -> list[str]:
    """`__f{add,sub}_rn` and `sin[f]` as all the names that they stand for."""
    found = []
    for word in text.split():
        parts = re.split(r"\{([^}]*)\}", word.replace("[f]", "{,f}"))
        choices = [part.split(",") if at % 2 else [part] for at, part in enumerate(parts)]
        found += ["".join(choice) for choice in product(*choices)]
    return found


def listed(text: str) -> list[list[str]]:
    """The names of each block of a text."""
    return [expanded(block) for block in re.findall(r"```\n(.*?)```", text, re.DOTALL)]


def declared(folder: Path, asked: list[str], target: str) -> dict[str, str]:
    """What the compiler knows of names behind the headers of HIP."""
    toolchain, source = find_toolchain(CPU_TARGET), folder / names.SOURCE
    source.write_text(names.probe(asked, "".join(f"#include <hip/hip_{name}.h>\n" for name in HEADERS)))
    options = ("-x", "hip", "-std=c++17", "--cuda-device-only", target, "-fsyntax-only", "-ferror-limit=0")
    command = [*toolchain.clang, *toolchain.flags, *options, str(source)]
    return names.read(asked, subprocess.run(command, capture_output=True, text=True, check=False).stderr)


@pytest.mark.parametrize("target", ["--offload-arch=gfx942", "--offload=spirv64"])
def test_all_that_is_listed_is_there(tmp_path: Path, target: str) -> None:
    there = [name for block in listed(THERE) for name in block]
    assert len(set(there)) > 550
    found = declared(tmp_path, there, target)
    assert {name for name in there if found[name] == "absent"} == set()


def test_what_is_missing_is_refused_or_not_declared(tmp_path: Path) -> None:
    refused, not_declared = listed(MISSING)
    found = declared(tmp_path, not_declared, "--offload-arch=gfx942")
    of_the_host = {"jn", "y0", "y1", "yn"}  # by <cmath>, for host code
    assert {name for name, kind in found.items() if kind != "absent"} == of_the_host
    header = "".join(path.read_text() for path in sorted(INCLUDE.rglob("*.h")))
    by_macro = set(re.findall(r"^GRETA_(?:MATH_MISSING|NO_TEXTURE)\((\w+)\)", header, re.MULTILINE))
    by_macro |= set(re.findall(r"unavailable\([^;]*?(\w+)\([^()]*\);", header))
    assert set(refused) <= by_macro


def test_what_the_table_calls_is_listed() -> None:
    there = {name for block in listed(THERE) for name in block}
    assert {row.name for row in all_rows()} - there == set()
