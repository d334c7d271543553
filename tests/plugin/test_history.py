"""Times in pytest-benchmark's history: exact, complete, comparable, tied to the device."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import GATES, Run, write_gates


def entries(path: Path) -> dict[str, Any]:
    """The entries of a JSON file of pytest-benchmark, by name."""
    return {entry["name"]: entry for entry in json.loads(path.read_text())["benchmarks"]}


def test_an_entry_holds_the_exact_device_times_and_what_they_are_of(
    project: pytest.Pytester, greta: Run
) -> None:
    project.makepyfile(
        test_gates="""
        import json

        def test_run(greta_run):
            greta_run.check()
            with open("seconds.json", "w") as file:
                json.dump(greta_run.seconds, file)
        """
    )
    write_gates(project, GATES.replace("baseline: good", "baseline: slow"))
    greta("--greta-variant=good", "--greta-rounds=4", "--benchmark-json=run.json").assert_outcomes(passed=1)
    entry = entries(project.path / "run.json")["test_run[good-256]"]
    assert entry["stats"]["data"] == json.loads((project.path / "seconds.json").read_text())
    assert entry["stats"]["rounds"] == 4
    assert entry["params"] == {"greta_variant": "good", "greta_problem": "256"}
    assert entry["group"] == "faulty @ 256"
    info = entry["extra_info"]
    assert info["kernel"] == "faulty"
    assert info["baseline"] == "slow"
    assert len(info["baseline_seconds"]) == 4
    assert info["device"].startswith("cpu: ")
    assert info["quantities"]["complete"] is True
    assert info["quantities"]["tokens_per_second"] > 0
    assert info["resources"]["gfx942"]["scratch_bytes"] == 0
    assert any(line.endswith("PASS") for line in info["verdicts"])


def test_the_device_is_part_of_the_machine(project: pytest.Pytester, greta: Run) -> None:
    greta("--greta-variant=good", "-k", "test_run", "--benchmark-json=run.json").assert_outcomes(passed=1)
    machine = json.loads((project.path / "run.json").read_text())["machine_info"]
    assert machine["greta_device"].startswith("cpu: ")
    assert "hz_actual" not in machine["cpu"]


def test_saved_runs_are_compared_on_the_same_machine(project: pytest.Pytester, greta: Run) -> None:
    options = ("--greta-variant=good", "-k", "test_run", "--benchmark-autosave")
    greta(*options).assert_outcomes(passed=1)
    (first,) = (project.path / ".benchmarks").glob("*/0001_*.json")
    stored = json.loads(first.read_text())
    stored["benchmarks"][0]["params"] = {"greta_variant": "good", "greta_context": 256}  # as 0.1.0 stored it
    first.write_text(json.dumps(stored, indent=4))
    result = greta(*options, "--benchmark-compare", "-Wdefault")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*test_run[[]good-256[]] (0001_*)*"])
    assert "machine_info is different" not in result.stdout.str() + result.stderr.str()
    command = [sys.executable, "-m", "pytest_benchmark", "compare", "--columns=median"]
    command += ["--group-by=param:greta_problem"]
    compared = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=True)
    assert compared.stdout.count("test_run[good-256]") == 2
    assert "benchmark 'greta_problem=256': 2 tests" in compared.stdout


def test_a_regression_fails_pytest_benchmarks_own_gate(project: pytest.Pytester, greta_alone: Run) -> None:
    options = ("-k", "test_run", "--benchmark-autosave", "--greta-ctx=2048")
    conftest = (project.path / "conftest.py").read_text()
    project.makeconftest(conftest.replace("from tests.faulty.faulty import", "from kernel import"))
    source = project.path / "kernel.py"
    source.write_text(PROJECT_KERNEL.format(source="good"))
    greta_alone(*options).assert_outcomes(passed=1)
    source.write_text(PROJECT_KERNEL.format(source="slow"))
    result = greta_alone(*options, "--benchmark-compare", "--benchmark-compare-fail=median:50%", "-Wdefault")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stderr.fnmatch_lines(["*Performance has regressed*"])


PROJECT_KERNEL = """
from pathlib import Path

from pytest_greta import Variant
from tests.faulty import faulty


class Faulty(faulty.Faulty):
    variants = (Variant("good", "{source}.hip", "{source}"),)
    folder = Path(faulty.__file__).parent
"""


def test_what_was_measured_is_kept_when_a_gate_fails(project: pytest.Pytester, greta: Run) -> None:
    result = greta("--greta-variant=inaccurate", "-k", "test_run", "--benchmark-json=run.json")
    result.assert_outcomes(failed=1)
    info = entries(project.path / "run.json")["test_run[inaccurate-256]"]["extra_info"]
    assert any("max_error" in line and "FAIL" in line for line in info["verdicts"])


def test_what_cannot_be_json_is_kept_as_null(project: pytest.Pytester, greta: Run) -> None:
    greta("--greta-variant=returns_nan", "-k", "test_run", "--benchmark-json=run.json").assert_outcomes(
        failed=1
    )
    entry = entries(project.path / "run.json")["test_run[returns_nan-256]"]
    assert entry["extra_info"]["quantities"]["max_error"] is None


def test_benchmarks_can_be_switched_off_and_gates_still_hold(project: pytest.Pytester, greta: Run) -> None:
    """And who asked to save is told that nothing is there, the code of an accepted run neither."""
    options = ("--greta-variant=good,noop", "-k", "test_run", "--benchmark-disable")
    result = greta(*options, "--benchmark-autosave", "--benchmark-storage=history")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["note: no run was stored, *: --benchmark-disable * add --benchmark-enable"])
    assert not list((project.path / "history").rglob("*"))


def test_skipping_benchmarks_skips_runs_only(greta: Run) -> None:
    greta("--greta-variant=good", "--benchmark-skip").assert_outcomes(passed=1, skipped=1)
    greta("--greta-variant=good", "--benchmark-only").assert_outcomes(passed=1, skipped=1)


def test_without_pytest_benchmark_the_error_says_so(greta: Run) -> None:
    result = greta("--greta-variant=good", "-p", "no:benchmark")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: greta keeps its history with pytest-benchmark*-p no:benchmark*"])


def test_a_users_benchmark_marker_keeps_its_group(project: pytest.Pytester, greta: Run) -> None:
    project.makepyfile(
        test_gates="""
        import pytest

        @pytest.mark.benchmark(group="mine")
        def test_run(greta_run):
            greta_run.check()
        """
    )
    greta("--greta-variant=good", "--benchmark-json=run.json").assert_outcomes(passed=1)
    assert entries(project.path / "run.json")["test_run[good-256]"]["group"] == "mine"
