"""Recorded runs of programs: held against the gates of today as those of kernels are."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.conftest import Run, write_gates

PROGRAM = """\
import json

print("PERF_TIMING " + json.dumps({"prefill_s": 0.5, "attn_impl": "v3_q_lds"}))
"""
GATES = f"""\
version: 1
programs:
  engine:
    variants:
      v3: ["{sys.executable}", -I, -S, engine.py]
    contexts: 4096
    repeats: 2
    output: {{json_marker: PERF_TIMING, units: {{prefill_s: s}}, time: prefill_s}}
    gates: {{"*": {{attn_impl: v3_q_lds, prefill_s: {{min_exclusive: 0.1}}}}}}
"""


@pytest.fixture
def recorded(project: pytest.Pytester, greta: Run) -> Path:
    """A project of one program, with the record of its two runs."""
    (project.path / "conftest.py").unlink()
    project.makepyfile(test_gates="def test_engine(greta_program):\n    greta_program.check()\n")
    (project.path / "engine.py").write_text(PROGRAM)
    write_gates(project, GATES)
    greta("--greta-summary=summary.json").assert_outcomes(passed=1)
    return project.path / "summary.json"


def change(path: Path, how: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text())
    how(data["measurements"][0])
    path.write_text(json.dumps(data))


REPLAY = ("--greta-replay", "summary.json")


def test_runs_of_a_program_are_judged_again_and_each_of_them(recorded: Path, greta: Run) -> None:
    greta(*REPLAY, "--greta-require=cpu").assert_outcomes(passed=1)
    change(recorded, lambda one: one["each"][1]["prefill_s"].update(value=0.0))
    result = greta(*REPLAY)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*prefill_s > 0.1*0 s*FAIL"])


def test_a_program_that_has_changed_is_other_code(
    project: pytest.Pytester, recorded: Path, greta: Run
) -> None:
    (project.path / "engine.py").write_text(PROGRAM + "# other\n")
    result = greta(*REPLAY)
    result.assert_outcomes(passed=1)
    told = "engine v3 @ 4096 in summary.json is of other code: engine.py changed since"
    result.stdout.fnmatch_lines([f"note: {told}"])
    result = greta(*REPLAY, "--greta-require=cpu")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"NOT MEASURED: {told}"])
    change(recorded, lambda one: one.update(variant="v4"))
    result = greta(*REPLAY)
    result.assert_outcomes(skipped=1)
    assert "no record of engine v3 @ 4096 in summary.json; there is none of v3" in result.stdout.str()
