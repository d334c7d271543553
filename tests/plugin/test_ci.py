"""What a CI server is told of a session, and what a person is told at its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import REPOSITORY, Run, write_gates

GATES = """\
version: 1
targets: [gfx942]
kernels:
  faulty:
    baseline: good
    contexts: {cpu: [256], hip: [4096]}
    gates:
      "*": {scratch_bytes: 0, speedup: 1.2}
"""
HERE = """\
import sys
from pathlib import Path

sys.path.insert(0, {repository!r})


def pytest_greta_kernels():
    from tests.faulty.faulty import Faulty

    class Here(Faulty):
        folder = Path(__file__).parent

    return [Here()]
"""


@pytest.fixture
def checkout(project: pytest.Pytester) -> Path:
    """The project as a part of a working tree of git, with sources of its own."""
    (project.path / ".git").mkdir()
    project.makeconftest(HERE.format(repository=str(REPOSITORY)))
    for source in (REPOSITORY / "tests/faulty").glob("*.hip"):
        (project.path / source.name).write_text(source.read_text())
    write_gates(project, GATES)
    return project.path


def errors(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("::")]


def test_a_failure_is_told_to_github_to_gitlab_and_to_a_person(
    checkout: Path, greta: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("COLUMNS", "80")
    result = greta(
        *("--greta-variant=noop,spills,does_not_compile", "--greta-explain"),
        *("--greta-code-quality=quality.json", "--junitxml=greta.xml"),
    )
    told = errors(result)
    assert [line.partition("::")[2].partition("::")[0] for line in told] == [
        "error file=does_not_compile.hip,line=8,col=45,title=greta%3A compiles",
        "error file=gates.yaml,line=8,col=28,title=greta%3A scratch_bytes",
        "error file=noop.hip,line=4,title=greta%3A complete%2C max_error",
        "error file=spills.hip,line=7,title=greta%3A scratch_bytes",
    ]
    assert (
        "::does_not_compile @ gfx942: use of undeclared identifier 'j'%0Adoes_not_compile @ 256: use"
        in told[0]
    )
    entries = json.loads((checkout / "quality.json").read_text())
    places = {f"{one['location']['path']}:{one['location']['lines']['begin']}" for one in entries}
    assert places == {"does_not_compile.hip:8", "gates.yaml:8", "noop.hip:4", "spills.hip:7"}
    assert (
        'message="complete false, max_error inf&#10;built-in  noop @ 256'
        in (checkout / "greta.xml").read_text()
    )
    result.stdout.fnmatch_lines(
        [
            "*greta: what to do next*",
            "FAIL  spills: scratch_bytes",
            "  registers did not fit: *",
            "FAIL  does_not_compile: compiles",
            "FAIL  noop: complete",
            "NOT MEASURED  noop: deterministic",
            "NOT MEASURED  noop: speedup; spills: speedup",
            "  run it on a machine with an AMD GPU, *",
            "FAILED test_gates.py::test_resources[[]spills-gfx942] - scratch_bytes * B",
            "FAILED test_gates.py::test_resources[[]does_not_compile-gfx942] - use of undecl...",
            "FAILED test_gates.py::test_run[[]noop-256] - complete false, max_error inf",
            "FAILED test_gates.py::test_run[[]does_not_compile-256] - use of undeclared iden...",
        ]
    )
    titles = [number for number, line in enumerate(result.outlines) if "what to do next" in line]
    explained = result.outlines[titles[0] : result.outlines.index("", titles[0])]
    assert max(map(len, explained)) <= 80


def test_nothing_is_told_where_nobody_listens_or_nothing_failed(
    checkout: Path, greta: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not errors(greta("--greta-variant=spills", "-k", "resources"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert not errors(greta("--greta-variant=spills", "-k", "resources", "--greta-annotate=off"))
    assert not errors(greta("--greta-variant=good", "-k", "resources", "--greta-code-quality=quality.json"))
    assert json.loads((checkout / "quality.json").read_text()) == []


def test_a_file_that_cannot_be_written_is_refused_before_anything_runs(checkout: Path, greta: Run) -> None:
    (checkout / "folder").mkdir()
    result = greta("--greta-code-quality=folder")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --greta-code-quality: *folder is no regular file"])


def test_mistakes_and_gates_that_nobody_evaluated_are_told_too(
    checkout: Path, greta: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that says nothing would say that nothing is wrong."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    tests = checkout / "test_gates.py"
    tests.write_text("def test_unchecked(greta_code):\n    pass\n")
    (line,) = errors(greta("--greta-variant=good"))
    where, _, what = line.removeprefix("::error ").partition("::")
    assert where == "file=test_gates.py,line=1,title=greta%3A test"
    assert what == "test_unchecked[good-gfx942]: no gate of greta_code was evaluated: call .check()"
    tests.write_text("def test_other():\n    pass\n")
    result = greta("--greta-require=cpu", "--greta-code-quality=quality.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = errors(result)
    assert told[0].startswith(
        "::error file=gates.yaml,line=8,title=greta%3A not evaluated::no test evaluated"
    )
    assert told[1].startswith(
        "::error title=greta%3A not evaluated::no test with greta_run runs kernel 'faulty'"
    )
    assert len(json.loads((checkout / "quality.json").read_text())) == 2
    (checkout / "gates.yaml").write_text(GATES.replace("scratch_bytes", "scratch_byte"))
    result = greta("--greta-require=cpu", "--greta-code-quality=quality.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = errors(result)
    assert line.startswith(
        "::error file=gates.yaml,line=8,col=13,title=greta%3A mistake::gates.yaml:8:13: unknown"
    )
    (entry,) = json.loads((checkout / "quality.json").read_text())
    assert entry["location"] == {"path": "gates.yaml", "lines": {"begin": 8}}


def test_what_is_missing_is_told_once_where_it_can_be_mended(
    checkout: Path, greta: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library is nothing of a kernel; a source that is not there is named by its conftest.py."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    options = ("--greta-variant=good,spills", "--greta-code-quality=quality.json")
    (line,) = errors(greta("--greta-require=hip", "-k", "run", *options))
    where, _, what = line.removeprefix("::error ").partition("::")
    assert where == "file=gates.yaml,title=greta%3A all gates"
    assert what.startswith("NOT MEASURED: ")
    (entry,) = json.loads((checkout / "quality.json").read_text())
    assert entry["location"]["path"] == "gates.yaml"
    (checkout / "spills.hip").unlink()
    (line,) = errors(greta("-k", "resources", *options))
    assert line.startswith("::error file=conftest.py,title=greta%3A mistake::conftest.py: kernel 'faulty': ")
