"""What a kernel can take by value: numbers, structs and short vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_greta.dtypes import is_number

if TYPE_CHECKING:
    import numpy as np

_MAX_VECTOR_BYTES = 256
_MAX_STRUCT_BYTES = 4096  # more than any kernel takes


def value_problem(argument: object) -> str:
    """Why an argument cannot be passed by value; empty where it can."""
    import numpy as np

    if isinstance(argument, np.ndarray):
        if argument.ndim != 1 or not 0 < argument.nbytes <= _MAX_VECTOR_BYTES:
            shape = f"an array of shape {argument.shape} and {argument.nbytes} bytes"
            return (
                f"{shape}; by value goes one axis of at most {_MAX_VECTOR_BYTES} bytes, others by their names"
            )
    elif isinstance(argument, np.void):
        if not 0 < argument.nbytes <= _MAX_STRUCT_BYTES:
            return f"a struct of {argument.nbytes} bytes; a kernel takes at most {_MAX_STRUCT_BYTES}"
    elif not isinstance(argument, np.generic):
        what = f"{argument!r} of type {type(argument).__name__}"
        return f"{what}; pass a numpy scalar such as np.int32({argument!r})"
    if not _is_plain(argument.dtype):
        wanted = "bools, integers and reals of at most 8 bytes in this machine's byte order"
        return f"of dtype {argument.dtype}; a kernel takes {wanted}, and structs of such"
    return ""


def _is_plain(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is what a kernel can take by value: numbers, bytes as they are, structs and arrays of such."""
    if dtype.subdtype is not None:
        return _is_plain(dtype.subdtype[0])
    if dtype.fields is not None:
        return all(_is_plain(field[0]) for field in dtype.fields.values())
    return dtype.kind == "V" or is_number(dtype)
