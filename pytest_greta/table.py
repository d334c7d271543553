"""Verdicts as text. Never prints: the plugin does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_greta.errors import printable
from pytest_greta.gates.model import Status, Verdict


class Row(NamedTuple):
    """A verdict as plain strings: it travels with the test's report, also between xdist's processes."""

    kernel: str
    variant: str
    where: str
    place: str
    gate: str
    """The gate with its limit: `speedup >= 1.20`."""
    measured: str
    status: str
    reason: str
    check: bool
    """A built-in gate that says yes or no, or counts faults: of interest only when it says no."""
    noted: bool
    """Its reason is told although it passes: a failure is accepted, nothing was to measure, or not all was asked."""

    @staticmethod
    def of(verdict: Verdict) -> Row:
        """The row of a verdict."""
        gate, definition = verdict.gate, verdict.gate.definition
        return Row(
            kernel=verdict.kernel,
            variant=verdict.variant,
            where=verdict.where,
            place=gate.place,
            gate=gate.text,
            measured=verdict.found,
            status=verdict.status.value,
            reason=verdict.reason,
            check=not gate.line and (definition.kind != "number" or definition.integer),
            noted=verdict.is_accepted_failure
            or verdict.measured.is_exact
            or (gate.name == "complete" and verdict.status is Status.PASS and bool(verdict.reason)),
        )

    @staticmethod
    def stopped(kernel: str, variant: str, where: str, status: str, reason: str) -> Row:
        """The row of a test that could not evaluate its gates."""
        return Row(kernel, variant, where, "", "all gates", "", status, reason, check=False, noted=False)

    def plain(self) -> tuple[Any, ...]:
        """For a report: xdist knows tuples, and none of their kin."""
        return tuple(self)


@dataclass(frozen=True)
class Line:
    """One line of the summary, and the status that decides its colour (empty: none)."""

    text: str
    status: str = ""


_ORDER = [
    Status.PASS,
    Status.EXPECTED_FAILURE,
    Status.NOT_MEASURED,
    Status.INCONCLUSIVE,
    Status.BLOCKED,
    Status.FAIL,
]
_EXPLAINED = tuple(s.value for s in _ORDER if s not in (Status.PASS, Status.FAIL))
_HEADER = ("gate", "variant", "limit", "measured", "verdict")


def properties(verdicts: Sequence[Verdict], device: str) -> Iterator[tuple[str, str]]:
    """Verdicts as flat strings for `user_properties` and JUnit: which gate, and what was found; and of what."""
    yield from (("greta kernel", name) for name in dict.fromkeys(verdict.kernel for verdict in verdicts))
    yield "greta device", device
    for verdict in verdicts:
        yield f"greta {verdict.gate.name}", printable(verdict.line())


def summary(rows: Sequence[Row], verbose: bool) -> list[Line]:
    """One aligned table of all verdicts, worst last, then a count of each.

    Verdicts that differ only in where they were found share a line; so do built-in checks that held, unless
    `verbose`. Reasons that many share stand below the table.
    """
    counts = {status: sum(row.status == status.value for row in rows) for status in _ORDER}
    if not verbose:
        rows = _without_details(rows)
    if not rows:
        return []
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        explained = row.noted or row.status in _EXPLAINED or not row.place
        note = row.reason if explained else ""
        groups.setdefault((row.kernel, row.place, row.variant, row.gate, row.status, note), []).append(row)
    kernels = {row.kernel for row in rows}
    notes = list(dict.fromkeys(key[5] for key in groups if key[5]))
    cells = []
    for (kernel, place, variant, gate, status, note), members in groups.items():
        what = f"{kernel} {variant}" if len(kernels) > 1 else variant
        verdict = f"{status} [{notes.index(note) + 1}]" if note else status
        cells.append((place, what, gate, _where(members), verdict, status))
    cells.sort(key=lambda c: [s.value for s in _ORDER].index(c[5]))
    widths = [max(len(c[i]) for c in [_HEADER, *[c[:5] for c in cells]]) for i in range(4)]
    lines = [Line(_aligned(_HEADER, widths))]
    lines += [Line(_aligned(c[:5], widths), c[5]) for c in cells]
    lines += [Line(f"[{number}] {note}") for number, note in enumerate(notes, 1)]
    worst = max(_ORDER, key=lambda status: (counts[status] > 0, _ORDER.index(status)))
    lines.append(Line(", ".join(f"{n} {s.value}" for s, n in counts.items() if n), worst.value))
    return lines


def left_out_lines(cases: Sequence[tuple[str, str, str, str]]) -> Iterator[str]:
    """Cases that were not tested (kernel, variant, problem, reason), those of one reason in one line."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for kernel, variant, problem, why in cases:
        groups.setdefault((kernel, why), []).append((variant, problem))
    for (kernel, why), members in groups.items():
        variants, problems = (list(dict.fromkeys(names)) for names in zip(*members, strict=True))
        yield f"{kernel} {', '.join(variants)} @ {', '.join(problems)}: {why}"


def _without_details(rows: Sequence[Row]) -> list[Row]:
    """One row for all built-in checks of a test that held, in the place of the first."""
    kept: list[Row] = []
    held: dict[tuple[str, str, str], int] = {}
    for row in rows:
        test = row.kernel, row.variant, row.where
        if not row.check or row.noted or row.status != Status.PASS.value:
            kept.append(row)
            continue
        if test not in held:
            kept.append(row._replace(gate=""))
        held[test] = held.get(test, 0) + 1
    return [
        row
        if row.gate
        else row._replace(gate=_checks(held[row.kernel, row.variant, row.where]), measured="held")
        for row in kept
    ]


def _checks(count: int) -> str:
    return f"{count} check" if count == 1 else f"{count} checks"


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=False)]
    return "  ".join([*padded, *cells[len(widths) :]]).rstrip()


def _where(rows: Sequence[Row]) -> str:
    """What was measured, with where: `66 (gfx942, gfx90a), 84 (gfx1100)`."""
    places: dict[str, dict[str, None]] = {}
    for row in rows:
        places.setdefault(row.measured, {})[row.where] = None
    return ", ".join(f"{value or '-'} ({', '.join(where)})" for value, where in places.items())
