"""Several devices in one run, several runs on one device, and one run on several machines."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from pytest_benchmark.session import BenchmarkSession

from pytest_greta.__main__ import main
from pytest_greta.device.locks import DeviceLock
from pytest_greta.device.worker import Worker
from pytest_greta.records.model import load
from tests.plugin.conftest import GATES, PLUGINS, REPOSITORY, Run, write_gates

pytest.importorskip("pyopencl", reason="the cpu device needs the extra 'cpu'")

SPEEDUP = GATES.replace("[256]", "[256, 512]") + "        speedup: {min: 1.0e-6, devices: cpu}\n"
STORED = ("--benchmark-autosave", "--benchmark-save-data")


def commands(program: str) -> list[list[str]]:
    """The arguments of what docs/devices.md shows of a program."""
    text = (REPOSITORY / "docs/devices.md").read_text()
    return [shlex.split(found) for found in re.findall(rf"^\$ {program} (.*)$", text, re.MULTILINE)]


def stored(folder: Path, storage: str = ".benchmarks") -> list[dict[str, Any]]:
    """What pytest-benchmark has stored, in its order."""
    files = sorted(folder.glob(f"{storage}/*/*.json"), key=lambda path: path.name)
    return [json.loads(path.read_text()) for path in files]


def form(value: Any) -> Any:
    """What a value is made of, without its numbers and texts."""
    if isinstance(value, dict):
        return {name: form(part) for name, part in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(form(part)) for part in value})
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def test_under_xdist_times_are_taken_and_the_history_is_that_of_a_serial_run(
    project: pytest.Pytester, greta: Run, greta_alone: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight devices are there, as shares of the CPU; three processes use the two that are named."""
    write_gates(project, SPEEDUP)
    options = ("--greta-variant=noop,slow", "--greta-rounds=6", "--greta-summary=summary.json", *STORED)
    tests = ("-k", "test_run", "--greta-device=cpu")
    greta(*options, *tests).assert_outcomes(passed=2, failed=2)
    serial = load(project.path / "summary.json")
    monkeypatch.setenv("GRETA_CPU_SHARES", "8")
    names = [f"cpu-share-{i}-of-8" for i in (2, 5)]
    other = DeviceLock(names, project.path / "locks")
    assert other.try_hold("another run")
    doors = [project.path / f"locks/{name}.next" for name in names]
    for door in doors:
        door.unlink()  # until somebody waits
    threading.Thread(target=_give_away, args=(other, doors), daemon=True).start()
    warns = (
        () if hasattr(BenchmarkSession, "note_xdist_benchmark") else ("-Wdefault",)
    )  # whatever is measured
    result = greta_alone(*options, *tests, "-n3", "--greta-devices=2,5", "--junitxml=junit.xml", *warns)
    result.assert_outcomes(passed=2, failed=2)  # and no warning that benchmarks are disabled
    result.stdout.fnmatch_lines(
        [
            "greta *: device: one for each process; targets: gfx942; gates: gates.yaml",
            "greta: gw*: waiting for share * of 8 of the CPU *, held by process *",
            "device cpu: *, 1 CUs, *",
            "*slow*speedup >= *x [[]*PASS",
            "*test_run[[]slow-512]*",
        ]
    )
    locks = {path.name for path in (project.path / "locks").iterdir()}
    assert locks == {f"cpu-share-{i}-of-8.{part}" for i in (2, 5) for part in ("lock", "next")}
    first, second = stored(project.path)
    assert [one["fullname"] for one in first["benchmarks"]] == [
        one["fullname"] for one in second["benchmarks"]
    ]
    for one, other in zip(first["benchmarks"], second["benchmarks"], strict=True):
        assert list(one) == list(other)
        assert list(one["extra_info"]) == list(other["extra_info"])
        free = {"quantities", "verdicts"}  # `scaling` is there where another context was measured before
        for name, value in one["extra_info"].items():
            assert name in free or form(value) == form(other["extra_info"][name]), name
        for name in one.keys() - {"extra_info"}:
            assert form(one[name]) == form(other[name]), name
        assert other["extra_info"]["test_seconds"] > 0
    inputs = [
        {entry["params"]["greta_problem"]: entry["extra_info"]["seed"] for entry in one["benchmarks"]}
        for one in (first, second)
    ]
    for one, found in zip((first, second), inputs, strict=True):  # in whatever process
        assert {entry["extra_info"]["seed"] for entry in one["benchmarks"]} == set(found.values())
    assert inputs[0] != inputs[1]
    assert form(first["machine_info"]) == form(second["machine_info"])
    assert ", 1 CUs, " in second["machine_info"]["greta_device"]
    monkeypatch.delenv("GRETA_CPU_SHARES")
    each = f"-n{len(os.sched_getaffinity(0))}"  # to each its core
    result = greta("--greta-device=cpu", each, "--benchmark-compare=0002", "--markers", "-Wdefault")
    assert "machine_info is different" not in str(result.stdout) + str(result.stderr)
    assert "Comparing against" in str(result.stdout) + str(result.stderr)
    parallel = load(project.path / "summary.json")
    assert [one.test for one in parallel.measurements] == [one.test for one in serial.measurements]
    assert [(v["gate"], v["status"]) for one in parallel.measurements for v in one.verdicts] == [
        (v["gate"], v["status"]) for one in serial.measurements for v in one.verdicts
    ]
    root = ET.parse(project.path / "junit.xml").getroot()
    assert len([p for p in root.iter("property") if p.get("name") == "greta speedup"]) == 4


def test_a_test_whose_process_ends_has_failed_wherever_that_is_told(
    project: pytest.Pytester, greta_alone: Run
) -> None:
    path = project.path / "conftest.py"
    dies = "import os\n    Faulty.inputs = lambda *_: os._exit(3)\n    return [Faulty()]"
    path.write_text(path.read_text().replace("return [Faulty()]", dies))
    outputs = ("--greta-summary=summary.json", "--greta-code-quality=quality.json")
    options = (
        "--greta-variant=good",
        "-k",
        "test_run",
        "--greta-device=cpu",
        "-n1",
        "--max-worker-restart=0",
    )
    result = greta_alone(*options, *outputs)
    why = "worker 'gw0' crashed while running 'test_gates.py::test_run[[]good-256]'"
    result.stdout.fnmatch_lines(["*good*all gates*FAIL [[]1]", f"[[]1] {why}"])
    (stopped,) = load(project.path / "summary.json").stopped
    assert [*stopped.values()][:-1] == ["test_gates.py::test_run[good-256]", "faulty", "good", "256", "FAIL"]
    (mark,) = json.loads((project.path / "quality.json").read_text())
    assert mark["description"] == f"good @ 256: {stopped['reason']}"
    assert mark["location"] == {"path": "test_gates.py", "lines": {"begin": 5}}


def test_a_test_that_measures_is_not_run_in_each_process(greta_alone: Run) -> None:
    result = greta_alone("-n2", "--dist=each", "-k", "test_run")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    why = "*ERROR: --dist=each runs each test 2 times, and history keeps one run of a test"
    result.stderr.fnmatch_lines([why])


def _give_away(lock: DeviceLock, doors: Sequence[Path]) -> None:
    """Let others have it when one has waited for so long that it told so."""
    while not any(door.exists() for door in doors):
        time.sleep(0.05)
    time.sleep(1.5)
    lock.release()


def test_two_runs_on_one_device_take_turns_and_lose_nothing(project: pytest.Pytester) -> None:
    write_gates(project, SPEEDUP)
    code = project.path / ".pytest_cache/d/greta-code"
    code.unlink()  # one cache of their own, with nothing in it
    command = [sys.executable, "-m", "pytest", *PLUGINS, "-q", "-k", "test_run", "--greta-variant=good,slow"]
    options = ["--greta-devices=0", "--greta-rounds=6", *STORED]
    runs = [
        subprocess.Popen(
            [*command, *options, f"--greta-summary={i}.json"], cwd=project.path, stdout=subprocess.PIPE
        )
        for i in range(2)
    ]
    assert [run.communicate(timeout=120) and run.returncode for run in runs] == [0, 0]
    for one in stored(project.path):
        assert [entry["name"] for entry in one["benchmarks"]] == [
            f"test_run[{variant}-{context}]" for variant in ("good", "slow") for context in (256, 512)
        ]
    assert len(stored(project.path)) == 2
    assert all(len(load(project.path / f"{i}.json").measurements) == 4 for i in range(2))
    kept = [path for path in code.iterdir() if path.suffix == ".code"]
    # Of both kernels: for gfx942, for the cpu, and what its runtime made of that; and of the device's own kernels.
    assert len(kept) == 7


def test_a_device_that_another_run_keeps_is_not_measured_and_says_who_has_it(
    project: pytest.Pytester, greta: Run
) -> None:
    other = DeviceLock([f"cpu-core-{core}" for core in os.sched_getaffinity(0)], project.path / "locks")
    assert other.try_hold("another run")
    options = ("--greta-variant=good", "-k", "test_run", "--greta-devices=0", "--greta-wait=0")
    result = greta(*options, "-rs")
    result.assert_outcomes(skipped=1)
    why = "*of the CPU (cores * did not become free within 0 s (--greta-wait): held by process *"
    result.stdout.fnmatch_lines([f"SKIPPED*NOT MEASURED: {why}"])
    greta(*options, "--greta-require=cpu").assert_outcomes(failed=1)
    other.release()
    greta(*options).assert_outcomes(passed=1)


def test_parts_of_a_session_are_the_session(
    project: pytest.Pytester, greta: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    write_gates(project, SPEEDUP)
    whole = greta("--greta-variant=good,slow", "--collect-only", "-q").outlines
    tests = [line for line in whole if "::" in line]
    found = []
    for part in (1, 2):
        result = greta(
            *("--greta-variant=good,slow", f"--greta-shard={part}/2", "--greta-rounds=3", *STORED),
            *(f"--greta-summary=summary-{part}.json", f"--benchmark-storage=history-{part}"),
        )
        result.assert_outcomes(passed=3, deselected=3)
        assert not [line for line in result.outlines if line.startswith("not evaluated")]
        found += [one.test for one in load(project.path / f"summary-{part}.json").measurements]
    assert sorted(found) == sorted(tests)
    for command in commands("python -m pytest_greta"):
        assert main(command) == 0
    assert capsys.readouterr().out.endswith(": 4 runs of 2 sessions\n")
    assert len(load(project.path / "summary.json").measurements) == 6
    marks = [stored(project.path, f"history-{part}")[0]["greta_part"] for part in (1, 2)]
    assert [(mark["parts"], mark["of"]) for mark in marks] == [([1], 2), ([2], 2)]
    (merged,) = stored(project.path, "history")
    assert "greta_part" not in merged
    assert [entry["fullname"] for entry in merged["benchmarks"]] == [t for t in tests if "test_run" in t]
    assert list(project.path.glob("history/greta-accepted/*.code"))


def test_the_commands_of_the_docs_are_taken(project: pytest.Pytester, greta: Run) -> None:
    write_gates(project, SPEEDUP)
    shown = commands("pytest")
    assert len(shown) == 3
    for command in shown:
        command.remove("--benchmark-autosave")  # which warns where nothing is run
        assert greta(*command, "-n0", "--collect-only", "-q").ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--greta-shard=3/2", "--greta-shard: part 3 of 2 is not there: parts are counted from 1"),
        ("--greta-shard=2", "--greta-shard: '2' is no part; expected one like 2/8: the second of eight"),
        (
            "--greta-devices=0,x",
            "--greta-devices: 'x' is not the number of a device; expected a whole number",
        ),
        ("--greta-devices=7", "--greta-devices: no device 7: there is one, 0"),
        ("--greta-wait=-1", "--greta-wait: '-1' is not a time; expected seconds, or 0 for none"),
        (
            "--greta-shard=1/99999999999999999999",
            "--greta-shard: 99999999999999999999 parts are too many; expected at most 10000",
        ),
    ],
)
def test_mistakes_are_told(greta: Run, option: str, message: str) -> None:
    result = greta(option, "--greta-device=cpu")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}*"])


def test_a_device_that_was_opened_for_no_session_is_closed(
    greta: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    greta("--greta-variant=good", "-k", "test_run", *STORED).assert_outcomes(passed=1)
    opened: list[Worker] = []
    begin = Worker.__init__

    def begun(worker: Worker, *given: Any, **named: Any) -> None:
        begin(worker, *given, **named)
        opened.append(worker)

    monkeypatch.setattr(Worker, "__init__", begun)
    greta("--greta-device=cpu", "--benchmark-compare=0001", "--markers", "-Wdefault")
    assert [worker.alive for worker in opened] == [False]
