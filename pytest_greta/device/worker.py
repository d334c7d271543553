"""The process that owns a device, seen from both sides.

A kernel may hang, crash or corrupt the process that launched it. So the test process never touches a
device: it asks a worker, over a socket of its own, and every request has a deadline. A worker that misses it
is killed, one that dies is reported with its cause, and the next test gets a new one. What kernels and
libraries print goes to a log file and cannot disturb the channel. A worker dies with its parent.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_greta.compiler.toolchain import READ_BY_COMPILERS
from pytest_greta.device.places import Guard, Place, gpu_places
from pytest_greta.device.protocol import BufferPlan, Launched, Step
from pytest_greta.device.shared import SharedMemory, SharedPool
from pytest_greta.device.telemetry import Telemetry
from pytest_greta.errors import DeviceFault, DeviceUnavailable

if TYPE_CHECKING:
    from pytest_greta.device import DeviceInfo
    from pytest_greta.kernel import Launch


_OPEN_SECONDS = 120.0
_REQUEST_SECONDS = 120.0
_LOG_TAIL_BYTES = 4000
_START = """import sys
sys.path = [folder for folder in sys.path if folder]  # no module of the working folder in place of a real one
from pytest_greta.device.server import main
main()"""


class Worker:
    """The test process's handle on one worker process and its open device."""

    def __init__(
        self,
        kind: str,
        cache_folder: Path,
        waited: Callable[[], None] = lambda: None,
        environment: Mapping[str, str] | None = None,
        cache_bytes: int | None = None,
        guard: Guard | None = None,
    ) -> None:
        """Start a worker and open the device of `kind` that `guard` holds then, the first without one.

        Raises DeviceUnavailable.

        `cache_folder` holds what the device made of code before, `cache_bytes` of it.

        `waited` is called about once a second while an answer is awaited.
        """
        self._waited = waited
        self.cache_problem = ""
        """Why the worker could not write the cache; known when it was closed."""
        self._printed, self._log_begin = "", 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the worker)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    _START,
                    "pytest_greta.device.worker",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C goes to the test process alone, which then ends the worker
                env={**worker_environment(), **(environment or {})},
            )
        self.pool = SharedPool()
        """What is read of the device comes in memory of this."""
        self._socket = ours
        self._channel = Connection(os.dup(ours.fileno()))
        self._dead = False
        try:
            self.place = self._held(kind, guard)
            self.info: DeviceInfo = self._ask(
                *("open", _OPEN_SECONDS),
                kind=kind,
                cache_folder=cache_folder,
                cache_bytes=cache_bytes,
                index=self.place.index,
                cores=self.place.cores,
            )
        except DeviceFault as fault:
            self.kill()
            details = "".join(f"\n{line}" for line in self.output().splitlines()[-10:])
            raise DeviceUnavailable(f"the {kind} device could not be opened: {fault}{details}") from fault
        except BaseException:  # also Ctrl-C while another run is waited for
            self.kill()
            raise

    def _held(self, kind: str, guard: Guard | None) -> Place:
        """The device to open, held. Raises DeviceUnavailable."""
        if guard is None:
            return Place(0, kind)
        if kind == "hip":
            guard.among(gpu_places(self._ask("addresses", _OPEN_SECONDS)))
        else:
            guard.among_shares()
        return guard.hold()

    @property
    def alive(self) -> bool:
        """Whether the worker can still be asked."""
        return not self._dead

    def compile(self, source: str, name: str, options: Sequence[str], deadline_seconds: float) -> bytes:
        """Compile on the device's own compiler. Raises CompileError."""
        code: bytes = self._ask("compile", deadline_seconds, source=source, name=name, options=list(options))
        return code

    def load(
        self,
        slot: str,
        code: bytes,
        entry: str,
        launches: Sequence[Launch],
        constants: Mapping[str, bytes] | None = None,
    ) -> str:
        """Load an executable into `slot`, and what variables of its code hold, by symbol; returns the name the runtime
        gives for the function `entry`.
        """
        name: str = self._ask(
            *("load", _REQUEST_SECONDS),
            slot=slot,
            code=code,
            entry=entry,
            launches=list(launches),
            constants=dict(constants or {}),
        )
        return name

    def copy_code(self, slots: Sequence[str]) -> None:
        """Load the code of these slots once more, in this order, beside what is there: a copy has another address."""
        self._ask("copy_code", _REQUEST_SECONDS, slots=list(slots))

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
        """Free what was allocated before, and allocate these, with their bands filled."""
        self._ask("allocate", _REQUEST_SECONDS, buffers=dict(buffers))

    def let_go(self) -> None:
        """Free what was allocated: others may take the device now."""
        with suppress(DeviceFault):
            self.allocate({})

    def add(self, buffers: Mapping[str, BufferPlan]) -> None:
        """Allocate these as well; none of them where one does not fit."""
        self._ask("add", _REQUEST_SECONDS, buffers=dict(buffers))

    def write(self, name: str, memory: SharedMemory) -> None:
        """Fill a buffer from shared memory of its size."""
        self._ask("write", _REQUEST_SECONDS, memory, name=name)

    def copy(self, source: str, into: str) -> None:
        """Fill a buffer from another one of its size."""
        self._ask("copy", _REQUEST_SECONDS, source=source, into=into)

    def read(self, name: str, memory: SharedMemory) -> None:
        """Copy a buffer with both its bands into shared memory of its size plus `2 * BAND_BYTES`."""
        self._ask("read", _REQUEST_SECONDS, memory, name=name)

    def marks(self, slots: Sequence[str]) -> dict[str, bytes]:
        """Of the buffers of `slots`, a digest of the bands, and of all of one that is constant: what may not change."""
        marks: dict[str, bytes] = self._ask("marks", _REQUEST_SECONDS, slots=list(slots))
        return marks

    def exchange(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Let two buffers of equal size and contents change their places, for each pair of names."""
        self._ask("exchange", _REQUEST_SECONDS, pairs=list(pairs))

    def run(
        self, steps: Sequence[Step], deadlines_seconds: Sequence[float], held: bool
    ) -> Iterator[Launched]:
        """Run a batch; yields what is known of each step as it ends. Each has its own deadline.

        If `held`, a device that has a queue begins none before all of it is queued, and is never idle between two.
        """
        self._send("run", steps=list(steps), held=held)
        for deadline_seconds in deadlines_seconds:
            launched: Launched = self._receive("run", deadline_seconds)
            yield launched

    def begin_output(self) -> None:
        """From here on, what is printed belongs to another test."""
        if not self._log.closed:
            self._log_begin = self._log.seek(0, os.SEEK_END)

    def output(self) -> str:
        """The end of what kernels and libraries have printed since `begin_output`, also when the worker is gone."""
        if not self._log.closed:
            end = self._log.seek(0, os.SEEK_END)
            self._log.seek(max(self._log_begin, end - _LOG_TAIL_BYTES))
            self._printed = self._log.read().decode(errors="replace").strip()
        return self._printed

    def close(self) -> None:
        """End the worker, politely if it listens."""
        if self.alive:
            with suppress(DeviceFault, DeviceUnavailable):
                self.cache_problem = self._ask("close", 5.0)
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
        self.pool.close()
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


def worker_environment() -> dict[str, str]:
    """This process's variables, but those that would change what hiprtc makes of a source; and no threads for linear
    algebra, which the worker has none of: they would be made when numpy is imported, half of the time that this takes.
    """
    kept = {name: value for name, value in os.environ.items() if name not in READ_BY_COMPILERS}
    return {**kept, "OPENBLAS_NUM_THREADS": "1"}
