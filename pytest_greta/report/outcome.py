"""What failed, by how much; what was not decided; all verdicts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from pytest_greta.records.model import Recorded, Summary
from pytest_greta.report.parts import MOST_ROWS, Section, Table
from pytest_greta.report.subjects import STATUSES, measurements
from pytest_greta.report.words import beyond, plain

_COLUMNS = ("what", "where", "gate", "#measured", "by how much", "!verdict", "reason", "place")


@dataclass(frozen=True)
class _Found:
    """A verdict, or what came instead of it, as a row."""

    cells: Callable[[], tuple[str, ...]]
    """Made where they are shown."""
    status: str
    distance: float
    """How far beyond its limit; infinite where nothing can be compared."""
    decides: bool
    """The test failed for it."""


def outcome(summaries: Sequence[Summary]) -> tuple[list[Section], Counter[str]]:
    """The sections on verdicts, and how many verdicts there are of each status."""
    counts: Counter[str] = Counter()
    failed: list[_Found] = []
    open_: list[_Found] = []
    held: list[_Found] = []
    for one in chain(_stopped(summaries), _verdicts(summaries)):
        counts[one.status] += 1
        if one.decides:
            failed.append(one)
        elif one.status != "PASS":
            open_.append(one)
        elif len(held) < MOST_ROWS:
            held.append(one)
    failed.sort(key=lambda one: (one.status != "FAIL", -one.distance))
    open_.sort(key=lambda one: -STATUSES.index(one.status))
    sections = [_failed(failed, summaries), _undecided(open_, summaries)]
    if held:
        table = Table.of(
            "Gates that held", _COLUMNS, (one.cells() for one in held), counts["PASS"], folded=True
        )
        sections.append(Section("held", "What held", [f"{counts['PASS']} verdicts."], tables=[table]))
    return sections, counts


def _failed(failed: Sequence[_Found], summaries: Sequence[Summary]) -> Section:
    codes = sorted({summary.session.exit_code for summary in summaries} - {0})
    told = (note for summary in summaries for note in summary.notes if note.startswith("interrupted: "))
    notes = [*map(plain, told), *(f"The session ended with exit code {code}." for code in codes)]
    if not failed:
        return Section("failed", "What failed", ["No gate failed.", *notes])
    table = Table.of(
        "Failures, what lies farthest beyond its limit first",
        _COLUMNS,
        (one.cells() for one in failed),
        len(failed),
    )
    return Section("failed", "What failed", notes, tables=[table])


def _undecided(undecided: Sequence[_Found], summaries: Sequence[Summary]) -> Section:
    title = "What was not measured or not decided"
    notes = [f"Not evaluated: {plain(text)}" for summary in summaries for text in summary.unevaluated]
    tables = []
    if undecided:
        rows = (one.cells() for one in undecided)
        tables.append(Table.of("Gates that neither held nor failed", _COLUMNS, rows, len(undecided)))
    left_out = [[plain(part) for part in case] for summary in summaries for case in summary.left_out]
    if left_out:
        tables.append(Table.of("Cases that were left out", ("kernel", "variant", "problem", "why"), left_out))
    if not (notes or tables):
        notes = ["Every gate was decided."]
    return Section("undecided", title, notes, tables=tables)


def _stopped(summaries: Sequence[Summary]) -> Iterator[_Found]:
    for summary in summaries:
        for one in summary.stopped:
            status = str(one["status"])
            what = f"{plain(one['kernel'])} {plain(one['variant'])}"
            cells = what, plain(one["where"]), "all gates", "", "", status, plain(one["reason"]), ""
            yield _Found(partial(tuple, cells), status, math.inf, status == "FAIL")


def _verdicts(summaries: Sequence[Summary]) -> Iterator[_Found]:
    """The verdicts of all measurements. What failed a test that has no failed gate is what it left undecided."""
    has_failed = {
        recorded.test
        for _, recorded in measurements(summaries)
        for verdict in recorded.verdicts
        if verdict["status"] == "FAIL"
    }
    for _, recorded in measurements(summaries):
        alone = recorded.outcome == "failed" and recorded.test not in has_failed
        for verdict in recorded.verdicts:
            status = str(verdict["status"])
            decides = status == "FAIL" or (alone and status in ("INCONCLUSIVE", "NOT MEASURED"))
            distance, far = ("", 0.0) if status == "PASS" else beyond(verdict)
            cells = partial(
                _cells, recorded, verdict, distance if status not in ("PASS", "NOT MEASURED") else ""
            )
            yield _Found(cells, status, far, decides)


def _cells(recorded: Recorded, verdict: Mapping[str, Any], distance: str) -> tuple[str, ...]:
    return (
        f"{plain(recorded.kernel)} {plain(recorded.variant)}",
        where_of(recorded),
        plain(verdict["limit"]),
        plain(verdict["measured"]),
        distance,
        str(verdict["status"]),
        plain(verdict["reason"]),
        plain(verdict["place"]),
    )


def where_of(recorded: Recorded) -> str:
    """The target of code, the problem of a run."""
    return plain(recorded.target or (recorded.problem.id if recorded.problem else ""))
