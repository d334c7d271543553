"""greta.lock: what every kernel took when somebody last accepted it. One JSON object a line, sorted, and nothing that
differs from one machine to another: a merge of two branches is one of lines.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pytest_greta.binaries.changes import HELD, worst
from pytest_greta.errors import ConfigError, printable, quote, shown_path

NAME = "greta.lock"
VERSION = 1
MOST_BYTES = 256 << 20
"""Of the file: a million kernels."""
_MOST_PROBLEMS = 50
_HEADER = "greta_lock"
_TEXTS = ("of", "in", "target", "kernel")
_BY_OTHER = "install the pytest-greta that wrote it, or delete the file and run pytest --greta-lock"
_UNKNOWN = ("scratch_bytes", "occupancy")
"""What may be null: scratch that nothing bounds, and the occupancy of a target that greta does not know."""
_OTHER = "mend the line, or delete the file and run pytest --greta-lock"


class Key(NamedTuple):
    """Which kernel is meant."""

    of: str
    """The artifact, or the kernel family."""
    part: str
    """The file of an artifact, with the member of it; the variant of a family, with the form of its code."""
    target: str
    symbol: str

    @property
    def group(self) -> tuple[str, str, str]:
        """What is always read together."""
        return self.of, self.part, self.target


@dataclass(frozen=True)
class Entry:
    """What one kernel takes."""

    figures: Mapping[str, int | None]
    """What is held, by gate; None where it is not known."""
    compiler: str
    line: int = field(default=0, compare=False)
    """Where it stands in the file; 0 for what is read from code."""


Entries = dict[Key, Entry]


@dataclass(frozen=True)
class LockFile:
    """A lock file that was read without a problem; one that is not there has no entries."""

    path: Path
    entries: Mapping[Key, Entry]
    is_there: bool = True
    """Whether code is held against it; one without entries holds what is not recorded yet."""

    @property
    def shown(self) -> str:
        """As messages show it."""
        return shown_path(self.path)


def load(path: Path) -> LockFile:
    """Read a lock file. Raises ConfigError with all that is wrong with it, a line each."""
    shown = shown_path(path)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ConfigError(f"{shown}: is no regular file")
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigError(f"{shown}: is a link to {path.readlink()}, which is not there") from None
        return LockFile(path, {}, is_there=False)
    except OSError as error:
        raise ConfigError(f"{shown}: cannot be read: {error.strerror}") from None
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{shown}: larger than {MOST_BYTES} bytes, which no lock file needs")
    entries: Entries = {}
    problems: list[str] = []
    lines = content.decode("utf-8-sig", "replace").split("\n")
    for number, line in enumerate(lines, 1):
        try:
            if number == 1:
                _check_version(line)
            elif line.strip():
                key, entry = _entry(line, number)
                if key in entries:
                    raise ValueError(f"the same kernel stands in line {entries[key].line}; {_OTHER}")
                entries[key] = entry
        except ValueError as error:
            problems.append(f"{shown}:{number}: {printable(str(error))}")
        if len(problems) == _MOST_PROBLEMS:
            break
    if problems:
        raise ConfigError(*problems)
    return LockFile(path, entries)


def _check_version(line: str) -> None:
    stated = _object(line)
    version = stated.get(_HEADER)
    if type(version) is not int or len(stated) != 1:
        raise ValueError(f"the first line is {{{json.dumps(_HEADER)}: {VERSION}}}, not {quote(line)}")
    if version != VERSION:
        raise ValueError(f"unknown version {version}; this greta reads version {VERSION}: {_BY_OTHER}")


def _entry(line: str, number: int) -> tuple[Key, Entry]:
    """One line. Raises ValueError where it is none."""
    if line.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||")):
        raise ValueError("a merge conflict: keep one line for each kernel, then run pytest --greta-lock")
    stated = _object(line)
    texts, names = (*_TEXTS, "compiler"), (*_TEXTS, *HELD, "compiler")
    missing = [f"no {name}" for name in names if name not in stated]
    missing += [f"unknown {quote(name)}" for name in sorted(stated.keys() - set(names))]
    wrong = [f"{name}: a text, not {_shown(stated[name])}" for name in texts if not _is_text(stated, name)]
    wrong += [
        f"{name}: a whole number, not {_shown(stated[name])}" for name in HELD if not _is_figure(stated, name)
    ]
    if missing:
        raise ValueError(f"no entry: {', '.join(missing)}; {_OTHER}")
    if wrong:
        raise ValueError(f"{'; '.join(wrong)}; {_OTHER}")
    figures = {name: stated[name] for name in HELD}
    return Key(*(stated[name] for name in _TEXTS)), Entry(figures, stated["compiler"], number)


def _is_text(stated: Mapping[str, Any], name: str) -> bool:
    return isinstance(stated.get(name, ""), str)


def _is_figure(stated: Mapping[str, Any], name: str) -> bool:
    value = stated.get(name, 0)
    return (type(value) is int and value >= 0) or (value is None and name in _UNKNOWN)


def _shown(value: object) -> str:
    """A value of JSON, as messages show it."""
    return quote(value) if isinstance(value, str) else json.dumps(value)[:60]


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError where it states a name twice."""
    found = dict(pairs)
    twice = [name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number])]
    if twice:
        raise _Twice(f"{quote(twice[0])} stands twice; {_OTHER}")
    return found


class _Twice(ValueError):
    """A name that an object states twice."""


def _object(line: str) -> dict[str, Any]:
    try:
        stated = json.loads(line, object_pairs_hook=_once)
    except _Twice:
        raise
    except (ValueError, RecursionError):
        raise ValueError(f"no JSON: {quote(line)}; {_OTHER}") from None
    if not isinstance(stated, dict):
        raise ValueError(f"no JSON object: {quote(line)}; {_OTHER}")
    return stated


def text(entries: Mapping[Key, Entry]) -> str:
    """The file for some entries: the same for the same, whatever their order."""
    lines = [json.dumps({_HEADER: VERSION})]
    for key in sorted(entries):
        entry = entries[key]
        names = dict(zip(_TEXTS, key, strict=True))
        figures = {name: entry.figures.get(name) for name in HELD}
        lines.append(json.dumps({**names, **figures, "compiler": entry.compiler}))
    return "\n".join(lines) + "\n"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the folder of a lock file, so that sessions that record at once lose nothing of each other. OSError."""
    handle = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def store(path: Path, entries: Mapping[Key, Entry]) -> None:
    """Write a lock file, whole or not at all; where it is a link, the file that it leads to. Raises OSError."""
    path = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{NAME}", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text(entries))
        mode = path.stat().st_mode if path.exists() else 0o666 & ~_umask()
        Path(name).chmod(mode & 0o777)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def merged(old: Mapping[Key, Entry], found: Mapping[Key, Entry], keep_others: bool) -> Entries:
    """What is recorded after a session: what it found, and the old of what it did not read, where that is to stay."""
    read = {key.group for key in found}
    kept = {key: entry for key, entry in old.items() if keep_others and key.group not in read}
    return {**kept, **found}


def meanwhile(
    began: Mapping[Key, Entry], now: Mapping[Key, Entry], found: Mapping[Key, Entry]
) -> tuple[Entries, list[Key]]:
    """What another session recorded since this one `began`, of what this one did not read; and the kernels that both
    recorded, and not alike. A group is read as a whole: of one, a kernel that is not there is known not to be.
    """
    read = {key.group for key in found}
    others = {key: entry for key, entry in now.items() if began.get(key) != entry}
    unlike = [key for key, entry in others.items() if key.group in read and found.get(key) != entry]
    return {key: entry for key, entry in others.items() if key.group not in read}, unlike


def united(entries: Iterable[tuple[Key, Entry]]) -> Entries:
    """Entries of several files or variants together: of those with the same key, the worst of each figure."""
    found: Entries = {}
    for key, entry in entries:
        both = [found[key], entry] if key in found else [entry]
        found[key] = Entry(worst(one.figures for one in both), both[0].compiler)
    return found


# -- between processes -----------------------------------------------------------------------------------


def plain(entries: Mapping[Key, Entry]) -> list[list[Any]]:
    """For a report of pytest, which xdist sends from one process to another."""
    return [
        [*key, [entry.figures.get(name) for name in HELD], entry.compiler] for key, entry in entries.items()
    ]


def of_plain(rows: Iterable[Sequence[Any]]) -> Entries:
    """What `plain` made, of several together."""
    return united((Key(*row[:4]), Entry(dict(zip(HELD, row[4], strict=True)), row[5])) for row in rows)
