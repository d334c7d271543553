"""Whether a run wrote a file itself: one that lay there before, or was only touched, is that of another run."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 64 << 20
"""Of a file that a program wrote and that is read."""
MARK = b"\n"
"""Put behind a file before a run: a program that writes the same bytes again leaves a file without it. A blank line
means nothing in CSV, also between rows, where a program appends.
"""
CLOCK_SECONDS = 0.1
"""What a file system's clock may be behind."""


@dataclass(frozen=True)
class Before:
    """A file as it was when a run began."""

    path: Path
    began: float
    """As `time.time` has it."""
    identity: tuple[int, int, str] | None
    """Inode, size and digest; None where there was none."""
    is_marked: bool


def before_run(path: Path) -> Before:
    """Take down what a file is just before a run; what lies there is marked."""
    is_marked = False
    with suppress(OSError, ValueError):
        if path.is_file():
            with open(path, "ab") as file:
                file.write(MARK)
            is_marked = True
    return Before(path, time.time(), _identity(path), is_marked)


def not_written(before: Before) -> str:
    """Why a file is not of the run that has ended, with what lay there as it was; empty where it is. Raises OSError
    where it cannot be read.
    """
    now = _identity(before.path)
    if now is not None and now == before.identity:
        if before.is_marked:
            with suppress(OSError):
                os.truncate(before.path, now[1] - len(MARK))
        return "it is as it was before"
    return "it is older" if before.path.stat().st_mtime < before.began - CLOCK_SECONDS else ""


def _identity(path: Path) -> tuple[int, int, str] | None:
    try:
        stat = path.stat()
        is_read = path.is_file() and stat.st_size <= MOST_BYTES
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if is_read else ""
    except (OSError, ValueError):
        return None
    return stat.st_ino, stat.st_size, digest
