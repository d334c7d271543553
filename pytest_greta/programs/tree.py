"""The process tree of a program: who is in it, what memory it holds, and its end. Linux.

A process belongs to the tree if its parent does, if it is in the program's session, or if its environment has the
program's mark: a child that forks, leaves the session and loses its parent is still found. What has cleaned its
environment as well becomes a child of this process (`PR_SET_CHILD_SUBREAPER`, prctl(2)) and is known by that.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

MARK = "GRETA_PROGRAM"
"""The environment variable by which processes of a program are known: those of the session (namespace,
pid, start), the project, and a number."""
GRACE_SECONDS = 0.3
"""What processes have to write what they hold, between SIGTERM and SIGKILL."""
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_IS_SUBREAPER = 37  # PR_GET_CHILD_SUBREAPER
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Stat:
    """A process as /proc/PID/stat has it (proc_pid_stat(5))."""

    pid: int
    name: str
    state: str
    parent: int
    session: int
    began: int
    """Ticks since the machine was started: with the pid, which process it is."""
    rss_bytes: int


def stat_of(pid: int) -> Stat | None:
    """A process; None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    parts = rest.split()
    return Stat(pid, name, parts[0], int(parts[1]), int(parts[3]), int(parts[19]), int(parts[21]) * _PAGE)


def all_stats() -> dict[int, Stat]:
    """Every process of the machine that this one may see."""
    found = (stat_of(int(name)) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 (names alone)
    return {stat.pid: stat for stat in found if stat is not None}


def mark_of(pid: int) -> str:
    """The mark in the environment of a process; empty where it has none, or may not be read."""
    with suppress(OSError):
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = [one for one in file.read().split(b"\0") if one.startswith(MARK.encode() + b"=")]
        return found[0].partition(b"=")[2].decode(errors="replace") if found else ""
    return ""


@contextmanager
def adopting() -> Iterator[None]:
    """Orphans of what is started meanwhile become children of this process."""
    libc, before = ctypes.CDLL(None, use_errno=True), ctypes.c_int()
    libc.prctl(_IS_SUBREAPER, ctypes.byref(before))
    libc.prctl(_SUBREAPER, 1)
    try:
        yield
    finally:
        libc.prctl(_SUBREAPER, before.value)


@dataclass
class Tree:
    """The processes that came of one program."""

    root: int
    """The pid of the program, which leads a session of its own."""
    mark: str
    strangers: frozenset[int]
    """Children of this process from before."""
    members: dict[int, int] = field(default_factory=dict)
    """By pid, when each began."""
    peak_bytes: int = 0
    """Most memory that the members held at once, by the samples taken."""
    orphans_cpu_seconds: float = 0.0
    _others: dict[int, int] = field(default_factory=dict)
    """Processes that were looked at and do not belong to it."""

    def sample(self) -> list[Stat]:
        """The members that run now; their memory counts."""
        stats = all_stats()
        while True:
            new = [
                stat
                for stat in stats.values()
                if self.members.get(stat.pid) != stat.began and self._is_in(stat)
            ]
            if not new:
                break
            self.members.update((stat.pid, stat.began) for stat in new)
        self._others = {pid: stat.began for pid, stat in stats.items() if pid not in self.members}
        alive = [s for s in stats.values() if self.members.get(s.pid) == s.began and s.state not in "ZX"]
        self.peak_bytes = max(self.peak_bytes, sum(stat.rss_bytes for stat in alive))
        return alive

    def _is_in(self, stat: Stat) -> bool:
        if self.root and self.root in (stat.pid, stat.session):
            return True
        if stat.parent in self.members:
            return True
        if stat.parent == os.getpid() and stat.pid not in self.strangers:
            return stat.session != os.getsid(0) or mark_of(stat.pid) == self.mark
        return self._others.get(stat.pid) != stat.began and mark_of(stat.pid) == self.mark

    def kill(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End every member: those that ignore SIGTERM, and those that fork meanwhile, too."""
        for stat in self.sample():
            _signal(stat, signal.SIGTERM)
        end = time.monotonic() + grace_seconds
        while time.monotonic() < end and self.sample():
            self.reap()
            time.sleep(0.02)
        for _ in range(100):
            alive = self.sample()
            if not alive:
                break
            for stat in alive:
                _signal(stat, signal.SIGSTOP)  # what is stopped forks no more
            for stat in alive:
                _signal(stat, signal.SIGKILL)
            time.sleep(0.01)
            self.reap()
        self.reap()

    def reap(self) -> None:
        """Take leave of orphans that ended; the root is left to who started it."""
        for pid in [pid for pid in self.members if pid != self.root]:
            with suppress(ChildProcessError):
                ended, _, usage = os.wait4(pid, os.WNOHANG)
                if ended:
                    self.orphans_cpu_seconds += usage.ru_utime + usage.ru_stime


def _signal(stat: Stat, number: signal.Signals) -> None:
    now = stat_of(stat.pid)
    if now is not None and now.began == stat.began:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(stat.pid, number)


def children_of(pid: int) -> frozenset[int]:
    """The children of a process."""
    return frozenset(stat.pid for stat in all_stats().values() if stat.parent == pid)


def session_mark(project: str) -> str:
    """The mark of what this process starts for a project: it tells whether this process still runs."""
    own = stat_of(os.getpid())
    return f"{_namespace()}-{os.getpid()}-{own.began if own else 0}-{project or 'none'}"


def _namespace() -> str:
    """What pids are of: those of a container's processes are others outside of it."""
    try:
        return str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        return "0"


def left_of_the_dead(project: str) -> list[Stat]:
    """Processes of a project's programs whose pytest was killed: they still hold the device."""
    found, here = [], _namespace()
    for stat in all_stats().values():
        parts = mark_of(stat.pid).split("-")
        if len(parts) == 5 and parts[0] == here and parts[1].isdecimal() and parts[3] == project:
            owner = stat_of(int(parts[1]))
            if owner is None or str(owner.began) != parts[2]:
                found.append(stat)
    return found


def kill_left_of_the_dead(project: str) -> list[str]:
    """End what `left_of_the_dead` finds; a line for each."""
    found = left_of_the_dead(project)
    for stat in found:
        _signal(stat, signal.SIGKILL)
    told = "of a session that was killed still ran: it was killed"
    return [f"process {stat.pid} ({stat.name}) {told}" for stat in found]
