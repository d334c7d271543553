"""The lock file at the end of a session: written, or its entries that no kernel is any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_greta.binaries import lock
from pytest_greta.binaries.lock import Key
from pytest_greta.binaries.locked import gone_lines, nothing_for, summary_of
from pytest_greta.errors import ConfigError
from pytest_greta.options import read_options
from pytest_greta.paths import gates_path
from pytest_greta.stash import EXPECTED, RECORDED

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Settled:
    """What became of the lock file."""

    lines: list[str] = field(default_factory=list)
    is_failure: bool = False
    gone: list[tuple[Key, str]] | None = None
    """Of one part of a session: the entries that no kernel of it is, with their places; None where nobody knows."""
    read: frozenset[str] = frozenset()
    """Artifacts and kernel families of which kernels were read."""


def settle(config: pytest.Config, tests: Sequence[list[Any] | None], is_all: bool) -> Settled:
    """Write the lock file of a session that records, or tell the entries that are for nothing. `tests` is what each
    test says of its kernels, None where it did not come to that; `is_all` says that none is missing. Raises OSError.
    """
    found = lock.of_plain(row for rows in tests for row in rows or ())
    options = read_options(config)
    is_complete = is_all and EXPECTED in config.stash
    is_whole = is_complete and not options.is_part
    try:
        file = lock.load(gates_path(config).absolute().parent / lock.NAME)
        if options.lock:
            began = config.stash.get(RECORDED, file.entries)
            return _recorded(file, found, began, is_whole and None not in tests)
    except ConfigError as error:  # told when the session began, or it was damaged since
        return Settled(list(error.problems), is_failure=True)
    if not is_complete:
        return Settled()
    groups = {key.group for key in found} if None in tests else None
    gone, read = nothing_for(file, found, groups), frozenset(key.of for key in found)
    if options.is_part:
        return Settled(gone=gone, read=read)
    return Settled(gone_lines(gone, read), bool(gone))


def _recorded(
    file: lock.LockFile, found: lock.Entries, began: Mapping[Key, lock.Entry], is_all: bool
) -> Settled:
    """Write what a session found. `began` is what was recorded when it began: what another session has recorded since
    is not lost, and where both recorded the same kernels, and not alike, it stays and this one fails.
    """
    if not found:
        return Settled([f"{file.shown}: nothing to record: no test read any kernel"])
    with lock.alone(file.path):
        file = lock.load(file.path)  # as another session may have left it
        others, unlike = lock.meanwhile(began, file.entries, found)
        if unlike:
            return Settled([f"{file.shown}: {_unlike(unlike)}"], is_failure=True)
        entries = {**lock.merged(file.entries, found, keep_others=not is_all), **others}
        lock.store(file.path, entries)
    kept = len(entries) - len(found) - len(others)
    told = f", {kept} of them as they were: not all tests ran" if kept else ""
    told += f", {len(others)} of them by another session since this one began" if others else ""
    return Settled([f"{file.shown}: recorded {summary_of(file.entries, entries)}{told}"])


def _unlike(keys: Sequence[Key]) -> str:
    """What to say of kernels that two sessions recorded at once."""
    first = f"{keys[0].symbol} of {keys[0].of} {keys[0].part} for {keys[0].target}"
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return (
        f"another session recorded {first}{more} otherwise since this one began: nothing was recorded here; "
        "run pytest --greta-lock again, alone"
    )
