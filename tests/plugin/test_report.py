"""`--greta-report`: a page and tables of a session, whatever came of it."""

from __future__ import annotations

import sys

import pytest

from tests.plugin.conftest import DRAWING, GATES, Run, write_gates

for name in DRAWING:
    pytest.importorskip(name, reason="a page needs the extra 'report'")


def test_a_session_writes_its_report_and_says_where(
    project: pytest.Pytester, greta: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a step of GitHub Actions also in the summary of the job."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "step.md"))
    write_gates(project, GATES + "        speedup: {min: 0.01, devices: cpu}\n")
    options = ("--greta-variant=good,noop,does_not_compile", "--greta-rounds=5", "--benchmark-autosave")
    result = greta(*options, "--greta-report=out")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*, * FAIL*", "report: out/report.html", "report: out/summary.md"])
    tables = (project.path / "out/summary.md").read_text()
    assert tables.startswith("# greta: ")
    assert (project.path / "step.md").read_text() == f"{tables}\n"
    failed = tables.partition("## Time")[0]
    assert "| FAIL | expected true | faulty noop | 256 | complete is true | false |" in failed
    assert "does_not_compile" in failed
    assert "| faulty good | gfx942 | 0 |" in tables
    assert "| 1 | 1 |" in tables.partition("## History")[2]  # the run of this session, and it was accepted
    page = (project.path / "out/report.html").read_text()
    assert page.count("<svg") >= 3


def test_a_folder_that_cannot_be_made_is_one_line(project: pytest.Pytester, greta: Run) -> None:
    (project.path / "a.file").write_text("")
    result = greta("--greta-variant=good", "-k", "resources", "--greta-report=a.file/out")
    assert result.ret == 3
    result.stdout.fnmatch_lines(["4 PASS", "ERROR: *a.file/out could not be saved: Not a directory"])
    assert "Traceback" not in result.stdout.str()


def test_what_only_collects_leaves_a_report_alone(project: pytest.Pytester, greta: Run) -> None:
    greta("--collect-only", "--greta-report=out")
    assert not (project.path / "out").exists()


def test_without_the_extra_nothing_begins(greta: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = greta("--greta-report=out")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: --greta-report: report.html needs jinja2: python -m pip install *(the extra 'report')"]
    )
