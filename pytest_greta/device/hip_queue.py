"""The stream of a GPU: what is queued runs in order, and nobody waits before a result is asked for.

A launch between two events on a GPU that has nothing else to do measures the host as well: the GPU records the first
event at once, and the launch comes when the host has got to it. So each is queued, with its events, behind a kernel
that ends when all of it is there (`greta_hold` in queue.hip), and the GPU takes it from then on without the host. One
hold for many launches would be faster; but the GPU then fetches what was queued from the host while it works, and times
spread two to seven times as much (docs/measurements.md). Launches that are too short to be timed one by one are
captured in a graph, which the GPU runs without gaps between them.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_greta.device.hip_bindings import HipError, call
from pytest_greta.device.hip_handles import Buffer, Function
from pytest_greta.device.hip_own import OwnKernels, Places
from pytest_greta.device.protocol import DIGEST_BYTES, Launched

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.device import BoundLaunch, Range, Work
    from pytest_greta.kernel import Value

ARG_SLOT_BYTES = 16
"""Every argument starts at a multiple of this: the largest alignment of a HIP vector type."""

_HOLD_TRIES = 500_000
"""Looks at the host's memory before a hold ends by itself: each takes about a microsecond, so half a second."""
_RANGES = 256
"""Ranges whose digests are computed at a time."""
_CLOCK_LAUNCHES = 32
_RECORDS = 8
"""Where, in the words of the page that the host shares, the records of launches begin; the first word ends a hold."""
_PAGE_BYTES = 1 << 16
_IS_NEAR = 1 << 33
"""In the first word of a record: outputs were others than expected, but near."""


@dataclass(frozen=True)
class _Packed:
    """A launch with its arguments as the runtime takes them: an array of pointers, and the memory they point into."""

    launch: BoundLaunch
    pointers: Any
    storage: Any
    about: str


@dataclass(frozen=True)
class _Step:
    """What was queued between two events."""

    count: int
    names: str


class Queue:
    """A stream, its events, and greta's own kernels. Every method raises HipError.

    `allocate` gives device memory, `own` greta's own kernels by name.
    """

    def __init__(
        self,
        hip: Any,
        compute_units: int,
        allocate: Callable[[int], Buffer],
        own: Callable[[], Mapping[str, Function]],
    ) -> None:
        self._hip, self._allocate = hip, allocate
        self._events: list[Any] = []
        self._graphs: dict[tuple[int, int], Any] = {}
        self._packed: dict[int, tuple[Sequence[BoundLaunch], list[_Packed]]] = {}
        self._page: tuple[Any, NDArray[np.uint64]] | None = None
        self._memory: Buffer | None = None
        self._holds = 0
        self._known: list[bool] = []
        self._outputs = 0
        self._steps: list[_Step] = []
        self._taken = 0
        self.stream = call(hip.hipStreamCreate)
        self._own = OwnKernels(hip, self.stream, compute_units, own)

    def synchronize(self, about: str) -> None:
        """Wait until all that was queued is done."""
        call(self._hip.hipStreamSynchronize, self.stream, about=about)

    def forget(self) -> None:
        """What was launched before is not launched again: its code or memory may be gone."""
        for graph in self._graphs.values():
            call(self._hip.hipGraphExecDestroy, graph)
        self._graphs.clear()
        self._packed.clear()

    def close(self) -> list[tuple[Any, Any]]:
        """Functions and what to call them with, so that everything is freed as far as it can be."""
        hip = self._hip
        freeing: list[tuple[Any, Any]] = [(hip.hipGraphExecDestroy, graph) for graph in self._graphs.values()]
        freeing += [(hip.hipEventDestroy, event) for event in self._events]
        if self._page is not None:
            freeing.append((hip.hipHostFree, self._page[0]))
        freeing.append((hip.hipStreamDestroy, self.stream))
        self._graphs, self._packed, self._events = {}, {}, []
        self._page = self._memory = self.stream = None
        return freeing

    # -- a batch --------------------------------------------------------------------------------------------

    def begin(self, expected: Sequence[bytes], outputs: int) -> None:
        """Begin a batch of launches whose `outputs` should have these digests, or empty ones where nobody knows."""
        self._steps, self._taken, self._outputs = [], 0, outputs
        self._known = [bool(digests) for digests in expected]
        # Digests, what they should be, and how many elements are too far from what they should be near to.
        table = np.zeros((3, len(expected), outputs), np.uint64)
        for row, digests in zip(table[1], expected, strict=True):
            if digests:
                row[:] = np.frombuffer(digests, np.uint64)
        kept = np.zeros(len(expected) + 1, np.uint32)
        image = table.tobytes() + kept.tobytes()
        if self._memory is None or self._memory.size_bytes < len(image):
            self._memory = self._allocate(max(len(image), _PAGE_BYTES))
        self._write(self._memory.address, image)
        self._words[_RECORDS:] = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """What is queued inside begins to run when all of it is queued."""
        self._holds += 1
        self._wait(self._holds, _HOLD_TRIES)
        try:
            yield
        finally:
            self._words[0] = self._holds

    def read_through(self, memory: Buffer) -> None:
        """Queue reading all of some memory, which is filled with zeros."""
        self._own.read_through(memory)

    def enqueue(self, work: Work) -> None:
        """Queue launches between two events, and behind them the digests of their outputs.

        Where these are not those that `begin` was told, nor outputs near enough, those of the first such launch are
        copied aside.
        """
        launches, count = work.launches, work.count
        packed = self._pack_all(launches)
        graph = self._graph(launches, packed, count) if count > 1 else None
        names = ", ".join(dict.fromkeys(launch.function.entry for launch in launches))
        for _ in range(work.untimed):
            self._launch_all(packed)
        with self._timed(_Step(count, names)):
            if graph is None:
                self._launch_all(packed)
            else:
                call(self._hip.hipGraphLaunch, graph, self.stream, about=f"{count} launches of {names}")
        self._queue_checks(work)
        self._record_event(2)

    def result(self) -> Launched:
        """What the next launch came to, in the order in which they were queued; waits for it."""
        step, number = self._steps[self._taken], self._taken
        start, stop, done = (self._event(number, which) for which in range(3))
        about = f"after {step.names}"
        try:
            call(self._hip.hipEventSynchronize, done, about=about)
        except HipError as error:  # of the first that failed: after it every call fails
            error.steps_done = self._finished()
            raise
        milliseconds = call(self._hip.hipEventElapsedTime, start, stop, about=about)
        self._taken += 1
        begin = _RECORDS + number * (1 + self._outputs)
        kept, *digests = self._words[begin : begin + 1 + self._outputs]
        is_kept = bool(self._outputs) and int(kept) & 0xFFFFFFFF == number + 1
        seconds = float(milliseconds) * 1e-3 / step.count
        return Launched(seconds, np.array(digests).tobytes(), is_kept, bool(int(kept) & _IS_NEAR))

    def _finished(self) -> int | None:
        """How many steps of the batch have left their record; None where they leave none."""
        if not self._outputs:
            return None
        width = 1 + self._outputs
        records = self._words[_RECORDS : _RECORDS + len(self._known) * width : width]
        return int(np.count_nonzero(records))

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        """The sums that `greta_digest` computes, behind all that was queued."""
        found: list[bytes] = []
        for first in range(0, len(ranges), _RANGES):
            part = ranges[first : first + _RANGES]
            self.begin([b""], len(part))
            self._own.digest(part, self._address)
            self.synchronize("after a digest")
            sums = np.zeros(len(part), np.uint64)
            call(self._hip.hipMemcpyDtoH, sums.ctypes.data, self._address, sums.nbytes, about="digests")
            found += [one.tobytes() for one in sums]
        return found

    def clock(self) -> tuple[float, float]:
        """Seconds of the smallest step of the events' clock, and of two events around a kernel that does nothing."""
        seconds: list[list[float]] = []
        for tries in ([0] * _CLOCK_LAUNCHES, range(_CLOCK_LAUNCHES)):
            self.begin([b""] * len(tries), 0)
            with self.held():
                for n in tries:
                    with self._timed(_Step(1, "greta_hold")):
                        self._wait(self._holds + 1, n)
                    self._record_event(2)
            seconds.append([self.result().seconds for _ in tries])
        nothing, longer = seconds
        distinct = sorted({*nothing, *longer})
        # Times come as milliseconds in single precision: those that differ by less are one.
        gaps = [gap for gap in (b - a for a, b in itertools.pairwise(distinct)) if gap > 2e-9]
        return min(gaps, default=distinct[0]), statistics.median(nothing)

    # -- parts of it ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _timed(self, step: _Step) -> Iterator[None]:
        self._steps.append(step)
        self._record_event(0)
        yield
        self._record_event(1)

    def _record_event(self, which: int) -> None:
        call(self._hip.hipEventRecord, self._event(len(self._steps) - 1, which), self.stream)

    def _event(self, step: int, which: int) -> Any:
        """Of a step the event before its launches, the one after, or the one after its digests."""
        while len(self._events) <= 3 * step + which:
            self._events.append(call(self._hip.hipEventCreate))
        return self._events[3 * step + which]

    def _queue_checks(self, work: Work) -> None:
        """What the outputs of the step that was queued last are, and the copy of them where they are others."""
        outputs, number = work.outputs, len(self._steps) - 1
        steps, count = len(self._known), len(outputs)
        if not count:
            return
        table = DIGEST_BYTES * steps * count
        sums = self._address + DIGEST_BYTES * number * count
        places = Places(
            sums=sums,
            expected=sums + table if self._known[number] else sums,
            beyond=sums + 2 * table,
            kept=self._address + 3 * table + 4 * number,
            record=self._page_address + 8 * (_RECORDS + number * (1 + count)),
        )
        self._own.digest(outputs, sums)
        if work.near:
            self._own.count_beyond(outputs, work.near, places)
        self._own.keep(outputs, work.spare, number + 1, bool(work.near), places)

    def _wait(self, number: int, tries: int) -> None:
        self._own.hold(self._page_address, number, tries)

    def _graph(self, launches: Sequence[BoundLaunch], packed: Sequence[_Packed], count: int) -> Any:
        """`count` times these launches, as a graph that the GPU runs by itself."""
        key = id(launches), count  # the launches are held by `_packed`, so that no others get their id
        if key not in self._graphs:
            hip, about = self._hip, f"{count} launches"
            mode = hip.hipStreamCaptureMode.hipStreamCaptureModeThreadLocal
            call(hip.hipStreamBeginCapture, self.stream, mode, about=about)
            try:
                for _ in range(count):
                    self._launch_all(packed)
            finally:
                graph = call(hip.hipStreamEndCapture, self.stream, about=about)
            try:
                self._graphs[key] = call(hip.hipGraphInstantiateWithFlags, graph, 0, about=about)
            finally:
                call(hip.hipGraphDestroy, graph)
        return self._graphs[key]

    def _pack_all(self, launches: Sequence[BoundLaunch]) -> list[_Packed]:
        found = self._packed.get(id(launches))
        if found is None:
            found = self._packed[id(launches)] = launches, [_packed(launch) for launch in launches]
        return found[1]

    def _launch_all(self, launches: Sequence[_Packed]) -> None:
        launch_kernel = self._hip.hipModuleLaunchKernel
        for packed in launches:
            launch = packed.launch
            where = (
                *launch.grid,
                *launch.block,
                launch.dynamic_lds_bytes,
                self.stream,
                packed.pointers,
                None,
            )
            call(launch_kernel, launch.function.handle, *where, about=packed.about)

    # -- memory ---------------------------------------------------------------------------------------------

    @property
    def _address(self) -> int:
        assert self._memory is not None
        return self._memory.address

    @property
    def _words(self) -> NDArray[np.uint64]:
        """The page that the GPU shares with the host."""
        if self._page is None:
            size, flags = _PAGE_BYTES, self._hip.hipHostMallocMapped | self._hip.hipHostMallocCoherent
            page = call(self._hip.hipHostMalloc, size, flags, about=f"{size} bytes of the host")
            words = np.ctypeslib.as_array((ctypes.c_uint64 * (size // 8)).from_address(int(page)))
            words[:] = 0
            self._page = page, words
        return self._page[1]

    @property
    def _page_address(self) -> int:
        return int(self._words.ctypes.data)

    def _write(self, address: int, image: bytes) -> None:
        """Copy to the device, when all that was queued is done."""
        self.synchronize("before a batch")
        host = np.frombuffer(image, np.uint8)
        call(self._hip.hipMemcpyHtoD, address, host.ctypes.data, len(image), about=f"{len(image)} bytes")


def _packed(launch: BoundLaunch) -> _Packed:
    about = f"{launch.function.entry}, grid {launch.grid}, block {launch.block}"
    if launch.dynamic_lds_bytes:
        about += f", {launch.dynamic_lds_bytes} bytes of LDS"
    values = [np.uint64(arg[0].at(arg[1], 0)) if isinstance(arg, tuple) else arg for arg in launch.args]
    return _Packed(launch, *pack(values), about)


def pack(values: Sequence[Value]) -> tuple[Any, Any]:
    """Arguments in C memory: pointers to them, and the memory. A value's own bytes are passed, whatever its dtype."""
    raw = [value.tobytes() for value in values]
    slots = [-(-len(one) // ARG_SLOT_BYTES) * ARG_SLOT_BYTES for one in raw]
    storage = ctypes.create_string_buffer(sum(slots) + ARG_SLOT_BYTES)
    base = -(-ctypes.addressof(storage) // ARG_SLOT_BYTES) * ARG_SLOT_BYTES
    pointers = (ctypes.c_void_p * max(len(raw), 1))()
    for i, (one, slot) in enumerate(zip(raw, slots, strict=True)):
        ctypes.memmove(base, one, len(one))
        pointers[i] = base
        base += slot
    return pointers, storage
