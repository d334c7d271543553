"""Verdicts as text. Never prints: the plugin does."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

from pytest_greta.compiler.diagnostics import compile_error
from pytest_greta.gates.advice import Advice, advice
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
    name: str = ""
    """Name of the gate; empty of a test that could not evaluate any."""
    source: str = ""
    """Of code that does not compile: where the compiler's first error is."""

    @staticmethod
    def of(verdict: Verdict) -> Row:
        """The row of a verdict."""
        gate = verdict.gate
        noted = (
            verdict.is_accepted_failure
            or verdict.measured.is_exact
            or (gate.name == "complete" and verdict.status is Status.PASS and bool(verdict.reason))
        )
        about = verdict.kernel, verdict.variant, verdict.where, gate.place, gate.text
        return Row(
            *about, verdict.found, verdict.status.value, verdict.reason, gate.is_check, noted, gate.name
        )

    @staticmethod
    def stopped(kernel: str, variant: str, where: str, status: str, reason: str) -> Row:
        """The row of a test that could not evaluate its gates; of code that does not compile, with the first error."""
        error = compile_error(reason)
        if error is None:
            return Row(kernel, variant, where, "", "all gates", "", status, reason, check=False, noted=True)
        shown = error.message if len(error.message) <= _LONGEST else f"{error.message[: _LONGEST - 3]}..."
        source = f"{PurePath(error.file).name}:{error.line}" if error.line else ""
        noted = shown != error.message or not source
        row = Row(kernel, variant, where, "", "compiles", shown, status, reason, check=False, noted=noted)
        return row._replace(source=source)

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
_LONGEST = 72
"""Characters of a compiler's error in the table."""
_HEADER = ("gate", "variant", "limit", "measured", "verdict")


def properties(verdicts: Sequence[Verdict], device: str, baseline: str) -> Iterator[tuple[str, str]]:
    """Verdicts as flat strings for `user_properties` and JUnit: which gate, and what was found; and of what, beside
    which baseline (empty: none).
    """
    yield from (("greta kernel", name) for name in dict.fromkeys(verdict.kernel for verdict in verdicts))
    yield "greta device", device
    if baseline:
        yield "greta baseline", baseline
    for verdict in verdicts:
        yield f"greta {verdict.gate.name}", verdict.line()


def summary(rows: Sequence[Row], verbose: bool) -> list[Line]:
    """One aligned table of all verdicts, worst last, then a count of each.

    Verdicts that differ only in where they were found share a line; so do built-in checks that held, unless
    `verbose`. Reasons that many share stand below the table.
    """
    found = Counter(row.status for row in rows)
    counts = {status: found[status.value] for status in _ORDER}
    if not verbose:
        rows = _without_details(rows)
    if not rows:
        return []
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        note = row.reason if row.noted or row.status in _EXPLAINED else ""
        place = row.place or row.source
        groups.setdefault((row.kernel, place, row.variant, row.gate, row.status, note), []).append(row)
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


def explained(rows: Sequence[Row], width: int) -> list[str]:
    """What to do next about every verdict that is neither a pass nor expected, wrapped to `width` columns: failures
    first, of which the rest may be a consequence. Those for which the same is to do share it.
    """
    groups: dict[tuple[str, Advice], dict[str, dict[str, None]]] = {}
    order = [status.value for status in _ORDER]
    kernels = {row.kernel for row in rows}
    for row in sorted(rows, key=lambda row: -order.index(row.status)):
        if row.status in (Status.PASS.value, Status.EXPECTED_FAILURE.value):
            continue
        found = advice(row.name, Status(row.status), row.reason, row.place)
        what = f"{row.kernel} {row.variant}" if len(kernels) > 1 else row.variant
        groups.setdefault((row.status, found), {}).setdefault(what, {})[row.name or row.gate] = None
    lines = []
    for (status, found), subjects in groups.items():
        named = "; ".join(f"{what}: {', '.join(gates)}" for what, gates in subjects.items())
        lines += textwrap.wrap(f"{status}  {named}", width, subsequent_indent="  ")
        wrapper = textwrap.TextWrapper(
            width, initial_indent="  ", subsequent_indent="  ", break_long_words=False
        )
        wrapper.break_on_hyphens = False
        lines += wrapper.wrap(f"{found.text} (in the docs: {found.page.removeprefix('docs/')})")
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
