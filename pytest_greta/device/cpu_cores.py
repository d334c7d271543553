"""The cores of a CPU: what they are, what caches they share, and which of them this process runs on."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Collection
from pathlib import Path

CACHE_BYTES_A_CORE = 32 * 1024 * 1024
"""No CPU has more last-level cache for each of its cores."""


def current_core() -> int:
    """The core that this thread runs on: where the scheduler found room for it."""
    return int(ctypes.CDLL(None).sched_getcpu())


def run_on(cores: Collection[int]) -> None:
    """Let every thread of this process run on these cores alone, as far as the system allows."""
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended, or a core is not ours any more
            os.sched_setaffinity(int(thread.name), cores)


def cpu_name() -> str:
    """What the system calls the CPU; empty where it does not say."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return ""


def last_level_cache_bytes() -> int:
    """Of the largest cache of CPU 0, by sysfs, what the cores that this process may use can share: a machine that is
    cut from a larger one has two cores, and says that they have a cache of hundreds of megabytes.
    """
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        if text.endswith("K"):
            sizes.append(int(text[:-1]) * 1024)
    most = CACHE_BYTES_A_CORE * len(os.sched_getaffinity(0))
    return min(max(sizes, default=most), most)
