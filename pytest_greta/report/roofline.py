"""Operations a second over operations a byte, where a kernel says how many it needs."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_greta.report.parts import MOST_SERIES, Lines, Point, Section, Series, Table
from pytest_greta.report.subjects import Subject
from pytest_greta.report.words import NOT_MEASURED, as_number, number


def roofline(subject: Subject, name: str) -> Section:
    """Operations a second over operations a byte, under what the device allows."""
    series: dict[str, list[Point]] = {}
    rows, missing = [], []
    for run in subject.runs:
        flops, moved = as_number(run.get("tflops")), as_number(run.get("gbytes_per_second"))
        if flops is None or moved is None or flops <= 0 or moved <= 0:
            found = [run.get(one) for one in ("tflops", "gbytes_per_second")]
            missing += [one.reason for one in found if one and one.value is None and one.reason]
            continue
        intensity = flops * 1e3 / moved
        series.setdefault(run.series, []).append(Point(intensity, flops))
        shares = (as_number(run.get(share)) for share in ("flops_of_peak", "bytes_of_peak"))
        rows.append(
            [
                run.series,
                run.problem,
                number(intensity),
                number(flops),
                number(moved),
                *(NOT_MEASURED if share is None else f"{100 * share:.3g} %" for share in shares),
            ]
        )
    if not rows:
        why = "; ".join(dict.fromkeys(missing)) or "operations or bytes of the problem are not known"
        return Section("", "", [f"{name}: {NOT_MEASURED}: {why}."])
    columns = ("variant", "problem", "#FLOP a byte", "#TFLOP/s", "#GB/s", "#of peak TFLOP/s", "#of peak GB/s")
    roofs, note = _roofs(subject, [point.x for points in series.values() for point in points])
    chart = Lines(
        f"Roofline of {name}",
        f"Operations a second of {name} over operations a byte, both axes logarithmic, {note}. "
        "The table below has every number.",
        "FLOP a byte",
        "TFLOP/s",
        [Series(one, points, joined=False) for one, points in list(series.items())[:MOST_SERIES]],
        roofs,
        log_x=True,
        log_y=True,
    )
    return Section("", "", [f"{name}: {note}."], [chart], [Table.of(f"{name}: roofline", columns, rows)])


def _roofs(subject: Subject, intensities: Sequence[float]) -> tuple[list[Series], str]:
    """What the stated peaks of the device allow, over the range of intensities, and what to say of them."""
    peaks = []
    for rate, share in (("tflops", "flops_of_peak"), ("gbytes_per_second", "bytes_of_peak")):
        known = ((as_number(run.get(rate)), as_number(run.get(share))) for run in subject.runs)
        peaks.append(next((value / part for value, part in known if value and part), None))
    flops, moved = peaks
    low, high = min(intensities) / 4, max(intensities) * 4
    if flops is None and moved is None:
        return [], "gates.yaml states no peak of the device"
    if flops is None or moved is None:
        stated = f"peak {number(flops)} TFLOP/s" if moved is None else f"peak {number(moved)} GB/s"
        roof = [Point(x, flops if flops is not None else (moved or 0) * x / 1e3) for x in (low, high)]
        return [Series("roof", roof)], stated
    ridge = flops * 1e3 / moved
    low, high = min(low, ridge / 4), max(high, ridge * 4)
    roof = [Point(low, moved * low / 1e3), Point(ridge, flops), Point(high, flops)]
    return [Series("roof", roof)], f"peaks {number(flops)} TFLOP/s and {number(moved)} GB/s"
