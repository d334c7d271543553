"""The session's device: which kind it is, and the worker that has it open."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_greta.device import hip_missing
from pytest_greta.device.places import ALONE, Guard, Sharing, shares_of
from pytest_greta.errors import ConfigError, DeviceBusy, DeviceUnavailable, NoSuchDevice

if TYPE_CHECKING:
    from pytest_greta.device import DeviceInfo
    from pytest_greta.device.worker import Worker

_KFD = Path("/dev/kfd")
"""The interface of the AMD GPU driver: without it no AMD GPU can answer."""

SERIALIZED = {"HIP_LAUNCH_BLOCKING": "1", "AMD_SERIALIZE_KERNEL": "3"}
"""The worker's environment under `--greta-serialize`: a launch returns when its kernel has ended, and the runtime
waits for the queue before and after each (HIP documentation, "HIP environment variables")."""


class SessionDevice:
    """Opens the device when it is first needed, and again in a new worker when the last one died."""

    def __init__(
        self,
        wanted: str,
        cache_folder: Path,
        *,
        cache_bytes: int | None = None,
        serialize: bool = False,
        show: Callable[[str], None] = lambda _: None,
        waited: Callable[[], None] = lambda: None,
        sharing: Sharing = ALONE,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`wanted` is `hip`, `cpu` or `auto`; `cache_folder` holds what the device made of code before,
        `cache_bytes` of it.

        `show` is told what happens, `waited` is called about once a second while an answer is awaited, `tell` says who
        has the device that is waited for. `sharing` says which of several devices is taken, and beside whom.
        """
        self._wanted, self._serialize = wanted, serialize
        self._cache_folder, self._cache_bytes = cache_folder, cache_bytes
        self._show, self._waited = show, waited
        self._guard, self._sharing = Guard(sharing, tell, waited), sharing
        self._worker: Worker | None = None
        self._info: DeviceInfo | None = None
        self._lost = ""
        self.note = ""
        """Why `auto` did not take a GPU."""
        self.cache_problem = ""
        """Why the worker could not write the cache; known when it was closed."""

    @cached_property
    def kind(self) -> str:
        """`hip` or `cpu`: the one wanted; `auto` takes hip where a GPU answers."""
        if self._wanted != "auto":
            return self._wanted
        if not _KFD.exists():
            self.note = f"no AMD GPU here: {_KFD} does not exist"
            return "cpu"
        try:
            self._worker = self._open("hip")
        except (DeviceBusy, NoSuchDevice):
            return "hip"
        except DeviceUnavailable as error:
            self.note = f"no AMD GPU answers: {error}"
            self._guard.forget()
            return "cpu"
        return "hip"

    def check(self) -> None:
        """Raises ConfigError where devices are named that are not there, as far as is known without opening one."""
        shares_of(os.environ)
        if self._wanted == "cpu" or (self._wanted == "auto" and not _KFD.exists()):
            try:
                self._guard.among_shares()
            except NoSuchDevice as error:
                raise ConfigError(str(error)) from None

    @property
    def stated(self) -> Mapping[str, Any] | None:
        """What the device that was opened last says of itself, with its identity; None where none was."""
        info = self._info
        return {**dataclasses.asdict(info), "identity": info.identity} if info else None

    @property
    def blocked(self) -> bool:
        """The device was lost during the run: no further test can run on it."""
        return bool(self._lost)

    def worker(self) -> Worker:
        """The worker with the open device. Raises DeviceUnavailable."""
        if self._lost:
            raise DeviceUnavailable(self._lost)
        kind = self.kind
        if self._worker is not None and self._worker.alive and self._guard.hold() != self._worker.place:
            self._worker.close()  # of the device that another process has now
        if self._worker is None or not self._worker.alive:
            try:
                self._worker = self._open(kind)
            except DeviceUnavailable as error:
                if self._info is None or isinstance(error, DeviceBusy):
                    raise
                self._lost = f"blocked: the device was lost during this run and does not come back: {error}"
                raise DeviceUnavailable(self._lost) from error
        return self._worker

    def compiler_identity(self) -> tuple[str, ...]:
        """Its target, and what else the code of its own compiler depends on. Raises DeviceUnavailable."""
        info = self.worker().info
        return info.target, info.runtime, info.driver, str(info.compiles_with)

    def header_folders(self) -> tuple[Path, ...]:
        """Where its own compiler looks for headers behind the author's folders."""
        return hip_missing.header_folders(os.environ)

    def compile(self, source: str, name: str, options: Sequence[str], deadline_seconds: float) -> bytes:
        """Compile on the device's own compiler. Raises CompileError, DeviceFault or DeviceUnavailable."""
        return self.worker().compile(source, name, options, deadline_seconds)

    def release(self) -> None:
        """Let others have the device, if there are any: nothing is measured until `worker` is asked for again."""
        if self._guard.is_locked and self._worker is not None and self._worker.alive:
            self._worker.let_go()
        self._guard.release()

    @property
    def number(self) -> int:
        """Which of several devices was opened last: times of two are not taken together."""
        return self._worker.place.index if self._worker is not None else 0

    @property
    def is_side_by_side(self) -> bool:
        """Whether other processes of this run run tests at the same time."""
        return self._sharing.is_side_by_side

    @property
    def disturbed(self) -> str:
        """Why the times of this run mean nothing whatever is measured; empty where they do."""
        if self._sharing.is_side_by_side and self._guard.problem:
            return f"pytest-xdist runs tests side by side, and {self._guard.problem}"
        return ""

    def identity(self) -> str:
        """The device for history, stable from run to run; `none` where there is none."""
        if self._info is not None:
            return self._info.identity
        try:
            return self.worker().info.identity
        except DeviceUnavailable:
            return "none"

    def notes(self) -> list[str]:
        """What to know of the device, each in one sentence: why it is not a GPU, what it does not tell."""
        missing = self._info.telemetry_missing if self._info else ""
        return [note for note in (self.note, missing) if note]

    @property
    def lock_problem(self) -> str:
        """Why the device could not be locked, or was not locked all the time; empty where it was, or need not be."""
        return self._guard.problem or self._guard.lost

    @property
    def waited_note(self) -> str:
        """How long other runs were waited for; empty where it was no time to speak of."""
        seconds = self._guard.waited_seconds
        return (
            f"other runs that had the device were waited for, {seconds:.0f} s in all" if seconds >= 1 else ""
        )

    def device_name(self) -> str:
        """The device that ran something; empty if none has."""
        return self._info.identity if self._info else ""

    def describe(self) -> str:
        """The device for the headline. Raises ConfigError where one is named that is not there."""
        try:
            return self.worker().info.identity
        except NoSuchDevice as error:
            raise ConfigError(str(error)) from None
        except DeviceUnavailable:
            return f"{self.kind}, which cannot be opened: the tests that need it say why"

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.close()
            self.cache_problem = self._worker.cache_problem
        self._guard.release()

    def _open(self, kind: str) -> Worker:
        from pytest_greta.device.worker import Worker

        self._show(f"opening the {kind} device")
        environment = SERIALIZED if self._serialize else {}
        worker = Worker(kind, self._cache_folder, self._waited, environment, self._cache_bytes, self._guard)
        worker.info = dataclasses.replace(worker.info, serialized=self._serialize)
        self._info = worker.info
        return worker
