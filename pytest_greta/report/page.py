"""A report as one HTML page that needs nothing else: no script, no network, no fonts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_greta.report.parts import MOST_ROWS, Chart, Report
from pytest_greta.report.plots import svg

MOST_BYTES = 2_000_000
"""Of a page, which opens in under a second then."""
SIZES = ((60, MOST_ROWS), (40, 100), (20, 30), (10, 10), (0, 3))
"""Charts, and rows of a table: the first with which a page is no larger. What is left out is told."""


def page(report: Report) -> str:
    """The page. All texts are escaped but the drawings, which matplotlib escapes."""
    charts = [chart for section in report.sections for chart in section.charts]
    with (
        warnings.catch_warnings()
    ):  # glyphs that a font has not, matplotlib's own dependencies: no fault of a session
        warnings.simplefilter("ignore")
        drawn = [(chart, svg(chart, number)) for number, chart in enumerate(charts[: SIZES[0][0]], 1)]
    made = ""
    for most_charts, most_rows in SIZES:
        made = _made(report, drawn[:most_charts], most_rows, max(0, len(charts) - most_charts))
        if len(made.encode()) <= MOST_BYTES:
            break
    return made


def _made(report: Report, drawn: Sequence[tuple[Chart, str]], most_rows: int, left_out: int) -> str:
    """The page with some of its charts, and tables of so many rows."""
    import jinja2
    from markupsafe import Markup

    folder = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    cut = [
        replace(section, tables=[one.cut(most_rows) for one in section.tables]) for section in report.sections
    ]
    template = environment.get_template("page.html.j2")
    return str(
        template.render(
            report=replace(report, sections=cut),
            drawn={id(chart): Markup(text) for chart, text in drawn},
            identity=id,
            style=Markup((folder / "page.css").read_text(encoding="utf-8")),
            left_out=left_out,
        )
    )
