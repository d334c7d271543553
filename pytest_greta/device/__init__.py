"""What a device is: the one interface that `cpu.py` and `hip.py` implement. Used in the worker process only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pytest_greta.device.protocol import Launched, Near
    from pytest_greta.kernel import Value


@dataclass(frozen=True)
class DeviceInfo:
    """What a device says of itself. Plain values: it crosses the process boundary and goes into history."""

    kind: str
    """`hip` or `cpu`."""
    name: str
    """The product, for example `AMD Instinct MI300X`."""
    target: str
    """What code is generated for: `gfx942:sramecc+:xnack-`, or `spirv64` on the cpu device."""
    compute_units: int
    wave_size: int
    memory_bytes: int
    cache_bytes: int
    """Bytes to go through for cold caches: twice the L2 and the last-level (Infinity) cache; 0 where not flushed."""
    driver: str
    runtime: str
    emulated: bool = False
    """An emulated GPU: its times mean nothing."""
    telemetry_missing: str = ""
    """Why clocks, temperature and power are not recorded, in one sentence; empty where they are, or cannot be."""
    clock_seconds: float = 0.0
    """The smallest step of the clock of its events, as measured when it was opened; 0 where it was not."""
    empty_seconds: float = 0.0
    """What lies between two events around a kernel that does nothing: part of every time."""
    serialized: bool = False
    """Launches are serialised for diagnosis: such times are compared with nothing."""
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def compiles_with(self) -> list[tuple[str, str]]:
        """What of `extra` its code depends on: not which of several equal devices it is, for one compile serves all."""
        return sorted((name, value) for name, value in self.extra.items() if name != "pci")

    @property
    def identity(self) -> str:
        """What must be equal for two timings to be compared: stable from run to run."""
        text = f"{self.kind}: {self.name}, {self.target}, {self.compute_units} CUs, {self.runtime}"
        return text + (", emulated" if self.emulated else "") + (", serialised" if self.serialized else "")


class Device(Protocol):
    """An open device. Every method raises `DeviceFault` with the runtime's own error name and text.

    Handles are opaque to the caller. Work is done in the order in which it was asked for; `fill`, `copy`,
    `flush_caches` and `enqueue` may return before it is, all others wait.
    """

    info: DeviceInfo

    def compile(self, source: str, name: str, options: Sequence[str]) -> bytes:
        """Compile HIP source text to a code object on the device's own compiler.

        Raises `CompileError` with the compiler's log. Devices without a compiler of their own raise
        NotImplementedError; their code comes from `pytest_greta.compiler`.
        """

    def load(self, code: bytes) -> Any:
        """Load a code object (ELF or SPIR-V) and return a module handle."""

    def set_variable(self, module: Any, symbol: str, data: memoryview) -> None:
        """Fill a `__constant__` variable of a loaded module, all of it, by its symbol."""

    def function(self, module: Any, entry: str) -> Any:
        """Look up a `__global__` function in a loaded module."""

    def function_name(self, function: Any) -> str:
        """The name the *runtime* gives for a function: what really runs."""

    def function_attributes(self, function: Any) -> dict[str, int]:
        """What the runtime says of a function: `vgprs`, `scratch_bytes` and `lds_bytes`; empty if nothing."""

    def unload(self, module: Any) -> None:
        """Free a module and its functions."""

    def allocate(self, size_bytes: int) -> Any:
        """Allocate device memory."""

    def free(self, buffer: Any) -> None:
        """Free device memory."""

    def memory_used_bytes(self) -> int | None:
        """Bytes of device memory in use by all processes; None where that is no limit of the device."""

    def fill(self, buffer: Any, byte: int, offset_bytes: int, size_bytes: int) -> None:
        """Set a range of a buffer to one repeated byte."""

    def write(self, buffer: Any, offset_bytes: int, data: memoryview) -> None:
        """Copy host memory into a buffer."""

    def copy(
        self, source: Any, source_offset_bytes: int, into: Any, offset_bytes: int, size_bytes: int
    ) -> None:
        """Copy within device memory; the two ranges do not overlap."""

    def read(self, buffer: Any, offset_bytes: int, into: memoryview) -> None:
        """Copy a range of a buffer into host memory."""

    def digests(self, ranges: Sequence[Range]) -> list[bytes]:
        """A digest of each range, of 8 bytes: computed where the memory is, in one pass of reading, behind all that was
        launched before. Equal bytes give equal digests, from one worker to the next too.
        """

    def flush_caches(self) -> None:
        """Make caches cold, by going through a buffer of `info.cache_bytes`. Nothing where that is 0."""

    def begin(self, expected: Sequence[bytes], outputs: int, one_core: bool = False) -> None:
        """Begin a batch of as many launches as there are `expected` digests: those that their `outputs` should have, or
        empty ones where nobody knows. With `one_core` a CPU runs them on one of its cores.
        """

    def held(self) -> AbstractContextManager[None]:
        """What is queued inside runs when all of it is queued, so that the host is not in its times."""

    def enqueue(self, work: Work) -> None:
        """Run launches between two device events; then take the digests of their outputs. Where these are not as
        expected, nor near enough, the spare ones get a copy, the first time in a batch.
        """

    def result(self) -> Launched:
        """What the next of the launches came to, in the order in which they were queued."""

    def close(self) -> None:
        """Free everything. Safe to call twice."""


Range = tuple[Any, int, int]
"""A buffer, an offset and a size, both in bytes."""


@dataclass(frozen=True)
class BoundLaunch:
    """A launch whose names are resolved: a function and arguments that are buffers or values.

    A pointer argument is a `(buffer, offset_bytes)` tuple: outputs lie between canary bands in a larger buffer.
    """

    function: Any
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    args: tuple[tuple[Any, int] | Value, ...]
    dynamic_lds_bytes: int = 0


@dataclass(frozen=True)
class Work:
    """Launches to be timed, and what is asked of their outputs then."""

    launches: Sequence[BoundLaunch]
    """In their order. The same list is the same work: it may be captured once."""
    outputs: Sequence[Range] = ()
    spare: Sequence[Range] = ()
    """Where they are copied to when they are not what they should be."""
    count: int = 1
    """So many runs of all launches lie between the two events: what one takes is their mean."""
    untimed: int = 0
    """So many run before."""
    near: Sequence[Near | None] = ()
    """What each output has to be near to where it has not its digest; empty where it must have."""


def run_once(device: Device, launches: Sequence[BoundLaunch]) -> float:
    """Run launches in order, wait, and return the seconds between an event before and one after them."""
    device.begin([b""], 0)
    device.enqueue(Work(launches))
    return device.result().seconds
