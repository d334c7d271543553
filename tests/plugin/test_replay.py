"""`--greta-replay`: what was measured elsewhere is held against the gates of today, and nothing is measured."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.records.model import load
from tests.plugin.conftest import GATES, Run, write_gates

FILE = "summary.json"
NAMES = (FILE, "junit.xml", "run.json")
REPLAY = ("--greta-replay", FILE)
SPEEDUP = "        speedup: {min: 0.01, devices: cpu}\n"


@pytest.fixture
def recorded(project: pytest.Pytester, greta: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the records of a session: `good` and `noop`, of one context."""
    write_gates(project, GATES + SPEEDUP)
    kept = tmp_path_factory.getbasetemp() / "recorded"
    if not kept.exists():  # once for all tests of a process
        kept.mkdir()
        outputs = ("--junitxml=junit.xml", "--benchmark-json=run.json", f"--greta-summary={FILE}")
        greta("--greta-variant=good,noop,spills", "--greta-rounds=30", *outputs)
        for name in NAMES:
            shutil.copy(project.path / name, kept)
    for name in NAMES:
        shutil.copy(kept / name, project.path)
    return project.path / FILE


def change(path: Path, how: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(path.read_text())
    how(data)
    path.write_text(json.dumps(data))


def verdicts(path: Path) -> list[tuple[str, str, str, str]]:
    return sorted(
        (one.variant, one.kind, str(verdict["limit"]), str(verdict["status"]))
        for one in load(path).measurements
        for verdict in one.verdicts
    )


@pytest.mark.usefixtures("recorded")
def test_the_same_tests_run_and_nothing_is_measured(greta: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("nothing is compiled or measured")

    for name in ("device.worker.Worker.__init__", "compiler.compiler.Compiler.compile"):
        monkeypatch.setattr(f"pytest_greta.{name}", never)
    result = greta("--greta-variant=good,noop,spills", *REPLAY)
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines([
        f"greta 0.1.0: device: cpu: * (recorded); replayed: {FILE}; *",
        "device cpu: * (recorded)",
        f"note: recorded in {FILE}: on cpu: *",
    ])  # fmt: skip


def test_what_was_replayed_can_be_recorded_again(
    project: pytest.Pytester, greta: Run, recorded: Path
) -> None:
    greta("--greta-variant=good,noop,spills", *REPLAY, "--greta-summary=again.json")
    assert verdicts(project.path / "again.json") == verdicts(recorded)
    again = load(project.path / "again.json")
    assert all(one.recorded.startswith(f"recorded in {FILE}: ") for one in again.measurements)
    assert again.session.device == load(recorded).session.device


@pytest.mark.usefixtures("recorded")
def test_the_gates_of_today_count(project: pytest.Pytester, greta: Run) -> None:
    text = GATES.replace("vgprs: 128", "vgprs: 1") + SPEEDUP.replace("0.01", "1.0e+3")
    write_gates(project, text)
    result = greta("--greta-variant=good,noop", *REPLAY)
    result.stdout.fnmatch_lines([
        "*good*vgprs <= 1 *6 (gfx942)*FAIL",
        "*noop*speedup >= 1000*x [[]*FAIL",
        f"note: {FILE} was recorded with other gates: those of gates.yaml today are held",
    ])  # fmt: skip


@pytest.mark.usefixtures("recorded")
def test_what_has_no_record_is_not_measured_and_never_passes(greta: Run) -> None:
    result = greta("--greta-variant=good,slow", "--greta-ctx=256,512", *REPLAY)
    result.assert_outcomes(passed=2, skipped=4)
    text = result.stdout.str()
    assert f"no record of faulty good @ 512 on cpu in {FILE}; of good there is 256, gfx942" in text
    assert f"no record of faulty slow @ gfx942 in {FILE}; there is none of slow" in text
    result = greta("--greta-variant=slow", *REPLAY, "--greta-require=cpu")
    result.assert_outcomes(failed=2)


def test_a_quantity_that_is_not_recorded_is_not_measured(greta: Run, recorded: Path) -> None:
    change(recorded, lambda data: [one["quantities"].pop("complete", None) for one in data["measurements"]])
    result = greta("--greta-variant=good", "-k", "test_run", *REPLAY)
    result.stdout.fnmatch_lines(["built-in*good*complete is true*NOT MEASURED*", "*the record does not say"])
    greta("--greta-variant=good", "-k", "test_run", *REPLAY, "--greta-require=cpu").assert_outcomes(failed=1)


def test_a_record_of_other_code_is_told_and_counts_as_none_where_something_is_required(
    greta: Run, recorded: Path
) -> None:
    change(recorded, lambda data: [one["digests"].update(source="0" * 64) for one in data["measurements"]])
    told = f"faulty good @ gfx942 in {FILE} is of other code: its source changed since"
    result = greta("--greta-variant=good", "-k", "resources", *REPLAY)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"note: {told}"])
    result = greta("--greta-variant=good", "-k", "resources", *REPLAY, "--greta-require=cpu")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"NOT MEASURED: {told}"])


def test_two_records_are_both_judged_and_times_far_apart_are_told(
    project: pytest.Pytester, greta: Run, recorded: Path
) -> None:
    (project.path / "other.json").write_bytes(recorded.read_bytes())

    def slower(data: dict[str, Any]) -> None:
        for one in data["measurements"]:
            for name in ("prefill_seconds", "seconds"):
                if name in one["quantities"]:
                    one["quantities"][name] |= {"value": 2000.0, "interval": None}
            one.update(seconds=[2000.0] * len(one["seconds"]), baseline_seconds=[], orders=[])

    change(project.path / "other.json", slower)
    result = greta("--greta-variant=good", "-k", "test_run", *REPLAY, "other.json")
    text = result.stdout.str()
    assert re.search(
        r"faulty good @ 256 took \S+ s in summary.json and 2000 s in other.json, \S+x apart", text
    )
    assert re.search(r"prefill_seconds > 0 .* s .*, 2000 s", text)


def test_what_failed_before_it_was_measured_fails(greta: Run, recorded: Path) -> None:
    row = {"test": "t", "kernel": "faulty", "variant": "slow", "where": "256", "reason": "crashed"}
    change(recorded, lambda data: data["stopped"].append({**row, "status": "FAIL"}))
    change(recorded, lambda data: data["stopped"].append({**row, "where": "gfx942", "status": "BLOCKED"}))
    result = greta("--greta-variant=slow", *REPLAY)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines_random([
        f"*faulty slow @ 256: FAIL when it was recorded in {FILE}: crashed",
        f"*BLOCKED: faulty slow @ gfx942: BLOCKED when it was recorded in {FILE}: crashed",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--greta-replay", "none.json"), "ERROR: none.json: there is no such file (looked for */none.json)"),
        (
            (*REPLAY, "--greta-lock"),
            "ERROR: --greta-lock takes a measurement, and --greta-replay makes none: *",
        ),
    ],
)
def test_mistakes(greta: Run, options: tuple[str, ...], line: str) -> None:
    result = greta(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


@pytest.mark.parametrize("file", ["junit.xml", "run.json"])
def test_what_pytest_benchmark_and_junit_keep_can_be_gated_too(
    project: pytest.Pytester, greta: Run, recorded: Path, file: str
) -> None:
    kept = recorded.parent / file
    assert kept.exists()
    result = greta("--greta-variant=good,noop", "--greta-replay", file, "--greta-summary=again.json")
    again = {(v, limit): status for v, _, limit, status in verdicts(project.path / "again.json")}
    before = {(v, limit): status for v, _, limit, status in verdicts(recorded) if v in ("good", "noop")}
    assert [one.baseline for one in load(project.path / "again.json").measurements if one.kind == "run"] == [
        None,
        "good",
    ]
    differing = {key: (before[key], again.get(key)) for key in before if again.get(key) != before[key]}
    if file == "junit.xml":  # which has all verdicts
        assert not differing
        result.assert_outcomes(passed=3, failed=1)
    else:  # which has no infinite number, and of code what needs no decoding
        assert {key[1].partition(" ")[0] for key in differing} <= {
            "unwaited_barriers",
            "launchable",
            "max_error",
        }
        assert {now for _, now in differing.values()} <= {"NOT MEASURED"}


def test_a_document_type_in_junit_is_refused(project: pytest.Pytester, greta: Run) -> None:
    text = '<!DOCTYPE x [<!ENTITY a "b">]><testsuites>&a;</testsuites>'
    (project.path / "x.xml").write_text(text)
    result = greta("--greta-replay", "x.xml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: x.xml: it has a document type, which no JUnit file needs"])


def test_a_signed_record_is_taken_and_an_unsigned_one_is_not(project: pytest.Pytester, greta: Run) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh-keygen")
    project.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
    (project.path / "allowed").write_text(f"me@example.org {(project.path / 'key.pub').read_text()}")
    one = ("--greta-variant=good", "-k", "resources")
    greta(*one, f"--greta-summary={FILE}", "--greta-sign=key").assert_outcomes(passed=1)
    result = greta(*one, *REPLAY, "--greta-allowed-signers=allowed")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"note: recorded in {FILE}: *, signed by me@example.org"])
    (project.path / FILE).write_text((project.path / FILE).read_text() + " ")
    result = greta(*one, *REPLAY, "--greta-allowed-signers=allowed")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {FILE}: its signature does not hold: *"])
    greta(*one, f"--greta-summary={FILE}")  # a signature of an older file does not stay beside a new one
    result = greta(*one, *REPLAY, "--greta-allowed-signers=allowed")
    result.stderr.fnmatch_lines([f"ERROR: {FILE}: it is not signed: *"])
