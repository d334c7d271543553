"""Every example of docs/programs.md does what the page says: the campaign of the records, one file and one command."""

from __future__ import annotations

import re
import sys

import pytest

from pytest_greta.gates.program_reader import KEYS, SOURCES
from pytest_greta.gates.programs import PROGRAM_GATES, VALUE_LIMITS
from tests.plugin.conftest import REPOSITORY, Run
from tests.plugin.test_docs import FENCE, files

PAGE = (REPOSITORY / "docs" / "programs.md").read_text()


def shape(text: str) -> list[str]:
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines()]


def test_the_campaign(project: pytest.Pytester, greta: Run) -> None:
    for path in ("gates.yaml", "test_campaign.py"):
        text = files("docs/programs.md")[path]
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


def test_a_real_engine_on_a_tiny_model(project: pytest.Pytester, greta: Run) -> None:
    reason = "a real engine needs the extra 'engine'"
    pytest.importorskip("xllamacpp", reason=reason)
    pytest.importorskip("gguf", reason=reason)
    from tests.engine.tiny_model import write

    (project.path / "llama").mkdir()
    for path in ("llama/gates.yaml", "llama/test_llama.py"):
        text = files("docs/programs.md")[path]
        (project.path / path).write_text(text.replace("[python3, ", f'["{sys.executable}", '))
    (project.path / "conftest.py").unlink()
    (project.path / "tests").symlink_to(REPOSITORY / "tests")
    write(project.path / "tiny.gguf")
    (block,) = [b["text"] for b in FENCE.finditer(PAGE) if "--greta-gates" in b["text"]]
    command, _, printed = block.partition("$ pytest ")[2].partition("\n")
    result = greta(*command.split())
    result.assert_outcomes(passed=1, failed=1)
    assert [line for line in shape(printed) if line not in shape(result.stdout.str())] == []
    gates = project.path / "llama" / "gates.yaml"
    gates.write_text(gates.read_text().replace('"{context}"]', '"{context}", --window, 100]'))
    result = greta(*command.split(), "--greta-ctx=300")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["built-in  llama @ 300  exit_status is 0   measured 1   FAIL (*exceed*context*)"]
    )


def test_the_page_has_every_key_gate_and_limit() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
    expected = [(d.name, d.unit or "-", d.better or "-", d.description) for d in PROGRAM_GATES.values()]
    assert rows == expected
    assert {word for word in (*KEYS, *SOURCES) if f"`{word}" not in PAGE} == set()
    assert {word for word in VALUE_LIMITS if f"{word}:" not in PAGE} == set()
