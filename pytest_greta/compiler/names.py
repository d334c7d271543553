"""Names of kernels as messages have them: demangled, and without their types."""

from __future__ import annotations

import re
from functools import lru_cache

from pytest_greta.compiler.demangling import demangled

_ANONYMOUS = "(anonymous namespace)"
_SIGNS = re.compile(r"[<>()\[\]{} ]")
_OPENING = {")": "(", "]": "[", "}": "{"}


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
