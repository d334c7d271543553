"""`--greta-calibrate`: gates on equal code, and on code with more work, really run."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import GATES, Run, write_gates


def test_a_calibration_is_measured_stored_and_shown_later(project: pytest.Pytester, greta: Run) -> None:
    result = greta("--greta-variant=slow", "--greta-ctx=512", "--greta-calibrate=2", "--greta-budget=0.05")
    result.assert_outcomes(skipped=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["* greta calibration *", "faulty slow @ 512: speedup >= 0.99: * false alarms in 2, *"]
    )
    (found,) = json.loads((project.path / "greta-calibration.json").read_text())
    assert found["device"].startswith("cpu: ")
    assert found["equal"]["gates"] == 2
    assert [one["slowdown"] for one in found["slower"]] == [0.01, 0.02, 0.03, 0.05, 0.1]
    assert {one["gates"] for one in found["slower"]} <= {0, 1}  # what noise hides could not be made
    write_gates(project, GATES + "        speedup: {min: 0.001, devices: cpu}\n")
    result = greta("--greta-variant=slow", "--greta-ctx=512", "-k", "test_run", "--greta-rounds=3")
    result.stdout.fnmatch_lines(["calibrated: faulty slow @ 512: speedup >= 0.99: *"])


def test_a_calibration_that_cannot_be_stored_is_one_line(project: pytest.Pytester, greta: Run) -> None:
    path = project.path / "greta-calibration.json"
    path.mkdir()
    result = greta("--greta-variant=good", "--greta-calibrate=2", "--greta-budget=0.05")
    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines([f"{path} cannot be written: is no regular file"])
    assert "Traceback" not in result.stdout.str()
    assert "stored in" not in result.stdout.str()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--greta-calibrate=0"],
            "--greta-calibrate: 0 is not a number of gates; expected a whole number from 1",
        ),
        (
            ["--greta-calibrate=5", "-n2"],
            "--greta-calibrate measures in one process: leave out -n",
        ),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(greta: Run, options: list[str], message: str) -> None:
    result = greta(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
