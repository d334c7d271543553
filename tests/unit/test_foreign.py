"""Records of pytest-benchmark and JUnit: read right, or refused line by line; and what follows from recorded pairs."""

from __future__ import annotations

import copy
import gc
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta import table
from pytest_greta.errors import ConfigError
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import evaluate
from pytest_greta.gates.model import Gate, Interval, Limit, Measurement, Peak, Quantity, Verdict
from pytest_greta.kernel import Kernel, Problem, Variant
from pytest_greta.records import recordings
from pytest_greta.records.foreign import _of_line, junit, of_benchmark
from pytest_greta.records.making import verdict_plain
from pytest_greta.records.model import Recorded, Summary
from pytest_greta.records.recordings import Found, Recordings, apart
from pytest_greta.records.replay import quantities_of
from pytest_greta.stats.pairs import PairedTest
from tests.fuzz.histories import injure, undamaged
from tests.fuzz.summaries import SESSION, timed

LIMIT = Limit(min=1.2)
SPEEDUP = Gate("speedup", "prefill", "*", LIMIT)


class Prefill(Kernel):
    name = "prefill"
    variants = (Variant("baseline", "p.hip", "p"), Variant("v3", "p.hip", "p"))


def replayed(
    recorded: Recorded, gates: list[Gate], beside: dict[str, Found] | None = None
) -> dict[str, Quantity]:
    kernel = Prefill()
    found = Found(recorded, SESSION, "summary.json")
    return quantities_of(
        found, kernel, kernel.variants[1], Problem(4096), gates, beside or {}, "baseline", Peak()
    )


def test_the_collector_passes_over_what_many_records_left(monkeypatch: pytest.MonkeyPatch) -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    read = Recordings({"summary.json": Summary(SESSION, [timed("v3", 4096, 1.0)] * 3)})
    try:
        recordings.leave_alone(read)
        assert (gc.get_threshold(), gc.get_freeze_count()) == (before, frozen)
        monkeypatch.setattr(recordings, "MANY", 3)
        recordings.leave_alone(read)
        assert gc.get_threshold() == recordings.RARELY
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def paired(ratio: float, pairs: int = 30) -> tuple[Recorded, PairedTest]:
    """A record of pairs, and the test that they were."""
    rng, test = random.Random(ratio), PairedTest((LIMIT,))
    orders = [order for _ in range(pairs // 2) for order in rng.choice(((1, -1), (-1, 1)))]
    others = [rng.lognormvariate(0, 0.02) for _ in orders]
    seconds = [other / ratio * rng.lognormvariate(0, 0.02) for other in others]
    for mine, other, order in zip(seconds, others, orders, strict=True):
        test.add_block(math.log(other) - math.log(mine), order=order)
    recorded = timed(
        "v3", 4096, 1.0, seconds=seconds, baseline_seconds=others, orders=orders, baseline="baseline"
    )
    return recorded, test


@pytest.mark.parametrize("ratio", [0.9, 1.19, 1.25, 1.5])
def test_recorded_pairs_say_what_they_said_when_they_were_measured(ratio: float) -> None:
    recorded, test = paired(ratio)
    found = replayed(recorded, [SPEEDUP])["speedup"]
    assert found.interval == test.interval
    assert (
        evaluate(SPEEDUP, Measurement("prefill", "v3", {"speedup": found}, device="hip")).status
        is test.verdict(LIMIT)[0]
    )


def test_pairs_are_judged_again_only_where_the_limit_is_another() -> None:
    recorded, test = paired(1.5)
    then = evaluate(
        SPEEDUP, Measurement("prefill", "v3", {"speedup": Quantity(1.5, Interval(1.4, 1.6))}, device="hip")
    )
    decided = replace(recorded, quantities={"speedup": then.measured}, verdicts=[verdict_plain(then)])
    assert replayed(decided, [SPEEDUP])["speedup"] == then.measured
    other = replace(SPEEDUP, limit=Limit(min=1.1))
    assert replayed(decided, [other])["speedup"].interval == test.against([other.limit]).interval


def test_a_round_of_no_time_is_no_measurement() -> None:
    recorded, _ = paired(1.5)
    spoilt = replace(recorded, seconds=[0.0, *recorded.seconds[1:]], quantities={})
    found = replayed(spoilt, [SPEEDUP])
    assert (found["prefill_seconds"].value, found["speedup"].value) == (0.0, None)


def test_a_baseline_of_another_session_is_no_baseline() -> None:
    mine, base = timed("v3", 4096, 1.0), timed("baseline", 4096, 2.0)
    assert (
        replayed(mine, [SPEEDUP])["speedup"].reason
        == "no record of the baseline baseline in the same session"
    )
    beside = {"baseline": Found(base, SESSION, "summary.json")}
    assert replayed(mine, [SPEEDUP], beside)["speedup"] == Quantity(2.0, reason="1 pair is too few")
    other = replace(mine, baseline="v1", orders=[1], baseline_seconds=[2.0])
    assert replayed(other, [SPEEDUP])["speedup"].reason == "timed beside v1; the baseline is baseline"


def test_times_far_apart_are_told_of_one_device_alone() -> None:
    first, last = (Found(timed("v3", 4096, taken), SESSION, f"{taken}.json") for taken in (1.0, 2.0))
    assert apart([first, last]).startswith(
        "prefill v3 @ 4096 took 1 s in 1.0.json and 2 s in 2.0.json, 2.00x apart"
    )
    elsewhere = replace(SESSION, device={"kind": "hip", "identity": "hip: MI250X"})
    assert not apart([first, replace(last, session=elsewhere)])
    assert Recordings({}).kinds == []


values = st.one_of(st.floats(allow_nan=True), st.integers(0, 10**9), st.booleans())


@given(name=st.sampled_from(sorted(CATALOGUE)), value=values, with_interval=st.booleans())
def test_the_line_of_a_verdict_is_read_again(name: str, value: float, with_interval: bool) -> None:
    definition = CATALOGUE[name]
    quantity = Quantity(
        bool(value) if definition.kind == "bool" else "a name" if definition.kind == "text" else value
    )
    if with_interval and definition.kind == "number" and value == value and not isinstance(value, bool):
        quantity = replace(quantity, interval=Interval(value, float("inf")))
    limit = Limit(max=3.0) if definition.kind == "number" else Limit(equals=True)
    gate = Gate(name, "prefill", "v3", limit, file="gates.yaml", line=3)
    verdict = evaluate(gate, Measurement("prefill", "v3", {name: quantity}, target="gfx942"))
    if definition.kind == "number" and isinstance(value, bool):
        return
    again = _status(verdict, *_of_line(definition, verdict.line()))
    # What rounds to 0 is none any more. Nothing passes that did not.
    if verdict.measured.value is not None and 1e-2 <= abs(float(value)) < 1e300 and definition.kind != "text":
        assert again == verdict.status.value
    assert again != "PASS" or verdict.status.value == "PASS"


def _status(verdict: Verdict, variant: str, where: str, quantity: Quantity) -> str:
    assert (variant, where) == (verdict.variant, verdict.where)
    measurement = Measurement("prefill", variant, {verdict.gate.name: quantity}, target=where)
    return evaluate(verdict.gate, measurement).status.value


def test_junit_says_which_baseline_a_speedup_is_against() -> None:
    found = Quantity(1.5, Interval(1.4, 1.6))
    verdict = evaluate(SPEEDUP, Measurement("prefill", "v3", {"speedup": found}, problem=Problem(4096)))
    properties = "".join(
        f'<property name="{name}" value="{value.replace("<", "&lt;")}"/>'
        for name, value in table.properties([verdict], "hip: MI300X, gfx942", "v1")
    )
    case = f"<testsuite><testcase><properties>{properties}</properties></testcase></testsuite>"
    (recorded,) = junit(case.encode(), "junit.xml").measurements
    assert (recorded.baseline, recorded.quantities["speedup"]) == ("v1", found)
    told = replayed(recorded, [SPEEDUP])["speedup"]
    assert told == Quantity(None, reason="timed beside v1; the baseline is baseline")


@pytest.mark.parametrize("file", ["junit.xml", "run.json"])
def test_files_that_hold_programs_alone_say_where_else_they_are(file: str) -> None:
    tree = copy.deepcopy(undamaged())
    for entry in tree["benchmarks"]:
        entry.setdefault("extra_info", {})["device"] = "program on vm"
    properties = "".join(
        f'<property name="greta {n}" value=""/>' for n in ("kernel", "device", "exit_status")
    )
    case = f"<testsuite><testcase><properties>{properties}</properties></testcase></testsuite>"
    with pytest.raises(ConfigError) as caught:
        junit(case.encode(), file) if file == "junit.xml" else of_benchmark(tree, file)
    told = "it holds runs of programs alone, and not what they printed: replay their summary.json (--greta-summary)"
    assert caught.value.problems == (f"{file}: {told}",)


def test_damaged_histories_are_read_or_refused() -> None:
    outcomes = {True: 0, False: 0}
    for number in range(300):
        rng, tree = random.Random(number), copy.deepcopy(undamaged())
        injure(rng, tree)
        try:
            summary = of_benchmark(tree, "run.json") if isinstance(tree.get("benchmarks"), list) else None
        except ConfigError as error:
            outcomes[False] += 1
            if not all(
                problem.startswith("run.json: ") and "\n" not in problem for problem in error.problems
            ):
                raise AssertionError(error.problems) from error
            continue
        outcomes[True] += 1
        if summary:
            summary.text()
    assert min(outcomes.values()) > 20


@given(st.one_of(st.binary(max_size=60), st.text(alphabet='<>/testcasuiproy="& \n', max_size=90)))
def test_whatever_xml_holds_it_is_refused_with_its_name(content: str | bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        junit(content if isinstance(content, bytes) else content.encode(), "junit.xml")
    assert all(problem.startswith("junit.xml") for problem in caught.value.problems)


def test_the_device_of_a_record_is_what_it_says_as_far_as_it_does() -> None:
    info = Found(timed("v3", 4096, 1.0), SESSION, "summary.json").device
    assert (info.kind, info.name, info.target, info.emulated) == (
        "hip",
        "AMD Instinct MI300X",
        "gfx942",
        False,
    )
    assert type(info.compute_units) is int
