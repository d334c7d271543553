"""What the elements of a buffer may be: numpy's numbers, and bf16 and fp8 as the package ml_dtypes names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_greta.errors import shown, suggestion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike, NDArray

ITEM_BYTES = (1, 2, 4, 8)
"""Sizes of the numbers that a buffer or an argument holds."""

_SMALL_REALS = ("bfloat16", "float8_")
"""What the names of the reals begin with that ml_dtypes gives to numpy; numpy has them as bytes, of kind V."""


_REALS = (
    *("float16", "float32", "float64", "bfloat16"),
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
)


def dtype_of(wanted: DTypeLike) -> np.dtype[Any]:
    """A dtype by what authors and records write: `np.float16`, `"float32"`, `"bfloat16"`. Raises TypeError."""
    import numpy as np

    if isinstance(wanted, str) and wanted.startswith(_SMALL_REALS):
        import ml_dtypes

        try:
            wanted = getattr(ml_dtypes, wanted)
        except AttributeError:
            raise TypeError(f"ml_dtypes has no {wanted!r}") from None
    dtype: np.dtype[Any] = np.dtype(wanted)
    return dtype


def unknown_dtype(wanted: object) -> str:
    """What to say of a dtype that `dtype_of` refuses: `bf16` is called otherwise here."""
    names = ("bool", *(f"{kind}{8 * size}" for size in ITEM_BYTES for kind in ("int", "uint")), *_REALS)
    known = suggestion(str(wanted).replace("fp", "float", 1), names)
    return f"dtype {shown(wanted)}, which neither numpy nor ml_dtypes knows; {known}"


def is_integer(dtype: np.dtype[Any]) -> bool:
    """Whether elements are whole numbers or bools: what must be exact."""
    return dtype.kind in "biu"


def is_real(dtype: np.dtype[Any]) -> bool:
    """Whether elements are floating-point numbers."""
    return dtype.kind == "f" or dtype.name.startswith(_SMALL_REALS)


def is_number(dtype: np.dtype[Any]) -> bool:
    """Whether a buffer can hold such elements: numbers of at most 8 bytes in this machine's byte order."""
    return (is_integer(dtype) or is_real(dtype)) and dtype.itemsize in ITEM_BYTES and dtype.isnative


def default_max_error(dtype: np.dtype[Any]) -> float:
    """The largest error allowed of an output where nobody says: an order of magnitude above what careful kernels reach
    with fp32, fp16 and bf16 (8 bits: 4e-3 for one rounding); one rounding of fp8 costs 6e-2 (e4m3) or 1.2e-1 (e5m2).
    Whole numbers are exact.
    """
    if is_integer(dtype):
        return 0.0
    return {1: 0.25, 2: 1e-2, 4: 1e-4}.get(dtype.itemsize, 1e-10)


def takes_two(dtype: np.dtype[np.generic]) -> bool:
    """Whether it takes two launches with different poisons to see that an element was not written."""
    return is_integer(dtype) or dtype.itemsize == 1


def bits_of(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The elements as unsigned numbers of their size: what bitwise comparisons look at."""
    return array.view(f"u{array.itemsize}")
