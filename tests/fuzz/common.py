"""What the fuzzers share: items by seed and number, bounds of time and memory, and a command line."""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

SECONDS = 5.0
"""Processor time of one item; an undamaged one takes some milliseconds."""
MEGABYTES = 256
"""What the process may grow by."""
_MOST_ADDRESSES = 2 << 30

T = TypeVar("T")


class TookTooLong(BaseException):
    """An item beyond its time; no Exception, which a reader might take for damage."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """TookTooLong after so much processor time."""

    def end(*_: object) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def run(
    count: int, seed: int, first: int, make: Callable[[random.Random], T], read: Callable[[T], str]
) -> Counter[str]:
    """Make and read so many items; how often `read` said what, and the longest time in ms.

    AssertionError, with the number of the item, for anything that it raises, takes too long, or too much memory.
    """
    outcomes, longest, begin = Counter[str](), 0.0, _peak_megabytes()
    for number in range(first, first + count):
        item = make(random.Random(f"{seed}/{number}"))
        started = time.process_time()
        try:
            with limited(SECONDS):
                outcomes[read(item)] += 1
        except (Exception, TookTooLong) as error:
            raise AssertionError(f"item {number} of seed {seed}: {type(error).__name__}: {error}") from error
        longest = max(longest, time.process_time() - started)
        if _peak_megabytes() - begin > MEGABYTES:
            raise AssertionError(f"item {number} of seed {seed} took more than {MEGABYTES} MB")
    outcomes["longest_ms"] = round(longest * 1e3)
    return outcomes


def main(about: str | None, fuzz: Callable[[int, int, int], Counter[str]], count: int) -> None:
    """The command line of a fuzzer."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, _MOST_ADDRESSES))
    started = time.monotonic()
    outcomes = fuzz(options.count, options.seed, options.first)
    seconds = time.monotonic() - started
    sys.stdout.write(f"{options.count} items of seed {options.seed} in {seconds:.0f} s: {dict(outcomes)}\n")


def _peak_megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
