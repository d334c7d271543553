"""The arguments of a launch, held against those that the code object states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_greta.compiler.codeobject import KernelArgument
from pytest_greta.contract_values import value_problem


def argument_problem(given: Sequence[Any], takes: Sequence[KernelArgument]) -> str:
    """How count, kind or size in bytes of arguments differ from what a kernel takes: the first that does. Else empty.

    `given` are names of arrays and values, as a Launch has them.
    """
    for number, (argument, wanted) in enumerate(zip(given, takes, strict=False), 1):
        what = _wanted(wanted)
        if isinstance(argument, str):
            if not wanted.is_pointer:
                return f"argument {number} is the array {argument!r}, a pointer; the kernel takes {what}"
        elif wrong := value_problem(argument):
            return f"argument {number} is {wrong}"
        elif wanted.is_pointer:
            return (
                f"argument {number} is {_shown(argument)}; the kernel takes {what}: pass the name of an array"
            )
        elif argument.nbytes != wanted.size:
            packed = argument.dtype.fields is not None and not argument.dtype.isalignedstruct
            hint = ": np.dtype(..., align=True) pads a struct as C does" if packed else ""
            return f"argument {number} is {_shown(argument)} of {argument.nbytes} bytes; the kernel takes {what}{hint}"
    if len(given) < len(takes):
        missing = f"argument {len(given) + 1} is missing, {_wanted(takes[len(given)])}"
        return f"{missing}; {len(given)} are passed, the kernel takes {len(takes)}"
    if len(given) > len(takes):
        surplus = given[len(takes)]
        what = f"the array {surplus!r}" if isinstance(surplus, str) else _shown(surplus)
        return f"argument {len(takes) + 1} is {what}; {len(given)} are passed, the kernel takes {len(takes)}"
    return ""


def _wanted(argument: KernelArgument) -> str:
    return "a pointer" if argument.is_pointer else f"a value of {argument.size} bytes"


def _shown(value: Any) -> str:
    """A value with its type, on one short line."""
    text = " ".join(str(value).split())
    kind = getattr(getattr(value, "dtype", None), "name", type(value).__name__)
    return f"{kind} {text if len(text) <= 40 else text[:37] + '...'}"
