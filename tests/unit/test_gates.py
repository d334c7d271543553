"""Gates as pure functions: evaluation, and the text of a verdict."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import built_in, evaluate, for_outputs, scaling, scaling_interval
from pytest_greta.gates.model import Expected, Gate, Interval, Limit, Measurement, Quantity, Status, Verdict
from pytest_greta.kernel import Problem

PASS, FAIL, INCONCLUSIVE, NOT_MEASURED = Status.PASS, Status.FAIL, Status.INCONCLUSIVE, Status.NOT_MEASURED


def gate(name: str, devices: tuple[str, ...] = (), **limit: Any) -> Gate:
    return Gate(name, "prefill", "v3", Limit(**limit), devices=devices, file="gates.yaml", line=31)


def run(name: str, value: Any, *interval: float, device: str = "hip", untimed: str = "") -> Measurement:
    quantity = Quantity(value, Interval(*interval) if interval else None)
    return Measurement(
        "prefill", "v3", {name: quantity}, problem=Problem(8192), device=device, untimed=untimed
    )


def code(name: str, value: Any) -> Measurement:
    return Measurement("prefill", "v3", {name: Quantity(value)}, target="gfx942")


@pytest.mark.parametrize(
    ("limit", "value", "status"),
    [
        ({"max": 96}, 96, PASS),
        ({"max": 96}, 97, FAIL),
        ({"max": 0}, 0, PASS),
        ({"max": 0}, 1, FAIL),
        ({"min": 4}, 4, PASS),
        ({"min": 4}, 3, FAIL),
        ({"min": 4, "max": 8}, 3, FAIL),
        ({"min": 4, "max": 8}, 8, PASS),
        ({"min": 4, "max": 8}, 9, FAIL),
    ],
)
def test_a_limit_includes_its_ends(limit: dict[str, Any], value: int, status: Status) -> None:
    assert evaluate(gate("vgprs", **limit), code("vgprs", value)).status is status


@pytest.mark.parametrize(
    ("limit", "value", "interval", "status"),
    [
        ({"min": 1.2}, 1.3, (1.2, 1.4), PASS),
        ({"min": 1.2}, 1.25, (1.19, 1.3), INCONCLUSIVE),
        ({"min": 1.2}, 1.1, (1.0, 1.2), INCONCLUSIVE),
        ({"min": 1.2}, 1.1, (1.0, 1.19), FAIL),
        ({"max": 1.2}, 1.1, (1.0, 1.2), PASS),
        ({"max": 1.2}, 1.3, (1.21, 1.4), FAIL),
        ({"min": 1.0, "max": 2.0}, 1.5, (0.9, 2.1), INCONCLUSIVE),
        ({"min": 1.0, "max": 2.0}, 1.5, (1.0, 2.0), PASS),
        ({"min": 1.0, "max": 2.0}, 3.0, (2.5, 3.5), FAIL),
        ({"min": 1.2}, 1.5, (-math.inf, math.inf), INCONCLUSIVE),
        ({"min": 1.2}, 1.5, (math.nan, 2.0), FAIL),
        ({"min": 1.2}, 1.1, (1.3, 1.4), INCONCLUSIVE),  # the value itself is outside
    ],
)
def test_an_interval_must_be_wholly_inside_to_pass_and_wholly_outside_to_fail(
    limit: dict[str, Any], value: float, interval: tuple[float, float], status: Status
) -> None:
    assert evaluate(gate("speedup", **limit), run("speedup", value, *interval)).status is status


@pytest.mark.parametrize("value", [1.21, 5.0, 1e9, 0.5, 0.31])
def test_one_speedup_without_an_interval_is_inconclusive(value: float) -> None:
    verdict = evaluate(gate("speedup", min=1.2), run("speedup", value))
    assert (verdict.status, verdict.reason) == (INCONCLUSIVE, "one value without an interval: too few rounds")


def test_one_speedup_that_no_drift_can_explain_fails() -> None:
    verdict = evaluate(gate("speedup", min=1.2), run("speedup", 0.29))
    assert verdict.status is FAIL
    assert verdict.reason == "more than 4 times away from its limit, which one pair decides"


def test_other_quantities_are_exact_without_an_interval() -> None:
    assert evaluate(gate("prefill_seconds", max=20), run("prefill_seconds", 19.9)).status is PASS
    assert evaluate(gate("max_error", max=2e-3), run("max_error", 2.1e-3)).status is FAIL


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("name", [d.name for d in CATALOGUE.values() if d.kind == "number"])
@pytest.mark.parametrize("device", ["hip", "cpu"])
def test_what_is_not_a_finite_number_fails(name: str, value: float, device: str) -> None:
    limit: dict[str, Any] = {"min": 1} if CATALOGUE[name].better == "higher" else {"max": 1}
    verdict = evaluate(gate(name, **limit), run(name, value, device=device))
    assert (verdict.status, verdict.reason) == (FAIL, "not a finite number")


def test_what_must_be_exact_and_is_not_differs() -> None:
    verdict = evaluate(gate("max_error", max=0.0), run("max_error", math.inf))
    assert (verdict.status, verdict.reason) == (FAIL, "not equal to the reference")


@pytest.mark.parametrize("name", ["prefill_seconds", "tokens_per_second", "speedup", "deadline_seconds"])
@pytest.mark.parametrize("value", [0, -0.0, -1.5])
@pytest.mark.parametrize("device", ["hip", "cpu"])
def test_a_time_of_zero_or_less_fails_whatever_the_limit(name: str, value: float, device: str) -> None:
    verdict = evaluate(gate(name, max=1e9), run(name, value, device=device))
    assert (verdict.status, verdict.reason) == (FAIL, "a value of 0 or less is no measurement")


@pytest.mark.parametrize(
    ("name", "limit", "value"),
    [
        ("vgprs", {"max": 9}, "8"),
        ("vgprs", {"max": 9}, True),
        ("deterministic", {"equals": True}, 1),
        ("deterministic", {"equals": True}, "true"),
        ("implementation", {"equals": "v3_q_lds"}, True),
    ],
)
def test_a_value_of_the_wrong_type_fails(name: str, limit: dict[str, Any], value: object) -> None:
    verdict = evaluate(gate(name, **limit), run(name, value))
    assert verdict.status is FAIL
    assert verdict.reason.endswith(f"measured {value!r}")


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_was_not_measured_says_so_and_never_passes(name: str) -> None:
    limits: dict[str, dict[str, Any]] = {
        "number": {"max": 1.0},
        "bool": {"equals": True},
        "text": {"equals": "a"},
    }
    limit = limits[CATALOGUE[name].kind]
    absent = Measurement("prefill", "v3", {}, problem=Problem(8192), device="hip")
    verdict = evaluate(gate(name, **limit), absent)
    assert (verdict.status, verdict.reason) == (NOT_MEASURED, "no value was reported")
    unreachable = Measurement(
        "prefill", "v3", {name: Quantity(None, reason="no GPU")}, problem=Problem(1), device="hip"
    )
    assert evaluate(gate(name, **limit), unreachable).reason == "no GPU"


SPEED: dict[str, dict[str, Any]] = {
    "prefill_seconds": {"max": 10},
    "tokens_per_second": {"min": 10},
    "seconds": {"max": 30},
    "tflops": {"min": 10},
    "gbytes_per_second": {"min": 10},
    "flops_of_peak": {"min": 0.1},
    "bytes_of_peak": {"min": 0.1},
    "speedup": {"min": 1.2},
    "scaling": {"max": 2.2},
    "regression": {"max": 1.05},
}


def test_the_speed_gates_are_these() -> None:
    assert {name for name, definition in CATALOGUE.items() if definition.speed} == set(SPEED)


@pytest.mark.parametrize("name", SPEED)
def test_a_cpu_does_not_decide_a_speed_gate_unless_the_gate_names_it(name: str) -> None:
    measurement = run(name, 1000.0, 999.0, 1001.0, device="cpu")
    verdict = evaluate(gate(name, **SPEED[name]), measurement)
    assert (verdict.status, verdict.reason) == (NOT_MEASURED, "a cpu's times say nothing about a GPU's")
    assert "found 1000" in verdict.line()  # the value found is shown all the same
    named = evaluate(gate(name, ("hip", "cpu"), **SPEED[name]), measurement)
    assert named.status is (FAIL if "max" in SPEED[name] else PASS)
    assert evaluate(gate(name, ("hip",), **SPEED[name]), measurement).status is NOT_MEASURED


@pytest.mark.parametrize("name", SPEED)
def test_a_run_whose_times_mean_nothing_does_not_decide_a_speed_gate(name: str) -> None:
    verdict = evaluate(
        gate(name, ("hip",), **SPEED[name]), run(name, 1000.0, 999.0, 1001.0, untimed="a reason")
    )
    assert (verdict.status, verdict.reason) == (
        NOT_MEASURED,
        "a reason",
    )


def test_other_gates_count_on_a_cpu() -> None:
    assert evaluate(gate("max_error", max=2e-3), run("max_error", 1e-3, device="cpu")).status is PASS
    assert (
        evaluate(gate("deadline_seconds", max=600), run("deadline_seconds", 601, device="cpu")).status is FAIL
    )


@pytest.mark.parametrize(("low", "high", "status"), [(1, 3, PASS), (0, 3, INCONCLUSIVE), (-2, 0, FAIL)])
def test_a_time_above_zero_excludes_zero(low: float, high: float, status: Status) -> None:
    assert evaluate(gate("prefill_seconds", above=0), run("prefill_seconds", 2, low, high)).status is status


BUILT_IN = [
    *built_in("prefill", "v3", "v3_q_lds"),
    *for_outputs("prefill", "v3", [], {"out": 1e-3}),
]


def test_built_in_gates_hold_for_a_good_run_on_every_device() -> None:
    quantities = {
        "prefill_seconds": Quantity(1e-6),
        "complete": Quantity(True),
        "no_fault": Quantity(True),
        "canaries": Quantity(True),
        "inputs_unchanged": Quantity(True),
        "deterministic": Quantity(True),
        "max_error": Quantity(1e-3),
        "implementation": Quantity("v3_q_lds"),
        "deadline_seconds": Quantity(600.0),
    }
    for device, untimed in [("hip", ""), ("hip", "a reason"), ("cpu", "")]:
        measurement = Measurement(
            "prefill", "v3", quantities, problem=Problem(512), device=device, untimed=untimed
        )
        verdicts = [evaluate(g, measurement) for g in BUILT_IN]
        assert {v.gate.name: v.status for v in verdicts} == dict.fromkeys(quantities, PASS)
        assert {v.gate.place for v in verdicts} == {"built-in"}


@pytest.mark.parametrize("name", ["no_fault", "complete", "canaries", "inputs_unchanged", "deterministic"])
def test_a_broken_output_fails_its_built_in_gate(name: str) -> None:
    (found,) = [g for g in BUILT_IN if g.name == name]
    assert (
        evaluate(found, run(name, False)).line()
        == f"built-in  v3 @ 8192  {name} is true   measured false   FAIL"
    )


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        (
            evaluate(gate("speedup", min=1.2), run("speedup", 0.93, 0.92, 0.94)),
            "gates.yaml:31  v3 @ 8192  speedup >= 1.20   measured 0.93x [0.92, 0.94]   FAIL",
        ),
        (
            evaluate(gate("scratch_bytes", max=0), code("scratch_bytes", 104)),
            "gates.yaml:31  v3 @ gfx942  scratch_bytes <= 0   measured 104 B   FAIL",
        ),
        (
            evaluate(gate("speedup", min=1.2), run("speedup", 1.1996, 1.1, 1.3)),  # never reads "1.20x"
            (
                "gates.yaml:31  v3 @ 8192  speedup >= 1.20   measured 1.1996x [1.10, 1.30]   "
                "INCONCLUSIVE (the interval reaches across the limit)"
            ),
        ),
        (
            evaluate(gate("speedup", min=1.205, max=3), run("speedup", 2.0, 1.9, 2.1)),
            "gates.yaml:31  v3 @ 8192  1.205 <= speedup <= 3.00   measured 2.00x [1.90, 2.10]   PASS",
        ),
        (
            evaluate(gate("max_error", max=2e-3), run("max_error", 3.25e-2)),
            "gates.yaml:31  v3 @ 8192  max_error <= 2.00e-03   measured 3.25e-02   FAIL",
        ),
        (
            evaluate(gate("tokens_per_second", min=100), run("tokens_per_second", None)),
            "gates.yaml:31  v3 @ 8192  tokens_per_second >= 100   NOT MEASURED (no value was reported)",
        ),
        (
            evaluate(gate("prefill_seconds", max=0.002), run("prefill_seconds", 0.0018765)),
            "gates.yaml:31  v3 @ 8192  prefill_seconds <= 0.002   measured 0.001876 s   PASS",
        ),
    ],
)
def test_a_verdict_is_one_line(verdict: Verdict, line: str) -> None:
    assert verdict.line() == line


def test_scaling_is_the_exponent_of_time_against_context() -> None:
    assert scaling(8.0, 4096, 2.0, 2048) == pytest.approx(2.0)
    assert scaling(6.0, 16384, 1.5, 4096) == pytest.approx(1.0)
    assert math.isnan(scaling(0.0, 8192, 1.0, 4096))
    with pytest.raises(ValueError, match="two contexts"):
        scaling(1.0, 4096, 1.0, 4096)


COUNTED = ("vgprs", Limit(max=128), Limit(max=152))
FASTER = ("speedup", Limit(min=1.0), Limit(min=0.8))
PLAIN = ("max_error", Limit(max=1e-3), Limit(max=4e-3))
FLAG = ("deterministic", Limit(equals=True), Limit(equals=False))


@pytest.mark.parametrize(
    ("exception", "value", "interval", "status", "reason"),
    [
        (COUNTED, 152, None, Status.EXPECTED_FAILURE, "why"),
        (COUNTED, 151, None, FAIL, "better than its known exception (why): tighten or delete its `expect`"),
        (COUNTED, 128, None, FAIL, "expected to fail (why), but it holds: delete its `expect`"),
        (COUNTED, 153, None, FAIL, "worse than the known exception, vgprs <= 152 (why)"),
        (COUNTED, None, None, NOT_MEASURED, "no value was reported"),
        (COUNTED, math.nan, None, FAIL, "not a finite number"),
        (FASTER, 0.9, (0.85, 0.95), Status.EXPECTED_FAILURE, "why"),
        (FASTER, 0.8, (0.75, 0.85), INCONCLUSIVE, "the interval reaches across the known exception (why)"),
        (FASTER, 0.7, (0.65, 0.75), FAIL, "worse than the known exception, speedup >= 0.80 (why)"),
        (FASTER, 1.1, (1.05, 1.15), FAIL, "expected to fail (why), but it holds: delete its `expect`"),
        (FASTER, 1.0, (0.95, 1.05), INCONCLUSIVE, "the interval reaches across the limit"),
        (FASTER, -1.0, (-1.0, -1.0), FAIL, "a value of 0 or less is no measurement"),
        (PLAIN, 3.5e-3, None, Status.EXPECTED_FAILURE, "why"),
        (PLAIN, 3.1e-3, None, FAIL, "better than its known exception (why): tighten or delete its `expect`"),
        (FLAG, False, None, Status.EXPECTED_FAILURE, "why"),
        (FLAG, True, None, FAIL, "expected to fail (why), but it holds: delete its `expect`"),
    ],
)
def test_a_known_exception_holds_within_its_bound_and_does_not_rot(
    exception: tuple[str, Limit, Limit],
    value: Any,
    interval: tuple[float, float] | None,
    status: Status,
    reason: str,
) -> None:
    name, limit, bound = exception
    chosen = Gate(name, "prefill", "v3", limit, expected=Expected(bound, "why"))
    verdict = evaluate(chosen, run(name, value, *(interval or ())))
    assert (verdict.status, verdict.reason) == (status, reason)


VALUES = st.one_of(st.none(), st.booleans(), st.text(), st.integers(), st.floats())
ENDS = st.floats()


@st.composite
def cases(draw: st.DrawFn) -> tuple[Gate, Measurement]:
    definition = CATALOGUE[draw(st.sampled_from(sorted(CATALOGUE)))]
    if definition.kind == "number":
        low, high = sorted(draw(st.tuples(*[st.floats(0, 1e6)] * 2)))
        limit = draw(st.sampled_from([Limit(min=low), Limit(max=high), Limit(low, high), Limit(above=low)]))
    else:
        equals: st.SearchStrategy[Any] = st.booleans() if definition.kind == "bool" else st.text()
        limit = Limit(equals=draw(equals))
    interval = draw(st.none() | st.builds(Interval, ENDS, ENDS))
    quantities = {definition.name: Quantity(draw(VALUES), interval)}
    where = draw(
        st.sampled_from([("gfx942", None, None), (None, Problem(4096), "hip"), (None, Problem(512), "cpu")])
    )
    measurement = Measurement("k", "v", quantities, *where, untimed=draw(st.sampled_from(["", "a reason"])))
    devices = draw(st.sampled_from([(), ("cpu",)]))
    expected = draw(st.none() | st.builds(Expected, st.just(limit) | st.builds(Limit, max=ENDS), st.text()))
    return Gate(definition.name, "k", "v", limit, devices=devices, expected=expected), measurement


@given(cases())
def test_evaluate_never_raises_and_never_passes_what_its_limit_forbids(
    case: tuple[Gate, Measurement],
) -> None:
    chosen, measurement = case
    verdict = evaluate(chosen, measurement)
    note = chosen.expected.reason if chosen.expected else ""
    assert "\n" not in verdict.line().replace(note, "").replace(str(verdict.measured.value), "").replace(
        str(chosen.limit.equals), ""
    )
    if verdict.status is not PASS:
        return
    assert not chosen.expected
    value, limit = verdict.measured.value, chosen.limit
    if limit.equals is not None:
        assert value == limit.equals
        return
    assert isinstance(value, (int, float))
    assert not isinstance(value, bool)
    assert math.isfinite(value)
    assert limit.min is None or value >= limit.min
    assert limit.max is None or value <= limit.max
    assert limit.above is None or value > limit.above


def test_the_catalogue_costs_no_heavy_import() -> None:
    script = (
        "import sys, pytest_greta.gates.model, pytest_greta.gates.file;"
        "print(sorted({'yaml', 'numpy', 'hypothesis'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_time_whose_interval_reaches_across_its_limit_is_undecided() -> None:
    found = run("seconds", 1.0, 0.9, 1.1)
    assert evaluate(gate("seconds", max=1.2), found).status is PASS
    assert evaluate(gate("seconds", max=0.8), found).status is FAIL
    undecided = evaluate(gate("seconds", max=1.05), found)
    assert undecided.status is INCONCLUSIVE
    assert undecided.reason == "the interval reaches across the limit"
    single = run("prefill_seconds", 1.0)
    assert evaluate(gate("prefill_seconds", above=0), single).status is PASS
    assert evaluate(gate("seconds", max=1.05), run("seconds", 1.0)).status is PASS


def test_the_exponent_of_scaling_is_as_uncertain_as_its_times() -> None:
    interval = scaling_interval(Interval(3.9, 4.1), 4096, Interval(0.99, 1.01), 2048)
    assert interval is not None
    assert interval.low == pytest.approx(math.log2(3.9 / 1.01))
    assert interval.high == pytest.approx(math.log2(4.1 / 0.99))
    assert scaling_interval(None, 4096, Interval(1, 1), 2048) is None
    assert scaling_interval(Interval(1, 1), 4096, None, 2048) is None
