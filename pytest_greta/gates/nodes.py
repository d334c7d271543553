"""Nodes of a YAML file: values that every YAML reader agrees about, positions, and words for messages.

A value is what YAML 1.2, and so an editor with a schema, makes of a scalar. What other readers, PyYAML among
them, make something else of is refused: `yes`, `08`, `1:30`, dates.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_greta.errors import quote as quote
from pytest_greta.errors import suggestion as suggestion

Node: TypeAlias = Any
"""A scalar, sequence or mapping node of PyYAML, which is not imported here: `file.load` does that."""

TAG = "tag:yaml.org,2002:"
COLLECTIONS = {"sequence": (TAG + "seq", "a list"), "mapping": (TAG + "map", "a mapping")}

_IMPLICIT = ("str", "int", "float", "bool", "null", "timestamp", "merge", "value")
"""What PyYAML takes unquoted text for."""
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Position:
    """Line and column in the file, from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Odd:
    """A value that YAML readers disagree about, or that is none of ours; `text` says what was found."""

    text: str


def scalar(node: Node) -> float | bool | str | Odd | None:
    """The value of a scalar node."""
    text: str = node.value
    kind = node.tag.removeprefix(TAG)
    if kind not in (_IMPLICIT if node.style is None else ("str",)):
        return Odd(f"the tag {quote(node.tag)}; tags are not supported")
    if node.style is not None:
        return text
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if _NUMBER.fullmatch(text):
        if re.match(r"[-+]?0\d", text):
            return Odd(f"{quote(text)}, octal to some YAML readers; write it without the leading zero")
        value = float(text)
        if math.isfinite(value) and re.fullmatch(r"[-+]?\d+", text):
            return int(text)  # which a float beyond 2^53 is not
        if math.isfinite(value):
            return int(value) if value.is_integer() else value
        return Odd(f"{quote(text)}, too large for a number")
    if kind == "str":
        return text
    if kind == "bool":
        return Odd(
            f"{quote(text)}, true or false to some YAML readers and text to others; write true or false"
        )
    if kind in ("int", "float"):
        if text.lower().lstrip("+-") in (".inf", ".nan"):
            return Odd(f"{text}, which is not finite")
        base = ", base 60 to some YAML readers" if ":" in text else ""
        return Odd(f"{quote(text)}{base}; write plain decimal digits")
    return Odd(f"{quote(text)}, a {kind} to some YAML readers; put text in quotes")


def found(node: Node) -> str:
    """What a node holds, in words for a message."""
    if node.id in COLLECTIONS:
        return COLLECTIONS[node.id][1]
    value = scalar(node)
    if isinstance(value, Odd):
        return value.text
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the text {quote(value)}"
    return str(value).lower() if isinstance(value, bool) else f"the number {node.value}"


def position(node: Node) -> Position:
    """Where a node begins."""
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)
