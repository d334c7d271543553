"""What a session was compared with, where somebody requires that it was compared."""

from __future__ import annotations

from pytest_greta.table import Row
from pytest_greta.unevaluated import uncompared


def row(name: str, status: str, reason: str = "") -> Row:
    return Row("k", "v", "", "", name, "", status, reason, check=False, noted=False, name=name)


def test_nothing_compared_is_told_with_its_reasons_and_one_comparison_is_enough() -> None:
    others = [row("vgprs", "PASS"), row("speedup", "NOT MEASURED", "a cpu's times")]
    unmeasured = [row("regression", "NOT MEASURED", reason) for reason in ("none yet", "shallow", "none yet")]
    assert uncompared([*others, *unmeasured], is_part=False).startswith(
        "no gate `regression` was held against an accepted run: none yet (and 1 more in the table); a first run"
    )
    for status in ("PASS", "FAIL", "INCONCLUSIVE", "EXPECTED FAILURE"):
        assert uncompared([*unmeasured, row("regression", status)], is_part=False) == ""


def test_who_requires_a_comparison_has_a_gate_for_it() -> None:
    rows = [row("vgprs", "PASS")]
    assert uncompared(rows, is_part=False) == (
        "no test evaluated a gate `regression`: gates.yaml has to ask for it (regression: 1.05)"
    )
    assert uncompared(rows, is_part=True) == ""
    assert uncompared([row("regression", "NOT MEASURED", "none yet")], is_part=True)
