"""What is checked of every run's memory: pure functions on numpy arrays, in the test process.

A raw buffer, as the worker reads it back, is a canary band, the data, and a canary band.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_greta.device.protocol import BAND_BYTES, CANARY

if TYPE_CHECKING:
    from numpy.typing import NDArray


POISONS = (0xFF, 0x7F)
"""Bytes outputs are filled with before a launch, in turn. 0xFF makes every floating-point element a NaN; an
element that holds the poison after two launches with different poisons was written by neither."""

_DEFAULT_MAX_ERROR = {2: 1e-2, 4: 1e-4, 8: 1e-10}
"""Largest error by the size of a floating-point element, where neither gates.yaml nor the kernel says: an order of
magnitude above what careful kernels reach with fp16, fp32 and fp64 outputs."""


def default_max_error(dtypes: Sequence[np.dtype[Any]]) -> float:
    """The largest error allowed where nobody says: that of the coarsest output. Integers must be exact."""
    floats = [d for d in dtypes if d.kind not in "iub"]
    return max((_DEFAULT_MAX_ERROR.get(d.itemsize, 1e-4) for d in floats), default=0.0)


def body(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The data of a raw buffer, without its bands."""
    return raw[BAND_BYTES : len(raw) - BAND_BYTES]


def same_bytes(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    """Whether two contiguous arrays of equal size hold the same bytes: eight at a time, for hundreds of megabytes."""
    left, right = one.reshape(-1).view(np.uint8), other.reshape(-1).view(np.uint8)
    whole = len(left) // 8 * 8
    words = (left[:whole].view(np.uint64), right[:whole].view(np.uint64))
    return np.array_equal(*words) and np.array_equal(left[whole:], right[whole:])


def damaged_bands(name: str, raw: NDArray[np.uint8]) -> str:
    """What was written outside a buffer, in words; empty if nothing was."""
    before = np.flatnonzero(raw[:BAND_BYTES] != CANARY)
    after = np.flatnonzero(raw[len(raw) - BAND_BYTES :] != CANARY)
    found = []
    if before.size:
        found.append(
            f"{before.size} bytes before '{name}' (nearest: {BAND_BYTES - before[-1]} bytes before it)"
        )
    if after.size:
        found.append(f"{after.size} bytes past the end of '{name}' (nearest: byte {after[0]} past it)")
    return ", ".join(f"{part} were overwritten" for part in found)


def unwritten(name: str, runs: Sequence[tuple[int, NDArray[np.generic]]]) -> str:
    """Which elements of an output no launch wrote, in words; empty if all were written.

    `runs` holds the poison byte and the output of one or more launches. One launch suffices for floating-point
    outputs, whose poison is a NaN that arithmetic does not make; integers may hold any bits, so they take two.
    """
    poisoned = np.ones(runs[0][1].shape, bool)
    for poison, output in runs:
        pattern = np.frombuffer(bytes([poison]) * output.itemsize, output.dtype)
        unsigned = f"u{output.itemsize}"
        poisoned &= output.view(unsigned) == pattern.view(unsigned)
    if len({poison for poison, _ in runs}) < 2 and runs[0][1].dtype.kind in "iub":
        return ""
    count = int(poisoned.sum())
    if not count:
        return ""
    first = tuple(int(i) for i in np.unravel_index(int(poisoned.argmax()), poisoned.shape))
    return f"{count} of {poisoned.size} elements of '{name}' were not written, the first at {list(first)}"


Row = tuple[int, ...]
"""One index into the leading axes that all outputs share."""
References = Mapping[Row, Mapping[str, "NDArray[np.float64]"]]
"""What sampled rows of the outputs must hold."""


def sample_rows(shape: Row, rng: np.random.Generator, count: int = 48) -> list[Row]:
    """Rows to check: the first and the last, and others spread evenly over the last axis at random places.

    Spread, not drawn at will: a kernel that drops everything beyond some position is always caught.
    """
    last = shape[-1]
    strata = np.linspace(0, last, min(count, last) + 1).astype(int)
    positions = {
        0,
        last - 1,
        *(int(rng.integers(a, b)) for a, b in itertools.pairwise(strata)),
    }
    return [(*(int(rng.integers(n)) for n in shape[:-1]), position) for position in sorted(positions)]


Decode = Callable[[str, "NDArray[np.generic]"], "NDArray[np.generic]"]
"""From the name and elements of an output to the numbers they stand for, see `Kernel.decode`."""


def max_error(
    expected: References,
    outputs: Mapping[str, NDArray[np.generic]],
    decode: Decode = lambda _, values: values,
) -> tuple[float, str]:
    """The largest error of the sampled rows against their float64 reference, and where it is.

    The error of a row is max|output - reference| / max|reference|: relative to the row's largest value, so that it
    does not depend on the scale of the inputs nor on single values near zero. NaN and infinity count as equal to
    the same in the reference and as an infinite error elsewhere.
    """
    worst, place = 0.0, ""
    for row, reference in expected.items():
        for name, values in reference.items():
            found = np.asarray(decode(name, outputs[name][row]), np.float64)
            error = float(_row_errors(found[np.newaxis], np.asarray(values)[np.newaxis])[0])
            if error > worst:
                worst, place = error, f"'{name}' at row {list(row)}"
    return worst, place


def max_error_of_all(
    expected: Mapping[str, NDArray[np.generic]],
    row_axes: int,
    outputs: Mapping[str, NDArray[np.generic]],
    decode: Decode = lambda _, values: values,
) -> tuple[float, str]:
    """Like `max_error`, of every row: whole outputs against whole references, whose leading `row_axes` axes are rows.

    Some rows at a time, so that it takes little memory besides.
    """
    worst, place = 0.0, ""
    for name, reference in expected.items():
        extent, element = reference.shape[:row_axes], reference.shape[row_axes:]
        wanted, found = reference.reshape(-1, *element), outputs[name].reshape(-1, *element)
        step = max(1, _ELEMENTS_AT_ONCE // math.prod(element))
        for first in range(0, len(wanted), step):
            part = slice(first, first + step)
            errors = _row_errors(np.asarray(decode(name, found[part]), np.float64), wanted[part])
            at = int(errors.argmax())
            if errors[at] > worst:
                worst = float(errors[at])
                row = [int(i) for i in np.unravel_index(first + at, extent)]
                place = f"'{name}' at row {row}"
    return worst, place


_ELEMENTS_AT_ONCE = 1 << 18


def _row_errors(found: NDArray[np.float64], expected: NDArray[np.generic]) -> NDArray[np.float64]:
    """The error of every row, `[rows]`; the first axis of both arrays is that of the rows."""
    wanted = expected.astype(np.float64).reshape(len(expected), -1)
    values = found.reshape(wanted.shape)
    finite = np.isfinite(wanted)
    same_special = np.where(np.isnan(wanted), np.isnan(values), values == wanted)
    wrong = ((np.isfinite(values) != finite) | ~(same_special | finite)).any(axis=1)
    comparable = finite & ~wrong[:, None]
    difference = np.abs(np.subtract(values, wanted, where=comparable, out=np.zeros_like(wanted))).max(axis=1)
    scale = np.abs(np.where(finite, wanted, 0.0)).max(axis=1)
    errors: NDArray[np.float64] = np.where(wrong, np.inf, difference / np.where(scale == 0, 1.0, scale))
    return errors
