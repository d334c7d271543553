"""Charts as SVG by matplotlib. Text stays text, and colours are names of the page's style sheet, so that one drawing
serves light, dark and paper.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_greta.report.parts import Chart, Dot, Dots, Lines, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 4.6
"""Inches, of 72 units each: what a screen of 400 pixels holds."""
HEIGHT = 3.1
LINE = 0.2
"""Inches for one value of `Dots`."""
LONGEST_NAME = 26
_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "axes.linewidth": 0.8,
    "path.simplify": False,
}
# Colours that stand for names; nothing else has them.
_INK, _FAINT, _GUIDE, _FAIL, _OTHER = (f"#01020{digit}" for digit in range(1, 6))
_SERIES = [f"#0102{number:02x}" for number in range(16, 24)]
_NAMES = {
    _INK: "ink",
    _FAINT: "faint",
    _GUIDE: "guide",
    _FAIL: "fail",
    _OTHER: "other",
    **{colour: f"series-{number}" for number, colour in enumerate(_SERIES, 1)},
}
_MARKERS = "osD^vPX*"


_LEGEND: dict[str, Any] = {
    "loc": "lower left",
    "bbox_to_anchor": (0.02, 0.0),
    "frameon": False,
    "labelcolor": _INK,
    "fontsize": 9,
    "borderaxespad": 0.2,
}
"""Below the chart, of all charts alike."""


def svg(chart: Chart, number: int) -> str:
    """A chart as an `svg` element, whose ids are its own by its number on the page. It has neither title nor script."""
    import matplotlib as mpl

    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": f"greta-{number}"}):
        figure = _lines(chart) if isinstance(chart, Lines) else _dots(chart)
        written = io.BytesIO()
        figure.savefig(written, format="svg", transparent=True, metadata=dict.fromkeys(_METADATA))
    return _inline(written.getvalue().decode())


_METADATA = ("Date", "Creator", "Format", "Type")


def _inline(text: str) -> str:
    """An SVG file as an element of a page: no size of its own, no ids but those that it refers to, named colours."""
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>\s*", "", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", text, count=1)
    used = set(re.findall(r'(?:url\(|xlink:href=")#([\w-]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    return re.sub(r'style="[^"]*"', lambda found: _style(found[0]), text)


def _style(text: str) -> str:
    text = re.sub(r"#01020?[0-9a-f]{1,2}", lambda found: f"var(--{_NAMES.get(found[0], 'ink')})", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    return re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)


def _figure(height: float) -> Figure:
    """An empty figure of a height in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height))


def _axes(figure: Figure, box: tuple[float, float, float, float], x_label: str) -> Axes:
    """Axes in a figure, in its ink. `box` is left, bottom, right and top in inches from the edges."""
    width, height = figure.get_size_inches()
    left, bottom, right, top = box
    axes = figure.add_axes(
        (
            left / width,
            bottom / height,
            (width - left - right) / width,
            (height - bottom - top) / height,
        )
    )
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_INK)
    for side in ("right", "top"):
        axes.spines[side].set_visible(False)
    axes.tick_params(which="both", colors=_INK)
    axes.grid(which="major", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(_short(x_label), color=_INK)
    return axes


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _plain_ticks(axis: Any, is_log: bool, ticks: Sequence[float] = ()) -> None:
    """Few ticks with plain numbers, and none without: those would take most of the time of a drawing."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.5g}"))
    low, high = axis.get_view_interval()
    if ticks:
        axis.set_ticks(list(ticks)[:: max(1, -(-len(ticks) // 6))])
    elif is_log and low > 0 and high / low >= 10:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 300 else (1.0,), numticks=8))
    else:
        axis.set_major_locator(MaxNLocator(5))
    axis.set_minor_locator(NullLocator())


# -- lines -----------------------------------------------------------------------------------------------


def _lines(chart: Lines) -> Figure:
    named = [*chart.series, *chart.guides]
    rows = -(-len(named) // 2)
    legend = 0.175 * rows + 0.08
    figure = _figure(HEIGHT + legend)
    axes = _axes(figure, (0.78, 0.48 + legend, 0.15, 0.12), chart.x_label)
    axes.set_ylabel(_short(chart.y_label), color=_INK)
    if chart.log_x:
        axes.set_xscale("log")
    if chart.log_y:
        axes.set_yscale("log")
    for number, series in enumerate(chart.series):
        _draw(axes, series, number)
    for number, guide in enumerate(chart.guides):
        axes.plot(
            [point.x for point in guide.points],
            [point.y for point in guide.points],
            color=_GUIDE,
            linewidth=1,
            linestyle=("--", ":")[number % 2],
            label=_short(guide.name),
        )
    for place in chart.marks:
        axes.axvline(place, color=_FAIL, linewidth=1, linestyle="--")
    if not chart.log_y:
        axes.set_ylim(*_around([point.y for series in chart.series for point in series.points]))
    _plain_ticks(axes.xaxis, chart.log_x, chart.ticks)
    _plain_ticks(axes.yaxis, chart.log_y)
    figure.legend(ncols=2, handlelength=2.4, labelspacing=0.35, **_LEGEND)
    return figure


def _around(values: Sequence[float]) -> tuple[float, float]:
    """An axis that shows what varies, and does not blow up noise: at least a tenth of the largest value."""
    low, high = min(values), max(values)
    middle, half = (low + high) / 2, max((high - low) * 0.6, 0.05 * abs(high), 1e-12)
    return middle - half, middle + half


def _draw(axes: Axes, series: Series, number: int) -> None:
    """A series with the intervals of its points. Markers differ as well as colours."""
    colour = _OTHER if series.hollow else _SERIES[number % len(_SERIES)]
    x, y = [point.x for point in series.points], [point.y for point in series.points]
    axes.plot(
        x,
        y,
        color=colour,
        marker="x" if series.hollow else _MARKERS[number % len(_MARKERS)],
        linestyle="-" if series.joined else "none",
        label=_short(series.name),
    )
    known = [(one.x, one.low, one.high) for one in series.points if one.low and one.high and one.low > 0]
    if known:
        axes.vlines(*zip(*known, strict=True), color=colour, linewidth=3, alpha=0.4)


# -- dots ------------------------------------------------------------------------------------------------


def _dots(chart: Dots) -> Figure:
    count = len(chart.dots)
    figure = _figure(LINE * count + 0.95)
    longest = max(len(_short(dot.name)) for dot in chart.dots)
    axes = _axes(figure, (0.25 + 0.072 * longest, 0.72, 0.15, 0.1), chart.x_label)
    if chart.log:
        axes.set_xscale("log")
    _draw_dots(axes, chart.dots)
    if chart.origin is not None:
        axes.axvline(chart.origin, color=_INK, linewidth=0.8)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_yticks(range(count), [_short(dot.name) for dot in chart.dots])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.06)
    if not chart.log:
        shown = (value for dot in chart.dots for value in (dot.value, dot.min, dot.max, dot.before))
        axes.set_xlim(0, 1.06 * max(value for value in shown if value is not None))
    _plain_ticks(axes.xaxis, chart.log)
    _legend_of_dots(figure, axes, chart)
    return figure


_MEASURED: dict[str, Any] = {"color": _SERIES[0], "marker": "o", "linestyle": "none"}
_FAILED: dict[str, Any] = {
    "color": _FAIL,
    "marker": "X",
    "markersize": 8,
    "markeredgewidth": 0,
    "linestyle": "none",
}
_LIMIT: dict[str, Any] = {"color": _INK, "marker": "|", "markersize": 10, "linestyle": "none"}
_BEFORE: dict[str, Any] = {"color": _GUIDE, "marker": "D", "fillstyle": "none", "linestyle": "none"}


def _draw_dots(axes: Axes, dots: Sequence[Dot]) -> None:
    """All dots: what is of one kind in one stroke."""
    places = list(enumerate(dots))
    for failed, style in ((False, _MEASURED), (True, _FAILED)):
        some = [(place, dot) for place, dot in places if (dot.status == "FAIL") is failed]
        axes.plot([dot.value for _, dot in some], [place for place, _ in some], **style)
        known = [(place, dot.low, dot.high) for place, dot in some if dot.low and dot.high and dot.low > 0]
        if known:
            axes.hlines(*zip(*known, strict=True), color=style["color"], linewidth=3, alpha=0.5)
    limits = [(end, place) for place, dot in places for end in (dot.min, dot.max) if end is not None]
    before = [(dot.before, place) for place, dot in places if dot.before is not None]
    for marks, style in ((limits, _LIMIT), (before, _BEFORE)):
        axes.plot([x for x, _ in marks], [place for _, place in marks], **style)


def _legend_of_dots(figure: Figure, axes: Axes, chart: Dots) -> None:
    """What the signs mean, as far as they are there."""
    signs = [("measured", _MEASURED)]
    if any(dot.status == "FAIL" for dot in chart.dots):
        signs.append(("failed", _FAILED))
    if any(dot.min is not None or dot.max is not None for dot in chart.dots):
        signs.append(("limit", _LIMIT))
    if any(dot.before is not None for dot in chart.dots):
        signs.append(("greta.lock", _BEFORE))
    handles = [axes.plot([], [], label=name, **style)[0] for name, style in signs]
    figure.legend(handles=handles, ncols=4, handlelength=1, **_LEGEND)
