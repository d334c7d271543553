"""Numbers in words: values with their units and intervals, and how far a value lies beyond its limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pytest_greta.errors import printable
from pytest_greta.gates.model import Quantity

NOT_MEASURED = "not measured"
LONGEST = 300
"""Characters of a text of others."""
_SUFFIXES = {"": "", "bytes": " B", "of the peak": "", "exponent": ""}


def plain(text: object) -> str:
    """A text of others on one line, cut where it is long."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def number(value: object, unit: str = "") -> str:
    """A value with its unit: `0.01861 s`, `3540.7 s`, `0.11x`, `64`, `true`."""
    if value is None:
        return NOT_MEASURED
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (int, float)):
        return plain(value)
    if unit == "x":
        return f"{_ratio(value)}x"
    return _figures(value) + _SUFFIXES.get(unit, f" {plain(unit)}")


def _figures(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{value:.0f}" if abs(value) < 1e15 else f"{float(value):.4g}"
    return f"{value:.1f}" if 1000 <= abs(value) < 1e6 else f"{value:.4g}"


def _ratio(value: float) -> str:
    """As verdicts have it: `2.00`, `0.11`; a very small one with its figures."""
    return f"{value:.2f}" if abs(value) >= 0.01 and math.isfinite(value) else _figures(value)


def interval(quantity: Quantity | None, unit: str = "") -> str:
    """The interval of a quantity: `[0.33, 0.41]`; empty where it has none."""
    if quantity is None or quantity.interval is None:
        return ""
    figures = _ratio if unit == "x" else _figures
    return f"[{', '.join(figures(end) for end in (quantity.interval.low, quantity.interval.high))}]"


def ends(quantity: Quantity | None) -> tuple[float | None, float | None]:
    """The ends of an interval; None where there is none, or an end is open."""
    found = quantity.interval if quantity else None
    both = (found.low, found.high) if found else (None, None)
    low, high = (end if end is not None and math.isfinite(end) else None for end in both)
    return low, high


def as_number(quantity: Quantity | None) -> float | None:
    """A quantity as a finite number; None where it is none."""
    value = quantity.value if quantity else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def first_of(shown: int, count: int) -> str:
    """What a title says where not all is shown."""
    return f" (the first {shown} of {count})" if shown < count else ""


def beyond(verdict: Mapping[str, Any]) -> tuple[str, float]:
    """How far the value of a verdict lies outside of its limit, in words, and as a number to sort by: the logarithm of
    the ratio, infinite where there is none.
    """
    value, low, above = (verdict.get(name) for name in ("value", "min", "above"))
    high = verdict.get("max") if verdict.get("max_ratio") is None else verdict["max_ratio"]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        wanted = verdict.get("equals")
        return ("" if wanted is None else f"expected {number(wanted)}"), math.inf
    if high is not None and value > high:
        return _over(value, high)
    if low is not None and value < low:
        return _under(value, low)
    if above is not None and value <= above:
        return f"not above {number(above)}", math.inf
    wanted = verdict.get("equals")
    return ("" if wanted is None else f"expected {number(wanted)}"), 0.0


def _over(value: float, limit: float) -> tuple[str, float]:
    if limit <= 0:
        return f"{number(value - limit)} above", math.inf
    ratio = value / limit
    text = f"{ratio:.3g} times the limit" if ratio >= 2 else f"{100 * (ratio - 1):.2g} % above"
    return text, math.log(ratio)


def _under(value: float, limit: float) -> tuple[str, float]:
    if limit <= 0 or value <= 0:
        return f"{number(limit - value)} below", math.inf
    ratio = value / limit
    text = f"{ratio:.2g} of the limit" if ratio <= 0.5 else f"{100 * (1 - ratio):.2g} % below"
    return text, -math.log(ratio)
