"""Which devices there are for a run, and the one that this process holds while a test needs it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pytest_greta.device.hip_missing import VISIBLE
from pytest_greta.device.locks import FOLDER_VARIABLE, DeviceLock, blockers, folder_of
from pytest_greta.errors import ConfigError, DeviceBusy, NoSuchDevice

SHARES_VARIABLE = "GRETA_CPU_SHARES"
"""So many shares the cores are cut into, also more than there are: how many devices are used is tested so."""
_POLL_SECONDS = 0.02
_TOLD_AFTER_SECONDS = 1.0
_TOPOLOGY = Path("/sys/class/kfd/kfd/topology/nodes")


@dataclass(frozen=True)
class Sharing:
    """What of this machine's devices a process may take, and beside whom."""

    devices: tuple[int, ...] = ()
    """By number, as the runtime counts those that it sees, or of the shares of the CPU. Where empty, all for processes
    side by side, and the first for one that is alone: its runs are of one device, whatever others do."""
    wait_seconds: float = 0.0
    """How long another run is waited for."""
    worker: int = 0
    """The number of this process among those of its run."""
    workers: int = 1
    run: str = ""
    """Equal for all processes of a run, and for no other."""

    @property
    def is_side_by_side(self) -> bool:
        """Whether other tests of the run are run at the same time."""
        return self.workers > 1


ALONE = Sharing()


@dataclass(frozen=True)
class Place:
    """A device by number, before anybody has opened it."""

    index: int
    name: str
    locks: tuple[str, ...] = ()
    """What is held while it is in use; empty where nothing is."""
    cores: tuple[int, ...] = ()
    """The share of a CPU; empty for all that this process may use, and for a GPU."""


def gpu_places(addresses: Sequence[str]) -> list[Place]:
    """GPUs by their PCI addresses, in the runtime's order. The parts of one GPU, which disturb each other, have one
    address and so one lock. Where the runtime tells none (zeros), numbers have to do.
    """
    known = [pci if pci.strip("0:.") else str(i) for i, pci in enumerate(addresses)]
    return [Place(i, f"GPU {i} ({pci})", (f"gpu-{pci}",)) for i, pci in enumerate(known)]


def shares_of(env: Mapping[str, str]) -> int:
    """So many shares of the CPU are asked for; 0 where nothing is. Raises ConfigError."""
    asked = env.get(SHARES_VARIABLE, "")
    if asked and not (asked.isdecimal() and int(asked)):
        raise ConfigError(
            f"{SHARES_VARIABLE}: {asked!r} is not a number of shares; expected a whole number from 1"
        )
    return int(asked or 0)


def cpu_places(sharing: Sharing, cores: Sequence[int], env: Mapping[str, str]) -> list[Place]:
    """The CPU, whole and without a lock for a run that is alone; else cut into shares of cores, one for each process:
    equal ones, which are one kind of device, so that a few cores may be left over. A lock for each core: another run
    may have cut it otherwise. Raises ConfigError.
    """
    count = shares_of(env) or min(sharing.workers, len(cores))
    if count == 1 and not sharing.devices and not sharing.is_side_by_side:
        return [Place(0, "the CPU")]
    places, size = [], len(cores) // count
    for i in range(count):
        share = cores[i * size : (i + 1) * size]
        locks = tuple(f"cpu-core-{core}" for core in share)
        if len(cores) < count:
            share = [cores[i % len(cores)]]
            locks = (f"cpu-share-{i}-of-{count}",)
        places.append(
            Place(i, f"share {i} of {count} of the CPU (cores {_listed(share)})", locks, tuple(share))
        )
    return places


def _listed(cores: Sequence[int]) -> str:
    return f"{cores[0]}-{cores[-1]}" if len(cores) > 1 else str(cores[0])


def expected_count(kind: str, sharing: Sharing, env: Mapping[str, str]) -> int:
    """How many devices a run will have, as far as this can be told without opening one; as many as it has processes
    where it cannot.
    """
    if sharing.devices:
        return len(sharing.devices)
    if kind == "cpu":
        return len(cpu_places(sharing, sorted(os.sched_getaffinity(0)), env))
    named = [[part for part in env[name].split(",") if part.strip()] for name in VISIBLE if name in env]
    gpus = len(_gpu_nodes())
    found = [*(len(one) for one in named), *([gpus] if gpus else [])]
    return min(found) if found else sharing.workers


def _gpu_nodes() -> list[dict[str, int]]:
    """What the driver says of its GPUs, those that this process may ask about, in its order, which is the runtime's."""
    found = []
    with suppress(OSError):
        for node in sorted(_TOPOLOGY.iterdir(), key=lambda path: (len(path.name), path.name)):
            with suppress(OSError, ValueError):
                pairs = (line.split() for line in (node / "properties").read_text().splitlines())
                said = {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
                found += [said] if said.get("simd_count", 0) > 0 else []
    return found


def gpus_of_the_driver() -> list[tuple[str, str]]:
    """PCI address and UUID of each GPU, in the runtime's order. The parts of one GPU, which the driver tells apart by
    the upper bits of `location_id`, have one address.
    """
    found = []
    for one in _gpu_nodes():
        at = one.get("location_id", 0)
        address = f"{one.get('domain', 0):04x}:{at >> 8 & 0xFF:02x}:{at >> 3 & 0x1F:02x}.0"
        found.append((address, f"GPU-{one.get('unique_id', 0):016x}"))
    return found


class Guard:
    """Holds one of the devices while this process uses it: the one that it had before, if that is free."""

    def __init__(
        self,
        sharing: Sharing,
        tell: Callable[[str], None] = lambda _: None,
        waited: Callable[[], None] = lambda: None,
    ) -> None:
        """`tell` gets a line for the person who waits, `waited` is called about once a second meanwhile."""
        self._sharing, self._tell, self._waited = sharing, tell, waited
        self._locks: dict[int, DeviceLock] = {}
        self._places: list[Place] = []
        self._last: Place | None = None
        self._is_held = False
        self._all_cores: set[int] = set()
        self._gave_up = ""
        self.problem = ""
        """Why devices cannot be locked; empty where they can."""
        self.lost = ""
        """Which device others may have had as well, because its lock was taken away; empty where none."""
        self.waited_seconds = 0.0
        """For other runs."""

    def among(self, places: Sequence[Place]) -> None:
        """Say what there is to choose from. Raises NoSuchDevice where what is asked for is not there."""
        if self._places:
            return
        unknown = [number for number in self._sharing.devices if number >= len(places)]
        if unknown:
            there = f"there are {len(places)}, counted from 0" if len(places) != 1 else "there is one, 0"
            numbers = ", ".join(map(str, unknown))
            raise NoSuchDevice(f"--greta-devices: no device {numbers}: {there}")
        wanted = self._sharing.devices or range(len(places) if self._sharing.is_side_by_side else 1)
        self._places = [places[number] for number in wanted]
        self._locks = {place.index: DeviceLock(place.locks, folder_of(os.environ)) for place in self._places}

    def forget(self) -> None:
        """There is another kind of device to choose from."""
        self.release()
        self._places, self._locks, self._last = [], {}, None

    def among_shares(self) -> None:
        """Choose from the shares of the CPU. Raises NoSuchDevice and ConfigError."""
        self.among(cpu_places(self._sharing, sorted(os.sched_getaffinity(0)), os.environ))

    def hold(self) -> Place:
        """One of the devices, when it is free. Raises DeviceBusy when another run kept it for too long."""
        if self._is_held and self._last is not None:
            return self._last
        try:
            place = self._next()
        except OSError as error:
            where = error.filename or folder_of(os.environ)
            self.problem = (
                f"devices cannot be locked: {where}: {error.strerror or error}; "
                f"set {FOLDER_VARIABLE} to a folder that everybody who uses them can write"
            )
            place = self._in_order()[0]
        finally:
            for lock in self._locks.values():
                lock.leave()
        self._is_held, self._last = True, place
        if place.cores:
            self._all_cores = os.sched_getaffinity(0)
            os.sched_setaffinity(0, place.cores)
        return place

    def _in_order(self) -> list[Place]:
        """First the one that this process had, else those from its own number on."""
        first = self._sharing.worker % len(self._places)
        ordered = [*self._places[first:], *self._places[:first]]
        return sorted(ordered, key=lambda place: place != self._last)

    def _next(self) -> Place:
        run, order = self._sharing.run, self._in_order()
        began = looked = time.monotonic()
        is_told, was_foreign, foreign_seconds = False, False, 0.0
        for _ in self._polls():
            for place in order:
                if self._locks[place.index].try_hold(run):
                    self.waited_seconds += foreign_seconds
                    self._gave_up = ""
                    return place
            if self._gave_up:
                raise DeviceBusy(self._gave_up)
            found = blockers(self._locks.values())
            gone = [one for one in found if one.run == run and one.is_gone]  # what it started has it still
            others = [one for one in found if one.run != run or one in gone]
            is_foreign = others or any(lock.blocker is None for lock in self._locks.values())
            now = time.monotonic()
            # For a moment nobody says to have it, also while a neighbour takes it or gives it back.
            foreign_seconds += now - looked if is_foreign and was_foreign else 0.0
            looked, was_foreign = now, bool(is_foreign)
            names = " and ".join(place.name for place in order)
            held = "; ".join(f"what is left of {one}" if one in gone else str(one) for one in others)
            held = held or "another run"
            if is_foreign and not is_told and now - began > _TOLD_AFTER_SECONDS:
                self._tell(f"waiting for {names}, held by {held}")
                is_told = True
            if foreign_seconds > self._sharing.wait_seconds:
                self.waited_seconds += foreign_seconds
                limit = f"{self._sharing.wait_seconds:g} s (--greta-wait)"
                self._gave_up = f"{names} did not become free within {limit}: held by {held}"
                raise DeviceBusy(self._gave_up)
        raise AssertionError("polls do not end")

    def _polls(self) -> Iterator[None]:
        last = time.monotonic()
        while True:
            yield
            time.sleep(_POLL_SECONDS)
            if time.monotonic() - last >= 1.0:
                last = time.monotonic()
                self._waited()

    @property
    def is_locked(self) -> bool:
        """Whether others wait while this process has the device."""
        return self._is_held and not self.problem and bool(self._last and self._last.locks)

    def release(self) -> None:
        """Let others have the device."""
        if self._is_held and self._last is not None:
            self._is_held = False
            if self._last.cores:
                os.sched_setaffinity(0, self._all_cores)
            lock = self._locks[self._last.index]
            if lock.is_lost:
                self.lost = (
                    f"the lock of {self._last.name} was deleted from {folder_of(os.environ)} while a test held it: "
                    "another run may have had the device at the same time"
                )
            lock.release()
