"""Every example of the docs does what the docs say."""

from __future__ import annotations

import re

import pytest

from tests.plugin.conftest import PLUGINS, REPOSITORY

FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"\A(?:#|//) (?P<path>[\w./]+)\n")


def files(document: str) -> dict[str, str]:
    """The files a document shows: code blocks whose first line is a comment with their path."""
    found = {}
    for block in FENCE.finditer((REPOSITORY / document).read_text()):
        named = FILE.match(block["text"])
        if named:
            found[named["path"]] = block["text"]
    return found


@pytest.mark.parametrize(
    ("document", "options", "outcomes"),
    [
        ("README.md", [], {"passed": 3}),
        ("docs/writing-kernels.md", [], {"passed": 10}),
    ],
)
def test_the_files_of_a_document_work_together(
    pytester: pytest.Pytester, document: str, options: list[str], outcomes: dict[str, int]
) -> None:
    shown = files(document)
    assert {"conftest.py", "gates.yaml"} <= set(shown)
    for path, text in shown.items():
        target = pytester.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    result = pytester.runpytest_subprocess(*PLUGINS, "-Werror", *options)
    result.assert_outcomes(**outcomes)


def test_every_code_block_of_the_docs_is_a_file_that_is_run_or_a_command() -> None:
    for document in ["README.md", "docs/writing-kernels.md"]:
        for block in FENCE.finditer((REPOSITORY / document).read_text()):
            assert block["language"] == "console" or FILE.match(block["text"]), block["text"]


def test_ci_runs_the_readmes_own_test_command() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    (command,) = re.findall(r"^<!-- tests -->\n```console\n\$ (.*)\n```$", readme, re.MULTILINE)
    assert command.startswith("python3 -m venv .venv && ")
    assert command.endswith("pytest tests -n auto")
    assert "<!-- tests -->" in (REPOSITORY / ".ci/run").read_text()


def test_every_option_is_in_the_readme() -> None:
    from pytest_greta.options import FLAGS, OPTIONS

    readme = (REPOSITORY / "README.md").read_text()
    for option in (*OPTIONS.values(), *FLAGS.values()):
        assert f"`{option.flag}" in readme


def test_the_architecture_names_every_module() -> None:
    text = (REPOSITORY / "docs/architecture.md").read_text()
    modules = {
        p.relative_to(REPOSITORY / "pytest_greta").as_posix() for p in REPOSITORY.glob("pytest_greta/**/*.py")
    }
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE)
    named = {name for first, _ in rows for name in re.findall(r"`(\w+\.py)`", first)}
    for first, holds in rows:
        folder = re.match(r"`(\w+/)`$", first)
        if folder:
            named |= {folder[1] + name for name in re.findall(r"`(\w+\.py)`", holds)}
    assert {name for name in modules if not name.endswith("__init__.py")} <= named
    assert {name for name in named if not name.endswith("__init__.py")} <= modules
