"""What the texts of greta's options mean. Every function raises ValueError for a text that is none."""

from __future__ import annotations

import math
import re

MOST_PARTS = 10_000
"""Of a session; more are a slip of the keyboard."""


def names(text: str) -> tuple[str, ...]:
    """`v3,v4`: each once."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if "" in found:
        raise ValueError(f"{text!r} has an empty name; expected names with commas between, like v3,v4")
    return found


def targets(text: str) -> tuple[str, ...]:
    """`gfx942,gfx1100`."""
    from pytest_greta.sources import TARGET

    found = names(text)
    for name in found:
        if not re.fullmatch(TARGET, name):
            raise ValueError(f"{name!r} is not a target; expected one like gfx942")
    return found


def contexts(text: str) -> tuple[int, ...]:
    """`4096,8192`: each once."""
    return tuple(dict.fromkeys(integer(part, "a context", 1) for part in text.split(",")))


def axes(text: str) -> dict[str, tuple[str, ...]]:
    """`heads=4,32` in every line."""
    axes: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        name, equals, values = (part.strip() for part in line.partition("="))
        if not name or not equals:
            raise ValueError(f"{line!r} is no axis; expected a name and its values, like heads=4,32")
        if name == "context":
            raise ValueError("the context is an option of its own: --greta-ctx")
        if name in axes:
            raise ValueError(f"axis {name} is there twice; give its values with commas between")
        axes[name] = names(values)
    return axes


def rounds(text: str) -> dict[int, int]:
    """`5`, or `4096:2,8192:1`: rounds by context, 0 for all."""
    if ":" not in text:
        return {0: integer(text, "a number of rounds", 1)}
    rounds = {}
    for part in text.split(","):
        context, _, number = part.partition(":")
        length = integer(context, "a context", 1)
        if length in rounds:
            raise ValueError(f"context {length} is there twice")
        rounds[length] = integer(number, "a number of rounds", 1)
    return rounds


def integer(text: str, what: str, least: int) -> int:
    """A whole number that is not below `least`; `what` says what it is."""
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"{text.strip()!r} is not {what}; expected a whole number from {least}") from None
    if value < least:
        raise ValueError(f"{value} is not {what}; expected a whole number from {least}")
    return value


def reason(text: str) -> str:
    """A reason that says something."""
    if not text.strip():
        raise ValueError("the reason is empty; say why the slowdown is accepted")
    return text.strip()


def gates(text: str) -> int:
    """How many gates to calibrate with."""
    return integer(text, "a number of gates", 1)


def seed(text: str) -> int:
    """A seed of inputs."""
    return integer(text, "a seed", 0)


def devices(text: str) -> tuple[int, ...]:
    """`0,2`: each once."""
    return tuple(dict.fromkeys(integer(part, "the number of a device", 0) for part in text.split(",")))


def shard(text: str) -> tuple[int, int]:
    """`2/8`: the second of eight."""
    part, slash, parts = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} is no part; expected one like 2/8: the second of eight")
    count = integer(parts, "a number of parts", 1)
    if count > MOST_PARTS:
        raise ValueError(f"{count} parts are too many; expected at most {MOST_PARTS}")
    number = integer(part, "a part", 1)
    if number > count:
        raise ValueError(f"part {number} of {count} is not there: parts are counted from 1")
    return number, count


def waiting(text: str) -> float:
    """Seconds, or 0 for none."""
    value = _number(text)
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{text!r} is not a time; expected seconds, or 0 for none")
    return value


def seconds(text: str) -> float:
    """Seconds above zero."""
    value = _number(text)
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{text!r} is not a time; expected seconds above 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def size(text: str) -> int:
    """`500M` in bytes; K, M and G are 1024 times the one before. A number alone would be bytes, which nobody means."""
    given = re.fullmatch(r"\s*(\d+)\s*([KMG])i?B?\s*", text, re.IGNORECASE)
    if given is None or int(given[1]) == 0:
        raise ValueError(f"{text!r} is not a size; expected a whole number from 1 with K, M or G, like 500M")
    return int(given[1]) << 10 * " KMG".index(given[2].upper())
