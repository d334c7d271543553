"""Functions of HIP's documentation, called with edge values on the cpu device: one compile, one launch."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.devices.hip_functions import C_TYPES, DTYPES, Row, all_rows

Numbers = NDArray[Any]

THREADS = 64
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -1.5, 2.5, 3.0, 1e-3, -7.25, 100.0, 1e4, -3e9, 1e10, 1e30, -1e30, 2e-38]
FLOATS += [float("inf"), float("-inf"), float("nan")]
EDGES: dict[str, list[Any]] = {
    "f": FLOATS,
    "d": [*FLOATS, 1e300, -1e-300, 0.1],
    "h": [0.0, -0.0, 1.0, -1.5, 2.5, 0.1, -7.25, 300.0, 6.1e-5, 65504.0, -65504.0, np.inf, -np.inf, np.nan],
    "b": [0.0, -0.0, 1.0, -1.5, 2.5, 0.1, -7.25, 300.0, 1e-30, 3e38, -1e10, np.inf, -np.inf, np.nan],
    "i": [0, 1, -1, 2, 5, -7, 31, 1000, 2**24 + 1, 2**31 - 1, -(2**31), -(2**31) + 1],
    "u": [0, 1, 2, 5, 31, 32, 33, 0x5410, 2**24 + 1, 2**31, 2**32 - 1, 0xF0F0A5A5],
    "l": [0, 1, -1, 5, 2**33, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), -(2**63) + 1, 2**62 + 2**38 + 1],
    "m": [0, 1, 5, 33, 2**33, 2**53 + 1, 2**63, 2**64 - 1, 0xF0F0A5A5F0F0A5A5, 2**63 + 2**39 + 1],
}


def arguments(kinds: str) -> list[Numbers]:
    """Columns of edge values: as many of their combinations as there are threads, spread over all."""
    combinations = list(itertools.product(*(EDGES[kind] for kind in kinds)))
    step = max(1, len(combinations) // THREADS)
    chosen = [combinations[(i * step + i % 7) % len(combinations)] for i in range(THREADS)]
    return [
        np.array(column, DTYPES[kind]) for column, kind in zip(zip(*chosen, strict=True), kinds, strict=True)
    ]


def kernel(rows: list[Row]) -> str:
    """One case a row: its arguments lie in slots of 8 bytes, as its result does."""
    cases = []
    for number, row in enumerate(rows):
        taken = "".join(
            f"[[maybe_unused]] auto {name} = get<{C_TYPES[kind]}>(p + {at});"
            for at, (name, kind) in enumerate(zip("abcd", row.kinds[:-1], strict=False))
        )
        cases.append(
            f"case {number}: {{ {taken} put(out + at, ({C_TYPES[row.kinds[-1]]})({row.text})); break; }}"
        )
    return (
        """
#include <hip/hip_complex.h>
#include <hip/hip_fp8.h>
template <typename T> __device__ T get(const unsigned long* p) { T x; memcpy(&x, p, sizeof x); return x; }
template <typename T> __device__ void put(unsigned long* p, T x) { memcpy(p, &x, sizeof x); }
template <typename T> __device__ T* slot(unsigned long* p, T x) { put(p, x); return (T*)p; }
extern "C" __global__ void k(unsigned long* in, unsigned long* out) {
  const int at = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned long* p = in + 4 * at;
  switch (blockIdx.x) {
"""
        + "\n".join(cases)
        + "\n  }\n}\n"
    )


def expected(row: Row, columns: list[Numbers]) -> Numbers:
    """By the reference, in more precision than the result has."""
    widened = []
    for column, kind in zip(columns, row.kinds, strict=False):
        wide = {"f": np.longdouble, "d": np.longdouble, "h": np.float64, "b": np.float64}.get(kind)
        widened.append(column.astype(np.float64).astype(wide) if wide else column)
    with np.errstate(all="ignore"):
        return np.asarray(row.reference(*widened))


def wrong_threads(row: Row, got: Numbers, wanted: Numbers) -> Numbers:
    """Where a result is not what it must be."""
    kind = row.kinds[-1]
    if kind in "iulm":
        return np.asarray(got != wanted.astype(DTYPES[kind]))
    with np.errstate(all="ignore"):
        near = wanted.astype(DTYPES[kind])
        both_nan = np.isnan(got.astype(np.float64)) & np.isnan(near.astype(np.float64))
        if row.ulps == 0:
            width = got.dtype.itemsize
            return np.asarray(~both_nan & (got.view(f"u{width}") != near.view(f"u{width}")))
        digits = {"f": 23, "d": 52, "h": 10, "b": 7}[kind]
        smallest = {"f": 2.0**-126, "d": 2.0**-1022, "h": 2.0**-14, "b": 2.0**-126}[kind]
        wide, exact = got.astype(np.longdouble), wanted.astype(np.longdouble)
        size = np.maximum(np.abs(exact), np.longdouble(smallest))
        step = np.exp2(np.floor(np.log2(size)) - digits)
        close = np.abs(wide - exact) <= np.longdouble(row.ulps) * step
        return np.asarray(~(both_nan | close | (wide == near.astype(np.longdouble))))


def test_there_are_enough() -> None:
    assert len({row.name for row in all_rows()}) >= 400


def test_functions_give_what_they_must_at_edge_values(run_hip: Callable[..., None]) -> None:
    rows = all_rows()
    slots = np.zeros((len(rows), THREADS, 4), np.uint64)
    given = []
    for number, row in enumerate(rows):
        given.append(arguments(row.kinds[:-1]))
        for at, column in enumerate(given[-1]):
            width = column.dtype.itemsize
            slots[number, :, at] = column.view(f"u{width}")
    results = np.zeros((len(rows), THREADS), np.uint64)
    run_hip(kernel(rows), slots, results, grid=len(rows), block=(THREADS, 1, 1))
    problems = []
    for row, columns, result in zip(rows, given, results, strict=True):
        dtype = np.dtype(DTYPES[row.kinds[-1]])
        got = result.astype(f"u{dtype.itemsize}").view(dtype)
        wanted = expected(row, columns)
        for thread in np.flatnonzero(wrong_threads(row, got, wanted))[:3]:
            values = ", ".join(str(column[thread]) for column in columns)
            problems.append(f"{row.name} of ({values}) is {got[thread]}, not {wanted[thread]}")
    assert not problems, "\n".join(problems)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    np.seterr(all="ignore")
