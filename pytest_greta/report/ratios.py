"""Speedups over a baseline, with their intervals and limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_greta.report.parts import MOST_DOTS, Dot, Dots, Section, Table
from pytest_greta.report.subjects import Subject
from pytest_greta.report.words import NOT_MEASURED, as_number, ends, first_of, interval, number


def speedup(subject: Subject, name: str) -> Section:
    """Speedups of a kernel over its baseline, with their limits."""
    runs = [run for run in subject.runs if run.is_compared]
    if not runs:
        return Section("", "", [f"{name}: {NOT_MEASURED}: no run had a baseline beside it."])
    rows, dots = [], []
    for run in runs:
        quantity = run.get("speedup")
        gates = [verdict for verdict in run.recorded.verdicts if verdict["gate"] == "speedup"]
        value = as_number(quantity)
        status = run.statuses.get("speedup", "")
        reason = "; ".join(dict.fromkeys(str(gate["reason"]) for gate in gates if gate["reason"]))
        limits = ", ".join(str(gate["limit"]) for gate in gates)
        rows.append(
            [
                run.series,
                run.problem,
                number(value, "x" if value is not None else ""),
                interval(quantity, "x"),
                limits or "none",
                status,
                reason or (quantity.reason if quantity else ""),
            ]
        )
        if value is not None and value > 0:
            limit = gates[0] if gates else {}
            low, high = ends(quantity)
            dots.append(
                Dot(
                    f"{run.series} @ {run.problem}",
                    value,
                    low,
                    high,
                    limit.get("min"),
                    limit.get("max"),
                    status=status,
                )
            )
    columns = ("variant", "problem", "#speedup", "#interval", "limit", "!verdict", "reason")
    tables = [Table.of(f"{name}: speedup over the baseline, from pairs of one run", columns, rows)]
    return Section("", "", [], list(_chart(dots, name)), tables)


def _chart(dots: Sequence[Dot], name: str) -> Iterator[Dots]:
    if not dots:
        return
    failed = sum(dot.status == "FAIL" for dot in dots)
    least, most = min(dots, key=lambda dot: dot.value), max(dots, key=lambda dot: dot.value)
    alt = (
        f"Speedup of {name} with intervals and limits, logarithmic: from {number(least.value)}x ({least.name}) to "
        f"{number(most.value)}x ({most.name}); {failed} of {len(dots)} failed. The table below has every number."
    )
    shown = dots[:MOST_DOTS]
    title = f"Speedup of {name} over its baseline{first_of(len(shown), len(dots))}"
    yield Dots(title, alt, "speedup", shown, log=True, origin=1.0)
