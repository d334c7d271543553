"""Whole programs, gated as a user sees it; each vice of an engine has a message of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_greta.device.locks import DeviceLock
from pytest_greta.programs.tree import all_stats
from tests.engine.engine import VICES
from tests.plugin.conftest import REPOSITORY, Run, write_gates

ENGINE = REPOSITORY / "tests" / "engine" / "engine.py"
COMMAND = f'"{sys.executable}", -I, -S, "{ENGINE}", --context, "{{context}}"'
"""An interpreter that imports no site-packages starts in a third of the time."""
OUTPUT = """\
    output:
      json_marker: PERF_TIMING
      units: {prefill_s: s, model_load_s: s}
      time: prefill_s
      processed: tokens
"""


@pytest.fixture
def engine(project: pytest.Pytester) -> pytest.Pytester:
    """A project of programs alone."""
    (project.path / "conftest.py").unlink()
    project.makepyfile(test_gates="def test_engine(greta_program):\n    greta_program.check()\n")
    return project


def vices() -> str:
    """One program; each of its variants has one vice."""
    variants = "".join(
        f"      {vice}: [{COMMAND}, --variant, v3, --vice, {vice}]\n" for vice in ("honest", *VICES)
    )
    return f"""\
version: 1
programs:
  engine:
    variants:
{variants.replace("--vice, honest", "--vice=")}
    contexts: 4096
{OUTPUT}
    gates:
      "*": {{attn_impl: v3_q_lds, peak_bytes: {{max: 50000000}}, deadline_seconds: 10}}
      hangs: {{deadline_seconds: 0.4}}
      ignores-sigterm: {{deadline_seconds: 0.4}}
"""


MESSAGES = {
    "zero": "seconds > 0   measured 0 s   FAIL (a value of 0 or less is no measurement)",
    "truncates": "processed is 4096   measured 2048 tokens   FAIL",
    "prints-twice": "readable is true   measured false   FAIL (PERF_TIMING is there twice, in line 1 and in line 2: *)",
    "lies": "attn_impl is v3_q_lds   measured flash_v2_naive   FAIL",
    "leaks": "peak_bytes <= 50000000   measured ???????? B   FAIL",
    "hides-an-error": "no_errors is true   measured false   FAIL (engine.cpp:88: hipErrorOutOfMemory: out of memory)",
    "fails-late": "exit_status is 0   measured 3   FAIL (PERF_TIMING *)",
    "crashes": "exit_status is 0   measured SIGSEGV   FAIL",
    "says-nothing": "readable is true   measured false   FAIL (no line of the output has PERF_TIMING)",
    "breaks-its-json": "readable is true   measured false   FAIL (line 1, behind PERF_TIMING: not valid JSON: *",
    "forks": "left_processes <= 0   measured 1   FAIL (still running when it had ended, and killed: *",
    "hangs": "deadline_seconds <= 0.4   measured 0.4* s   FAIL (the whole process tree was killed)",
    "ignores-sigterm": "deadline_seconds <= 0.4   measured 0.[47]* s   FAIL (the whole process tree was killed)",
}


def test_a_program_waits_for_who_has_the_device(
    greta: Run, engine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_greta.device.places._TOPOLOGY", engine.path / "no GPU")
    write_gates(engine, vices())
    cores = [f"cpu-core-{core}" for core in os.sched_getaffinity(0)]
    other = DeviceLock(cores, engine.path / "locks")
    assert other.try_hold("theirs")
    options = ("--greta-variant=honest", "--greta-devices=0", "--greta-wait=0.1", "--greta-require=cpu")
    result = greta(*options)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*NOT MEASURED: the CPU did not become free within 0.1 s (--greta-wait): held by *"]
    )
    other.release()
    greta(*options).assert_outcomes(passed=1)
    assert other.try_hold("theirs")


def test_each_vice_has_a_message_of_its_own(greta: Run, engine: pytest.Pytester) -> None:
    write_gates(engine, vices())
    result = greta("-v")
    result.assert_outcomes(passed=2, failed=len(VICES) - 1)
    failed: dict[str, list[str]] = {}
    for line in result.outlines:
        if line.startswith(("built-in  ", "gates.yaml:")) and " @ 4096  " in line and " FAIL" in line:
            failed.setdefault(line.split()[1], []).append(line)
    assert {vice: len(lines) for vice, lines in failed.items()} == dict.fromkeys(MESSAGES, 1)
    for vice, told in MESSAGES.items():
        result.stdout.fnmatch_lines([f"*  {vice} @ 4096  {told}"])
    lost = "the device of program 'engine' is lost: hipErrorNoDevice: no ROCm-capable device is detected"
    result.stdout.fnmatch_lines([f"BLOCKED: {lost}", "*all gates *- (4096) *BLOCKED [[]*]"])
    assert "Traceback" not in result.stdout.str()
    for told in (
        "*test_engine?honest-4096? PASSED*",
        "built-in *honest *processed is 4096 *4096 tokens (4096) *PASS",
        "gates.yaml:* honest *attn_impl is v3_q_lds *v3_q_lds (4096) *PASS",
        "*test_engine?floods-4096? PASSED*",
    ):
        result.stdout.fnmatch_lines([told])
    assert engines(engine.path) == []


def test_what_stands_on_standard_error_alone_is_told(greta: Run, engine: pytest.Pytester) -> None:
    line = 'PERF_TIMING {"prefill_s": 1, "tokens": 8}'
    text = program("", f"    contexts: 8\n{OUTPUT}").replace(OUTPUT, "", 1)
    start = text.index("variants: ")
    end = text.index("\n", start)
    words = json.dumps(["sh", "-c", f"echo '{line.replace('{', '{{').replace('}', '}}')}' >&2"])
    write_gates(engine, f"{text[:start]}variants: {{v3: {words}}}{text[end:]}")
    told = "no line of the output has PERF_TIMING; it is on standard error, which is not read"
    greta().stdout.fnmatch_lines([f"*readable is true   measured false   FAIL ({told})"])


def test_a_file_of_the_baseline_or_of_an_earlier_run_never_serves_a_variant(
    greta: Run, engine: pytest.Pytester
) -> None:
    write_gates(
        engine,
        """\
version: 1
programs:
  engine:
    variants:
      writes: [sh, -c, "printf 't\\n1.0\\n' > out.csv"]
      touches: [sh, -c, "touch out.csv"]
    contexts: 8
    repeats: 1
    baseline: writes
    output: {csv: out.csv, units: {t: s}, time: t}
    gates: {touches: {speedup: 0.2}}
""",
    )
    for _ in range(2):
        result = greta()
        result.assert_outcomes(passed=1, failed=1)
        told = "*out.csv was not written by this run: it is as it was before"
        result.stdout.fnmatch_lines([f"*readable is true   measured false   FAIL ({told})"])


def engines(folder: Path) -> list[int]:
    """The engines of this test that run."""
    found = []
    for stat in all_stats().values():
        try:
            command, where = (
                Path(f"/proc/{stat.pid}/cmdline").read_bytes(),
                Path(f"/proc/{stat.pid}/cwd").readlink(),
            )
        except OSError:
            continue
        if str(ENGINE).encode() in command and where == folder and stat.state != "Z":
            found.append(stat.pid)
    return found


def program(options: str, rest: str, variants: str = "v3") -> str:
    """A gates file of one program."""
    command = f'[{COMMAND}, --variant, "{{variant}}", {options}]'
    listed = ", ".join(f"{name}: {command}" for name in variants.split())
    return f"version: 1\nprograms:\n  engine:\n    variants: {{{listed}}}\n{OUTPUT}{rest}"


def log_of(project: pytest.Pytester) -> list[str]:
    """What ran, in order."""
    path = project.path / "log"
    return path.read_text().splitlines() if path.exists() else []


def test_pairs_are_interleaved_as_often_as_the_gate_needs(greta: Run, engine: pytest.Pytester) -> None:
    rest = "    baseline: v3\n    contexts: 8192\n    gates: {v4: {speedup: 0.5}}\n"
    write_gates(engine, program("--campaign, 2026-02-14, --log, log", rest, "v3 v4"))
    result = greta("--greta-variant=v4")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*v4 *speedup >= 0.50 *1.75x [[]1.59, 1.92] (8192) *PASS"])
    ran = [line.split()[0] for line in log_of(engine)]
    assert len(ran) == 12
    couples = [ran[at : at + 4] for at in range(0, 12, 4)]
    assert all(couple == couple[::-1] and set(couple) == {"v3", "v4"} for couple in couples)
    result = greta("--greta-rounds=8192:1")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*v4 *speedup >= 0.50 *1.75x (8192) *INCONCLUSIVE *", "*1 pair is too few"])
    assert len(log_of(engine)) == 15


def test_a_single_shot_and_serialised_launches_are_timed_against_nothing(
    greta: Run, engine: pytest.Pytester
) -> None:
    rest = """\
    baseline: v3
    contexts: 4096
    environment: {GRETA_MAX_SEQ_LEN: "{context+2}"}
    gates:
      v4:
        {speedup: 0.5, max_seq_len: "4098", serial: "1 3"}
      "*": {prefill_s: {max: 60, min_exclusive: 0}, tokens: {equals: "{context}"}}
"""
    write_gates(engine, program("--log, log", rest, "v3 v4"))
    result = greta("--greta-variant=v4", "--greta-single-shot", "--greta-serialize", "--greta-deadline=9")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "--greta-deadline *deadline_seconds <= 9 *PASS",
            "*max_seq_len is 4098 *PASS",
            "*serial is 1 3 *PASS",
            "*tokens is 4096 *PASS",
            "*speedup >= 0.50 *NOT MEASURED *",
            "*0 < prefill_s <= 60 *NOT MEASURED *",
            "*a single shot has no baseline beside it",
            "*launches are serialised (--greta-serialize)",
        ],
        consecutive=False,
    )
    assert log_of(engine) == ["v4 4096"]


def test_a_baseline_that_fails_is_run_once_and_a_longer_deadline_runs_again(
    greta: Run, engine: pytest.Pytester
) -> None:
    rest = "    baseline: v3\n    contexts: 2\n    repeats: 3\n    gates: {v4: {speedup: 2}}\n"
    text = program("--log, log", rest, "v3 v4")
    write_gates(engine, text.replace('"{variant}", --log, log]', "v3, --log, log, --vice, zero]", 1))
    result = greta("--greta-variant=v4")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*speedup >= 2.00 *NOT MEASURED *", "*the baseline v3: its time is 0.0"])
    assert sorted(log_of(engine)) == ["v3 2", "v4 2", "v4 2", "v4 2"]
    result = greta("--greta-variant=v4", "--greta-resume")
    result.stdout.fnmatch_lines(["note: v4-2: 3 of 3 runs are those of an earlier session"])
    other = text.replace("gates: {v4", "gates: {v3: {attn_impl: {equals: naive}}, v4").replace(
        "speedup: 2", "speedup: 0.1"
    )
    write_gates(engine, other.replace("repeats: 3", "repeats: 1").replace("--log, log", "--log, other"))
    result = greta("--greta-variant=v4")
    result.stdout.fnmatch_lines(
        ["*speedup >= 0.10 *NOT MEASURED *", "*the baseline v3: attn_impl is naive fails: measured v3_q_lds"]
    )
    write_gates(engine, program("--log, log, --hang-without, go", "    contexts: 2\n"))
    greta("--greta-deadline=0.2").assert_outcomes(failed=1)
    greta("--greta-deadline=0.2", "--greta-resume").assert_outcomes(failed=1)
    assert len(log_of(engine)) == 5
    (engine.path / "go").touch()
    greta("--greta-resume").assert_outcomes(passed=1)
    assert len(log_of(engine)) == 6


def test_what_is_missing_is_blocked_and_all_else_goes_on(greta: Run, engine: pytest.Pytester) -> None:
    (engine.path / "plain").touch()
    write_gates(
        engine,
        f"""\
        version: 1
        programs:
          engine:
            variants: {{here: [{COMMAND}], gone: [bin/engine], nowhere: [no-such-engine], plain: [./plain]}}
            contexts: 4096
          away: {{variants: {{v: [sh]}}, contexts: 1, folder: "no/{{variant}}"}}
        """,
    )
    result = greta()
    result.assert_outcomes(passed=1, failed=4)
    for told in (
        f"program 'engine' is missing: looked for {engine.path}/bin/engine",
        "program 'engine' is missing: looked for no-such-engine in PATH",
        f"program 'engine': {engine.path}/plain may not be executed",
        f"program 'away': there is no folder {engine.path}/no/v",
    ):
        result.stdout.fnmatch_lines([f"BLOCKED: {told}"])
    result.stdout.fnmatch_lines(["*4 BLOCKED*"])


def test_mistakes_of_options_and_markers_are_told_at_once(greta: Run, engine: pytest.Pytester) -> None:
    write_gates(engine, program("--log, log", "    problems: [{context: 4096, batch: 1}]\n"))
    result = greta("--greta-variant=v4", "--greta-axis=bach=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --greta-variant: unknown variant 'v4'; there is v3",
            "ERROR: --greta-axis: unknown axis 'bach'; *",
        ]
    )
    result = greta("--greta-ctx=1,2", "--greta-axis=batch=1,4", "--collect-only", "-q")
    names = ["v3-1-batch1", "v3-1-batch4", "v3-2-batch1", "v3-2-batch4"]
    assert [line for line in result.outlines if "::" in line] == [
        f"test_gates.py::test_engine[{n}]" for n in names
    ]
    write_gates(engine, program("--log, log", ""))
    result = greta()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: gates.yaml: contexts of program 'engine': none are listed; *--greta-ctx"]
    )
    assert log_of(engine) == []


def test_nothing_finished_is_lost_to_ctrl_c_or_to_kill(greta: Run, engine: pytest.Pytester) -> None:
    rest = "    contexts: [1, 2, 3, 4]\n    repeats: {1: 2}\n"
    write_gates(engine, program("--log, log, --hang-without, go", rest))
    command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", "-q"]

    def stopped_by(number: signal.Signals, runs: int, *options: str) -> str:
        """A session that is stopped when so many runs have begun in all."""
        with (engine.path / "out").open("w+") as out:
            process = subprocess.Popen([*command, *options], cwd=engine.path, stdout=out, stderr=out)
            end = time.monotonic() + 20
            while len(log_of(engine)) < runs and time.monotonic() < end:
                time.sleep(0.02)
            assert engines(engine.path)
            process.send_signal(number)
            process.wait(20)
            return (engine.path / "out").read_text()

    printed = stopped_by(signal.SIGINT, 3)  # context 1 twice, context 2 waits
    assert "1 passed" in printed
    assert "note: interrupted: 3 of 4 tests did not run to their end" in printed
    assert engines(engine.path) == []
    stopped_by(signal.SIGKILL, 4, "--greta-resume")
    assert len(engines(engine.path)) == 1
    (engine.path / "go").touch()
    result = greta("--greta-resume")
    result.assert_outcomes(passed=4)
    assert log_of(engine) == ["v3 1", "v3 1", "v3 2", "v3 2", "v3 2", "v3 3", "v3 4"]
    result.stdout.fnmatch_lines(["note: process * of a session that was killed still ran: it was killed"])
    result.stdout.fnmatch_lines(["note: v3-1: 2 of 2 runs are those of an earlier session"])


TIMED = """\
version: 1
programs:
  engine:
    variants: {v3: [./engine, SECONDS]}
    contexts: 4096
    repeats: 3
    output: {json_marker: PERF_TIMING, units: {prefill_s: s}, time: prefill_s}
    gates: {"*": {regression: 1.3}}
"""
SHELL = """#!/bin/sh
echo run >> runs.txt
echo "PERF_TIMING {\\"prefill_s\\": $1.0$(wc -l < runs.txt)}"
"""


def test_a_program_is_held_against_its_accepted_runs(greta: Run, engine: pytest.Pytester) -> None:
    script = engine.path / "engine"
    script.write_text(SHELL)
    script.chmod(0o755)

    def run(*options: str, **limits: str) -> pytest.RunResult:
        write_gates(engine, TIMED.replace("[./engine, SECONDS]", limits.get("command", "[./engine, 1]")))
        (engine.path / "runs.txt").write_text("")
        return greta("-v", "--benchmark-autosave", *options)

    first = run()
    first.assert_outcomes(passed=1)
    nothing = "no accepted run of this program, variant, problem and machine yet: there is no earlier run"
    first.stdout.fnmatch_lines(["*regression <= 1.300 *NOT MEASURED [[]1[]]", f"[[]1[]] {nothing}"])
    (stored,) = engine.path.glob(".benchmarks/*/*.json")
    data = json.loads(stored.read_text())
    info, params = (data["benchmarks"][0][name] for name in ("extra_info", "params"))
    assert params["greta_problem"] == "4096"
    assert (info["seconds"], info["accepted"], info["timing"]) == ([1.01, 1.02, 1.03], True, "prefill_s")
    for day in range(2, 11):  # ten days of it: by then the spread of runs is known
        data["datetime"] = f"2026-01-{day:02}T00:00:00+00:00"
        stored.with_name(f"{day:04}_copy.json").write_text(json.dumps(data))
    run().stdout.fnmatch_lines(["*regression <= 1.300 *1.000x [[]0.*, 1.*[]] (4096) *PASS"])
    script.write_text(SHELL.replace("$1.0", "2.0"))
    slow = run()
    slow.assert_outcomes(failed=1)
    slow.stdout.fnmatch_lines(
        ["*regression <= 1.300 *measured 1.9*FAIL (against 11 accepted runs, *; measured twice)"]
    )
    assert (engine.path / "runs.txt").read_text().count("run") == 6
    assert len(list(engine.path.glob(".benchmarks/*/*.json"))) == 12
    other = run(command="[./engine, 3]")
    other.stdout.fnmatch_lines(
        ["*NOT MEASURED [[]*", "*it is asked for something else: arguments (1, now 3)"]
    )
    again = run("--greta-single-shot", command="[./engine, 3]")
    again.stdout.fnmatch_lines(["*fewer than 3 rounds were measured"])
    history = [json.loads(path.read_text()) for path in engine.path.glob(".benchmarks/*/*.json")]
    reasons = {one["benchmarks"][0]["extra_info"].get("why_not") for one in history}
    assert reasons == {"", "regressed", "a single shot"}
