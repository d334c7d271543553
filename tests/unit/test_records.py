"""The record of GRETA's prefill kernels, replayed: each incident gets the verdict it should have had.

Seconds of prefill on one MI300X, 32 layers of llama-2-7b. The speedups of the record are single measurements.
"""

from __future__ import annotations

import pytest

from pytest_greta.gates.evaluation import built_in, evaluate, for_outputs, scaling
from pytest_greta.gates.model import Gate, Interval, Limit, Measurement, Quantity, Status
from pytest_greta.kernel import Problem

PASS, FAIL, INCONCLUSIVE, NOT_MEASURED = Status.PASS, Status.FAIL, Status.INCONCLUSIVE, Status.NOT_MEASURED

BASELINE_2026_02_12 = {4096: 22.768, 8192: 114.265, 16384: 469.749}
CAMPAIGN_2026_02_14 = {
    8192: {"baseline": 403.26, "v3": 3540.68, "v4": 2026.69},
    16384: {"baseline": 1181.64, "v3": 13366.90, "v4": 7508.25},
}


def status(
    name: str, limit: Limit, value: float | str | None, *interval: float, context: int = 4096
) -> Status:
    quantity = Quantity(value, Interval(*interval) if interval else None)
    measurement = Measurement("prefill", "v3", {name: quantity}, problem=Problem(context), device="hip")
    return evaluate(Gate(name, "prefill", "v3", limit), measurement).status


def code(name: str, limit: Limit, value: float) -> Status:
    measurement = Measurement("prefill", "v3", {name: Quantity(value)}, target="gfx942")
    return evaluate(Gate(name, "prefill", "v3", limit), measurement).status


def test_v1_is_a_regression() -> None:
    speedup = BASELINE_2026_02_12[4096] / 206.7
    assert round(speedup, 2) == 0.11
    assert status("speedup", Limit(min=1.0), speedup) is FAIL


def test_v2_spills_and_is_caught_before_any_device_time() -> None:
    # 32 floats of an accumulator that did not fit; any amount fails the strict gate.
    assert code("scratch_bytes", Limit(max=0), 128) is FAIL


def test_v2_is_over_its_deadline() -> None:
    assert status("deadline_seconds", Limit(max=180), 180.4) is FAIL


def test_v3_has_no_scratch_and_few_registers() -> None:
    assert code("scratch_bytes", Limit(max=0), 0) is PASS
    assert code("vgprs", Limit(max=96), 19) is PASS
    assert code("lds_bytes", Limit(max=65536), 36 * 1024) is PASS


def test_v3_is_not_promoted_on_one_measurement() -> None:
    speedup = BASELINE_2026_02_12[4096] / 18.7
    assert 1.20 < speedup < 1.23
    assert status("speedup", Limit(min=1.2), speedup) is INCONCLUSIVE


@pytest.mark.parametrize(("variant", "context", "speedup"), [
    ("v3", 8192, 0.11), ("v4", 8192, 0.20), ("v3", 16384, 0.09), ("v4", 16384, 0.16),
])  # fmt: skip
def test_the_campaign_of_the_14th_fails_v3_and_v4(variant: str, context: int, speedup: float) -> None:
    seconds = CAMPAIGN_2026_02_14[context]
    found = seconds["baseline"] / seconds[variant]
    assert round(found, 2) == speedup
    assert status("speedup", Limit(min=1.0), found, context=context) is FAIL
    assert status("speedup", Limit(min=1.0), found, found * 0.98, found * 1.02, context=context) is FAIL


def test_v4_is_faster_than_v3_and_slower_than_the_baseline() -> None:
    seconds = CAMPAIGN_2026_02_14[8192]
    over_v3 = seconds["v3"] / seconds["v4"]
    assert round(over_v3, 2) == 1.75
    assert status("speedup", Limit(min=1.5), over_v3, over_v3 * 0.98, over_v3 * 1.02) is PASS


def test_two_days_of_one_kernel_decide_nothing() -> None:
    drift = CAMPAIGN_2026_02_14[8192]["baseline"] / BASELINE_2026_02_12[8192]
    assert 3.5 < drift < 3.6
    assert status("speedup", Limit(min=1.0), drift) is INCONCLUSIVE
    assert status("speedup", Limit(min=1.0), 1 / drift) is INCONCLUSIVE


@pytest.mark.parametrize(("context", "growth", "exponent"), [(8192, 5.0, 2.33), (16384, 20.6, 2.18)])
def test_the_baseline_scales_a_little_worse_than_quadratically(
    context: int, growth: float, exponent: float
) -> None:
    seconds, first = BASELINE_2026_02_12[context], BASELINE_2026_02_12[4096]
    assert round(seconds / first, 1) == growth
    found = scaling(seconds, context, first, 4096)
    assert round(found, 2) == exponent
    assert status("scaling", Limit(max=2.4), found, context=context) is PASS
    assert status("scaling", Limit(max=2.1), found, context=context) is FAIL


@pytest.mark.parametrize(("context", "tokens_per_second"), [(4096, 180), (8192, 72), (16384, 35)])
def test_tokens_per_second_of_the_baseline(context: int, tokens_per_second: float) -> None:
    found = context / BASELINE_2026_02_12[context]
    assert found == pytest.approx(tokens_per_second, rel=0.01)
    assert status("tokens_per_second", Limit(min=30), found, context=context) is PASS
    assert status("tokens_per_second", Limit(min=200), found, context=context) is FAIL


def test_the_older_kernel_misses_its_target_at_32768() -> None:
    assert status("prefill_seconds", Limit(max=600), 2542.79, context=32768) is FAIL


BUILT_IN = [
    *built_in("prefill", "v3", "v3_q_lds"),
    *for_outputs("prefill", "v3", [], {"out": 2e-3}),
]


def built_in_verdicts(**found: float | str | bool) -> dict[str, Status]:
    quantities = {name: Quantity(value) for name, value in found.items()}
    measurement = Measurement("prefill", "v3", quantities, problem=Problem(4096), device="hip")
    return {g.name: evaluate(g, measurement).status for g in BUILT_IN}


def test_a_prefill_of_zero_seconds_fails() -> None:
    assert built_in_verdicts(prefill_seconds=0)["prefill_seconds"] is FAIL
    assert built_in_verdicts(prefill_seconds=22.7681)["prefill_seconds"] is PASS


def test_a_prompt_cut_off_at_2048_fails() -> None:
    # Half the rows were never written, so they still hold the NaN they were filled with.
    verdicts = built_in_verdicts(prefill_seconds=5.7, complete=False, max_error=float("nan"))
    assert (verdicts["complete"], verdicts["max_error"]) == (FAIL, FAIL)


def test_the_wrong_kernel_fails() -> None:
    assert built_in_verdicts(implementation="flash_v2_naive")["implementation"] is FAIL
    assert built_in_verdicts(implementation="v3_q_lds")["implementation"] is PASS


@pytest.mark.parametrize(("context", "deadline"), [(4096, 600), (16384, 1800), (24576, 3600), (32768, 5400)])
def test_a_hang_fails_its_deadline(context: int, deadline: float) -> None:
    assert status("deadline_seconds", Limit(max=deadline), deadline + 0.1, context=context) is FAIL


def test_an_unreachable_node_measured_nothing() -> None:
    verdicts = built_in_verdicts()
    assert set(verdicts.values()) == {NOT_MEASURED}


def test_an_output_that_changes_between_equal_runs_fails() -> None:
    assert built_in_verdicts(deterministic=False)["deterministic"] is FAIL
