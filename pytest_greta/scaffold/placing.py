"""Where a draft may be written: what is in the way is told before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from pytest_greta.errors import ConfigError, shown_path
from pytest_greta.scaffold.layout import Layout


def placed(layout: Layout, stem: str, files: Callable[[Path], dict[str, str]]) -> tuple[Path, dict[str, str]]:
    """A folder and what it gets: one that is not there yet, or has no others than just these files, of an `init`
    that was stopped. Raises ConfigError.
    """
    folders = layout.folders(stem)
    for folder in folders:
        made = files(folder)
        if not os.path.lexists(folder) or _is_begun(folder, made):
            return folder, made
    raise ConfigError(f"{shown_path(folders[-1])} is there already: move it, or add to it by hand")


def _is_begun(folder: Path, files: Mapping[str, str]) -> bool:
    if not folder.is_dir() or folder.is_symlink():
        return False
    there = [path for path in folder.iterdir() if path.name != "__pycache__" and path.suffix != ".part"]
    return all(
        path.name in files and path.is_file() and path.read_bytes() == files[path.name].encode()
        for path in there
    )


def look(root: Path, paths: Iterable[Path]) -> None:
    """Raises ConfigError with all that is in the way of files below a root."""
    problems = dict.fromkeys(problem for path in paths for problem in _obstacle(root.resolve(), path))
    if problems:
        raise ConfigError(*problems)


def _obstacle(root: Path, path: Path) -> Iterator[str]:
    first = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not first.exists():
        yield f"{shown_path(first)}: is a link to nothing"
    elif first == path:
        if not path.is_file():
            yield f"{shown_path(path)}: is no regular file"
    elif not first.is_dir():
        yield f"{shown_path(first)}: is no folder, and {shown_path(path)} is to be written"
    elif not first.resolve().is_relative_to(root) and not root.is_relative_to(first.resolve()):
        yield f"{shown_path(first)}: leads to {first.resolve()}, outside of {root}: init writes nothing there"
    elif not os.access(first, os.W_OK | os.X_OK):
        yield f"{shown_path(first)}: cannot be written"
