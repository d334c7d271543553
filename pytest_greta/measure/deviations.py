"""Where a slot need not give the same bits each time: how near to its first outputs, which were held against the
reference, later ones have to be so that they are within the tolerance as well. The device counts what is not.

An element is no further from the reference than from the first output and that from the reference. So what the first
output has used up of the tolerance, in a row, is taken from it, and the rest is what later ones are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.device.protocol import NEAR, NUMBERS, Near
from pytest_greta.dtypes import dtype_of
from pytest_greta.errors import DeviceFault
from pytest_greta.kernel import Kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.measure.buffers import Buffers
    from pytest_greta.measure.correctness import Tolerance
    from pytest_greta.measure.draws import Arrays
    from pytest_greta.measure.reference import Reference, Tolerances

_LESS, _MORE = 1 - 1e-12, 1 + 1e-12
"""More than doubles are rounded: what is allowed is never too much."""


@dataclass(frozen=True)
class _Made:
    """What later outputs of a slot are held against on a draw."""

    near: tuple[Near | None, ...]
    verified: Arrays | None
    """What the reference had verified besides when it was made."""


class Deviations:
    """What the device holds outputs against that need not be the same bits. Takes memory of it only when asked."""

    def __init__(self, kernel: Kernel, outputs: Mapping[str, object], buffers: Buffers) -> None:
        self._outputs, self._buffers = list(outputs), buffers
        self._decodes = getattr(kernel.decode, "__func__", None) is not Kernel.decode
        self._made: dict[tuple[str, str], _Made] = {}
        self._is_full = False

    def can_hold(self, first: Arrays, tolerances: Tolerances) -> bool:
        """Whether the device can tell of any output how far it is from another."""
        return not self._is_full and any(
            self._is_read(first[name], tolerances[name]) for name in self._outputs
        )

    def near(
        self, slot: str, draw: str, first: Arrays, reference: Reference, tolerances: Tolerances
    ) -> tuple[Near | None, ...]:
        """How near each output of a slot has to be to the `first` ones; empty where the device cannot tell.

        Raises DeviceFault where the worker is gone.
        """
        made = self._made.get((slot, draw))
        if self.can_hold(first, tolerances) and (made is None or made.verified is not reference.verified):
            verified = reference.verified
            near = tuple(
                self._write(f"{NEAR}/{slot}/{draw}/{name}", name, first, reference, tolerances[name])
                for name in self._outputs
            )
            made = self._made[slot, draw] = _Made(near, verified)
        return made.near if made and not self._is_full else ()

    def _write(
        self, place: str, name: str, first: Arrays, reference: Reference, tolerance: Tolerance
    ) -> Near | None:
        array = first[name]
        if self._is_full or not self._is_read(array, tolerance):
            return None
        allowed = allowances(reference, name, first, tolerance)
        near = Near(
            first=f"{place} first",
            allowed=f"{place} allowed",
            row_elements=array.size // len(allowed),
            number=array.dtype.name,
            rtol=tolerance.rtol * _LESS,
        )
        try:
            self._buffers.keep({near.first: array, near.allowed: allowed})
        except DeviceFault:
            if not self._buffers.is_alive:
                raise
            self._is_full = True  # then outputs are read: whatever is measured needs its memory more
            return None
        return near

    def _is_read(self, array: NDArray[np.generic], tolerance: Tolerance) -> bool:
        is_number = dtype_of(array.dtype).name in NUMBERS and not self._decodes
        return is_number and array.size > 0 and not tolerance.is_exception


def allowances(reference: Reference, name: str, first: Arrays, tolerance: Tolerance) -> NDArray[np.float32]:
    """How far elements may lie from those of the first output, `[rows, 2]`: see `Near.allowed`.

    In rows that nothing tells the first output is taken for right: later ones are within the tolerance of it.
    """
    scales, errors = reference.distances(name, first)
    with np.errstate(all="ignore"):  # of infinite errors: nothing is allowed
        of_row = tolerance.max_error * scales * _LESS - errors * _MORE
        of_element = tolerance.atol * _LESS - (1 + tolerance.rtol) * errors * _MORE
    found = np.stack([np.fmax(of_row, 0.0), np.where(np.isnan(of_element), -np.inf, of_element)], axis=1)
    return _rounded_down(found)


def _rounded_down(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        found = numbers.astype(np.float32)
    return np.where(found > numbers, np.nextafter(found, np.float32(-np.inf)), found)
