"""The process that owns a device, seen from both sides.

A kernel may hang, crash or corrupt the process that launched it. So the test process never touches a
device: it asks a worker, over a socket of its own, and every request has a deadline. A worker that misses it
is killed, one that dies is reported with its cause, and the next test gets a new one. What kernels and
libraries print goes to a log file and cannot disturb the channel. A worker dies with its parent.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_greta.cache import CodeCache
from pytest_greta.errors import CompileError, DeviceFault, DeviceUnavailable
from pytest_greta.shared import SharedMemory
from pytest_greta.telemetry import Recorder, Telemetry, open_recorder

if TYPE_CHECKING:
    from pytest_greta.devices import Device, DeviceInfo
    from pytest_greta.kernel import Launch

BAND_BYTES = 4096
"""Width of the canary band before and after every buffer."""
CANARY = 0xA5
_OPEN_SECONDS = 120.0
_REQUEST_SECONDS = 120.0
_LOG_TAIL_BYTES = 4000
_START = """import sys
sys.path = [folder for folder in sys.path if folder]  # no module of the working folder in place of a real one
from pytest_greta.worker import main
main()"""


@dataclass(frozen=True)
class BufferPlan:
    """A device buffer to allocate, between canary bands."""

    size_bytes: int
    slot: str | None = None
    """The program whose output or workspace it is; None for inputs, which all programs share."""
    poisoned: bool = False
    """Filled with the poison byte before every launch of its slot."""


class Worker:
    """The test process's handle on one worker process and its open device."""

    def __init__(
        self,
        kind: str,
        cache_folder: Path,
        waited: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start a worker and open the device of `kind`. Raises DeviceUnavailable.

        `cache_folder` holds what the device made of code before.

        `waited` is called about once a second while an answer is awaited.
        """
        self._waited = waited
        self._printed = ""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the worker)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, "pytest_greta.worker", str(theirs.fileno()), str(os.getpid())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C goes to the test process alone, which then ends the worker
                env={**os.environ, **(environment or {})},
            )
        self._socket = ours
        self._channel = Connection(os.dup(ours.fileno()))
        self._dead = False
        try:
            self.info: DeviceInfo = self._ask("open", _OPEN_SECONDS, kind=kind, cache_folder=cache_folder)
        except DeviceFault as fault:
            self.kill()
            details = "".join(f"\n{line}" for line in self.output().splitlines()[-10:])
            raise DeviceUnavailable(f"the {kind} device could not be opened: {fault}{details}") from fault
        except DeviceUnavailable:
            self.kill()
            raise

    @property
    def alive(self) -> bool:
        """Whether the worker can still be asked."""
        return not self._dead

    def compile(self, source: str, name: str, options: Sequence[str], deadline_seconds: float) -> bytes:
        """Compile on the device's own compiler. Raises CompileError."""
        code: bytes = self._ask("compile", deadline_seconds, source=source, name=name, options=list(options))
        return code

    def load(self, slot: str, code: bytes, entry: str, launches: Sequence[Launch]) -> str:
        """Load a program into `slot`; returns the name the runtime gives for the function `entry`."""
        name: str = self._ask(
            "load", _REQUEST_SECONDS, slot=slot, code=code, entry=entry, launches=list(launches)
        )
        return name

    def inspect(self, code: bytes, entries: Sequence[str]) -> list[dict[str, int]]:
        """What the runtime says of functions of a code object, which is loaded for this and unloaded again."""
        attributes: list[dict[str, int]] = self._ask(
            "inspect", _REQUEST_SECONDS, code=code, entries=list(entries)
        )
        return attributes

    def memory_used_bytes(self) -> int | None:
        """Device memory in use, by all processes; None where the device does not tell."""
        used: int | None = self._ask("memory_used_bytes", _REQUEST_SECONDS)
        return used

    def begin_telemetry(self) -> None:
        """Record clocks, temperature and power from here on, where the device tells them."""
        self._ask("begin_telemetry", _REQUEST_SECONDS)

    def end_telemetry(self) -> Telemetry:
        """What was recorded since."""
        telemetry: Telemetry = self._ask("end_telemetry", _REQUEST_SECONDS)
        return telemetry

    def allocate(self, buffers: Mapping[str, BufferPlan]) -> None:
        """Free what was allocated before, and allocate these, bands filled with canaries."""
        self._ask("allocate", _REQUEST_SECONDS, buffers=dict(buffers))

    def write(self, name: str, memory: SharedMemory) -> None:
        """Fill a buffer from shared memory of its size."""
        self._ask("write", _REQUEST_SECONDS, memory, name=name)

    def read(self, name: str, memory: SharedMemory) -> None:
        """Copy a buffer with both its bands into shared memory of its size plus `2 * BAND_BYTES`."""
        self._ask("read", _REQUEST_SECONDS, memory, name=name)

    def run(
        self, slots: Sequence[str], draw: str, poison: int, deadlines_seconds: Sequence[float], cold: bool
    ) -> Iterator[float]:
        """Run the program of each slot in turn; yields the device seconds of each launch as it ends.

        Each launch has its own deadline. Before each, its outputs are poisoned, and caches made cold if asked for.
        `draw` is the draw of inputs they read.
        """
        self._send("run", slots=list(slots), draw=draw, poison=poison, cold=cold)
        for deadline_seconds in deadlines_seconds:
            seconds: float = self._receive("run", deadline_seconds)
            yield seconds

    def output(self) -> str:
        """The end of what kernels and libraries have printed in the worker, also when it is gone."""
        if not self._log.closed:
            end = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(0, end - _LOG_TAIL_BYTES))
            self._printed = self._log.read().decode(errors="replace").strip()
        return self._printed

    def close(self) -> None:
        """End the worker, politely if it listens."""
        if self.alive:
            with suppress(DeviceFault, DeviceUnavailable):
                self._ask("close", 5.0)
        self.kill()

    def kill(self) -> None:
        """End the worker and everything it started, now."""
        if self._dead:
            return
        self._dead = True
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # stuck in the driver, where not even SIGKILL reaches it;
            self._process.wait(10)  # the next worker will tell
        self._channel.close()
        self._socket.close()
        self.output()
        self._log.close()

    def _ask(
        self, request: str, deadline_seconds: float, memory: SharedMemory | None = None, **arguments: Any
    ) -> Any:
        self._send(request, memory, **arguments)
        return self._receive(request, deadline_seconds)

    def _send(self, request: str, memory: SharedMemory | None = None, **arguments: Any) -> None:
        if self._dead:
            raise DeviceFault("the worker process is gone", "crash")
        try:
            self._channel.send((request, arguments, None if memory is None else len(memory.view)))
            if memory is not None:
                memory.send(self._socket)
        except OSError:
            raise self._crashed(request) from None

    def _receive(self, request: str, deadline_seconds: float) -> Any:
        try:
            if not self._answered(deadline_seconds):
                self.kill()
                raise DeviceFault(
                    f"killed: no answer to {request!r} within {deadline_seconds:g} s", "deadline"
                )
            outcome, value = self._channel.recv()
        except (EOFError, OSError):
            raise self._crashed(request) from None
        except BaseException:  # Ctrl-C while waiting: the answer would be taken for the next request's
            self.kill()
            raise
        if outcome == "error":
            raise value
        return value

    def _answered(self, deadline_seconds: float) -> bool:
        end = time.monotonic() + deadline_seconds
        while (remaining := end - time.monotonic()) > 0:
            if self._channel.poll(min(remaining, 1.0)):
                return True
            self._waited()
        return False

    def _crashed(self, request: str) -> DeviceFault:
        try:
            code: int | None = self._process.wait(10)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        if code is not None and code < 0:
            cause = f"died of {signal.Signals(-code).name}"
        else:
            cause = f"ended with exit code {code}"
        return DeviceFault(f"the worker process {cause} during {request!r}", "crash")


class _Server:
    """The worker's side: answers requests with the device it opened."""

    def __init__(self) -> None:
        self.device: Device
        self.telemetry = Recorder(None)
        self.buffers: dict[str, tuple[Any, BufferPlan]] = {}
        self.modules: dict[str, Any] = {}
        self.programs: dict[str, tuple[dict[str, Any], Sequence[Launch], str]] = {}

    def open(self, kind: str, cache_folder: Path) -> DeviceInfo:
        if kind == "cpu":
            from pytest_greta.devices.cpu import open_cpu

            self.device = open_cpu(CodeCache(cache_folder))
        else:
            from pytest_greta.devices.hip import open_hip

            self.device = open_hip()
            if not self.device.info.emulated:
                self.telemetry = open_recorder(self.device.info.extra["pci"])
        return dataclasses.replace(self.device.info, telemetry_missing=self.telemetry.missing)

    def compile(self, source: str, name: str, options: Sequence[str]) -> bytes:
        return self.device.compile(source, name, options)

    def load(self, slot: str, code: bytes, entry: str, launches: Sequence[Launch]) -> str:
        if slot in self.modules:
            self.device.unload(self.modules.pop(slot))
        module = self.modules[slot] = self.device.load(code)
        names = {entry, *(launch.entry for launch in launches if launch.entry)}
        functions = {name: self.device.function(module, name) for name in names}
        self.programs[slot] = functions, launches, entry
        return self.device.function_name(functions[entry])

    def inspect(self, code: bytes, entries: Sequence[str]) -> list[dict[str, int]]:
        module = self.device.load(code)
        try:
            return [self.device.function_attributes(self.device.function(module, entry)) for entry in entries]
        finally:
            self.device.unload(module)

    def memory_used_bytes(self) -> int | None:
        return self.device.memory_used_bytes()

    def allocate(self, buffers: Mapping[str, BufferPlan]) -> None:
        for buffer, _ in self.buffers.values():
            self.device.free(buffer)
        self.buffers.clear()
        for name, plan in buffers.items():
            buffer = self.device.allocate(plan.size_bytes + 2 * BAND_BYTES)
            self.buffers[name] = buffer, plan
            self.device.fill(buffer, CANARY, 0, BAND_BYTES)
            self.device.fill(buffer, CANARY, BAND_BYTES + plan.size_bytes, BAND_BYTES)

    def write(self, name: str, memory: SharedMemory) -> None:
        self.device.write(self.buffers[name][0], BAND_BYTES, memory.view)

    def read(self, name: str, memory: SharedMemory) -> None:
        self.device.read(self.buffers[name][0], 0, memory.view)

    def run(self, slots: Sequence[str], draw: str, poison: int, cold: bool) -> Iterator[float]:
        for slot in slots:
            bound = self._bind(slot, draw)
            for buffer, plan in self.buffers.values():
                if plan.poisoned and plan.slot == slot and plan.size_bytes:
                    self.device.fill(buffer, poison, BAND_BYTES, plan.size_bytes)
            if cold:
                self.device.flush_caches()
            with self.telemetry.launching():
                seconds = self.device.launch(bound)
            yield seconds

    def begin_telemetry(self) -> None:
        self.telemetry.begin()

    def end_telemetry(self) -> Telemetry:
        return self.telemetry.summary()

    def _bind(self, slot: str, draw: str) -> list[Any]:
        from pytest_greta.devices import BoundLaunch

        functions, launches, entry = self.programs[slot]

        def argument(value: Any) -> Any:
            if not isinstance(value, str):
                return value
            own = f"{slot}/{value}"
            return self.buffers[own if own in self.buffers else f"{draw}/{value}"][0], BAND_BYTES

        return [
            BoundLaunch(
                function=functions[launch.entry or entry],
                grid=launch.grid,
                block=launch.block,
                args=tuple(argument(a) for a in launch.args),
                dynamic_lds_bytes=launch.dynamic_lds_bytes,
            )
            for launch in launches
        ]

    def close(self) -> None:
        self.telemetry.close()
        self.device.close()


def _serve(channel: Connection, passing: socket.socket) -> None:
    server = _Server()
    while True:
        try:
            name, arguments, shared_bytes = channel.recv()
        except EOFError:
            return
        try:
            if shared_bytes is None:
                value = getattr(server, name)(**arguments)
            else:
                with SharedMemory.receive(passing, shared_bytes) as memory:
                    value = getattr(server, name)(memory=memory, **arguments)
            if name == "run":
                for seconds in value:
                    channel.send(("ok", seconds))
            else:
                channel.send(("ok", value))
        except (CompileError, DeviceFault, DeviceUnavailable) as error:
            channel.send(("error", _plain(error)))
        except Exception as error:
            traceback.print_exc()
            channel.send(("error", DeviceFault(f"{type(error).__name__}: {error}")))


def _plain(error: Exception) -> Exception:
    """The error as one of greta's own classes, which the other process can rebuild from its arguments."""
    if isinstance(error, DeviceFault):
        return DeviceFault(str(error), error.kind)
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
