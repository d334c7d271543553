"""How many elements of an output are not near enough to an earlier one: what queue.hip counts on a GPU, in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.device.protocol import Near

_AT_ONCE = 1 << 18


def count_beyond(
    output: NDArray[np.uint8], first: NDArray[np.uint8], allowed: NDArray[np.uint8], near: Near
) -> int:
    """Of the bytes of an output and of an earlier one, the elements that lie further apart than `allowed` has it for
    their rows (see `Near`), or are not equal and no finite numbers.
    """
    size = 2 if near.number.endswith("16") else int(near.number.removeprefix("float")) // 8
    bits, its_bits = output.view(f"u{size}"), first.view(f"u{size}")
    limits = allowed.view(np.float32).reshape(-1, 2)
    beyond = 0
    for start in range(0, len(bits), _AT_ONCE):
        part, other = bits[start : start + _AT_ONCE], its_bits[start : start + _AT_ONCE]
        (odd,) = np.nonzero(part != other)
        of_row, of_element = limits[(start + odd) // near.row_elements].astype(np.float64).T
        with np.errstate(all="ignore"):  # of NaN and infinities: beyond
            ours, its = _numbers(part[odd], near.number), _numbers(other[odd], near.number)
            distance = np.abs(ours - its)
            is_near = (distance <= of_row) & (distance <= of_element + near.rtol * np.abs(its))
        beyond += int(np.count_nonzero(~(is_near & np.isfinite(ours) & np.isfinite(its))))
    return beyond


def _numbers(bits: NDArray[np.unsignedinteger], number: str) -> NDArray[np.float64]:
    if number == "bfloat16":
        bits, number = bits.astype(np.uint32) << np.uint32(16), "float32"
    numbers: NDArray[np.float64] = bits.view(np.dtype(number)).astype(np.float64)
    return numbers
