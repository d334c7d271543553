"""Locks of a machine's devices, across processes, pytest runs and users.

A lock is an advisory one (flock) on a file that is never deleted, so it ends with its holder, however that ends. What
the file says of the holder is for people. Before the lock of a device comes a *door*: who waits for another run keeps
it, so that the other run, which wants the device again for its next test, stands behind.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER_VARIABLE = "GRETA_LOCKS"
_FOLDER = Path("/tmp/greta-locks")
_MOST_BYTES = 4096
_COMMAND_CHARACTERS = 120


@dataclass(frozen=True)
class Holder:
    """Who holds a device, as they say themselves."""

    run: str
    """Equal for all processes of one pytest run."""
    pid: int
    command: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command}) since {self.since}"


def this_process(run: str) -> Holder:
    """This process as a holder, from now on."""
    return Holder(run, os.getpid(), _command()[:_COMMAND_CHARACTERS], time.strftime("%H:%M:%S"))


def _command() -> str:
    """What was typed; in a worker of xdist, which is started otherwise, what it is."""
    name = os.environ.get("PYTEST_XDIST_WORKER")
    if name:
        return f"pytest-xdist's worker {name} in {Path.cwd()}"
    called = Path(sys.argv[0])
    name = called.parent.name if called.name == "__main__.py" else called.name
    return " ".join([name, *sys.argv[1:]])


def folder_of(env: Mapping[str, str]) -> Path:
    """Where the locks of this machine are."""
    return Path(env.get(FOLDER_VARIABLE) or _FOLDER)


class DeviceLock:
    """The lock of one device, or of a few that are only held together."""

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self._names = [re.sub(r"[^\w.:-]", "-", name) for name in names]
        self._folder = folder
        self._held: dict[str, int] = {}
        self._doors: dict[str, int] = {}
        self.blocker: Holder | None = None
        """Who had it when it was last tried in vain; None where nobody says."""

    def try_hold(self, run: str) -> bool:
        """Take it if it is free. Where another run has it, this one is the next from here on, until `leave`.

        Raises OSError where locks cannot be had at all.
        """
        if self._names:
            _make(self._folder)
        for name in self._names:
            if not self._try_one(name):
                _close(self._held)
                if self.blocker is None or self.blocker.run == run:  # neighbours of one run need no order
                    self.leave()
                return False
        self.leave()
        said = json.dumps(asdict(this_process(run))).encode()[:_MOST_BYTES]
        for handle in self._held.values():
            with suppress(OSError):  # a full disk keeps nobody from holding it
                os.ftruncate(handle, 0)
                os.pwrite(handle, said, 0)
        return True

    def _try_one(self, name: str) -> bool:
        path = self._folder / f"{name}.lock"
        if name not in self._doors:
            door = _locked(path.with_suffix(".next"))
            if door is None:
                self.blocker = _holder(path)
                return False
            self._doors[name] = door
        lock = _locked(path)
        if lock is not None:
            self._held[name] = lock
            return True
        self.blocker = _holder(path)
        return False

    def leave(self) -> None:
        """Wait no longer."""
        _close(self._doors)

    def release(self) -> None:
        """Let others have it."""
        for handle in self._held.values():
            with suppress(OSError):
                os.ftruncate(handle, 0)
        _close(self._held)
        self.leave()


def _close(handles: dict[str, int]) -> None:
    for handle in handles.values():
        os.close(handle)
    handles.clear()


def _make(folder: Path) -> None:
    """A folder in which every user may lock what another has. Raises OSError."""
    with suppress(FileExistsError):
        folder.mkdir(parents=True)
        folder.chmod(0o1777)
    if not stat.S_ISDIR(folder.lstat().st_mode) and FOLDER_VARIABLE not in os.environ:
        raise NotADirectoryError(0, "is no folder", str(folder))


def _locked(path: Path) -> int | None:
    """The file, open and locked; None where another has it."""
    handle = _opened(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _opened(path: Path) -> int:
    """Open a file for reading and writing that any user may have made; no link is followed. Raises OSError."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(2):  # Linux may refuse O_CREAT on another's file in such a folder: fs.protected_regular
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):
            handle = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            os.fchmod(handle, 0o666)  # whatever the umask
            return handle
    return os.open(path, flags)


def _holder(path: Path) -> Holder | None:
    """Who says to hold a lock; None where nobody does, or not yet all of it."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads(path.read_bytes()[:_MOST_BYTES])
        text = {name: re.sub(r"[^ -~]", "?", str(said[name])) for name in ("run", "command", "since")}
        return Holder(text["run"], int(said["pid"]), text["command"], text["since"])
    return None


def blockers(locks: Iterable[DeviceLock]) -> list[Holder]:
    """Who holds these, each once."""
    return list(dict.fromkeys(lock.blocker for lock in locks if lock.blocker))
