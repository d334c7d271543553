"""A folder of stored runs, held by one process at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_POLL_SECONDS = 0.02
_TOLD_AFTER_SECONDS = 1.0
_STORES_ANYWAY_SECONDS = 60.0
"""Storing a run takes a fraction of a second."""


@contextmanager
def alone(folder: Path, tell: Callable[[str], None], note: Callable[[str], None]) -> Iterator[None]:
    """Hold a folder, where its file system has locks. Whoever keeps it for long is told, and in the end passed, which
    is noted.
    """
    with ExitStack() as stack:
        with suppress(OSError):  # no folder; a file system without locks
            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            if _is_taken(handle, folder, tell):
                stack.callback(fcntl.flock, handle, fcntl.LOCK_UN)  # children may have copies of it
            else:
                note(
                    f"another process held {folder} for {_STORES_ANYWAY_SECONDS:g} s, and this run was stored all the "
                    "same: if that one stores too, their files may have one number"
                )
        yield


def _is_taken(handle: int, folder: Path, tell: Callable[[str], None]) -> bool:
    """Whether the folder is locked, when it is, or when it was waited for long enough. Raises OSError."""
    began, is_told = time.monotonic(), False
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        seconds = time.monotonic() - began
        if seconds >= _STORES_ANYWAY_SECONDS:
            return False
        if seconds >= _TOLD_AFTER_SECONDS and not is_told:
            tell(f"waiting to store the history: another process holds {folder} (lslocks names it)")
            is_told = True
        time.sleep(_POLL_SECONDS)
