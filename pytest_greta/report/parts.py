"""What a report consists of: sections with notes, charts and tables. Data, of which a page and Markdown are made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from pytest_greta.report.words import plain

MOST_ROWS = 300
"""Rows of a table: the worst, or the latest, come first."""
MOST_SERIES = 10
"""Of a chart, and of a table with a column for each: more cannot be told apart."""
MOST_DOTS = 40
"""Of a chart."""


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    kind: Literal["text", "number", "status"] = "text"


@dataclass(frozen=True)
class Table:
    """A table. The first cell of a row is its header."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    """Of interest to those who ask for it."""
    more: int = 0
    """Rows that are left out."""

    @staticmethod
    def of(
        caption: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        count: int | None = None,
        folded: bool = False,
    ) -> Table:
        """A table of the first rows, each cell on one line; `count` says how many there are, where not all are made. A
        column whose title begins with `#` holds numbers, with `!` statuses; one with nothing in it is left out.
        """
        kinds: dict[str, Literal["number", "status"]] = {"#": "number", "!": "status"}
        shown = list(islice(rows, MOST_ROWS)) if count is not None else list(rows)
        more = (len(shown) if count is None else count) - MOST_ROWS
        shown = shown[:MOST_ROWS]
        kept = [place for place in range(len(columns)) if place == 0 or any(row[place] for row in shown)]
        titles = [columns[place] for place in kept]
        titled = [
            Column(plain(title[title[:1] in kinds :]), kinds.get(title[:1], "text")) for title in titles
        ]
        cells = [[plain(row[place]) for place in kept] for row in shown]
        return Table(plain(caption), titled, cells, folded, max(0, more))

    def cut(self, most: int) -> Table:
        """The table with so many rows at most."""
        return replace(self, rows=self.rows[:most], more=self.more + max(0, len(self.rows) - most))


@dataclass(frozen=True)
class Point:
    """A point of a chart, with the ends of its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """Points of one name."""

    name: str
    points: Sequence[Point]
    joined: bool = True
    hollow: bool = False
    """Drawn as what does not count."""


@dataclass(frozen=True)
class Lines:
    """Series over an axis."""

    title: str
    alt: str
    """What there is to see, for those who do not see it."""
    x_label: str
    y_label: str
    series: Sequence[Series]
    guides: Sequence[Series] = ()
    """What the series are to be compared with: slopes, roofs."""
    log_x: bool = False
    log_y: bool = False
    ticks: Sequence[float] = ()
    """Of the x axis; none for those that the drawing chooses."""
    marks: Sequence[float] = ()
    """Places on the x axis where something changed."""


@dataclass(frozen=True)
class Dot:
    """A value with its interval and its limits."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    min: float | None = None
    max: float | None = None
    before: float | None = None
    """What it was when somebody last accepted it."""
    status: str = ""


@dataclass(frozen=True)
class Dots:
    """Values, a line each, on one axis."""

    title: str
    alt: str
    x_label: str
    dots: Sequence[Dot]
    log: bool = False
    origin: float | None = None
    """A value that means something in itself: 1 of a ratio."""


Chart = Lines | Dots


@dataclass(frozen=True)
class Section:
    """A part of a report under its own heading."""

    name: str
    """For links: letters and hyphens."""
    title: str
    notes: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()


@dataclass(frozen=True)
class Report:
    """All of a report."""

    title: str
    is_failure: bool
    counts: Sequence[tuple[str, int]]
    """How many verdicts there are of each status."""
    lines: Sequence[str]
    """What was measured, on what, when."""
    sections: Sequence[Section] = field(default_factory=tuple)
