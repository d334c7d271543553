"""What code takes, target by target, against its limits and against greta.lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_greta.binaries.changes import HELD
from pytest_greta.binaries.lock import Entry, Key, LockFile
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.records.model import Recorded, Summary
from pytest_greta.report.outcome import where_of
from pytest_greta.report.parts import MOST_DOTS, MOST_ROWS, Dot, Dots, Section, Table
from pytest_greta.report.subjects import measurements
from pytest_greta.report.words import NOT_MEASURED, as_number, first_of, number, plain

SHOWN = ("scratch_bytes", "vgprs", "agprs", "sgprs", "vgpr_spills", "sgpr_spills", "lds_bytes", "occupancy")
DRAWN = ("vgprs", "lds_bytes", "scratch_bytes", "occupancy")
"""Of these, what a chart shows where any is above zero."""


def resources(summaries: Sequence[Summary], lock: LockFile | None) -> Section:
    """The section on resources. `lock` is None where there is no lock file."""
    title = "Resources"
    codes = [one for _, one in measurements(summaries) if one.kind in ("code", "artifact")]
    if not codes:
        return Section("resources", title, [f"{NOT_MEASURED.capitalize()}: no code was read."])
    locked = _Locked(lock.entries if lock else {})
    rows = ([_name(one), where_of(one), *(number(_value(one, gate)) for gate in SHOWN)] for one in codes)
    columns = [f"#{gate}" for gate in SHOWN]
    tables = [Table.of("What code takes", ("kernel and variant", "target", *columns), rows, len(codes))]
    against = [row for one in codes for row in _against(one, locked)]
    if against:
        columns = [
            "kernel and variant",
            "target",
            "resource",
            "#measured",
            "limit",
            "!verdict",
            "#greta.lock",
        ]
        columns += ["since then", "line of greta.lock"]
        tables.append(Table.of("Against limits and greta.lock", columns, against))
    notes = [] if lock and lock.is_there else ["There is no greta.lock to hold it against."]
    notes += [plain(line) for summary in summaries for line in summary.lock]
    charts = [chart for gate in DRAWN for chart in _chart(codes[:MOST_ROWS], gate, locked)]
    return Section("resources", title, notes, charts, tables)


class _Locked:
    """Entries of a lock file by what they are of."""

    def __init__(self, entries: Mapping[Key, Entry]) -> None:
        self._groups: dict[tuple[str, str, str], list[Entry]] = {}
        for key, entry in entries.items():
            self._groups.setdefault(key.group, []).append(entry)

    def of(self, one: Recorded, gate: str) -> tuple[int | None, str]:
        """What a lock file has of a measurement, of several kernels the worst, and in which line."""
        part = f"{one.variant} {_form(one)}".rstrip()
        entries = self._groups.get((one.kernel, part, one.target or ""), [])
        known = [(figure, entry.line) for entry in entries if (figure := entry.figures.get(gate)) is not None]
        if not known:
            return None, ""
        worst = min if CATALOGUE[gate].better == "higher" else max
        figure, line = worst(known)
        return figure, f"greta.lock:{line}"


def _form(one: Recorded) -> str:
    """The axes that code is compiled for, without the context, as its problem's name has them."""
    return one.problem.id.partition("-")[2] if one.problem and one.problem.axes else ""


def _name(one: Recorded) -> str:
    return plain(f"{one.kernel} {one.variant} {_form(one)}")


def _value(one: Recorded, gate: str) -> object:
    quantity = one.quantities.get(gate)
    return quantity.value if quantity else None


def _against(one: Recorded, locked: _Locked) -> Iterator[list[str]]:
    """A row for each limit on a resource, and for each resource that the lock file holds."""
    limits: dict[str, list[Mapping[str, object]]] = {}
    for verdict in one.verdicts:
        if verdict["gate"] in CATALOGUE and CATALOGUE[str(verdict["gate"])].integer:
            limits.setdefault(str(verdict["gate"]), []).append(verdict)
    for gate in dict.fromkeys([*HELD, *limits]):
        was, line = locked.of(one, gate)
        now = as_number(one.quantities.get(gate))
        verdicts = limits.get(gate) or ([{}] if line else [])
        for verdict in verdicts:
            change = "" if was is None or now is None or now == was else f"{now - was:+.0f}"
            yield [
                _name(one),
                where_of(one),
                gate,
                number(_value(one, gate)),
                plain(verdict.get("limit", "")),
                str(verdict.get("status", "")),
                "" if was is None else str(was),
                change or ("the same" if line else ""),
                line,
            ]


def _chart(codes: Sequence[Recorded], gate: str, locked: _Locked) -> Iterator[Dots]:
    dots = []
    for one in codes:
        value = as_number(one.quantities.get(gate))
        if value is None:
            continue
        verdicts = [verdict for verdict in one.verdicts if verdict["gate"] == gate]
        least = max((v["min"] for v in verdicts if v["min"] is not None), default=None)
        most = min((v["max"] for v in verdicts if v["max"] is not None), default=None)
        status = "FAIL" if any(v["status"] == "FAIL" for v in verdicts) else ""
        before = locked.of(one, gate)[0]
        dots.append(
            Dot(f"{_name(one)} {where_of(one)}", value, min=least, max=most, before=before, status=status)
        )
    if not any(dot.value > 0 for dot in dots):
        return
    unit = CATALOGUE[gate].unit
    most_of_all = max(dots, key=lambda dot: dot.value)
    failed = sum(dot.status == "FAIL" for dot in dots)
    alt = (
        f"{gate} of each variant and target with its limit; the most is {number(most_of_all.value)} "
        f"({most_of_all.name}); {failed} of {len(dots)} failed. The tables below have every number."
    )
    shown = dots[:MOST_DOTS]
    yield Dots(f"{gate}{first_of(len(shown), len(dots))}", alt, unit, shown)
