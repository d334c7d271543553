"""Locks of a machine's devices, across processes, pytest runs and users.

A lock is an advisory one (flock) on a file that greta never deletes, so it ends with its holder, however that ends.
Where somebody else deletes it, the new file is the lock, and the holder of the old one tells. What a file says of its
holder is for people. Before the lock of a device comes a *door*: who waits for another run keeps it, so that the other
run, which wants the device again for its next test, stands behind. Who keeps a door and does not try it, because it was
stopped, is passed.

Children that are forked have copies of all that is open, and a lock lasts as long as any of them: they close theirs,
and it is unlocked, not only closed, where it is released.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import sys
import tempfile
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER_VARIABLE = "GRETA_LOCKS"
_FOLDER = Path("/dev/shm/greta-locks")
_MOST_BYTES = 4096
_COMMAND_CHARACTERS = 120
_PASSED_AFTER_SECONDS = 3.0
"""A waiter tries every few hundredths of a second; one that has not tried for so long keeps nobody behind it."""


@dataclass(frozen=True)
class Holder:
    """Who holds a device, as they say themselves."""

    run: str
    """Equal for all processes of one pytest run."""
    pid: int
    command: str
    since: str

    @property
    def is_gone(self) -> bool:
        """Whether its process has ended, as far as this process sees those of its user and its container."""
        with suppress(OSError, IndexError):
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        return Path("/proc/self").exists()

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
        self._tried: dict[str, tuple[int, float]] = {}
        """When others last tried at a door that they keep (ns of its file), and when that was first seen (s)."""
        self.blocker: Holder | None = None
        """Who had it when it was last tried in vain; None where nobody says."""
        _ALL.add(self)

    def try_hold(self, run: str) -> bool:
        """Take it if it is free. Where another run has it, this one is the next from here on, until `leave`.

        Raises OSError where locks cannot be had at all.
        """
        if self._names:
            _make(self._folder)
        said = json.dumps(asdict(this_process(run))).encode()[:_MOST_BYTES]
        for name in self._names:
            if not self._try_one(name, said):
                _close(self._held)
                if self.blocker is None or self.blocker.run == run:  # neighbours of one run need no order
                    self.leave()
                return False
        self.leave()
        for handle in self._held.values():
            _say(handle, said)
        return True

    def _try_one(self, name: str, said: bytes) -> bool:
        path = self._path(name)
        door = path.with_suffix(".next")
        if name in self._doors:
            with suppress(OSError):
                os.utime(self._doors[name])  # whoever stands behind sees that it is tried
        else:
            handle = _locked(door)
            if handle is not None:
                self._doors[name] = handle
                _say(handle, said)
            elif not self._is_passed(name, door):
                self.blocker = _holder(path) or _holder(door)
                return False
        lock = _locked(path)
        if lock is not None:
            self._held[name] = lock
            return True
        self.blocker = _holder(path)
        return False

    def _is_passed(self, name: str, door: Path) -> bool:
        """Whether who keeps a door has not tried it for long."""
        now, tried = time.monotonic(), 0
        with suppress(FileNotFoundError):
            tried = door.stat().st_mtime_ns
        last, since = self._tried.get(name, (-1, now))
        if last != tried:
            self._tried[name] = tried, now
            return False
        return now - since > _PASSED_AFTER_SECONDS

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    @property
    def is_lost(self) -> bool:
        """Whether a file that is held was deleted or replaced, so that others may hold the same."""
        return any(not _is_file(handle, self._path(name)) for name, handle in self._held.items())

    def leave(self) -> None:
        """Wait no longer."""
        for handle in self._doors.values():
            _say(handle, b"")
        _close(self._doors)

    def release(self) -> None:
        """Let others have it."""
        for handle in self._held.values():
            _say(handle, b"")
        _close(self._held)
        self.leave()

    def forget(self) -> None:
        """In a forked child: drop what is its parent's, and leave that to it."""
        for handles in (self._held, self._doors):
            for handle in handles.values():
                with suppress(OSError):
                    os.close(handle)
            handles.clear()


_ALL: weakref.WeakSet[DeviceLock] = weakref.WeakSet()
"""For the children of this process."""


def _forget_all() -> None:
    for lock in list(_ALL):
        lock.forget()


os.register_at_fork(after_in_child=_forget_all)


def _say(handle: int, said: bytes) -> None:
    """Write who holds a file. A full disk keeps nobody from holding it."""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, said, 0)


def _close(handles: dict[str, int]) -> None:
    for handle in handles.values():
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # also for those that have a copy of it
        os.close(handle)
    handles.clear()


def _make(folder: Path) -> None:
    """A folder in which every user may lock what another has, there at once with its mode. Raises OSError."""
    if not folder.exists():
        with suppress(FileExistsError):
            folder.parent.mkdir(parents=True)
        new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            new.chmod(0o1777)
            with suppress(OSError):  # another process was faster
                new.rename(folder)
        finally:
            with suppress(OSError):
                new.rmdir()
    if not stat.S_ISDIR(folder.lstat().st_mode) and FOLDER_VARIABLE not in os.environ:
        raise NotADirectoryError(0, "is no folder", str(folder))


def _locked(path: Path) -> int | None:
    """The file, open and locked; None where another has it. Raises OSError."""
    while True:
        handle = _opened(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_file(handle, path):
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # it was deleted meanwhile: others lock the new one


def _is_file(handle: int, path: Path) -> bool:
    """Whether what is open is what is there."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.lstat())
    return False


def _opened(path: Path) -> int:
    """Open a file for reading and writing that any user may have made; no link is followed. Raises OSError."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(2):  # Linux may refuse O_CREAT on another's file in such a folder: fs.protected_regular
        with suppress(FileNotFoundError):
            return os.open(path, flags)
        with suppress(FileExistsError):
            return _made(path)
    return os.open(path, flags)


def _made(path: Path) -> int:
    """Make a file that every user may open, there at once with its mode. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    new = Path(name)
    try:
        os.fchmod(handle, 0o666)  # whatever the umask
        path.hardlink_to(new)
    except BaseException:
        os.close(handle)
        raise
    finally:
        new.unlink()
    return handle


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
