"""The history of each benchmark: its runs, which of them are a reference, and where its level shifted."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from pytest_greta.history.records import Identity
from pytest_greta.records.model import Summary
from pytest_greta.report.parts import Lines, Point, Section, Series, Table
from pytest_greta.report.subjects import measurements
from pytest_greta.report.words import number, plain
from pytest_greta.stats.runs import HistoricRun, Step, steps

MOST_RUNS = 100
"""Of one benchmark: the latest."""
MOST_BENCHMARKS = 24
"""With a chart and a table of their runs; of the others the table of all says the last."""


def past(
    runs: Mapping[Identity, Sequence[HistoricRun]], problems: Sequence[str], summaries: Sequence[Summary]
) -> Section:
    """The section on history: of the kernels of the files, where they have any; else of all that is stored."""
    title = "History"
    notes = [plain(problem) for problem in problems]
    kernels = {recorded.kernel for _, recorded in measurements(summaries)}
    known = {identity: some for identity, some in sorted(runs.items()) if some}
    shown = {identity: some for identity, some in known.items() if not kernels or identity[0] in kernels}
    if not shown:
        return Section("history", title, [*notes, "There is no stored run of these kernels."])
    charts, tables = [], []
    overview = []
    for number_, (identity, some) in enumerate(shown.items()):
        shifts = _steps(some)
        overview.append(_overview(identity, some, shifts))
        if number_ < MOST_BENCHMARKS:
            charts.append(_chart(identity, some[-MOST_RUNS:], shifts))
            tables.append(_table(identity, some[-MOST_RUNS:], shifts))
    columns = ("benchmark", "device", "#runs", "#accepted", "#last", "last commit", "last step")
    tables.insert(0, Table.of("Benchmarks with stored runs", columns, overview))
    return Section("history", title, notes, charts, tables)


def _name(identity: Identity) -> str:
    return plain(f"{identity[0]} {identity[1]} @ {identity[3]}")


def _seconds(run: HistoricRun) -> float:
    return statistics.median(run.seconds)


def _steps(some: Sequence[HistoricRun]) -> list[Step]:
    """Where the level shifted, among the runs that are shown."""
    return steps(some[-MOST_RUNS:])


def _overview(identity: Identity, some: Sequence[HistoricRun], shifts: Sequence[Step]) -> list[str]:
    return [
        _name(identity),
        plain(identity[4]),
        str(len(some)),
        str(sum(run.accepted for run in some)),
        number(_seconds(some[-1]), "s"),
        plain(some[-1].short_commit),
        plain(shifts[-1]) if shifts else "none",
    ]


def _table(identity: Identity, some: Sequence[HistoricRun], shifts: Sequence[Step]) -> Table:
    """The runs, the latest first."""
    at = {id(shift.run): shift for shift in shifts}
    rows = [
        [
            str(place),
            f"{run.when:%Y-%m-%d %H:%M}",
            plain(run.short_commit),
            number(_seconds(run), "s"),
            str(len(run.seconds)),
            "accepted" if run.accepted else "not accepted",
            plain(run.new_level or run.why_not if not run.accepted or run.new_level else ""),
            plain(at[id(run)]) if id(run) in at else "",
        ]
        for place, run in enumerate(some, 1)
    ]
    columns = ("run", "when", "commit", "#median", "#rounds", "as a reference", "why", "step")
    return Table.of(f"Runs of {_name(identity)}, the latest first", columns, rows[::-1], folded=True)


def _chart(identity: Identity, some: Sequence[HistoricRun], shifts: Sequence[Step]) -> Lines:
    points = [Point(place, _seconds(run)) for place, run in enumerate(some, 1)]
    series = [
        Series(name, [point for point, run in zip(points, some, strict=True) if run.accepted is accepted])
        for name, accepted in (("accepted", True), ("not accepted", False))
    ]
    drawn = [
        Series(one.name, one.points, joined=one.name == "accepted", hollow=one.name != "accepted")
        for one in series
        if one.points
    ]
    places = {id(run): place for place, run in enumerate(some, 1)}
    marks = [places[id(shift.run)] - 0.5 for shift in shifts if id(shift.run) in places]
    told = "; ".join(map(str, shifts)) or "no step"
    alt = (
        f"Seconds of {len(some)} runs of {_name(identity)}, {sum(run.accepted for run in some)} of them accepted: "
        f"from {number(points[0].y, 's')} to {number(points[-1].y, 's')}; {plain(told)}. The table has all."
    )
    return Lines(_name(identity), alt, "run", "seconds", drawn, marks=marks)
