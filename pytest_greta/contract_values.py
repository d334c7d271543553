"""Values that authors give: numbers, names, definitions, and what a kernel can take by value."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pytest_greta.dtypes import is_integer, is_number
from pytest_greta.errors import shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
"""Of an axis, an array, a macro."""

_MAX_VECTOR_BYTES = 256
_MAX_STRUCT_BYTES = 4096  # more than any kernel takes


def positive(value: object) -> bool:
    """Whether a value is a whole number above 0, numpy's among them."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) > 0


def real(value: object) -> float | None:
    """A finite number, numpy's among them, as a double; None for what is none, or does not fit."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def define_problems(given: object) -> Iterator[str]:
    """What is wrong with preprocessor definitions."""
    if not isinstance(given, Mapping):
        yield f"defines is {shown(given)}, not a mapping"
        return
    for name, value in given.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            yield f"defines has {name!r}: {shown(value)}, which is no macro with its value"
        elif isinstance(value, bool) or not isinstance(value, (str, numbers.Integral)):
            advice = "write 1 or 0" if isinstance(value, bool) else "give a text or a whole number"
            yield f"defines has {name!r}: {shown(value)}, and C++ has no such value; {advice}"
        elif "\n" in str(value):
            yield f"defines has {name!r}: {shown(value)}, which is more than a line"


def value_problem(argument: object) -> str:
    """Why an argument cannot be passed by value; empty where it can."""
    import numpy as np

    if isinstance(argument, np.ndarray):
        if argument.ndim == 0:
            what = "struct" if argument.dtype.fields else "number"
            return f"a {what} in an array without axes; take it out of it: array[()]"
        if argument.ndim != 1 or not 0 < argument.nbytes <= _MAX_VECTOR_BYTES:
            shape = f"an array of shape {argument.shape} and {argument.nbytes} bytes"
            return (
                f"{shape}; by value goes one axis of at most {_MAX_VECTOR_BYTES} bytes, others by their names"
            )
    elif isinstance(argument, np.void):
        if not 0 < argument.nbytes <= _MAX_STRUCT_BYTES:
            return f"a struct of {argument.nbytes} bytes; a kernel takes at most {_MAX_STRUCT_BYTES}"
    elif not isinstance(argument, np.generic):
        return f"{shown(argument)} of type {type(argument).__name__}; {_advice(argument)}"
    if not _is_plain(argument.dtype):
        wanted = "bools, integers and reals of at most 8 bytes in this machine's byte order"
        return f"of dtype {argument.dtype}; a kernel takes {wanted}, and structs of such"
    return ""


def _advice(argument: object) -> str:
    """What to pass in the place of something that is no value of C."""
    if isinstance(argument, (bool, int, float)):
        name = {bool: "bool_", float: "float32"}.get(type(argument), "int32")
        return f"pass a numpy scalar such as np.{name}({shown(argument)})"
    if isinstance(argument, (list, tuple)):
        return f"pass a vector as np.array({shown(list(argument))}, np.float32), of the dtype of its elements"
    return "pass the name of an array, or a numpy scalar such as np.int32(1)"


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is what a kernel can take by value: numbers, bytes as they are, structs and arrays of such."""
    if dtype.subdtype is not None:
        return _is_plain(dtype.subdtype[0])
    if dtype.fields is not None:
        return all(_is_plain(field[0]) for field in dtype.fields.values())
    return dtype.kind == "V" or is_number(dtype)


def rounded_problem(dtype: np.dtype[Any], values: NDArray[np.generic]) -> str:
    """Why what whole numbers of a dtype must be does not tell them apart, if so; empty where it does."""
    import numpy as np

    if dtype.itemsize < 8 or is_integer(values.dtype):
        return ""
    with np.errstate(all="ignore"):
        reals = np.abs(values.astype(np.float64))
    if not (np.isfinite(reals) & (reals >= 2**53)).any():
        return ""
    return f"is given as {values.dtype}, which rounds whole numbers beyond 2^53; give it as {dtype}"
