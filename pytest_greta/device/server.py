"""The worker process: it owns an open device, launches what it is told to, and says how long it took."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_greta.compiler.cache import CodeCache
from pytest_greta.device.protocol import BAND_BYTES, OTHER_POISON, SPARE, BufferPlan, Launched, Near, Step
from pytest_greta.device.shared import Received, SharedMemory
from pytest_greta.device.telemetry import Recorder, Telemetry, open_recorder
from pytest_greta.errors import CompileError, DeviceFault, DeviceUnavailable, raised

if TYPE_CHECKING:
    from pytest_greta.device import BoundLaunch, Device, DeviceInfo, Range
    from pytest_greta.kernel import Launch


_FIRST_BYTES = 1 << 16
"""Of a buffer that starts with a number, written from the host: a multiple of every element's size."""

_MAPPED_BYTES = 2 << 30
"""So much of what the test process passed stays mapped, nor more than a sixteenth of the machine's memory."""


@dataclasses.dataclass
class _Loaded:
    """What is loaded for a slot: its code, once or several times."""

    code: bytes
    entry: str
    launches: Sequence[Launch]
    constants: Mapping[str, bytes]
    modules: list[Any] = dataclasses.field(default_factory=list)
    functions: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Of each of the modules, by name."""


class _Server:
    """The worker's side: answers requests with the device it opened."""

    def __init__(self) -> None:
        self.device: Device
        self.cache: CodeCache
        self.telemetry = Recorder(None)
        self.buffers: dict[str, tuple[Any, BufferPlan]] = {}
        self.loaded: dict[str, _Loaded] = {}
        """By slot."""
        self.bound: dict[tuple[str, str, int, tuple[int, ...]], list[BoundLaunch]] = {}
        """By slot, draw, copy of the code, and which buffers the slot has."""

    def addresses(self) -> list[str]:
        with _imports("hip"):
            from pytest_greta.device.hip import hip_addresses
        return hip_addresses()

    def open(
        self, kind: str, cache_folder: Path, cache_bytes: int | None, index: int, cores: Sequence[int]
    ) -> DeviceInfo:
        if cores:
            os.sched_setaffinity(
                0, cores
            )  # before the runtime makes its threads: it has as many as it may use
        self.cache = CodeCache(cache_folder, cache_bytes)
        if kind == "cpu":
            with _imports(kind):
                from pytest_greta.device.cpu import open_cpu
            self.device = open_cpu(self.cache)
        else:
            with _imports(kind):
                from pytest_greta.device.hip import open_hip
            self.device = open_hip(index, CodeCache(cache_folder))
            if not self.device.info.emulated:
                self.telemetry = open_recorder(self.device.info.extra["pci"])
        return dataclasses.replace(self.device.info, telemetry_missing=self.telemetry.missing)

    def compile(self, source: str, name: str, options: Sequence[str]) -> bytes:
        return self.device.compile(source, name, options)

    def load(
        self, slot: str, code: bytes, entry: str, launches: Sequence[Launch], constants: Mapping[str, bytes]
    ) -> str:
        self.bound.clear()
        for module in self.loaded.pop(slot).modules if slot in self.loaded else ():
            self.device.unload(module)
        self.loaded[slot] = _Loaded(code, entry, launches, constants)
        self.copy_code([slot])
        return self.device.function_name(self.loaded[slot].functions[0][entry])

    def copy_code(self, slots: Sequence[str]) -> None:
        for loaded in map(self.loaded.__getitem__, slots):
            module = self.device.load(loaded.code)
            loaded.modules.append(module)
            for symbol, data in loaded.constants.items():
                self.device.set_variable(module, symbol, memoryview(data))
            names = {loaded.entry, *(launch.entry for launch in loaded.launches if launch.entry)}
            loaded.functions.append({name: self.device.function(module, name) for name in names})

    def inspect(self, code: bytes, entries: Sequence[str]) -> list[dict[str, int]]:
        module = self.device.load(code)
        try:
            return [self.device.function_attributes(self.device.function(module, entry)) for entry in entries]
        finally:
            self.device.unload(module)

    def memory_used_bytes(self) -> int | None:
        return self.device.memory_used_bytes()

    def allocate(self, buffers: Mapping[str, BufferPlan]) -> None:
        self.bound.clear()
        for buffer, _ in self.buffers.values():
            self.device.free(buffer)
        self.buffers.clear()
        self.add(buffers)

    def add(self, buffers: Mapping[str, BufferPlan]) -> None:
        for name, plan in buffers.items():
            try:
                buffer = self.device.allocate(plan.size_bytes + 2 * BAND_BYTES)
            except DeviceFault:
                for added in buffers.keys() & self.buffers.keys():
                    self.device.free(self.buffers.pop(added)[0])
                raise
            self.buffers[name] = buffer, plan
            self.device.fill(buffer, plan.bands[0], 0, BAND_BYTES)
            self.device.fill(buffer, plan.bands[1], BAND_BYTES + plan.size_bytes, BAND_BYTES)

    def write(self, name: str, memory: SharedMemory) -> None:
        self.device.write(self.buffers[name][0], BAND_BYTES, memory.view)

    def copy(self, source: str, into: str) -> None:
        (held, plan), (other, _) = self.buffers[source], self.buffers[into]
        self.device.copy(held, BAND_BYTES, other, BAND_BYTES, plan.size_bytes)

    def read(self, name: str, memory: SharedMemory) -> None:
        self.device.read(self.buffers[name][0], 0, memory.view)

    def marks(self, slots: Sequence[str]) -> dict[str, bytes]:
        theirs = {name: one for name, one in self.buffers.items() if one[1].slot in slots}
        ranges: list[Range] = []
        for buffer, plan in theirs.values():
            if plan.is_constant:
                ranges.append((buffer, 0, plan.size_bytes + 2 * BAND_BYTES))
            else:
                ranges += [(buffer, 0, BAND_BYTES), (buffer, BAND_BYTES + plan.size_bytes, BAND_BYTES)]
        digests = iter(self.device.digests(ranges))
        return {
            name: next(digests) if plan.is_constant else next(digests) + next(digests)
            for name, (_, plan) in theirs.items()
        }

    def exchange(self, pairs: Sequence[tuple[str, str]]) -> None:
        for one, other in pairs:
            (buffer, plan), (another, its_plan) = self.buffers[one], self.buffers[other]
            self.buffers[one], self.buffers[other] = (another, plan), (buffer, its_plan)

    def run(self, steps: Sequence[Step], held: bool) -> Iterator[Launched]:
        from pytest_greta.device import Work

        outputs = {step.slot: self._outputs(step.slot) for step in steps}
        bound = [
            self._bind(step.slot, step.draw, step.copy) for step in steps
        ]  # before anything waits for the host
        near = [[one and self._near(one) for one in step.near] for step in steps]
        spare = self._outputs(SPARE)
        self.device.begin([step.expected for step in steps], len(spare), steps[0].one_core)
        waiting = False
        with self.telemetry.launching():
            for step, launches, held_against in zip(steps, bound, near, strict=True):
                # Queued behind the launch before, whose result is waited for here: the device is never idle.
                with self.device.held() if held else contextlib.nullcontext():
                    if waiting:
                        yield self.device.result()
                    self._prepare_all(step)
                    if step.cold:
                        self.device.flush_caches()
                    what = outputs[step.slot], spare, step.count, step.untimed, held_against
                    self.device.enqueue(Work(launches, *what))
                    waiting = True
            yield self.device.result()

    def _outputs(self, slot: str) -> list[Range]:
        """Where the outputs of a slot are."""
        return [
            (buffer, BAND_BYTES, plan.size_bytes)
            for buffer, plan in self.buffers.values()
            if plan.slot == slot and plan.is_output
        ]

    def _near(self, near: Near) -> Near:
        """The same with places in the stead of names."""
        (first, its_plan), (allowed, plan) = self.buffers[near.first], self.buffers[near.allowed]
        return dataclasses.replace(
            near,
            first=(first, BAND_BYTES, its_plan.size_bytes),
            allowed=(allowed, BAND_BYTES, plan.size_bytes),
        )

    def _prepare_all(self, step: Step) -> None:
        """What the memory of a slot holds before its launches."""
        for buffer, plan in self.buffers.values():
            if plan.slot == step.slot and plan.size_bytes:
                self._prepare(buffer, plan, step.draw, step.poison)

    def _prepare(self, buffer: Any, plan: BufferPlan, draw: str, poison: int) -> None:
        """What an output or workspace holds before a launch.

        Each is poisoned with another byte: what was computed from an unwritten workspace is not taken for unwritten.
        """
        if plan.poisoned:
            byte = poison if plan.is_output else poison ^ OTHER_POISON
            self.device.fill(buffer, byte, BAND_BYTES, plan.size_bytes)
        elif plan.starts_from:
            source, _ = self.buffers[plan.starts_from[draw]]
            self.device.copy(source, BAND_BYTES, buffer, BAND_BYTES, plan.size_bytes)
        elif len(set(plan.element)) == 1:
            self.device.fill(buffer, plan.element[0], BAND_BYTES, plan.size_bytes)
        elif plan.element:
            # The first elements from here, the rest from those, twice as many each time: nothing large is kept.
            done = min(_FIRST_BYTES, plan.size_bytes)
            self.device.write(buffer, BAND_BYTES, memoryview(plan.element * (done // len(plan.element))))
            while done < plan.size_bytes:
                more = min(done, plan.size_bytes - done)
                self.device.copy(buffer, BAND_BYTES, buffer, BAND_BYTES + done, more)
                done += more

    def begin_telemetry(self) -> None:
        self.telemetry.begin()

    def end_telemetry(self) -> Telemetry:
        return self.telemetry.summary()

    def _bind(self, slot: str, draw: str, copy: int) -> list[BoundLaunch]:
        """The launches of a slot with their functions and buffers: the same list for the same ones."""
        where = tuple(id(buffer) for buffer, plan in self.buffers.values() if plan.slot == slot)
        key = slot, draw, copy, where
        if key in self.bound:
            return self.bound[key]
        from pytest_greta.device import BoundLaunch

        loaded = self.loaded[slot]
        functions = loaded.functions[copy]

        def argument(value: Any) -> Any:
            if not isinstance(value, str):
                return value
            names = (f"{slot}/{value}", f"{slot}/{draw}/{value}")
            return self.buffers[next(name for name in names if name in self.buffers)][0], BAND_BYTES

        self.bound[key] = [
            BoundLaunch(
                function=functions[launch.entry or loaded.entry],
                grid=launch.grid,
                block=launch.block,
                args=tuple(argument(a) for a in launch.args),
                dynamic_lds_bytes=launch.dynamic_lds_bytes,
            )
            for launch in loaded.launches
        ]
        return self.bound[key]

    def close(self) -> str:
        self.telemetry.close()
        self.device.close()
        return self.cache.problem


def _serve(channel: Connection, passing: socket.socket) -> None:
    server, flush = _Server(), ctypes.CDLL(None).fflush
    received = Received(min(_MAPPED_BYTES, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 16))
    while True:
        try:
            name, arguments, shared_bytes = channel.recv()
        except EOFError:
            return
        try:
            if shared_bytes is None:
                value = getattr(server, name)(**arguments)
            else:
                memory = received.receive(passing, shared_bytes)
                value = getattr(server, name)(memory=memory, **arguments)
            if name == "run":
                for launched in value:
                    flush(None)  # what it printed belongs to it
                    channel.send(("ok", launched))
            else:
                channel.send(("ok", value))
        except (CompileError, DeviceFault, DeviceUnavailable) as error:
            channel.send(("error", _plain(error)))
        except Exception as error:
            traceback.print_exc()
            channel.send(("error", DeviceFault(f"{type(error).__name__}: {error}")))


@contextlib.contextmanager
def _imports(kind: str) -> Iterator[None]:
    """Raises DeviceUnavailable where what a device needs cannot be imported: a file that is called numpy.py, say."""
    try:
        yield
    except Exception as error:
        raise DeviceUnavailable(f"the {kind} device cannot import what it needs: {raised(error)}") from error


def _plain(error: Exception) -> Exception:
    """The error as one of greta's own classes, which the other process can rebuild from its arguments."""
    if isinstance(error, DeviceFault):
        return DeviceFault(str(error), error.kind, error.steps_done)
    if isinstance(error, DeviceUnavailable):
        return DeviceUnavailable(str(error), error.command)
    return type(error)(str(error))


def main() -> None:
    """Serve the parent, whose socket and pid are the last two arguments, until it closes the channel."""
    handle, parent = int(sys.argv[-2]), int(sys.argv[-1])
    parent_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        return  # the parent died before the line above
    passing = socket.socket(fileno=handle)
    _serve(Connection(os.dup(handle)), passing)
