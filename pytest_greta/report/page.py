"""A report as one HTML page that needs nothing else: no script, no network, no fonts."""

from __future__ import annotations

import warnings
from pathlib import Path

from pytest_greta.report.parts import Report
from pytest_greta.report.plots import svg

MOST_CHARTS = 60
"""Drawn on one page; the numbers of the others are in its tables."""


def page(report: Report) -> str:
    """The page. All texts are escaped but the drawings, which matplotlib escapes."""
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
    charts = [chart for section in report.sections for chart in section.charts]
    with (
        warnings.catch_warnings()
    ):  # glyphs that a font has not, matplotlib's own dependencies: no fault of a session
        warnings.simplefilter("ignore")
        drawn = {
            id(chart): Markup(svg(chart, number)) for number, chart in enumerate(charts[:MOST_CHARTS], 1)
        }
    style = Markup((folder / "page.css").read_text(encoding="utf-8"))
    left_out = max(0, len(charts) - MOST_CHARTS)
    template = environment.get_template("page.html.j2")
    return str(template.render(report=report, drawn=drawn, identity=id, style=style, left_out=left_out))
