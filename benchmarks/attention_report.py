"""What benchmarks/attention.py measured, as a table and as a picture. Pure: text in, text out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

PEAKS = {
    "H200": (989e12, 4.8e12),
    "H100": (989e12, 3.35e12),
    "MI300X": (1307.4e12, 5.3e12),
    "MI250X": (191.5e12, 1.6e12),  # one of its two dies
}
"""Dense fp16 operations and bytes of memory a second, by the vendors' data sheets."""
MARK = ("<!-- attention -->", "<!-- /attention -->")
COLOURS = [
    "#999",
    "#b58900",
    "#cb4b16",
    "#d33682",
    "#6c71c4",
    "#268bd2",
    "#2e7d32",
    "#111",
    "#c62828",
    "#00897b",
]


@dataclass
class Series:
    """One implementation over contexts."""

    name: str
    seconds: dict[int, float] = field(default_factory=dict)
    flops_per_second: dict[int, float] = field(default_factory=dict)
    memory_bytes: dict[int, int | None] = field(default_factory=dict)
    """Device memory in use for inputs, outputs and whatever else the launch took."""

    def add(self, context: int, seconds: float, flops: float, memory_bytes: int | None) -> None:
        """One measurement."""
        self.seconds[context], self.memory_bytes[context] = seconds, memory_bytes
        self.flops_per_second[context] = flops / seconds

    def expected_seconds(self, context: int) -> float:
        """By quadratic growth from the longest context measured; 0 where nothing was."""
        longest = max(self.seconds, default=0)
        return self.seconds[longest] * (context / longest) ** 2 if longest else 0.0


@dataclass
class Results:
    """One run."""

    device: str
    date: str
    problem: str
    note: str
    intensity: Mapping[int, float]
    """Operations for each byte that must cross device memory, by context."""
    series: Sequence[Series]
    """The baseline first."""

    def to_json(self) -> str:
        """All of it."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Results:
        """What `to_json` wrote."""
        data = json.loads(text)
        for series in data["series"]:
            for name in ("seconds", "flops_per_second", "memory_bytes"):
                series[name] = {int(context): value for context, value in series[name].items()}
        data["series"] = [Series(**series) for series in data["series"]]
        data["intensity"] = {int(context): value for context, value in data["intensity"].items()}
        return cls(**data)

    def roof(self, context: int) -> float | None:
        """Operations a second that the device allows at a context: by its units, or by its memory."""
        for product, (peak, bandwidth) in PEAKS.items():
            if re.search(rf"\b{product}\b", self.device):
                return min(peak, self.intensity[context] * bandwidth)
        return None


def table(results: Results) -> str:
    """Markdown: for every implementation and context milliseconds, TFLOP/s and speedup over the first."""
    contexts = sorted({c for s in results.series for c in s.seconds})
    longest = contexts[-1]
    base, roof = results.series[0], results.roof(longest)
    head = ["", *map(str, contexts), f"of the roofline at {longest}", f"memory at {longest}"]
    lines = [
        f"{results.device}, {results.date}. {results.problem}. {results.note}".strip() + "\n",
        f"A cell is milliseconds, TFLOP/s, and the speedup over `{base.name}`.\n",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for series in results.series:
        cells = [_cell(series, base, context) for context in contexts]
        rate, memory = series.flops_per_second.get(longest), series.memory_bytes.get(longest)
        cells.append("-" if roof is None or rate is None else f"{rate / roof:.1%}")
        cells.append("-" if memory is None else f"{memory / 2**20:.0f} MiB")
        lines.append("| " + " | ".join([f"`{series.name}`", *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(series: Series, base: Series, context: int) -> str:
    seconds = series.seconds.get(context)
    if seconds is None:
        return "-"
    speedup = f", {base.seconds[context] / seconds:.3g}x" if context in base.seconds else ""
    return f"{seconds * 1e3:.4g} ms, {series.flops_per_second[context] / 1e12:.3g}{speedup}"


def replace_table(document: str, text: str) -> str:
    """The document with the text between its marks. Raises ValueError where it has no marks."""
    begin, end = (document.find(mark) for mark in MARK)
    if begin < 0 or end < begin:
        raise ValueError(f"the document has no lines {MARK[0]} and {MARK[1]}")
    return document[: begin + len(MARK[0])] + "\n\n" + text + "\n" + document[end:]


WIDTH, HEIGHT, LEFT, TOP, BOTTOM, LEGEND = 400, 330, 58, 30, 44, 110


def picture(results: Results) -> str:
    """SVG: time and TFLOP/s over context, both axes logarithmic."""
    times = [{c: t * 1e3 for c, t in s.seconds.items()} for s in results.series]
    rates = [{c: r / 1e12 for c, r in s.flops_per_second.items()} for s in results.series]
    legend = "".join(
        f'<rect x="{2 * WIDTH + 8}" y="{TOP + 18 * i}" width="14" height="3" fill="{COLOURS[i % len(COLOURS)]}"/>'
        f'<text x="{2 * WIDTH + 28}" y="{TOP + 18 * i + 6}">{series.name}</text>'
        for i, series in enumerate(results.series)
    )
    width = 2 * WIDTH + LEGEND
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="12"><rect width="{width}" height="{HEIGHT}" fill="#fff"/>'
        f"{_panel(0, 'milliseconds', times)}{_panel(WIDTH, 'TFLOP/s', rates)}{legend}</svg>\n"
    )


def _panel(left: float, title: str, lines: Sequence[Mapping[int, float]]) -> str:
    contexts = sorted({c for line in lines for c in line})
    values = [v for line in lines for v in line.values()]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    high = max(high, 10 * low)

    def x(context: float) -> float:
        share = math.log(context / contexts[0]) / max(math.log(contexts[-1] / contexts[0]), 1e-9)
        return left + LEFT + 8 + share * (WIDTH - LEFT - 30)

    def y(value: float) -> float:
        return TOP + math.log(high / value) / math.log(high / low) * (HEIGHT - TOP - BOTTOM)

    decades = [10**n for n in range(round(math.log10(low)), round(math.log10(high)) + 1)]
    grid = "".join(
        f'<line x1="{left + LEFT}" x2="{left + WIDTH - 14}" y1="{y(v):.1f}" y2="{y(v):.1f}" stroke="#ddd"/>'
        f'<text x="{left + LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{v:g}</text>'
        for v in decades
    ) + "".join(
        f'<text x="{x(c):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{c}</text>' for c in contexts
    )
    curves = ""
    for i, line in enumerate(lines):
        colour = COLOURS[i % len(COLOURS)]
        points = [(x(c), y(v)) for c, v in sorted(line.items())]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        dots = "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5"/>' for a, b in points)
        curves += f'<g fill="{colour}"><polyline points="{path}" fill="none" stroke="{colour}"/>{dots}</g>'
    middle = left + (LEFT + WIDTH) / 2
    return (
        f'<text x="{middle}" y="18" text-anchor="middle" font-weight="bold">{title}</text>{grid}{curves}'
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">context</text>'
    )
