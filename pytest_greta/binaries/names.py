"""Names of kernels as templates, and matched by the patterns that users write."""

from __future__ import annotations

import re
from functools import lru_cache

from pytest_greta.compiler.names import qualified
from pytest_greta.gates.patterns import pattern


@lru_cache(maxsize=1 << 15)
def template(name: str) -> str:
    """The template that a kernel is an instantiation of: `gemm<...>`; its own name where it is of none."""
    short, text, depth, kept = qualified(name), [], 0, 0
    for found in re.finditer(r"[<>]", short):
        at = found.start()
        if found[0] == "<":
            if depth == 0:
                text.append(short[kept : at + 1] + "...")
            depth += 1
        elif depth and short[at - 1] != "-":
            depth -= 1
            if depth == 0:
                kept = at
    return "".join([*text, short[kept:]]) if depth == 0 else short


def matches(text: str, name: str, symbol: str) -> bool:
    """Whether a pattern is for a kernel: for its whole name, that without types, or its symbol."""
    expression = pattern(text)
    return any(map(expression.search, dict.fromkeys((qualified(name), name, symbol))))


def counted(count: int, thing: str) -> str:
    """`1 kernel`, `2 kernels`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
