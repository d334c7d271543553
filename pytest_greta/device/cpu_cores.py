"""Which cores of a CPU the threads of this process run on."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Collection
from pathlib import Path


def current_core() -> int:
    """The core that this thread runs on: where the scheduler found room for it."""
    return int(ctypes.CDLL(None).sched_getcpu())


def run_on(cores: Collection[int]) -> None:
    """Let every thread of this process run on these cores alone, as far as the system allows."""
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended, or a core is not ours any more
            os.sched_setaffinity(int(thread.name), cores)
