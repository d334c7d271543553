"""One run of a command: started in a session of its own, read as it prints, measured, and ended with all it started."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pytest_greta.programs.capture import Kept, Lines
from pytest_greta.programs.tree import MARK, Tree, adopting, children_of, session_mark
from pytest_greta.programs.vram import Vram

CHUNK_BYTES = 1 << 20
FIRST_SAMPLE_SECONDS, MOST_SAMPLE_SECONDS = 0.02, 0.5
"""Between two looks at the process tree: short at first, for programs that are."""
DRAIN_SECONDS = 1.0
"""How long the output of a program that has ended is waited for, where another process holds it open."""


@dataclass(frozen=True)
class Ended:
    """What one run of a command came to."""

    status: int | str
    """What it exited with, or the name of the signal that ended it."""
    wall_seconds: float
    cpu_seconds: float | None
    peak_bytes: int | None
    """Most memory that the process tree held at once. Both are None where it ran on another node."""
    vram_bytes: int | None
    """Most device memory that it held; None where no driver says."""
    output: str
    """Beginning and end of standard output."""
    errors: str
    """Beginning and end of standard error."""
    left: tuple[str, ...] = ()
    """Names of the processes that still ran when it had ended."""
    is_overdue: bool = False
    """It was killed at its deadline."""
    vram_how: str = ""
    """Whose device memory that is, or why it is not known."""
    vram_course: tuple[tuple[float, int], ...] = ()
    """Seconds since it began, and bytes."""


_count = 0


def signal_name(number: int) -> str:
    """The name of a signal; those for real time have none of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def new_mark(project: str) -> str:
    """A mark that no other run has."""
    global _count  # one count for a process, whichever session asks
    _count += 1
    return f"{session_mark(project)}-{_count}"


def run_command(
    words: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    deadline_seconds: float,
    output: Lines,
    errors: Lines,
    waited: Callable[[], None] = lambda: None,
    is_held: bool = False,
    project: str = "",
) -> Ended:
    """Run a command to its end, or to its deadline. Whatever happens, no process of it is left.

    `environment` is the whole of it. `output` and `errors` get what is printed as it comes; `waited` is called about
    once a second. With `is_held` its standard input is open for as long as it runs, else empty. `project` is in its
    mark. Raises OSError where it cannot be started.
    """
    mark = new_mark(project)
    with adopting():
        strangers = children_of(os.getpid())
        vram, began = Vram(), time.monotonic()
        watch: _Watch | None = None
        try:
            process = subprocess.Popen(
                list(words),
                cwd=folder,
                env={**environment, MARK: mark},
                stdin=subprocess.PIPE if is_held else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C goes to pytest alone, which then ends it with all it started
            )
            tree = Tree(process.pid, mark, strangers)
            watch = _Watch(process, tree, vram, began + deadline_seconds, waited)
            watch.follow(output, errors)
            return watch.ended(began)
        finally:
            if watch is not None:
                watch.close()
            else:  # Ctrl-C came while it was started: what has its mark is it
                Tree(0, mark, strangers).kill(grace_seconds=0.0)


class _Watch:
    """Looks after one process until it has ended."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        tree: Tree,
        vram: Vram,
        deadline: float,
        waited: Callable[[], None],
    ) -> None:
        self._process, self._tree, self._deadline, self._waited = process, tree, deadline, waited
        self._kept = Kept(), Kept()
        self._wait_status: int | None = None
        self._cpu_seconds = self._ended_at = 0.0
        self._left: tuple[str, ...] = ()
        self._is_overdue = False
        self._began, self._vram = time.monotonic(), vram
        self._next_sample, self._sample_seconds = time.monotonic(), FIRST_SAMPLE_SECONDS
        self._next_wait = time.monotonic() + 1

    def follow(self, output: Lines, errors: Lines) -> None:
        """Read what it prints until it has ended, or its time has."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with selectors.DefaultSelector() as selector:
            for pipe, kept, lines in (
                (self._process.stdout, self._kept[0], output),
                (self._process.stderr, self._kept[1], errors),
            ):
                os.set_blocking(pipe.fileno(), False)
                with suppress(OSError):  # a user may have no more pages for pipes
                    fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, CHUNK_BYTES)
                selector.register(pipe, selectors.EVENT_READ, (kept, lines))
            while self._wait_status is None and not self._is_overdue:
                self._read(selector, FIRST_SAMPLE_SECONDS)
                self._look()
            if self._is_overdue:
                self._tree.kill()
                self._take_leave(block=True)
            else:
                self._end_what_is_left()
            end = time.monotonic() + DRAIN_SECONDS
            while selector.get_map() and time.monotonic() < end and self._read(selector, 0.05):
                pass
        output.close()
        errors.close()

    def _read(self, selector: selectors.BaseSelector, seconds: float) -> bool:
        """Read what is there, waiting so long for it; whether there was any."""
        if not selector.get_map():
            time.sleep(min(seconds, FIRST_SAMPLE_SECONDS))
            return False
        ready = selector.select(seconds)
        for key, _ in ready:
            pipe: IO[bytes] = key.fileobj  # type: ignore[assignment]
            kept, lines = key.data
            try:
                chunk = os.read(pipe.fileno(), CHUNK_BYTES)
            except BlockingIOError:
                continue
            if not chunk:
                selector.unregister(pipe)
                continue
            kept.feed(chunk)
            lines.feed(chunk)
        return bool(ready)

    def _look(self) -> None:
        """See whether it has ended or is overdue, and what it holds."""
        now = time.monotonic()
        self._take_leave(block=False)
        if self._wait_status is None and now >= self._deadline:
            self._is_overdue = True
        if now >= self._next_sample:
            alive = self._tree.sample()
            self._vram.sample(now - self._began, [stat.pid for stat in alive])
            self._next_sample = now + self._sample_seconds
            self._sample_seconds = min(self._sample_seconds * 1.5, MOST_SAMPLE_SECONDS)
        if now >= self._next_wait:
            self._next_wait = now + 1
            self._waited()

    def _take_leave(self, block: bool) -> None:
        """Note how the program itself ended, if it has. The CPU time is that of its children too, as far as it waited
        for them (wait4(2)).
        """
        if self._wait_status is not None:
            return
        pid, status, usage = os.wait4(self._process.pid, 0 if block else os.WNOHANG)
        if pid:
            self._wait_status, self._ended_at = status, time.monotonic()
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self._cpu_seconds = usage.ru_utime + usage.ru_stime

    def _end_what_is_left(self) -> None:
        alive = self._tree.sample()
        if alive:
            time.sleep(FIRST_SAMPLE_SECONDS)  # what is just ending is not left
            alive = self._tree.sample()
        if alive:
            self._left = tuple(f"{stat.name} ({stat.pid})" for stat in alive)
            self._tree.kill()
        self._tree.reap()

    def ended(self, began: float) -> Ended:
        """What it came to."""
        code = self._process.returncode
        return Ended(
            signal_name(-code) if code < 0 else code,
            self._ended_at - began,
            self._cpu_seconds + self._tree.orphans_cpu_seconds,
            self._tree.peak_bytes,
            self._vram.peak_bytes,
            self._kept[0].text,
            self._kept[1].text,
            self._left,
            self._is_overdue,
            self._vram.how,
            tuple(self._vram.course),
        )

    def close(self) -> None:
        """End it with all it started, on every way out."""
        if self._wait_status is None:
            self._tree.kill(grace_seconds=0.0)
            with suppress(ChildProcessError):
                self._take_leave(block=True)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
