"""All of a report, from records, history and the lock file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_greta.binaries.lock import LockFile
from pytest_greta.history.records import Identity
from pytest_greta.records.merge import with_parts_told
from pytest_greta.records.model import Summary
from pytest_greta.report.conditions import commit_of, conditions, how
from pytest_greta.report.outcome import outcome
from pytest_greta.report.parts import Report, Section
from pytest_greta.report.past import past
from pytest_greta.report.resources import resources
from pytest_greta.report.speed import speed
from pytest_greta.report.subjects import STATUSES, device_of, measurements, subjects
from pytest_greta.report.words import plain
from pytest_greta.stats.runs import HistoricRun

MOST_NOTES = 30
"""Of a section."""
OF_KERNELS = ("speedup", "roofline", "resources", "device")
"""The sections that programs may have nothing for."""


@dataclass(frozen=True)
class Sources:
    """What a report is made of."""

    summaries: Sequence[Summary]
    runs: Mapping[Identity, Sequence[HistoricRun]] = field(default_factory=dict)
    """Stored runs, oldest first."""
    problems: Sequence[str] = ()
    """What of the history could not be read."""
    lock: LockFile | None = None


def report_of(sources: Sources) -> Report:
    """The report on some sources: the same for the same."""
    summaries = with_parts_told(sources.summaries)
    verdicts, counts, failed = outcome(summaries)
    is_failure = bool(failed) or any(summary.session.exit_code for summary in summaries)
    heading = failed or ("a session failed" if is_failure else "nothing failed")
    first, *others = verdicts
    sections = [
        first,
        *speed(subjects(summaries)),
        resources(summaries, sources.lock),
        past(sources.runs, sources.problems, summaries),
        conditions(summaries),
        *others,
        how(summaries),
    ]
    return Report(
        f"greta: {heading}",
        is_failure,
        [(status, counts[status]) for status in reversed(STATUSES) if counts[status]],
        list(_lines(summaries)),
        [replace(one, notes=_notes(one)) for one in sections if _is_said(one, summaries)],
    )


def _is_said(section: Section, summaries: Sequence[Summary]) -> bool:
    """Whether a section is there: of programs alone, one on kernels that would only say "not measured" is not."""
    if section.name not in OF_KERNELS or section.charts or section.tables:
        return True
    return {recorded.kind for _, recorded in measurements(summaries)} != {"program"}


def _notes(section: Section) -> list[str]:
    """The notes of a section, each on one line, not more than anyone reads."""
    more = len(section.notes) - MOST_NOTES
    return [*map(plain, section.notes[:MOST_NOTES]), *([f"and {more} more"] if more > 0 else [])]


def _lines(summaries: Sequence[Summary]) -> Iterator[str]:
    """What was measured, on what, when."""
    count = sum(1 for _ in measurements(summaries))
    kernels = dict.fromkeys(plain(recorded.kernel) for _, recorded in measurements(summaries))
    yield f"{count} measurement{'' if count == 1 else 's'} of {', '.join(kernels) or 'nothing'}"
    devices = dict.fromkeys(device_of(summary, recorded) for summary, recorded in measurements(summaries))
    yield f"Device: {'; '.join(filter(None, devices)) or 'none'}"
    targets = dict.fromkeys(plain(target) for summary in summaries for target in summary.session.targets)
    if targets:
        yield f"Targets: {', '.join(targets)}"
    for summary in summaries:
        yield f"Started {plain(summary.session.started)}, of {commit_of(summary.session)}"
