"""Draws docs/verdicts.svg: three paired tests, block by block. `python -m benchmarks.verdicts_picture [FILE]`."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

from pytest_greta.gates.model import Limit
from pytest_greta.stats.pairs import FEWEST_BLOCKS, PairedTest

LIMIT = 1.00
MOST = 80
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 290, 260, 46, 34, 40
LOW, HIGH = 0.93, 1.07
COLOURS = {"PASS": "#2e7d32", "FAIL": "#c62828", "INCONCLUSIVE": "#9a6700"}


def panel(number: int, speedup: float, seed: int) -> str:
    """One test of a kernel with this true speedup, 1 % noise a launch, against a limit of 1.00."""
    limit, rng = Limit(min=LIMIT), np.random.default_rng(seed)
    test, ends = PairedTest([limit], most_blocks=MOST), []
    while not test.is_finished:
        test.add_block(math.log(speedup) + rng.normal(0.0, 0.014))
        interval = test.interval
        if interval is not None and test.blocks >= FEWEST_BLOCKS:
            ends.append((test.blocks, max(interval.low, LOW), min(interval.high, HIGH)))
    status = test.verdict(limit)[0].value

    def x(block: float) -> float:
        return number * WIDTH + LEFT + block / MOST * (WIDTH - LEFT - 14)

    def y(ratio: float) -> float:
        return TOP + (HIGH - ratio) / (HIGH - LOW) * (HEIGHT - TOP - BOTTOM)

    colour = COLOURS[status]
    outline = [(b, high) for b, _, high in ends] + [(b, low) for b, low, _ in reversed(ends)]
    points = " ".join(f"{x(b):.1f},{y(r):.1f}" for b, r in outline)
    dots = "".join(
        f'<circle cx="{x(i):.1f}" cy="{y(min(max(math.exp(v), LOW), HIGH)):.1f}" r="1.8"/>'
        for i, v in enumerate(test.log_ratios, 1)
    )
    ticks = "".join(
        f'<text x="{x(0) - 6:.0f}" y="{y(r) + 4:.0f}" text-anchor="end">{r:.2f}</text>'
        for r in (0.94, 0.97, 1.00, 1.03, 1.06)
    ) + "".join(
        f'<text x="{x(b):.0f}" y="{HEIGHT - 22}" text-anchor="middle">{b}</text>' for b in (0, 20, 40, 60, 80)
    )
    left, right, height = f"{x(0):.1f}", f"{x(MOST):.1f}", HEIGHT - TOP - BOTTOM
    line = f'<line x1="{left}" x2="{right}" y1="{y(LIMIT):.1f}" y2="{y(LIMIT):.1f}"'
    return (
        f'<text x="{x(0):.0f}" y="20" font-weight="bold" fill="{colour}">{status} after {test.blocks} pairs</text>'
        f'<rect x="{left}" y="{TOP}" width="{x(MOST) - x(0):.1f}" height="{height}" fill="none" stroke="#999"/>'
        f'<polygon points="{points}" fill="{colour}" fill-opacity="0.18" stroke="{colour}"/>'
        f'{line} stroke="#111" stroke-dasharray="5 3"/>'
        f'<g fill="#555">{dots}{ticks}<text x="{(x(0) + x(MOST)) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"pairs (true speedup {speedup:.2f})</text></g>"
    )


def picture() -> str:
    """The SVG document."""
    panels = "\n".join(panel(i, *case) for i, case in enumerate([(1.02, 3), (0.98, 4), (1.002, 5)]))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {3 * WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="11">\n'
        "<title>Dots: the ratio of one pair. Band: the interval after so many pairs. "
        "Dashed: the limit, speedup 1.00.</title>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n{panels}\n</svg>\n'
    )


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/verdicts.svg")
    target.write_text(picture())
