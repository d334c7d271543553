"""What fails a test, what becomes a reference, and what is read back from history."""

from __future__ import annotations

import pytest

from pytest_greta.accept import Acceptance, acceptance, failing, historic_run
from pytest_greta.gates import Gate, Interval, Limit, Measurement, Quantity, Status, Verdict, evaluate

PASS, FAIL, INCONCLUSIVE, NOT_MEASURED = Status.PASS, Status.FAIL, Status.INCONCLUSIVE, Status.NOT_MEASURED
INFO = {
    "kernel": "k",
    "variant": "v",
    "context": 64,
    "problem": "context=64",
    "device": "cpu: x",
    "seconds": [1.0, 2.0],
    "baseline_seconds": [2.0, 2.0],
    "baseline_code": "abc",
    "accepted": True,
    "why_not": "",
    "new_level": "",
}


def verdict(name: str, status: Status, excused: bool = False) -> Verdict:
    quantity = Quantity(None, excused=excused)
    return Verdict(Gate(name, "k", "v", Limit(max=1.0)), status, quantity, "k", "v", "64")


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
        ([verdict("vgprs", PASS)], "", Acceptance(True)),
        ([verdict("vgprs", PASS), verdict("regression", INCONCLUSIVE)], "", Acceptance(True)),
        ([verdict("regression", NOT_MEASURED)], "", Acceptance(True)),
        ([verdict("vgprs", PASS)], "dirty", Acceptance(False, "dirty")),
        ([verdict("regression", FAIL)], "dirty", Acceptance(False, "regressed")),
        ([verdict("vgprs", FAIL), verdict("sgprs", FAIL)], "", Acceptance(False, "failed: vgprs, sgprs")),
    ],
)
def test_what_becomes_a_reference(verdicts: list[Verdict], cannot: str, expected: Acceptance) -> None:
    assert acceptance(verdicts, cannot) == expected


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
    one = evaluate(gate, Measurement("k", "v", {"regression": found}, context=64, device="hip"))
    assert one.status is status
    assert acceptance([one], "") == Acceptance(True, new_level=new_level)


def test_a_stored_entry_is_read_back() -> None:
    found = historic_run(INFO, "c0ffee", "2026-03-02T10:00:00")
    assert found
    identity, run = found
    assert identity == ("k", "v", 64, "context=64", "cpu: x")
    assert (run.commit, run.seconds, run.baseline_seconds, run.baseline) == ("c0ffee", [1, 2], [2, 2], "abc")
    assert run.when.tzinfo is not None


@pytest.mark.parametrize(
    "change",
    [
        {"kernel": None, "context": None},
        {"seconds": []},
        {"seconds": [0.0, 1.0]},
        {"seconds": "x"},
        {"seconds": None},
    ],
)
def test_what_is_no_run_of_greta_is_passed_over(change: dict[str, object]) -> None:
    assert historic_run({**INFO, **change}, "c", "2026-03-02T10:00:00") is None
    assert historic_run({}, "c", "2026-03-02T10:00:00") is None
    assert historic_run(INFO, "c", "None") is None


def test_times_without_their_pairs_are_compared_without_the_baseline() -> None:
    found = historic_run({**INFO, "baseline_seconds": [2.0]}, "c", "2026-03-02T10:00:00+00:00")
    assert found
    assert (found[1].baseline, found[1].baseline_seconds) == ("", [])
