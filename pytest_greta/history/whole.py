"""A run is stored whole or not at all, also on a full disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def kept_whole(folder: Path | None) -> Iterator[None]:
    """Around what stores runs in a folder of `--benchmark-storage`: where that fails, what it left of a file is
    removed, and an OSError says so where no run was stored. Without a folder nothing is looked at.
    """
    before = _files(folder)
    try:
        yield
    except BaseException as error:
        new = _files(folder) - before
        whole = {file for file in new if _is_whole(file)}
        for file in new - whole:
            with suppress(OSError):
                file.unlink()
        if folder and not whole and isinstance(error, OSError):
            told = f"{error.strerror or error}; the history was not saved"
            raise OSError(error.errno, told, error.filename) from None
        raise


def _files(folder: Path | None) -> set[Path]:
    return set(folder.glob("*/[0-9][0-9][0-9][0-9]_*.json")) if folder else set()


def _is_whole(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return True
