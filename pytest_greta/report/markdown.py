"""A report as Markdown of GitHub's flavour: the closing tables of a campaign, without drawings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_greta.binaries.views import code
from pytest_greta.report.parts import Report, Table

MOST_ROWS = 50
"""Of a table: the worst come first, and the page has more."""
_HARMLESS = re.compile(
    r"(?:[A-Za-z0-9 .,;:+%/()=°-]"
    r"|(?<=[A-Za-z0-9])_(?=[A-Za-z0-9])"  # within a word
    r"| [<>]=? "
    r"|(?:^|(?<= ))\[[0-9.e+-]+, (?:[0-9.e+-]+|inf)\](?![(\[:]))*"
)
"""What means nothing in Markdown: of brackets, those of an interval."""


def markdown(report: Report) -> str:
    """The report without its charts: what failed comes first. Texts of others stand as code, which means nothing."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {report.title}"
    yield ""
    if report.counts:
        yield ", ".join(f"{count} {status}" for status, count in report.counts)
        yield ""
    for line in report.lines:
        yield f"- {text(line)}"
    for section in report.sections:
        tables = [table for table in section.tables if not table.folded]
        if not (section.notes or tables):
            continue
        yield from ("", f"## {section.title}")
        if section.notes:
            yield ""
            yield from (f"- {text(note)}" for note in section.notes)
        for table in tables:
            yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield from ("", text(table.caption) + ":", "")
    yield _row([column.title for column in table.columns])
    marks = {"number": "--:", "text": "---", "status": "---"}
    yield f"| {' | '.join(marks[column.kind] for column in table.columns)} |"
    yield from (_row(row) for row in table.rows[:MOST_ROWS])
    more = table.more + max(0, len(table.rows) - MOST_ROWS)
    if more:
        yield from ("", f"and {more} more")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(text(cell) for cell in cells)} |"


def text(words: str) -> str:
    """A text that Markdown leaves alone: as it is where nothing in it means anything, else as code."""
    return words if _is_harmless(words) else code(words)


def _is_harmless(words: str) -> bool:
    is_link = "www." in words.lower() or "://" in words
    is_item = words.startswith(("+", "-", "=")) or re.match(r"\d+[.)]( |$)", words)
    return bool(_HARMLESS.fullmatch(words)) and not is_link and not is_item
