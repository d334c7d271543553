"""Every example of docs/programs.md does what the page says: the campaign of the records, one file and one command."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from pytest_greta.gates.program_reader import KEYS, SOURCES
from pytest_greta.gates.programs import PROGRAM_GATES, VALUE_LIMITS
from tests.plugin.conftest import REPOSITORY, Run
from tests.plugin.test_docs import FENCE, files

if TYPE_CHECKING:
    import pytest

PAGE = (REPOSITORY / "docs" / "programs.md").read_text()


def shape(text: str) -> list[str]:
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]


def test_the_campaign(project: pytest.Pytester, greta: Run) -> None:
    for path, text in files("docs/programs.md").items():
        (project.path / path).write_text(text)
    (project.path / "test_gates.py").unlink()
    (project.path / "conftest.py").unlink()
    engine = project.path / "bin" / "engine"
    engine.parent.mkdir()
    source = (REPOSITORY / "tests" / "engine" / "engine.py").read_text()
    engine.write_text(f"#!{sys.executable} -IS\n{source}")
    engine.chmod(0o755)
    result = greta()
    result.assert_outcomes(passed=4, failed=5)
    blocks = [block["text"] for block in FENCE.finditer(PAGE) if block["language"] == "console"]
    command, _, printed = blocks[0].partition("\n")
    assert command == "$ pytest"
    found = shape(result.stdout.str())
    assert [line for line in shape(printed) if line not in found] == []
    again = greta("--greta-resume")
    again.assert_outcomes(passed=4, failed=5)
    assert "note: day-v3-16384: 1 of 1 runs are those of an earlier session" in again.stdout.str()


def test_the_page_has_every_key_gate_and_limit() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
    expected = [(d.name, d.unit or "-", d.better or "-", d.description) for d in PROGRAM_GATES.values()]
    assert rows == expected
    assert {word for word in (*KEYS, *SOURCES) if f"`{word}" not in PAGE} == set()
    assert {word for word in VALUE_LIMITS if f"{word}:" not in PAGE} == set()
