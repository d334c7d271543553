"""Recorded runs of programs: held against the gates of today as those of kernels are."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.__main__ import main
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


def slower(one: dict[str, Any]) -> None:
    """Make a record one of a program that took 0.9 s."""
    one["seconds"] = [0.9, 0.9]
    for some in (one["quantities"], *one["each"]):
        some["seconds"].update(value=0.9)


REPLAY = ("--greta-replay", "summary.json")


def test_runs_of_a_program_are_judged_again_and_each_of_them(recorded: Path, greta: Run) -> None:
    greta(*REPLAY, "--greta-require=cpu").assert_outcomes(passed=1)
    change(recorded, lambda one: one["each"][1]["prefill_s"].update(value=0.0))
    result = greta(*REPLAY)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = "*[[]0].quantities.deterministic:prefill_s: True contradicts its own runs"
    (result.stderr if result.errlines else result.stdout).fnmatch_lines([told])
    change(recorded, lambda one: one["quantities"]["deterministic:prefill_s"].update(value=False))
    result = greta(*REPLAY)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*prefill_s > 0.1*0 s*FAIL"])


def test_what_a_record_says_in_another_unit_or_not_at_all_is_not_taken_for_it(
    project: pytest.Pytester, recorded: Path, greta: Run
) -> None:
    other = recorded.with_name("other.json")
    other.write_bytes(recorded.read_bytes())
    change(other, slower)
    result = greta(*REPLAY, "other.json")
    result.stdout.fnmatch_lines(
        ["note: engine v3 @ 4096 took 0.5 s in summary.json and 0.9 s in other.json*"]
    )
    asked = GATES.replace("attn_impl: v3_q_lds", "deterministic: {equals: true, outputs: [attn_imp]}")
    write_gates(project, asked.replace("prefill_s: s}", "prefill_s: ms}"))
    result = greta(*REPLAY)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines_random([
        "*prefill_s > 0.1 *NOT MEASURED*",
        "* recorded in s, and its unit is ms in gates.yaml",
        "*deterministic*FAIL*has no 'attn_imp'; did you mean 'attn_impl'?*",
    ])  # fmt: skip
    write_gates(project, GATES.replace("prefill_s: s}", "prefill_s: ms}"))
    greta(*REPLAY).assert_outcomes(passed=1)
    greta(*REPLAY, "--greta-require=hip").assert_outcomes(failed=1)


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


PAIRED = GATES.replace("repeats: 2", "repeats: 6\n    baseline: slow").replace(
    "      v3: [", f'      slow: ["{sys.executable}", -I, -S, engine.py, slow]\n'
    f'      fast: ["{sys.executable}", -I, -S, engine.py, fast]\n      v3: [',
)  # fmt: skip
TWO_TIMES = """\
import json, sys

t = {"slow": 2.0, "fast": 0.1}.get(sys.argv[-1], 0.5)
print("PERF_TIMING " + json.dumps({"prefill_s": t, "u": 9.0, "attn_impl": "v3_q_lds"}))
"""


def test_what_gates_yaml_means_otherwise_today_never_passes(
    project: pytest.Pytester, recorded: Path, greta: Run
) -> None:
    (project.path / "engine.py").write_text(TWO_TIMES)
    gates = PAIRED.replace("    gates: {", "    gates: {v3: {speedup: 2.0, seconds: {max: 1}}, ")
    write_gates(project, gates)
    greta("--greta-summary=summary.json", "--greta-variant=v3").assert_outcomes(passed=1)
    greta(*REPLAY, "--greta-variant=v3", "--greta-require=cpu").assert_outcomes(passed=1)
    write_gates(project, gates.replace("baseline: slow", "baseline: fast"))
    result = greta(*REPLAY, "--greta-variant=v3")
    result.stdout.fnmatch_lines_random(
        ["*speedup >= 2*NOT MEASURED*", "* recorded against slow, gates.yaml says fast"]
    )
    write_gates(project, gates.replace("prefill_s: s}, time: prefill_s", "prefill_s: s, u: s}, time: u"))
    result = greta(*REPLAY, "--greta-variant=v3")
    result.stdout.fnmatch_lines_random([
        "*v3 *seconds > 0 *NOT MEASURED*", "*v3 *seconds <= 1 *NOT MEASURED*", "*v3 *speedup >= 2*NOT MEASURED*",
        "* recorded with the time prefill_s in s, gates.yaml says u in s",
    ])  # fmt: skip
    name = "engine v3 @ 4096 in summary.json"
    write_gates(project, gates.replace("    contexts:", "    errors: FATAL\n    contexts:"))
    result = greta(*REPLAY, "--greta-variant=v3", "--greta-require=cpu")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no_errors is true*NOT MEASURED*"])
    for was, now, told in (
        ("engine.py]", "engine.py, more]", "its arguments"),
        ("engine.py, slow]", "engine.py, slow, more]", "the command of its baseline"),
        (
            "    contexts:",
            "    environment: {A: b}\n    contexts:",
            "its environment and the command of its baseline",
        ),
    ):
        assert was in gates
        write_gates(project, gates.replace(was, now))
        result = greta(*REPLAY, "--greta-variant=v3")
        result.stdout.fnmatch_lines([f"note: {name} is of other code: {told} changed since"])
        greta(*REPLAY, "--greta-variant=v3", "--greta-require=cpu").assert_outcomes(failed=1)
    write_gates(project, gates)
    whole = recorded.read_text()
    change(recorded, lambda one: one.update(baseline_seconds=[4 * s for s in one["baseline_seconds"]]))
    result = greta(*REPLAY)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = "measurements[0].quantities.speedup: 4x contradicts its own pairs, which say 16x"
    assert told in result.stdout.str() + result.stderr.str()
    recorded.write_text(whole)
    none = {"value": None, "interval": None, "reason": "the baseline slow: attn_impl is naive fails"}
    change(recorded, lambda one: one["quantities"]["speedup"].update(none))
    result = greta(*REPLAY, "--greta-variant=v3")
    result.stdout.fnmatch_lines_random(
        ["*speedup >= 2*NOT MEASURED*", "* the baseline slow: attn_impl is naive fails"]
    )
    recorded.write_text(whole)
    change(recorded, lambda one: one.pop("recipe"))
    result = greta(*REPLAY, "--greta-variant=v3")
    result.stdout.fnmatch_lines([f"note: {name} does not say with which arguments and environment it ran"])


CSV = (
    "v,n,prefill_s,attn_impl,status\nbase,4096,22.768,naive,0\nv1,4096,206.7,v1_lds,0\nv3,4096,18.7,naive,0\n"
)
COLUMNS = """\
version: 1
records:
  files: "*.csv"
  device: program
  kernel: engine
  variant: {column: v}
  context: {column: n}
  quantities:
    seconds: {column: prefill_s, unit: s}
    attn_impl: {column: attn_impl}
    exit_status: {column: status}
"""
OF_CSV = """\
version: 1
programs:
  engine:
    baseline: base
    variants: {base: [engine], v1: [engine, "1"], v3: [engine, "3"]}
    contexts: 4096
    output: {json_marker: PERF_TIMING}
    gates:
      v1: {speedup: 1.0, attn_impl: v1_lds}
      v3: {speedup: 1.2, attn_impl: v3_q_lds}
"""


def test_rows_of_others_are_runs_of_a_program_too(project: pytest.Pytester, greta: Run) -> None:
    (project.path / "conftest.py").unlink()
    project.makepyfile(test_gates="def test_engine(greta_program):\n    greta_program.check()\n")
    (project.path / "runs.csv").write_text(CSV)
    (project.path / "columns.yaml").write_text(COLUMNS)
    write_gates(project, OF_CSV)
    result = greta("--greta-columns=columns.yaml", "--greta-replay", "runs.csv")
    result.stdout.fnmatch_lines_random([
        "*v1 *speedup >= 1.00 *0.11x (4096)*FAIL",
        "*v1 *attn_impl is v1_lds *v1_lds (4096)*PASS",
        "*v3 *speedup >= 1.20 *1.22x (4096)*INCONCLUSIVE*",
        "*v3 *attn_impl is v3_q_lds *naive (4096)*FAIL",
        "*base *seconds > 0 *22.77 s (4096)*PASS",
    ])  # fmt: skip
    with_units = "    prefill_s: {column: prefill_s, unit: s}\n"
    (project.path / "columns.yaml").write_text(COLUMNS.partition("    exit_status")[0] + with_units)
    units = "{json_marker: PERF_TIMING, units: {prefill_s: s}, processed: tokens}"
    limited = OF_CSV.replace("{json_marker: PERF_TIMING}", units).replace(
        "attn_impl: v1_lds}", "prefill_s: {max: 60}}"
    )
    write_gates(project, limited)
    result = greta("--greta-columns=columns.yaml", "--greta-replay", "runs.csv")
    result.stdout.fnmatch_lines_random([
        "*v1 *prefill_s <= 60 *206.7 s (4096)*FAIL",
        "*exit_status is 0 *NOT MEASURED*",
        "*processed is 4096 *NOT MEASURED*",
    ])  # fmt: skip
    (project.path / "tokens.csv").write_text("v,n,prefill_s,attn_impl,t\nv1,4096,206.7,v1_lds,2048\n")
    tokens = with_units + "    tokens: {column: t}\n"  # by the name that gates.yaml has for it
    (project.path / "columns.yaml").write_text(COLUMNS.partition("    exit_status")[0] + tokens)
    result = greta("--greta-columns=columns.yaml", "--greta-replay", "tokens.csv")
    result.stdout.fnmatch_lines(["*v1 *processed is 4096 *2048 *(4096)*FAIL"])
    (project.path / "columns.yaml").write_text(
        COLUMNS.replace("  device: program\n", "").partition("  quantities")[0]
        + "  quantities: {prefill_seconds: {column: prefill_s, unit: s}}\n"
    )
    result = greta("--greta-columns=columns.yaml", "--greta-replay", "runs.csv")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "runs.csv: 'engine' is a program of gates.yaml" in result.stdout.str() + result.stderr.str()


def test_a_test_that_crashed_or_did_not_run_is_told_again(
    project: pytest.Pytester, recorded: Path, greta: Run
) -> None:
    write_gates(project, GATES.replace("4096", "[4096, 8192]"))
    test = "def test_engine(greta_program):\n    {}\n    greta_program.check()\n"
    project.makepyfile(test_gates=test.format("1 / 0"))
    greta("--greta-summary=summary.json", "-k", "4096").assert_outcomes(failed=1)
    project.makepyfile(test_gates=test.format(""))
    data = json.loads(recorded.read_text())
    recorded.write_text(json.dumps({**data, "exit_code": 2}))
    result = greta(*REPLAY)
    result.assert_outcomes(failed=1, skipped=1)
    ended = "the session of summary.json was interrupted (exit code 2): not all of its tests have run"
    result.stdout.fnmatch_lines_random([
        "*v3 @ 4096: FAIL when it was recorded in summary.json: the test failed: ZeroDivisionError: *",
        f"* no record of engine v3 @ 8192 in summary.json; there is none of v3; {ended}",
    ])  # fmt: skip


@pytest.mark.usefixtures("recorded")
def test_what_is_written_takes_the_place_of_nothing_else(project: pytest.Pytester, greta: Run) -> None:
    os.mkfifo(project.path / "pipe")
    result = greta("--greta-summary=pipe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --greta-summary: */pipe is no regular file"])
    assert (project.path / "pipe").is_fifo()
    result = greta(*REPLAY, "--greta-summary=./summary.json", "--greta-report=engine.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*summary.json is a file of --greta-replay*", "*--greta-report: *is no folder"]
    )


@pytest.mark.usefixtures("recorded")
def test_how_to_measure_contradicts_a_replay(greta: Run) -> None:
    result = greta(*REPLAY, "--greta-resume", "--greta-single-shot", "--greta-serialize", "--greta-rounds=5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().count("takes a measurement, and --greta-replay makes none") == 4


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (lambda one: one["quantities"]["seconds"].update(value=0.4), ".quantities.seconds: 0.4 s contradicts its own"),
        (lambda one: one.update(seconds=[0.5, 0.4]), ".each[[]1].seconds: 0.5 s contradicts its own round*0.4 s"),
        (lambda one: one.update(seconds=[0.5, 0.0]), ": a round took 0 s"),
        (
            lambda one: one["quantities"].update(speedup={**one["quantities"]["seconds"], "interval": [0.4, 3.0]}),
            ".quantities.speedup: it has an interval, and no pairs",
        ),
        (
            lambda one: one["quantities"]["cpu_seconds"].update(value=9.0, interval=[1.0, 2.0]),
            ".quantities.cpu_seconds: 9 is outside of its own interval",
        ),
        (lambda one: one["quantities"]["prefill_s"].update(value=0.2), ".quantities.prefill_s: 0.2 contradicts its"),
        (lambda one: one["quantities"]["attn_impl"].update(value="x"), ".quantities.attn_impl: 'x' contradicts its"),
    ],
)  # fmt: skip
def test_a_record_that_was_changed_by_hand_is_refused(
    recorded: Path, greta: Run, how: Callable[[dict[str, Any]], object], told: str
) -> None:
    change(recorded, how)
    result = greta(*REPLAY)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (result.stderr if result.errlines else result.stdout).fnmatch_lines(
        [f"*summary.json: measurements[[]0]{told}*"]
    )


def test_what_depends_on_other_contexts_is_taken_anew(
    project: pytest.Pytester, recorded: Path, greta: Run
) -> None:
    write_gates(
        project, GATES.replace("4096", "[4096, 8192]").replace("attn_impl:", "scaling: 2, attn_impl:")
    )
    greta("--greta-summary=summary.json").assert_outcomes(passed=2)
    data = json.loads(recorded.read_text())
    slower(data["measurements"][1])
    recorded.write_text(json.dumps(data))
    result = greta(*REPLAY)
    result.stdout.fnmatch_lines(["*scaling <= 2*0.8* (8192)*"])
    data["measurements"][1]["problem"].update(context=16384)
    recorded.write_text(json.dumps(data))
    told = "measurements[1].problem.id: '8192' contradicts its own context and axes, which are '16384'"
    result = greta(*REPLAY)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert told in result.stdout.str() + result.stderr.str()
    data["measurements"][1]["problem"].update(context=8192)
    del data["measurements"][0]
    recorded.write_text(json.dumps(data))
    assert "no record of the smallest context" in greta(*REPLAY).stdout.str()


@pytest.mark.usefixtures("recorded")
def test_nothing_is_resumed_without_a_cache(greta_alone: Run) -> None:
    result = greta_alone("-p", "no:cacheprovider", "--greta-resume")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    not_kept = "finished runs are not kept: pytest's cache is switched off, or cannot be written"
    assert f"--greta-resume: {not_kept}" in result.stdout.str() + result.stderr.str()
    at_once = greta_alone("-p", "no:cacheprovider")
    at_once.stdout.fnmatch_lines([f"greta *: {not_kept}", "test_*.py .*"])


def test_a_replayed_file_that_pytest_takes_for_its_root_is_told(
    project: pytest.Pytester, recorded: Path, greta_alone: Run
) -> None:
    (project.path.parent / "elsewhere").mkdir()
    other = recorded.rename(project.path.parent / "elsewhere" / "summary.json")
    for ini in ("pytest.ini", "tox.ini", "pyproject.toml"):
        (project.path / ini).unlink(missing_ok=True)
    result = greta_alone("--greta-replay", str(other))
    told = result.stdout.str() + result.stderr.str()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"write --greta-replay=FILE, or add --rootdir={project.path}" in told


def test_what_was_merged_by_force_is_told(recorded: Path, greta: Run, project: pytest.Pytester) -> None:
    data = json.loads(recorded.read_text())
    (project.path / "a.json").write_text(json.dumps(data))
    slower(data["measurements"][0])
    (project.path / "b.json").write_text(json.dumps({**data, "started": "2026-01-02T03:04:05+00:00"}))
    merged = str(project.path / "m.json")
    assert (
        main(["merge", str(project.path / "a.json"), str(project.path / "b.json"), "-o", merged, "--force"])
        == 0
    )
    result = greta("--greta-replay=m.json")
    result.stdout.fnmatch_lines(["note: m.json: engine v3 @ 4096 has 2 results, of the sessions of *"])
