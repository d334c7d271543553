"""How fast: times and throughput over the contexts of a kernel or a program, and the sections beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from pytest_greta.gates.model import Quantity
from pytest_greta.report import ratios, roofline
from pytest_greta.report.parts import MOST_SERIES, Lines, Point, Section, Series, Table
from pytest_greta.report.subjects import Subject, Timed
from pytest_greta.report.words import NOT_MEASURED, as_number, ends, first_of, interval, number

MOST_COLUMNS = 6
"""Of a table of what programs printed: what a screen holds."""
MEASURED_TIMES = ("seconds", "wall_seconds", "cpu_seconds")
"""Of a program: of a run that failed they say nothing."""
MOST_DRAWN = 4
"""Kernels and programs of which there are charts; a chart takes a tenth of a second."""
_SLOPES = (("linear", 1.0), ("quadratic", 2.0))


def speed(subjects: Sequence[Subject]) -> list[Section]:
    """The sections on speed, in the order in which they are read."""
    if not subjects:
        note = f"{NOT_MEASURED.capitalize()}: nothing was run."
        return [Section("time", "Time and throughput over context", [note])]
    titles = {"time": "Time and throughput over context", "speedup": "Speedup", "roofline": "Roofline"}
    parts = {"time": _time, "speedup": ratios.speedup, "roofline": roofline.roofline}
    sections = []
    for name, make in parts.items():
        made = [make(subject, _named(subject, subjects)) for subject in subjects]
        drawn = [one.charts for one in made if one.charts]
        more = (
            [f"Drawn are the first {MOST_DRAWN} of {len(drawn)}; the tables have all."]
            if len(drawn) > MOST_DRAWN
            else []
        )
        sections.append(
            Section(
                name,
                titles[name],
                list(dict.fromkeys([*more, *(note for one in made for note in one.notes)])),
                [chart for charts in drawn[:MOST_DRAWN] for chart in charts],
                [table for one in made for table in one.tables],
            )
        )
    return sections


def _named(subject: Subject, subjects: Sequence[Subject]) -> str:
    """What captions call a subject: with its device where there are several."""
    several = len({one.device for one in subjects}) > 1
    if not several or not subject.device:
        return subject.kernel
    return f"{subject.kernel}{', ' if subject.device.startswith('recorded') else ' on '}{subject.device}"


# -- time ------------------------------------------------------------------------------------------------


def _time(subject: Subject, name: str) -> Section:
    notes = [f"{name}: runs{first}"] if (first := first_of(len(subject.runs), subject.count)) else []
    notes += [f"{name}: {run.recorded.untimed}" for run in subject.runs if run.recorded.untimed]
    if any(run.recorded.device_kind == "cpu" for run in subject.runs):
        notes.append(f"{name}: a cpu's times say nothing about a GPU's.")
    notes += [
        f"{name}, {run.series} at {run.problem}: a time of {number(run.stated.value, 's')} is not drawn"
        for run in subject.runs
        if run.stated and not run.time
    ]
    charts = [
        chart
        for chart in (
            _over_context(
                subject, f"Time of {name} over context", "seconds", lambda run: run.time, has_slopes=True
            ),
            _over_context(
                subject,
                f"Tokens a second of {name} over context",
                "tokens/s",
                lambda run: run.tokens_per_second,
            ),
        )
        if chart
    ]
    tables = [_closing(subject, name), _measured(subject, name)]
    if len(subject.contexts) > 1:
        tables.append(_exponents(subject, name))
    if any(run.recorded.kind == "program" for run in subject.runs):
        tables += _of_programs(subject, name)
    return Section("", "", list(dict.fromkeys(notes)), charts, tables)


def _over_context(
    subject: Subject,
    title: str,
    label: str,
    get: Callable[[Timed], Quantity | None],
    has_slopes: bool = False,
) -> Lines | None:
    """A chart of a quantity on logarithmic axes; None where there is nothing to draw."""
    series = [Series(name, list(_points(runs, get))) for name, runs in subject.by_series.items()]
    every = [one for one in series if one.points]
    series = every[:MOST_SERIES]
    if not series:
        return None
    title += first_of(len(series), len(every))
    guides = list(_guides(series[0].points[0], subject.contexts)) if has_slopes else []
    words = "; ".join(
        f"{one.name}: {number(one.points[0].y)} at {number(one.points[0].x)}"
        + (f", {number(one.points[-1].y)} at {number(one.points[-1].x)}" if len(one.points) > 1 else "")
        for one in series
    )
    alt = f"{title}, both axes logarithmic, in {label}. {words}. The table below has every number."
    ticks = [float(context) for context in subject.contexts]
    return Lines(title, alt, "context", label, series, guides, log_x=True, log_y=True, ticks=ticks)


def _points(runs: Sequence[Timed], get: Callable[[Timed], Quantity | None]) -> Iterator[Point]:
    for run in runs:
        quantity = get(run)
        value = as_number(quantity)
        if value is not None and value > 0 and run.context > 0:
            yield Point(float(run.context), value, *ends(quantity))


def _guides(start: Point, contexts: Sequence[int]) -> Iterator[Series]:
    """Lines of linear and of quadratic work through a point."""
    ends = [context for context in (contexts[0], contexts[-1]) if context > 0]
    if len(set(ends)) < 2:
        return
    for name, slope in _SLOPES:
        yield Series(name, [Point(x, start.y * (x / start.x) ** slope) for x in ends])


def _closing(subject: Subject, name: str) -> Table:
    """A line for each problem, a column for each series: the time, and the speedup behind it."""
    series = list(subject.by_series)[:MOST_SERIES]
    problems: dict[int, dict[str, list[str]]] = {}
    for run in subject.runs:
        problems.setdefault(run.context, {}).setdefault(run.series, []).append(_cell(run))
    rows = [
        [str(context), *("; ".join(problems[context].get(one, ["-"])) for one in series)]
        for context in sorted(problems)
    ]
    caption = f"{name}: seconds, and the speedup over the baseline measured beside it"
    return Table.of(caption, ["context", *(f"#{one}" for one in series)], rows)


def _cell(run: Timed) -> str:
    speedup = as_number(run.get("speedup"))
    beside = f" ({number(speedup, 'x')})" if speedup is not None else ""
    worst = "FAIL" in run.statuses.values()
    seconds = as_number(run.time)
    # As campaigns write times down: to hundredths from 10 s on.
    time = (
        f"{seconds:.2f} s" if seconds and seconds >= 10 else number(run.time.value if run.time else None, "s")
    )
    return f"{time}{beside}{' FAIL' if worst else ''}"


def _measured(subject: Subject, name: str) -> Table:
    """All numbers of the charts."""
    rows = [
        [
            run.series,
            run.problem,
            number(run.time.value if run.time else None, "s"),
            interval(run.time),
            str(len(run.recorded.seconds) or ""),
            number(as_number(run.tokens_per_second)),
            interval(run.tokens_per_second),
            run.recorded.timing,
        ]
        for run in subject.runs
    ]
    columns = (
        "variant",
        "problem",
        "#time",
        "#interval",
        "#rounds",
        "#tokens a second",
        "#interval",
        "how it was timed",
    )
    return Table.of(f"{name}: times and throughput", columns, rows)


def _of_programs(subject: Subject, name: str) -> Iterator[Table]:
    """All that programs printed, and what was measured of them: what is the same in every run stands apart, and of the
    rest a few columns make a table.
    """
    runs = [run for run in subject.runs if run.recorded.kind == "program"]
    known = (one for run in runs for one in run.recorded.quantities.items())
    every = dict.fromkeys(name for name, one in known if one.value is not None and ":" not in name)
    cells = {one: [_printed(run, one) for run in runs] for one in every}
    alike = {one: texts[0] for one, texts in cells.items() if len(runs) > 1 and len(set(texts)) == 1}
    if alike:
        yield Table.of(
            f"{name}: the same in every run", ("quantity", "#value"), list(map(list, alike.items()))
        )
    differing = [one for one in cells if one not in alike]
    for start in range(0, len(differing), MOST_COLUMNS):
        names = differing[start : start + MOST_COLUMNS]
        rows = [
            [run.series, run.problem, *(cells[one][place] for one in names)] for place, run in enumerate(runs)
        ]
        caption = f"{name}: what programs printed, and what was measured of them"
        if len(differing) > MOST_COLUMNS:
            caption += f": {names[0]}" + (f" to {names[-1]}" if len(names) > 1 else "")
        yield Table.of(caption, ["variant", "problem", *(f"#{one}" for one in names)], rows)


def _printed(run: Timed, name: str) -> str:
    """A quantity of a program with its unit; empty where the run has none."""
    found = run.get(name)
    if found is None:
        return ""
    if run.has_failed and name in MEASURED_TIMES:
        return NOT_MEASURED
    return number(found.value, run.recorded.units.get(name, "") if found.value is not None else "")


def _exponents(subject: Subject, name: str) -> Table:
    """The slope of each series, and that of the work where it is known."""
    rows = []
    for series, runs in subject.by_series.items():
        times = [(run.context, as_number(run.time)) for run in runs]
        work = [(run.context, _work(run)) for run in runs]
        rows.append([series, exponent(times), exponent(work)])
    return Table.of(
        f"{name}: exponent over context (linear work gives 1, quadratic work 2)",
        ("variant", "#of the time", "#of the operations"),
        rows,
    )


def _work(run: Timed) -> float | None:
    """Floating-point operations in units of 1e12: the rate times the time."""
    rate, seconds = as_number(run.get("tflops")), as_number(run.time)
    return rate * seconds if rate is not None and seconds is not None else None


def exponent(values: Sequence[tuple[int, float | None]]) -> str:
    """The slope of the line of least squares through logarithms; empty with fewer than two contexts."""
    known = [(math.log(x), math.log(y)) for x, y in values if y is not None and y > 0 and x > 0]
    if len({x for x, _ in known}) < 2:
        return ""
    mean_x, mean_y = (sum(part) / len(known) for part in zip(*known, strict=True))
    slope = sum((x - mean_x) * (y - mean_y) for x, y in known) / sum((x - mean_x) ** 2 for x, _ in known)
    return f"{slope:.2f}"
