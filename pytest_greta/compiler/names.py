"""Names of kernels as C++ has them: demangled, and without their types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from pytest_greta.compiler.bundles import EXTRA

LONGEST_MANGLED = 1 << 14
"""Longer names stay as they are: demanglers go a step deeper for each letter."""
NOT_DEMANGLED = f"names are not demangled: that takes {EXTRA}"

_ANONYMOUS = "(anonymous namespace)"
_SIGNS = re.compile(r"[<>()\[\]{} ]")
_OPENING = {")": "(", "]": "[", "}": "{"}


@lru_cache
def _demangler() -> Callable[[str], str] | None:
    try:
        import pydemumble
    except ModuleNotFoundError:
        return None
    demangle: Callable[[str], str] = pydemumble.demangle
    return demangle


def demangled(symbols: Iterable[str]) -> tuple[dict[str, str], str]:
    """The names that symbols stand for, and why they are not demangled, if so.

    By LLVM's demangler, which says the same on every machine; that of a C++ library differs from one to another.
    """
    demangle, names, missed = _demangler(), {}, False
    for symbol in symbols:
        name = ""
        if symbol.startswith("_Z") and len(symbol) <= LONGEST_MANGLED:
            missed = missed or demangle is None
            name = demangle(symbol) if demangle else ""
        names[symbol] = name or symbol
    return names, NOT_DEMANGLED if missed else ""


def called(symbol: str) -> str:
    """What a message calls a kernel: its name without types, or its symbol where that is not demangled."""
    return qualified(demangled([symbol])[0][symbol])


@lru_cache(maxsize=1 << 15)
def qualified(name: str) -> str:
    """A name without return type and arguments: `gemm<float, 8>` of `void gemm<float, 8>(float*)`."""
    if "(" not in name:
        return name
    spaces, opened, begin = [0], -1, -1
    depth: list[str] = []
    for found in _SIGNS.finditer(name):
        sign, at = found[0], found.start()
        if sign in "<([{":
            if not depth and sign == "(":
                opened = at
            depth.append(sign)
        elif sign == ">":
            if depth and depth[-1] == "<" and name[at - 1] != "-":
                depth.pop()
        elif sign != " ":
            while depth and depth.pop() != _OPENING[sign]:
                pass  # a `<` that was less-than
        elif not depth:
            spaces.append(at + 1)
    if opened < 0 or name.startswith(_ANONYMOUS, opened):
        return name
    begin = max(at for at in spaces if at <= opened)
    return name[begin:opened]
