"""`--greta-summary`: what a session measured, whole, whatever came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_greta.records.model import Summary, load
from pytest_greta.records.schema import schema
from tests.plugin.conftest import GATES, Run, write_gates

FILE = "summary.json"
OPTIONS = ("--greta-variant=good,noop,does_not_compile", f"--greta-summary={FILE}")


def read(folder: Path) -> tuple[Summary, dict[str, Any]]:
    """The file as greta reads it and as it is, which is what the schema says."""
    data = json.loads((folder / FILE).read_text())
    jsonschema.validate(data, schema())
    return load(folder / FILE), data


def in_short(summary: Summary) -> list[tuple[str, str, str]]:
    return sorted((one.kind, one.variant, one.outcome) for one in summary.measurements)


def test_all_that_was_measured_is_in_the_file_also_when_tests_fail(
    project: pytest.Pytester, greta: Run
) -> None:
    write_gates(project, GATES + "        speedup: {min: 0.01, devices: cpu}\n")
    result = greta(*OPTIONS, "--greta-rounds=5")
    assert result.ret == 1
    summary, data = read(project.path)
    assert in_short(summary) == [
        *(("code", "good", "passed"), ("code", "noop", "passed")),
        *(("run", "good", "passed"), ("run", "noop", "failed")),
    ]
    assert [(one["variant"], one["where"], one["status"]) for one in summary.stopped] == [
        ("does_not_compile", "gfx942", "FAIL"),
        ("does_not_compile", "256", "FAIL"),
    ]
    assert (data["exit_code"], data["options"]["--greta-variant"]) == (1, OPTIONS[0].partition("=")[2])
    assert summary.session.device is not None
    assert summary.session.device["kind"] == "cpu"
    run = next(one for one in data["measurements"] if (one["kind"], one["variant"]) == ("run", "noop"))
    assert run["test"].endswith("::test_run[noop-256]")
    assert run["problem"] == {"id": "256", "context": 256, "axes": {}, "sizes": {}}
    assert run["quantities"]["complete"]["value"] is False
    assert run["quantities"]["prefill_seconds"]["unit"] == "s"
    assert len(run["seconds"]) == 5
    failed = [verdict["gate"] for verdict in run["verdicts"] if verdict["status"] == "FAIL"]
    assert "complete" in failed
    code = next(one for one in summary.measurements if one.name == "faulty good @ gfx942")
    assert code.quantities["scratch_bytes"].value == 0
    assert all(len(code.digests[name]) == 64 for name in ("code", "source"))


def test_what_cannot_be_written_is_one_line_under_the_table(project: pytest.Pytester, greta: Run) -> None:
    (project.path / "a.file").write_text("")
    result = greta("--greta-variant=good", "-k", "resources", "--greta-summary=a.file/summary.json")
    assert result.ret == 3
    result.stdout.fnmatch_lines(["gates.yaml:11*PASS", "ERROR: *a.file/summary.json could not be saved: *"])
    assert "Traceback" not in result.stdout.str()


def test_ctrl_c_loses_nothing_that_was_measured(project: pytest.Pytester, greta_alone: Run) -> None:
    project.makepyfile(test_z="def test_interrupted():\n    raise KeyboardInterrupt\n")
    result = greta_alone("--greta-variant=good", "--greta-target=gfx942", f"--greta-summary={FILE}")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    summary, data = read(project.path)
    assert in_short(summary) == [("code", "good", "passed"), ("run", "good", "passed")]
    assert data["exit_code"] == 2
