"""greta's own kernels on a GPU (queue.hip), as they are queued around a launch."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_greta.device.hip_bindings import call
from pytest_greta.device.hip_handles import Buffer, Function
from pytest_greta.device.protocol import DIGEST_BYTES, NUMBERS, Near

if TYPE_CHECKING:
    from pytest_greta.device import Range

OWN_KERNELS = ("greta_hold", "greta_flush", "greta_digest", "greta_deviations", "greta_keep")

_THREADS = 256  # of a block


@dataclass(frozen=True)
class Places:
    """Addresses of what is told of the outputs of one launch, 8 bytes for each of them."""

    sums: int
    """Their digests."""
    expected: int
    """What these should be."""
    beyond: int
    """How many of their elements are not as near as they have to be."""
    kept: int
    """Which launch of the batch was kept: what the one before left, and this one leaves, 4 bytes each."""
    record: int
    """Of the host: what the launch came to."""


class OwnKernels:
    """Queues them on a stream. Every method raises HipError. `load` gives them by name, at the first need."""

    def __init__(
        self, hip: Any, stream: Any, compute_units: int, load: Callable[[], Mapping[str, Function]]
    ) -> None:
        self._hip, self._stream, self._compute_units, self._load = hip, stream, compute_units, load
        self._kernels: Mapping[str, Function] = {}

    def hold(self, page: int, number: int, tries: int) -> None:
        """Wait until the word at `page` is at least `number`, for so many looks at it."""
        self._launch("greta_hold", 1, (page, number, tries))

    def read_through(self, memory: Buffer) -> None:
        """Read all of some memory, which is filled with zeros."""
        args = memory.address, memory.size_bytes // 16, memory.address
        self._launch("greta_flush", self._blocks(memory.size_bytes), args)

    def digest(self, ranges: Sequence[Range], sums: int) -> None:
        """Add the digests of these ranges to the words at `sums`."""
        for i, (buffer, offset, size) in enumerate(ranges):
            args = buffer.at(offset, size), size, sums + DIGEST_BYTES * i
            self._launch("greta_digest", self._blocks(size), args)

    def count_beyond(self, outputs: Sequence[Range], near: Sequence[Near | None], places: Places) -> None:
        """Count, of outputs without the digest that is expected, the elements that are not near."""
        for i, ((buffer, offset, size), one) in enumerate(zip(outputs, near, strict=True)):
            told: tuple[int, ...] = (0, 0, size, 1, 0, 0)  # one beyond, whatever it holds
            if one is not None:
                first, allowed = (range_[0].at(*range_[1:]) for range_ in (one.first, one.allowed))
                rtol = int(np.float64(one.rtol).view(np.uint64))
                told = first, allowed, size, one.row_elements, NUMBERS.index(one.number), rtol
            at = 8 * i
            args = places.sums + at, places.expected + at, buffer.at(offset, size), *told, places.beyond + at
            self._launch("greta_deviations", self._blocks(size) if one else 1, args)

    def keep(
        self, outputs: Sequence[Range], spare: Sequence[Range], number: int, is_counted: bool, places: Places
    ) -> None:
        """Copy the outputs of launch `number` to `spare` where they are the first of the batch that are others than
        expected, and, if that is counted, not near; and record what the launch came to.
        """
        beyond = places.beyond if is_counted else 0
        told = places.sums, places.expected, beyond, len(outputs), places.kept, number
        for i, ((buffer, offset, size), (into, at, _)) in enumerate(zip(outputs, spare, strict=True)):
            record = places.record if i == len(outputs) - 1 else 0
            args = *told, buffer.at(offset, size), into.at(at, size), size, record
            self._launch("greta_keep", self._blocks(size), args)

    def _blocks(self, size_bytes: int) -> int:
        return min(max(1, size_bytes // (16 * _THREADS)), 16 * self._compute_units)

    def _launch(self, name: str, blocks: int, args: Sequence[int]) -> None:
        """Queue one of them. All arguments are addresses, counts or the bits of a number, and lie in 8 bytes each."""
        if not self._kernels:
            self._kernels = self._load()
        values = (ctypes.c_uint64 * len(args))(*args)
        base = ctypes.addressof(values)
        pointers = (ctypes.c_void_p * len(args))(*range(base, base + 8 * len(args), 8))
        threads = 1 if name == "greta_hold" else _THREADS
        where = (blocks, 1, 1, threads, 1, 1, 0, self._stream, pointers, None)
        call(self._hip.hipModuleLaunchKernel, self._kernels[name].handle, *where, about=name)
