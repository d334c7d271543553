"""What is checked of every run's memory: pure functions on numpy arrays, in the test process.

A raw buffer, as the worker reads it back, is a band, the data, and a band.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import ml_dtypes
import numpy as np

from pytest_greta.device.protocol import BAND_BYTES
from pytest_greta.dtypes import bits_of, is_integer, takes_two

if TYPE_CHECKING:
    from numpy.typing import NDArray


POISONS = (0xFF, 0x7F)
"""Bytes outputs and workspaces are filled with before a launch, in turn. 0xFF makes every element a NaN (of fp8, where
it has one) or -1; 0x7F makes fp32 and fp64 the largest finite numbers, fp16 and bf16 a NaN or nearly the largest, and
integers large. An element that holds the poison after two launches with different poisons was written by neither."""


def body(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The data of a raw buffer, without its bands."""
    return raw[BAND_BYTES : len(raw) - BAND_BYTES]


def same_bytes(one: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    """Whether two contiguous arrays of equal size hold the same bytes: eight at a time, for hundreds of megabytes."""
    left, right = one.reshape(-1).view(np.uint8), other.reshape(-1).view(np.uint8)
    whole = len(left) // 8 * 8
    words = (left[:whole].view(np.uint64), right[:whole].view(np.uint64))
    return np.array_equal(*words) and np.array_equal(left[whole:], right[whole:])


def damaged_bands(name: str, raw: NDArray[np.uint8], bands: tuple[int, int]) -> str:
    """What was written outside a buffer whose bands are filled with the bytes `bands`, in words; else empty."""
    before = np.flatnonzero(raw[:BAND_BYTES] != bands[0])
    after = np.flatnonzero(raw[len(raw) - BAND_BYTES :] != bands[1])
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

    `runs` holds the poison byte and the output of one or more launches. One launch suffices for reals of 2 bytes and
    more, whose poison is a NaN that arithmetic does not make; others may hold any bits, so they take two.
    """
    if len({poison for poison, _ in runs}) < 2 and takes_two(runs[0][1].dtype):
        return ""
    output, count, first = runs[0][1], 0, 0
    bits = [(bits_of(run).reshape(-1), bytes([poison]) * run.itemsize) for poison, run in runs]
    for start in range(0, output.size, _ELEMENTS_AT_ONCE):  # to get memory for all at once takes longer
        part = slice(start, start + _ELEMENTS_AT_ONCE)
        here = (run[part] == np.frombuffer(poison, run.dtype) for run, poison in bits)
        if (holes := functools.reduce(np.logical_and, here)).any():
            first = first if count else start + int(holes.argmax())
            count += int(holes.sum())
    if not count:
        return ""
    place = [int(i) for i in np.unravel_index(first, output.shape)]
    return f"{count} of {output.size} elements of '{name}' were not written, the first at {place}"


def difference(name: str, one: NDArray[np.generic], other: NDArray[np.generic]) -> str:
    """How an output differs from another of a launch on equal inputs, in words; empty where no bit does."""
    if same_bytes(one, other):
        return ""
    differs = bits_of(one) != bits_of(other)
    first = [int(i) for i in np.unravel_index(int(differs.argmax()), differs.shape)]
    return (
        f"{int(differs.sum())} of {differs.size} elements of '{name}' differ between two launches on equal inputs, "
        f"the first at {first}"
    )


# -- rows ----------------------------------------------------------------------------------------------------

Row = tuple[int, ...]
"""One index into the leading axes that all outputs share."""

_STRATA = 48


def covering_rows(extent: Row, rng: np.random.Generator) -> list[Row]:
    """Rows that nothing large can hide between: every index of the leading axes, and along the last axis both ends, the
    borders of tiles (on both sides of powers of two and of their last multiple), and random places spread evenly.

    Each of these places has another leading index; there are as many rows as the longer of the two lists.
    """
    last, leading = extent[-1], list(np.ndindex(extent[:-1]))
    strata = np.linspace(0, last, min(_STRATA, last) + 1).astype(int)
    places = {0, last - 1, *(int(rng.integers(a, b)) for a, b in itertools.pairwise(strata))}
    for power in range(4, last.bit_length()):
        tile = 1 << power
        for border in (tile, last // tile * tile):
            places |= {place for place in (border - 1, border) if place < last}
    positions = sorted(places)
    rng.shuffle(leading)
    count = max(len(positions), len(leading))
    rest = rng.integers(last, size=max(0, count - len(positions)))
    along = itertools.chain(positions, (int(n) for n in rest))
    return [
        (*(int(n) for n in index), place)
        for index, place in zip(itertools.cycle(leading), along, strict=False)
    ]


def all_rows(extent: Row, rng: np.random.Generator) -> tuple[Iterator[Row], Iterator[Row]]:
    """Every row once, in random order; and the same order from its end.

    Two who take turns with as many rows as they have time for, one from each end, see as many different ones.
    """
    count = math.prod(extent)
    start, step = int(rng.integers(count)), int(rng.integers(1, count + 1))
    while math.gcd(step, count) > 1:
        step = int(rng.integers(1, count + 1))
    forward = ((start + i * step) % count for i in range(count))
    backward = ((start - i * step) % count for i in range(1, count + 1))
    return _unravelled(forward, extent), _unravelled(backward, extent)


def _unravelled(flat: Iterator[int], extent: Row) -> Iterator[Row]:
    for number in flat:
        row = []
        for axis in reversed(extent):
            number, index = divmod(number, axis)
            row.append(index)
        yield tuple(reversed(row))


# -- errors --------------------------------------------------------------------------------------------------

Decode = Callable[[str, "NDArray[np.generic]"], "NDArray[np.generic]"]
"""From the name and elements of an output to the numbers they stand for, see `Kernel.decode`."""

_ELEMENTS_AT_ONCE = 1 << 18
"""So that whole outputs are compared in little memory besides."""

_MOST_THREADS = 8

_Part = TypeVar("_Part")
_Found = TypeVar("_Found")


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """Threads to compare several parts of an output at once: numpy computes without Python's lock."""
    return ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1), "greta-compare")


def _by_parts(
    array: NDArray[np.generic], prepare: Callable[[slice], _Part], compare: Callable[[_Part], _Found]
) -> Iterator[tuple[int, _Found]]:
    """What `compare` says of each part of some rows, with the number of its first, in their order.

    `prepare` gives a part, and is called in this thread: it may call an author's code.
    """
    step = max(1, _ELEMENTS_AT_ONCE // math.prod(array.shape[1:]))
    starts = list(range(0, len(array), step))
    for group in (starts[i : i + _MOST_THREADS] for i in range(0, len(starts), _MOST_THREADS)):
        parts = [prepare(slice(first, first + step)) for first in group]
        yield from zip(
            group, _threads().map(compare, parts) if len(parts) > 1 else map(compare, parts), strict=True
        )


@dataclass(frozen=True)
class Tolerance:
    """How far an output may lie from what it must hold."""

    max_error: float
    """Of a row, relative to its largest value. 0 of whole numbers: they are exact, beyond 2^53 too."""
    atol: float = math.inf
    rtol: float = 0.0
    """Of every element: atol + rtol |value|, as in numpy.allclose; no such limit where `atol` is infinite."""
    is_exception: bool = False
    """Whether it is more than a limit, which is known not to hold: the largest error is asked for then."""


@dataclass(frozen=True)
class Errors:
    """The largest errors of one output, and where they are."""

    of_row: float = 0.0
    row: str = ""
    of_element: float = 0.0
    """Largest |output - reference| / (atol + rtol |reference|)."""
    element: str = ""

    def worst(self, other: Errors) -> Errors:
        """The larger of both, each with its place."""
        row, element = (
            self if self.of_row >= other.of_row else other,
            self if self.of_element >= other.of_element else other,
        )
        return Errors(row.of_row, row.row, element.of_element, element.element)

    def problem(self, tolerance: Tolerance) -> str:
        """Which of the two is not allowed, in words; empty where both are."""
        if not self.of_row <= tolerance.max_error:
            return f"its error is {self.of_row:.2e} in {self.row}, over {tolerance.max_error:.2e}"
        if not self.of_element <= 1:
            return f"its error is {self.of_element:.3g} times atol + rtol |reference| in {self.element}"
        return ""


def errors_of(
    name: str,
    found: NDArray[np.generic],
    wanted: NDArray[np.generic],
    tolerance: Tolerance,
    place_of: Callable[[int], Row],
    decode: Decode = lambda _, values: values,
) -> Errors:
    """The largest errors of some rows of an output, `[rows, ...]`, against what they must hold, in the same shape.

    The error of a row is max|output - reference| / max|reference|: relative to the row's largest value, so that it
    does not depend on the scale of the inputs nor on single values near zero. NaN and infinity count as equal to
    the same in the reference and as an infinite error elsewhere; so does a whole number that must be exact and is not.
    """
    worst = Errors()

    def pair(part: slice) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        return decode(name, found[part]), wanted[part]

    for first, (rows, elements) in _by_parts(wanted, pair, lambda both: _errors(*both, tolerance)):
        row, element = int(rows.argmax()), int(elements.argmax())
        one = Errors(float(rows[row]), "", float(elements[element]), "")
        if one.of_row > worst.of_row:
            place = _place(name, place_of(first + row))
            if math.isinf(one.of_row):
                place += overflow(found[first + row], wanted[first + row])
            worst = replace(worst, of_row=one.of_row, row=place)
        if one.of_element > worst.of_element:
            worst = replace(worst, of_element=one.of_element, element=_place(name, place_of(first + element)))
    return worst


def distances(
    found: NDArray[np.generic], wanted: NDArray[np.generic]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of some rows of an output, `[rows, ...]`, the largest value that each must hold, and how far the furthest of its
    elements is off, both `[rows]`: infinitely where what must be finite is not, or the other way.
    """

    def compare(part: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        expected = wanted[part].astype(np.float64).reshape(len(wanted[part]), -1)
        values = found[part].astype(np.float64).reshape(expected.shape)
        with np.errstate(all="ignore"):  # of what is no finite number
            same = (values == expected) | (np.isnan(values) & np.isnan(expected))
            off = np.where(same, 0.0, np.abs(values - expected))
        scales = np.where(np.isfinite(expected), np.abs(expected), 0.0).max(axis=1)
        return scales, np.where(np.isnan(off), np.inf, off).max(axis=1)

    parts = [both for _, both in _by_parts(wanted, lambda part: part, compare)]
    return np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])


def overflow(found: NDArray[np.generic], wanted: NDArray[np.generic]) -> str:
    """What to say of a row that is wrong where it must hold what its dtype cannot; else empty."""
    if found.dtype.kind == "b":
        return ""
    info: Any = np.iinfo if is_integer(found.dtype) else ml_dtypes.finfo  # of a dtype that no type states
    least, most = info(found.dtype).min, info(found.dtype).max
    if not is_integer(found.dtype):
        least, most, wanted = float(least), float(most), wanted.astype(np.float64)
        wanted = np.where(np.isfinite(found) | ~np.isfinite(wanted), 0.0, wanted)
    beyond: Any = (wanted < least) | (wanted > most)
    if not beyond.any():
        return ""
    return f", where the reference, {wanted[beyond][0]:.6g}, is beyond the largest finite {found.dtype}, {most:.6g}"


def suspects(
    name: str,
    found: NDArray[np.generic],
    other: NDArray[np.generic],
    tolerance: Tolerance,
    decode: Decode = lambda _, values: values,
) -> NDArray[np.intp]:
    """The rows of an output, `[rows, ...]`, that lie further from those of another than `tolerance`, worst first."""
    rows: list[NDArray[np.intp]] = []
    errors: list[NDArray[np.float64]] = []

    def pair(part: slice) -> tuple[NDArray[np.generic], NDArray[np.generic]] | None:
        if np.array_equal(bits_of(found[part]), bits_of(other[part])):
            return None
        return decode(name, found[part]), decode(name, other[part])

    def errors_of_pair(
        both: tuple[NDArray[np.generic], NDArray[np.generic]] | None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        return None if both is None else _errors(*both, tolerance)

    for first, one in _by_parts(other, pair, errors_of_pair):
        if one is not None:
            (odd,) = np.nonzero((one[0] > tolerance.max_error) | (one[1] > 1))
            rows.append(odd + first)
            errors.append(one[0][odd])
    if not rows:
        return np.zeros(0, np.intp)
    order = np.argsort(-np.concatenate(errors), kind="stable")
    return np.concatenate(rows)[order]


def nonfinite(
    name: str, found: NDArray[np.generic], decode: Decode = lambda _, values: values
) -> NDArray[np.intp]:
    """The rows of an output, `[rows, ...]`, in which an element is a NaN or infinite."""

    def odd(values: NDArray[np.generic]) -> NDArray[np.intp]:
        if is_integer(values.dtype):
            return np.zeros(0, np.intp)
        return np.nonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0]

    rows = [part + first for first, part in _by_parts(found, lambda part: decode(name, found[part]), odd)]
    return np.concatenate(rows) if rows else np.zeros(0, np.intp)


def _errors(
    found: NDArray[np.generic], expected: NDArray[np.generic], tolerance: Tolerance
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The error of every row, and the largest of its elements', each `[rows]`."""
    exact = None
    if is_integer(found.dtype) and tolerance.max_error == 0:
        differ = _differ(found, expected).reshape(len(found), -1).any(axis=1)
        exact = np.where(differ, np.inf, 0.0)
        if math.isinf(tolerance.atol):
            return exact, np.zeros(len(found))
    with np.errstate(
        all="ignore"
    ):  # of NaN that signal, and quotients beyond the doubles: they are what is looked for
        of_rows, of_elements = _real_errors(found, expected, tolerance)
    return (of_rows if exact is None else exact), of_elements


def _real_errors(
    found: NDArray[np.generic], expected: NDArray[np.generic], tolerance: Tolerance
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    wanted = expected.astype(np.float64).reshape(len(expected), -1)
    values = found.astype(np.float64).reshape(wanted.shape)
    difference, sizes, wrong = np.abs(values - wanted), np.abs(wanted), np.zeros(len(wanted), bool)
    furthest, scale = difference.max(axis=1), sizes.max(axis=1)
    if not (np.isfinite(furthest).all() and np.isfinite(scale).all()):
        difference, sizes, wrong = _of_finite(values, wanted)
        furthest, scale = difference.max(axis=1), sizes.max(axis=1)
    of_rows = np.where(wrong, np.inf, furthest / np.where(scale == 0, 1.0, scale))
    if math.isinf(tolerance.atol):
        return of_rows, np.zeros(len(wanted))
    allowed = tolerance.atol + tolerance.rtol * sizes
    shares = np.where(difference == 0, 0.0, difference / allowed)
    return of_rows, np.where(wrong, np.inf, shares.max(axis=1))


def _of_finite(
    values: NDArray[np.float64], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """How far finite elements are off, how large they must be, and which rows have or lack a NaN or infinity."""
    finite = np.isfinite(wanted)
    same_special = np.where(np.isnan(wanted), np.isnan(values), values == wanted)
    wrong = ((np.isfinite(values) != finite) | ~(same_special | finite)).any(axis=1)
    comparable = finite & ~wrong[:, None]
    difference = np.abs(np.subtract(values, wanted, where=comparable, out=np.zeros_like(wanted)))
    return difference, np.abs(np.where(finite, wanted, 0.0)), wrong


def _differ(found: NDArray[np.generic], expected: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Where whole numbers differ, exactly: numpy compares those of 8 bytes, signed and not, as doubles."""
    if not is_integer(expected.dtype):
        return np.asarray(found.astype(np.float64) != expected)
    if found.dtype.kind == "b":  # bytes: 2 is no bool
        found, expected = found.view(np.uint8), expected.astype(np.uint8)
    negative = [np.asarray(array < 0) for array in (found, expected)]  # type: ignore[operator]
    bits = [array.astype(np.uint64) for array in (found, expected)]
    return np.asarray((negative[0] != negative[1]) | (bits[0] != bits[1]))


def _place(name: str, row: Row) -> str:
    return f"'{name}' at row {list(row)}"
