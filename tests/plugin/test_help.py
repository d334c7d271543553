"""What `--help` and a shell say of greta's options."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_greta.options import FLAGS, OPTIONS
from tests.plugin.conftest import Run


def test_help_reads_like_pytests(greta: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = greta("--help").stdout.str()
    parts = re.split(r"\n(?=  -|\S)", text[: text.index("\n[pytest] ")])
    options = [part.rstrip() for part in parts if part.startswith("  --greta-")]
    assert len(options) == len(OPTIONS) + len(FLAGS)
    for option in options:
        said = re.search(r"(?:\s{2,}|\n\s+)([^-\s].*)", option, re.DOTALL)
        assert said, option
        assert said[1][0].isupper()
        assert max(map(len, option.splitlines())) <= 80
    budget = next(option for option in options if "--greta-budget" in option)
    assert budget.split("(")[1] == "default: 60)"
    assert [part for part in parts if part.startswith("gates for")] == [
        "gates for GPU kernels (greta):",
        "gates for GPU kernels: how it is measured:",
        "gates for GPU kernels: records, reports and CI:",
    ]


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("pytest --greta-variant=noop,sl", ["noop,slow"]),
        ("pytest --greta-target gfx94", ["gfx942"]),
    ],
)
def test_a_shell_completes_what_is_there(project: pytest.Pytester, line: str, completed: list[str]) -> None:
    """By the protocol of argcomplete: the line in the environment, the answer on file descriptor 8."""
    pytest.importorskip("argcomplete")
    answer = project.path / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"}
    asked |= {"_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:"}
    command = f'exec 8>"{answer}" 9>/dev/null; exec "{sys.executable}" -m pytest'
    subprocess.run(["bash", "-c", command], cwd=project.path, env={**os.environ, **asked}, check=False)
    assert [word.strip() for word in Path(answer).read_text().split("\n")] == completed
