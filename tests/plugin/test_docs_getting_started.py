"""Every example of docs/getting-started.md does what the page says, but for figures, which are a compiler's."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator

import pytest

from pytest_greta.__main__ import main
from pytest_greta.scaffold import command as init
from pytest_greta.scaffold.layout import Layout
from tests.plugin.conftest import REPOSITORY, Run
from tests.plugin.test_docs import FENCE, files

pytest.importorskip("pyopencl", reason="running kernels on the CPU needs the extra 'cpu'")
DOCUMENT = "docs/getting-started.md"


def examples() -> Iterator[tuple[str, str]]:
    """Every command of the page with what it prints."""
    for block in FENCE.finditer((REPOSITORY / DOCUMENT).read_text()):
        if block["language"] == "console":
            for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                yield command, printed


def shape(text: str) -> list[str]:
    """Lines without figures, targets and widths of columns."""
    lines = (re.sub(r"\([^()]*(gfx\w+|\d{4})[^()]*\)", "()", line) for line in text.splitlines())
    return [re.sub(r"\s+", " ", re.sub(r"\d+", "N", line)).strip() for line in lines]


def test_the_examples(
    project: pytest.Pytester,
    greta: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("conftest.py", "test_gates.py", "gates.yaml"):
        (project.path / name).unlink()
    for path, text in files(DOCUMENT).items():
        (project.path / path).write_text(text)
    # What pytest would answer; tests/unit/test_scaffold.py asks it.
    monkeypatch.setattr(
        init, "ask_pytest", lambda root: Layout(root, ini if (ini := root / "pytest.ini").exists() else None)
    )
    monkeypatch.setattr(init, "uncollected", lambda *_: "")
    failed, ran = [], []
    for command, printed in examples():
        program, *options = shlex.split(command)
        if command.startswith("greta init"):
            capsys.readouterr()
            assert main(options) == 0
            assert shape(capsys.readouterr().out) == shape(printed)
        elif program == "sed":
            subprocess.run([program, *options], check=True)
            continue
        elif program == "pytest":
            result = greta(*options)
            failed.append(bool(result.ret))
            assert set(shape(printed)) <= set(shape(result.stdout.str())), command
        else:
            continue
        ran.append(program)
    assert ran == ["greta", "pytest", "pytest", "pytest", "greta", "pytest"]
    assert failed == [False, True, True, False]
