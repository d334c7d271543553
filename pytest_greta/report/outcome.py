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
from pytest_greta.report.parts import Section, Table
from pytest_greta.report.subjects import STATUSES, measurements
from pytest_greta.report.words import beyond, plain

_COLUMNS = ("!verdict", "by how much", "what", "where", "gate", "#measured", "reason", "place")
"""What a narrow screen shows first is what one looks for."""


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
    test: str = ""
    is_whole: bool = False
    """It stands for all gates of its test."""


def outcome(summaries: Sequence[Summary]) -> tuple[list[Section], Counter[str], str]:
    """The sections on verdicts, how many verdicts there are of each status, and what failed, in words."""
    counts = Counter(str(one["status"]) for summary in summaries for one in summary.stopped)
    counts.update(str(verdict["status"]) for _, verdict in _verdicts(summaries))
    failed: list[_Found] = []
    open_: list[_Found] = []
    for one in chain(_stopped(summaries), _not_held(summaries)):
        (failed if one.decides else open_).append(one)
    failed.sort(key=lambda one: (one.status != "FAIL", -one.distance))
    open_.sort(key=lambda one: -STATUSES.index(one.status))
    sections = [_failed(failed, summaries), _undecided(open_, summaries)]
    if counts["PASS"]:
        held = (_cells(*one, "") for one in _verdicts(summaries) if one[1]["status"] == "PASS")
        table = Table.of("Gates that held", _COLUMNS, held, counts["PASS"], folded=True)
        sections.append(Section("held", "What held", [f"{counts['PASS']} verdicts."], tables=[table]))
    return sections, counts, _heading(failed)


def _heading(failed: Sequence[_Found]) -> str:
    """How many gates failed, in how many tests: `15 gates failed in 12 tests, 9 tests blocked`; empty where none."""
    gates = [one for one in failed if not one.is_whole]
    tests = {one.test for one in gates if one.test}
    inside = f" in {_count(len(tests), 'test')}" if tests and len(gates) > 1 else ""
    parts = [f"{_count(len(gates), 'gate')} failed{inside}"] if gates else []
    for status, word in (("BLOCKED", "blocked"), ("FAIL", "stopped")):
        whole = sum(one.is_whole and one.status == status for one in failed)
        parts += [f"{_count(whole, 'test')} {word}"] if whole else []
    return ", ".join(parts)


def _count(number_: int, what: str) -> str:
    return f"{number_} {what}{'' if number_ == 1 else 's'}"


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
            cells = status, "", what, plain(one["where"]), "all gates", "", plain(one["reason"]), ""
            decides = status in ("FAIL", "BLOCKED")  # for want of what it needs: a test that is blocked fails
            yield _Found(partial(tuple, cells), status, math.inf, decides, str(one["test"]), is_whole=True)


def _verdicts(summaries: Sequence[Summary]) -> Iterator[tuple[Recorded, Mapping[str, Any]]]:
    """The verdicts of all measurements."""
    return ((recorded, verdict) for _, recorded in measurements(summaries) for verdict in recorded.verdicts)


def _not_held(summaries: Sequence[Summary]) -> Iterator[_Found]:
    """Those that are no PASS. What failed a test that has no failed gate is what it left undecided."""
    some = [one for one in _verdicts(summaries) if one[1]["status"] != "PASS"]
    has_failed = {recorded.test for recorded, verdict in some if verdict["status"] == "FAIL"}
    for recorded, verdict in some:
        status, (distance, far) = str(verdict["status"]), beyond(verdict)
        alone = recorded.outcome == "failed" and recorded.test not in has_failed
        decides = status == "FAIL" or (alone and status in ("INCONCLUSIVE", "NOT MEASURED"))
        cells = partial(_cells, recorded, verdict, "" if status == "NOT MEASURED" else distance)
        yield _Found(cells, status, far, decides, recorded.test)


def _cells(recorded: Recorded, verdict: Mapping[str, Any], distance: str) -> tuple[str, ...]:
    return (
        str(verdict["status"]),
        distance,
        f"{plain(recorded.kernel)} {plain(recorded.variant)}",
        where_of(recorded),
        plain(verdict["limit"]),
        plain(verdict["measured"]),
        plain(verdict["reason"]),
        plain(verdict["place"]),
    )


def where_of(recorded: Recorded) -> str:
    """The target of code, the problem of a run."""
    return plain(recorded.target or (recorded.problem.id if recorded.problem else ""))
