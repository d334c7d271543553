"""Code that is ready to run, and its description in history, by which the code of an accepted run is launched again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_greta.contract import geometry_problem, holds
from pytest_greta.contract_values import value_problem
from pytest_greta.dtypes import dtype_of, is_number
from pytest_greta.kernel import Array, Launch, Value, Variant

CANDIDATE, BASELINE, ACCEPTED = "candidate", "baseline", "accepted"
"""Slots of the worker: what is tested, and what it is timed beside."""

_BYTES = "bytes"
"""In history, in place of a dtype: a struct or a vector, by its bytes."""


@dataclass(frozen=True)
class Executable:
    """Code that is ready to run."""

    name: str
    """As messages call it."""
    entry: str
    code: bytes
    launches: Sequence[Launch]
    workspaces: Mapping[str, Array]
    deadline_seconds: float
    """Of one run of all its launches."""
    buffers: Mapping[str, Array] | None = None
    """The inputs and outputs it was made for, where these may not be the kernel's of today."""
    variant: Variant | None = None
    """Whose own inputs it reads."""
    constants: Mapping[str, bytes] = field(default_factory=dict)
    """What variables of its code hold, by symbol. As inputs are, it is today's for the code of an accepted run too."""


def sha256_of(code: bytes) -> str:
    """The name under which code is kept."""
    return hashlib.sha256(code).hexdigest()


def code_info(executable: Executable, buffers: Mapping[str, Array]) -> dict[str, Any]:
    """What history keeps of the code of a run, so that `executable_of` can launch it again: plain JSON values."""
    return {
        "sha256": sha256_of(executable.code),
        "entry": executable.entry,
        "launches": [
            {
                "grid": [int(n) for n in launch.grid],
                "block": [int(n) for n in launch.block],
                "args": [_plain(argument) for argument in launch.args],
                "dynamic_lds_bytes": launch.dynamic_lds_bytes,
                "entry": launch.entry,
            }
            for launch in executable.launches
        ],
        "workspaces": _plain_arrays(executable.workspaces),
        "buffers": _plain_arrays(buffers),
    }


def key_of(executable: Executable) -> str:
    """Equal for executables that do the same with the same inputs: code, launches, and what constants hold."""
    constants = sorted((symbol, held.hex()) for symbol, held in executable.constants.items())
    own = executable.variant.name if executable.variant else ""  # whose own inputs it reads
    return sha256_of(json.dumps([code_info(executable, {}), constants, own]).encode())


def executable_of(info: Mapping[str, Any], code: bytes, name: str, deadline_seconds: float) -> Executable:
    """The opposite of `code_info`. Raises ValueError where it is not what that gives: history can be edited by hand."""
    try:
        launches = [
            Launch(
                grid=_three(launch["grid"]),
                block=_three(launch["block"]),
                args=tuple(_argument(argument) for argument in launch["args"]),
                dynamic_lds_bytes=int(launch["dynamic_lds_bytes"]),
                entry=None if launch["entry"] is None else str(launch["entry"]),
            )
            for launch in info["launches"]
        ]
        workspaces, buffers = _arrays(info["workspaces"]), _arrays(info["buffers"])
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"no description of code: {error!r}") from error
    known = {*workspaces, *buffers}
    named = {argument for launch in launches for argument in launch.args if isinstance(argument, str)}
    if not launches or named - known or any(geometry_problem(launch) for launch in launches):
        raise ValueError("no description of code: what it launches cannot be launched")
    return Executable(name, str(info["entry"]), code, launches, workspaces, deadline_seconds, buffers)


def is_same(info: Mapping[str, Any], candidate: Executable) -> bool:
    """Whether stored code and its launches are the candidate's, byte for byte. What its inputs hold may differ."""
    now = code_info(candidate, {})
    return all(info.get(name) == now[name] for name in ("sha256", "entry", "launches", "workspaces"))


def _plain(argument: str | Value) -> str | list[str]:
    """A name as it is; a number by its bytes, which JSON cannot bend: there are infinities, and many NaNs. Of a struct
    or a vector the bytes are all that a kernel is given.
    """
    if isinstance(argument, str):
        return argument
    if argument.dtype.kind == "V" or argument.ndim:
        return [_BYTES, _without_padding(argument).hex()]
    return [argument.dtype.name, argument.tobytes().hex()]


def _without_padding(value: Value) -> bytes:
    """The bytes of a value, zero where its struct has gaps: those hold whatever was in memory."""
    raw, clean = value.tobytes(), bytearray(value.nbytes)
    for start in range(0, value.nbytes, value.dtype.itemsize):
        for offset, size in _members(value.dtype):
            clean[start + offset : start + offset + size] = raw[start + offset : start + offset + size]
    return bytes(clean)


def _members(dtype: np.dtype[Any]) -> Iterator[tuple[int, int]]:
    """Offset and size in bytes of every number of a dtype."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        for i in range(math.prod(shape)):
            yield from ((i * base.itemsize + offset, size) for offset, size in _members(base))
    elif dtype.fields is not None:
        for field in dtype.fields.values():
            yield from ((field[1] + offset, size) for offset, size in _members(field[0]))
    else:
        yield 0, dtype.itemsize


def _argument(plain: Any) -> str | Value:
    if isinstance(plain, str):
        return plain
    dtype, value = plain
    if dtype == _BYTES:
        struct: np.void = np.void(bytes.fromhex(value))
        if wrong := value_problem(struct):
            raise ValueError(wrong)
        return struct
    number: np.generic
    (number,) = np.frombuffer(bytes.fromhex(value), _dtype(dtype))
    return number


def _dtype(name: Any) -> np.dtype[Any]:
    dtype = dtype_of(str(name))
    if not is_number(dtype):
        raise ValueError(f"{name} is no dtype of a buffer")
    return dtype


def _plain_arrays(arrays: Mapping[str, Array]) -> dict[str, list[Any]]:
    return {
        name: [dtype_of(a.dtype).name, [int(n) for n in a.shape], *_plain_initial(a)]
        for name, a in arrays.items()
    }


def _plain_initial(array: Array) -> list[Any]:
    if array.initial is None:
        return []
    return [_plain(array.initial if isinstance(array.initial, str) else array_number(array))]


def _arrays(plain: Mapping[str, Any]) -> dict[str, Array]:
    found = {}
    for name, (dtype, shape, *initial) in plain.items():
        number = _argument(*initial) if initial else None
        starts = number if number is None or isinstance(number, str) else number.item()
        if not holds(_dtype(dtype), starts):
            raise ValueError(f"{dtype} cannot hold {starts!r}")
        extent = tuple(int(n) for n in shape)
        if not all(n > 0 for n in extent):
            raise ValueError(f"{name} has shape {extent}")
        found[str(name)] = Array(extent, _dtype(dtype), starts)
    return found


def array_number(array: Array) -> np.generic:
    """The number that an array starts with, as one of its elements."""
    element: np.generic = np.full(1, array.initial, dtype_of(array.dtype))[0]
    return element


def _three(numbers: Sequence[Any]) -> tuple[int, int, int]:
    x, y, z = (int(n) for n in numbers)
    return x, y, z
