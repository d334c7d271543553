"""What a family says of its data, in short: runs of other data are of another benchmark, whatever its name.

The digest of a method is that of its syntax tree, without docstrings, and of the trees and values of what it uses:
other methods and attributes of the family, functions and constants of its module. Reformatting changes nothing, nor
does a new variant, reference or launch. A library is not looked into.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from pytest_greta.dtypes import dtype_of

if TYPE_CHECKING:
    from pytest_greta.kernel import Array, Kernel

METHODS = ("inputs", "outputs", "variant_inputs")
"""What decides which numbers a kernel works on."""

_CONSTANTS = (bool, int, float, complex, str, bytes, type(None))


def family_of(kernel: Kernel, buffers: Mapping[str, Array]) -> dict[str, str]:
    """Digests of the family's methods, and shape and dtype of inputs and outputs, each by what a reader calls it."""
    shapes = {f"'{n}'": f"{dtype_of(a.dtype)} {list(map(int, a.shape))}" for n, a in buffers.items()}
    return {**{f"{method}()": _digest(kernel, method) for method in METHODS}, **shapes}


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs of two families. What one of them does not say (an older record) does not differ."""
    names = [name for name in now if name in then and then[name] != now[name]]
    return [n if n.endswith("()") else f"{n} ({then[n]}, now {now[n]})" for n in names]


def launch_digest(kernel: Kernel) -> str:
    """A digest of how a family is launched and on what. Another minor version of Python may give another."""
    methods = (*METHODS, "launch", "defines", "constants", "workspaces")
    return hashlib.sha256(" ".join(_digest(kernel, method) for method in methods).encode()).hexdigest()[:16]


def _digest(kernel: Kernel, method: str) -> str:
    digest = hashlib.sha256()
    for part in _parts(getattr(type(kernel), method), type(kernel), set()):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def _parts(value: Any, family: type, seen: set[int]) -> Iterator[str]:
    """The function as a tree, and the same of all that it names, each once."""
    if isinstance(value, _CONSTANTS) or (
        isinstance(value, (tuple, list)) and all(isinstance(item, _CONSTANTS) for item in value)
    ):
        yield repr(value)
    if not isinstance(value, FunctionType) or id(value) in seen:
        return
    seen.add(id(value))
    yield _tree(value)
    home = inspect.getmodule(value)
    for name in _names(value.__code__):
        used = value.__globals__.get(name, inspect.getattr_static(family, name, None))
        if isinstance(used, FunctionType) and inspect.getmodule(used) is not home:
            continue
        yield from (f"{name}={part}" for part in _parts(used, family, seen))


def _tree(function: FunctionType) -> str:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, ValueError):  # made by exec, or a lambda in the middle of a line
        return function.__code__.co_code.hex() + repr(function.__code__.co_consts)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def _names(code: CodeType) -> Iterator[str]:
    """Every name that code loads, that of functions within it too, in a fixed order."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
