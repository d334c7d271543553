"""What fails a test, what becomes a reference, and what is read back from history."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest

from pytest_greta.device import DeviceInfo
from pytest_greta.gates.evaluation import evaluate
from pytest_greta.gates.model import Gate, Interval, Limit, Measurement, Quantity, Status, Verdict
from pytest_greta.gates.policy import failing
from pytest_greta.gates.programs import PROGRAM_GATES
from pytest_greta.history.acceptance import Acceptance, acceptance
from pytest_greta.history.programs import acceptance_of_program, machine_of, regression_of_program
from pytest_greta.history.records import NO_HISTORY, Identity, historic_run, identity_of, info_of
from pytest_greta.history.regression import Regression, machine_note, regression
from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant
from pytest_greta.measure.executable import ACCEPTED, Executable, code_info, executable_of, is_same
from pytest_greta.measure.plan import Counterpart
from pytest_greta.measure.run import Run
from pytest_greta.programs.result import ProgramRun
from pytest_greta.stats.pairs import PairedTest
from pytest_greta.stats.runs import HistoricRun
from tests.fuzz.histories import plan_of

PASS, FAIL, INCONCLUSIVE, NOT_MEASURED = Status.PASS, Status.FAIL, Status.INCONCLUSIVE, Status.NOT_MEASURED
INFO = {
    "kernel": "k",
    "variant": "v",
    "context": 64,
    "problem": "context=64",
    "device": "cpu: x",
    "seconds": [1.0, 2.0, 2.0],
    "baseline_seconds": [2.0, 2.0, 2.0],
    "baseline_code": "abc",
    "accepted": True,
    "why_not": "",
    "new_level": "",
}


def verdict(name: str, status: Status, excused: bool = False) -> Verdict:
    quantity = Quantity(None, excused=excused)
    gate = Gate(name, "k", "v", Limit(max=1.0), own=PROGRAM_GATES[name] if name == "exit_status" else None)
    return Verdict(gate, status, quantity, "k", "v", "64")


@pytest.mark.parametrize(
    ("status", "gate", "excused", "require", "inconclusive", "fails"),
    [
        (PASS, "vgprs", False, "hip", "fail", False),
        (FAIL, "vgprs", False, None, "warn", True),
        (FAIL, "regression", True, None, "", True),
        (INCONCLUSIVE, "speedup", False, None, "", False),
        (INCONCLUSIVE, "speedup", False, "hip", "", True),
        (INCONCLUSIVE, "speedup", False, "cpu", "", True),
        (INCONCLUSIVE, "speedup", False, None, "fail", True),
        (INCONCLUSIVE, "speedup", False, "hip", "warn", False),
        (INCONCLUSIVE, "regression", True, "hip", "", False),
        (INCONCLUSIVE, "regression", True, None, "fail", True),
        (NOT_MEASURED, "speedup", False, None, "fail", False),
        (NOT_MEASURED, "speedup", False, "hip", "warn", True),
        (NOT_MEASURED, "speedup", False, "cpu", "", False),
        (NOT_MEASURED, "vgprs", False, "cpu", "", True),
        (NOT_MEASURED, "regression", True, "hip", "", False),
        (NOT_MEASURED, "exit_status", True, "hip", "", True),
        (NOT_MEASURED, "exit_status", True, None, "", False),
    ],
)
def test_what_fails_a_test(
    status: Status, gate: str, excused: bool, require: str | None, inconclusive: str, fails: bool
) -> None:
    one = verdict(gate, status, excused)
    assert failing([one], require, inconclusive) == ([one] if fails else [])


@pytest.mark.parametrize(
    ("verdicts", "cannot", "expected"),
    [
        ([verdict("vgprs", PASS)], "", Acceptance(True, keeps_code=True)),
        ([verdict("vgprs", PASS), verdict("regression", PASS)], "", Acceptance(True, keeps_code=True)),
        ([verdict("vgprs", PASS), verdict("speedup", INCONCLUSIVE)], "", Acceptance(True, keeps_code=True)),
        # its times count, but its code may be slower than that before it: the next run is not timed beside it
        ([verdict("vgprs", PASS), verdict("regression", INCONCLUSIVE)], "", Acceptance(True)),
        ([verdict("regression", INCONCLUSIVE, excused=True)], "", Acceptance(True)),
        ([verdict("regression", NOT_MEASURED)], "", Acceptance(True)),
        ([verdict("regression", NOT_MEASURED, excused=True)], "", Acceptance(True, keeps_code=True)),
        ([verdict("vgprs", PASS)], "dirty", Acceptance(False, "dirty")),
        ([verdict("regression", FAIL)], "dirty", Acceptance(False, "regressed")),
        ([verdict("vgprs", FAIL), verdict("sgprs", FAIL)], "", Acceptance(False, "failed: vgprs, sgprs")),
    ],
)
def test_what_becomes_a_reference(verdicts: list[Verdict], cannot: str, expected: Acceptance) -> None:
    assert acceptance(verdicts, cannot, paired=False) == expected


@pytest.mark.parametrize(
    ("ratio", "low", "high", "status", "new_level"),
    [
        (1.5, 1.4, 1.6, PASS, "meant"),  # fails, and is accepted
        (1.1, 0.9, 1.3, PASS, "meant"),  # undecided, but slower
        (0.9, 0.7, 1.3, INCONCLUSIVE, ""),  # undecided, and not slower: there is nothing to accept
        (0.9, 0.8, 0.95, PASS, ""),
    ],
)
def test_only_a_slowdown_is_accepted_on_purpose(
    ratio: float, low: float, high: float, status: Status, new_level: str
) -> None:
    gate = Gate("regression", "k", "v", Limit(max=1.0), accepted="meant")
    found = Quantity(ratio, Interval(low, high))
    one = evaluate(gate, Measurement("k", "v", {"regression": found}, problem=Problem(64), device="hip"))
    assert one.status is status
    decided = status is not INCONCLUSIVE
    assert acceptance([one], "", paired=False) == Acceptance(True, new_level=new_level, keeps_code=decided)


@pytest.mark.parametrize(
    ("low", "high", "accepted", "keeps"),
    [
        (0.95, 0.99, "", True),  # faster, for certain
        (0.95, 1.0, "", False),
        (0.99, 1.015, "", False),  # thirty of these would add up
        (1.0, 1.0, "", False),  # the very same code: that before it stays
        (1.05, 1.08, "meant", True),
    ],
)
def test_the_code_that_is_timed_against_moves_only_to_faster_code_or_on_purpose(
    low: float, high: float, accepted: str, keeps: bool
) -> None:
    gate = Gate("regression", "k", "v", Limit(max=1.02), accepted=accepted)
    found = Quantity((low + high) / 2, Interval(low, high))
    one = evaluate(gate, Measurement("k", "v", {"regression": found}, problem=Problem(64), device="hip"))
    assert acceptance([one], "", paired=True).keeps_code is keeps


def test_a_stored_entry_is_read_back() -> None:
    found = historic_run(INFO, "c0ffee", "2026-03-02T10:00:00")
    assert found
    identity, run = found
    assert identity == ("k", "v", 64, "context=64", "cpu: x")
    assert (run.commit, run.seconds, run.baseline_seconds, run.baseline) == (
        "c0ffee",
        [1, 2, 2],
        [2, 2, 2],
        "abc",
    )
    assert run.when.tzinfo is not None


@pytest.mark.parametrize(
    "change",
    [
        {"context": None},
        {"context": math.inf},
        {"seconds": [0.0, 1.0]},
        {"seconds": [math.nan, 1.0]},
        {"seconds": [math.inf, 1.0]},
        {"seconds": ["x"]},
        {"seconds": 3},
        {"baseline_seconds": None},
        {"baseline_seconds": [-1.0, 1.0]},
    ],
)
def test_a_damaged_entry_is_one_error(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        historic_run({**INFO, **change}, "c", "2026-03-02T10:00:00")
    with pytest.raises(ValueError, match="isoformat"):
        historic_run(INFO, "c", "None")


def test_what_is_no_run_of_greta_or_timed_nothing_is_passed_over() -> None:
    assert historic_run({}, "c", "2026-03-02T10:00:00") is None
    assert historic_run({**INFO, "seconds": []}, "c", "2026-03-02T10:00:00") is None


DEVICE = DeviceInfo("hip", "GPU", "gfx942", 304, 64, 0, 0, "driver", "runtime")
VARIANT = Variant("v", "v.hip", "v")
LAUNCH = Launch((4, 1, 1), (64, 1, 1), ("x", "part", np.int32(64), np.float32(-np.inf)), 256)
EXECUTABLE = Executable("v", "v", b"code", [LAUNCH], {"part": Array((4,), np.float32)}, 60.0)
PAIRS = 30
BUFFERS = {"x": Array((64,), np.float16)}
LIMIT = Limit(max=1.05)


class Stored:
    """A history of ten runs at 1 s with 0.1 % between them, and of slower ones that were not accepted."""

    commit, not_clean, is_saved = "now", "", True

    def __init__(self, slower: int = 0, accepted: int = 10) -> None:
        self.stored = [
            HistoricRun(
                commit=f"commit{day}",
                when=datetime(2026, 3, 1 + day, tzinfo=timezone.utc),
                device=DEVICE.identity,
                seconds=rounds((1.0 if day < accepted else 1.2) + 0.001 * (day % 3)),
                accepted=day < accepted,
                timing="held, caches as they come",
            )
            for day in range(accepted + slower)
        ]

    problems: Sequence[str] = ()

    def unknown(self, required: bool) -> str:
        return ""

    def runs(self, identity: Identity) -> list[HistoricRun]:
        assert identity == ("k", "v", 64, "context=64", DEVICE.identity)
        return self.stored

    def code(self, sha256: str) -> bytes | None:
        raise AssertionError("read when a run is planned")

    def keep_code(self, code: bytes) -> None:
        raise AssertionError("kept when a run is accepted")


class OfProgram(Stored):
    """A history of a program whose accepted runs took so many seconds."""

    def __init__(self, *levels: float) -> None:
        super().__init__(accepted=len(levels))
        device = machine_of(program_at(1.0))
        self.stored = [
            dataclasses.replace(one, seconds=[level] * 3, device=device, timing="t", family={})
            for one, level in zip(self.stored, levels, strict=True)
        ]

    def runs(self, identity: Identity) -> list[HistoricRun]:
        return self.stored


def program_at(level: float) -> ProgramRun:
    return ProgramRun("p", "v", Problem(64), seconds=[level] * 3, timing="t")


@pytest.mark.parametrize(
    ("before", "level", "limit", "status", "why_not"),
    [
        ((1, 1, 1, 1, 0.5), 1.0, 1.3, FAIL, "regressed"),  # one run at the new level is enough
        ((1, 1, 1, 1, 0.5), 0.5, 1.5, PASS, ""),
        ((1,) * 10, 1.0, 1.3, PASS, ""),
        ((1,) * 10, 1.03, 1.3, PASS, "slower than the accepted runs for certain, which stay the reference"),
        ((1,), 1.03, 1.05, INCONCLUSIVE, ""),
        ((1,), 1.2, 1.05, INCONCLUSIVE, "not decided, and its times are beyond the limit"),
    ],
)
def test_a_program_is_held_against_its_best_level_and_what_is_slower_is_no_reference(
    before: tuple[float, ...], level: float, limit: float, status: Status, why_not: str
) -> None:
    run, past = program_at(level), OfProgram(*before)
    found = regression_of_program(past, False, run, Limit(max=limit), lambda: run)
    gate = Gate("regression", "p", "v", Limit(max=limit), own=PROGRAM_GATES["regression"])
    one = evaluate(gate, Measurement("p", "v", {"regression": found}, problem=Problem(64), device="program"))
    assert one.status is status
    assert acceptance_of_program(run, [one], past) == Acceptance(not why_not, why_not)
    assert ("4 before that were slower, for certain" in found.reason) == (0.5 in before)


class Nothing(Kernel):
    name = "k"
    variants = (VARIANT,)


def rounds(level: float) -> list[float]:
    return [level * (1 + 0.001 * (i * 7 % 5 - 2)) for i in range(20)]


def run_at(level: float) -> Run:
    return Run(plan_of(Nothing(), EXECUTABLE), DEVICE, rounds(level), buffers=dict(BUFFERS))


def beside_accepted(level: float, ratio: float, problem: str = "") -> Run:
    """A run whose pairs with the code of the last accepted run show a ratio."""
    run = run_at(level)
    name = "v of commit c0ffee"
    counterparts = {ACCEPTED: Counterpart(dataclasses.replace(EXECUTABLE, name=name), (LIMIT,), {})}
    run.plan = dataclasses.replace(run.plan, counterparts=counterparts)
    run.accepted.problem = problem
    run.accepted.seconds = [seconds / ratio for seconds in run.seconds]
    run.accepted.pairs = PairedTest([LIMIT])
    for number in range(PAIRS):
        run.accepted.pairs.add_block(math.log(ratio) + 0.001 * (number % 3 - 1))
    return run


def compared(level: float, again: float, past: Stored) -> tuple[Quantity, list[Run]]:
    measured = []

    def measure_again() -> Run:
        measured.append(run_at(again))
        return measured[-1]

    found = regression(run_at(level), lambda _: "", LIMIT, past, measure_again)
    assert measured == ([found.again] if found.again else [])
    return found.quantity, measured


def test_a_steady_run_is_measured_once() -> None:
    quantity, again = compared(1.0, 9.0, Stored())
    assert quantity.interval
    assert 0.96 < quantity.interval.low < 1.0 < quantity.interval.high < 1.05
    assert not again
    assert not quantity.excused


def test_a_slow_run_fails_only_if_a_second_measurement_agrees() -> None:
    quantity, again = compared(1.2, 1.2, Stored())
    assert len(again) == 1
    assert quantity.interval
    assert LIMIT.excludes(quantity.interval)
    assert quantity.reason == "against 10 accepted runs, the last of commit commit9; measured twice"
    quantity, again = compared(1.2, 1.0, Stored())
    assert quantity.interval
    assert not LIMIT.excludes(quantity.interval)
    assert not LIMIT.allows(quantity.interval.high)


def test_a_step_names_the_run_where_it_began() -> None:
    quantity, _ = compared(1.2, 1.2, Stored(slower=4))
    assert quantity.reason.startswith("20.0% slower since 2026-03-11, commit commit10; against 10 accepted")


def test_an_undecided_run_says_what_would_fail_and_a_young_history_is_excused() -> None:
    quantity, again = compared(1.03, 9.0, Stored(accepted=3))
    assert not again
    assert quantity.excused
    assert "; with this history 1." in quantity.reason


def test_a_single_round_is_too_few_and_no_error() -> None:
    run = run_at(1.0)
    run.seconds = [1.0]
    found = regression(run, lambda _: "", LIMIT, Stored(), lambda: run)
    assert found == Regression(Quantity(None, reason="fewer than 3 rounds were measured"))


def test_without_a_reference_nothing_is_measured_again() -> None:
    quantity, again = compared(9.0, 9.0, Stored(accepted=0, slower=2))
    assert (quantity.value, quantity.excused, again) == (None, True, [])
    assert quantity.reason.startswith(f"{NO_HISTORY}: none of 2 earlier runs was accepted")


def test_a_second_measurement_that_says_nothing_confirms_nothing() -> None:
    first, second = run_at(1.2), run_at(1.2)
    untimed = lambda run: "" if run is first else "throttled"  # noqa: E731
    found = regression(first, untimed, LIMIT, Stored(), lambda: second)
    assert (found.quantity.value, found.quantity.reason) == (None, "slower, but not confirmed: throttled")
    assert found.again


def test_what_was_stored_is_what_is_read_back() -> None:
    run = run_at(1.0)
    info = {**info_of(run), "accepted": True, "why_not": "", "new_level": "", "keeps_code": True}
    found = historic_run(json.loads(json.dumps(info)), "c", "2026-03-02T10:00:00")
    assert found
    assert found[0] == identity_of(run.plan.kernel, VARIANT, run.plan.problem, DEVICE)
    assert found[1].seconds == run.seconds
    again = executable_of(found[1].code, b"code", "v", 60.0)
    assert again == dataclasses.replace(
        EXECUTABLE, buffers={"x": Array((64,), "float16")}, workspaces=again.workspaces
    )
    assert code_info(again, BUFFERS) == info["code"]
    assert is_same(found[1].code, EXECUTABLE)
    undecided = historic_run({**info, "keeps_code": False}, "c", "2026-03-02T10:00:00")
    assert undecided
    assert not undecided[1].code
    assert [type(argument) for argument in again.launches[0].args] == [str, str, np.int32, np.float32]


def test_what_arrays_start_with_is_stored_too() -> None:
    started = {
        "part": Array((4,), np.float32, 0.1),
        "lowest": Array((4,), np.float32, -math.inf),
        "count": Array((4,), np.int32, 7),
        "y": Array((64,), np.float16, "x"),
    }
    info = json.loads(json.dumps(code_info(dataclasses.replace(EXECUTABLE, workspaces=started), BUFFERS)))
    again = executable_of(info, b"code", "v", 60.0)
    assert code_info(again, BUFFERS) == info
    assert [array.initial for array in again.workspaces.values()] == [np.float32(0.1), -math.inf, 7, "x"]


def launch_info() -> dict[str, Any]:
    """What history keeps of a launch."""
    return dict(code_info(EXECUTABLE, BUFFERS)["launches"][0])


@pytest.mark.parametrize(
    "change",
    [
        {"code": b"other"},
        {"entry": "w"},
        {"launches": [dataclasses.replace(LAUNCH, block=(128, 1, 1))]},
        {"launches": [dataclasses.replace(LAUNCH, args=("x", "part", np.int64(64), np.float32(-np.inf)))]},
        {"workspaces": {}},
    ],
)
def test_code_is_the_same_only_if_all_that_is_launched_is(change: dict[str, Any]) -> None:
    assert not is_same(code_info(dataclasses.replace(EXECUTABLE, **change), BUFFERS), EXECUTABLE)


@pytest.mark.parametrize(
    "change",
    [
        {"launches": []},
        {"launches": 1},
        {"launches": [{}]},
        {"launches": [{**launch_info(), "grid": [-1, 1, 1]}]},
        {"launches": [{**launch_info(), "grid": [math.inf, 1, 1]}]},
        {"launches": [{**launch_info(), "block": [2048, 1, 1]}]},
        {"launches": [{**launch_info(), "args": [["int32", "00"]]}]},
        {"launches": [{**launch_info(), "args": [["object", "0000000000000000"]]}]},
        {"launches": [{**launch_info(), "args": [["int32", None]]}]},
        {"workspaces": {"part": ["nonsense", [4]]}},
        {"workspaces": {"part": ["float32", [4], ["int32", "00"]]}},
        {"workspaces": {"part": ["int32", [4], ["float32", "0000c07f"]]}},  # a NaN
        {"buffers": {"x": ["object", [4]]}},
        {"workspaces": {}},  # an argument without a buffer
        {"buffers": {"x": "float16"}},
        {"workspaces": None},
    ],
)
def test_code_that_is_badly_described_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no description of code"):
        executable_of({**code_info(EXECUTABLE, BUFFERS), **change}, b"code", "v", 60.0)


def judged(run: Run, past: Stored | None = None) -> tuple[Quantity, Status]:
    quantity = regression(run, lambda _: "", LIMIT, past or Stored(), lambda: run).quantity
    gate = Gate("regression", "k", "v", LIMIT)
    measured = Measurement("k", "v", {"regression": quantity}, problem=Problem(64), device="hip")
    return quantity, evaluate(gate, measured).status


def test_the_accepted_code_beside_the_new_one_decides() -> None:
    quantity, status = judged(beside_accepted(1.03, 1.0))  # times alone cannot tell
    assert status is PASS
    assert quantity.reason.startswith("beside the accepted v of commit c0ffee, 30 pairs; against 10 accepted")
    assert "95 of 100" not in quantity.reason
    quantity, status = judged(beside_accepted(1.0, 1.08))
    assert status is FAIL
    assert quantity.value == pytest.approx(1.08, rel=0.01)


def test_slow_code_that_was_slow_before_says_since_when() -> None:
    quantity, status = judged(beside_accepted(1.2, 1.2), Stored(slower=4))
    assert status is FAIL
    assert quantity.reason == (
        "20.0% slower since 2026-03-11, commit commit10; beside the accepted v of commit c0ffee, 30 pairs"
    )


def test_a_slowdown_of_the_machine_fails_no_kernel_and_says_that_it_is_not_the_code() -> None:
    quantity, status = judged(beside_accepted(1.3, 1.0))
    assert status is PASS
    assert quantity.value == pytest.approx(1.0, rel=0.01)
    assert quantity.reason.endswith(": 1.299x [1.275, 1.323]: not the code, but what it runs on")


def test_times_beside_undecided_pairs_neither_fail_nor_acquit_the_code() -> None:
    run = beside_accepted(1.3, 1.0)
    run.accepted.pairs = PairedTest([LIMIT])
    for number in range(PAIRS):
        run.accepted.pairs.add_block(0.5 * (number % 3 - 1))
    quantity, status = judged(run)
    assert status is INCONCLUSIVE
    assert "not the code" not in quantity.reason
    assert "undecided after 30 pairs" in quantity.reason


def test_times_of_code_that_is_as_fast_as_ever_tell_of_the_machine() -> None:
    same = run_at(1.3)
    same.plan = dataclasses.replace(same.plan, unchanged_since="c0ffee")
    runs = [
        same,
        beside_accepted(1.3, 1.0),
        beside_accepted(1.0, 1.0),
        beside_accepted(1.3, 1.2),
        run_at(1.3),
    ]
    found = [regression(run, lambda _: "", LIMIT, Stored(), lambda: run_at(1.3)).machine for run in runs]
    assert found == [pytest.approx(1.3, rel=0.01), pytest.approx(1.3, rel=0.01), 1.0, None, None]
    assert machine_note([1.04, 1.0, 1.06, 1.05]) == (
        "the machine: 3 of 4 runs are slower than their history by 5.0%, and their code is the same or passes in pairs"
    )
    assert machine_note([1.04, 1.0]) == (
        "the machine: 1 of 2 runs is slower than its history by 4.0%, and its code is the same or passes in pairs"
    )
    assert machine_note([1.0]) == machine_note([]) == ""


def test_unchanged_code_needs_no_pairs() -> None:
    run = run_at(1.03)
    run.plan = dataclasses.replace(run.plan, unchanged_since="c0ffee")
    quantity, status = judged(run)
    assert (quantity.value, status) == (1.0, PASS)
    assert quantity.reason == "the code is that of commit c0ffee, byte for byte"


def test_where_the_accepted_code_cannot_be_timed_times_decide_and_the_reason_stands() -> None:
    quantity, status = judged(beside_accepted(1.0, 2.0, problem="is wrong: its error is 1"))
    assert status is PASS
    assert quantity.reason.endswith("; the accepted v of commit c0ffee is wrong: its error is 1")
    run = run_at(1.0)
    run.plan = dataclasses.replace(run.plan, missing={ACCEPTED: "the code is gone"})
    assert judged(run)[0].reason.endswith("; the code is gone")


def test_times_without_their_pairs_are_compared_without_the_baseline() -> None:
    found = historic_run({**INFO, "baseline_seconds": [2.0]}, "c", "2026-03-02T10:00:00+00:00")
    assert found
    assert (found[1].baseline, found[1].baseline_seconds) == ("", [])
