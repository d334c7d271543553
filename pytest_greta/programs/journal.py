"""Every finished run, on disk before the next one begins: what a killed session measured is there for the next.

A file of JSON, a line for each run, appended and synced. A line that was cut short by a crash is passed over.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_greta.programs.execution import Execution

VERSION = 1
MOST_HASHED_BYTES = 64 << 20
"""Of a file that a command names; a larger one is known by its size and when it was written."""
MOST_KEPT = 4 << 10
"""Characters of an output in the journal."""


@dataclass(frozen=True)
class Round:
    """One run of the candidate, and of the baseline where it has one."""

    runs: Mapping[str, Execution]
    """By slot: `candidate`, `baseline`."""
    order: int = 0
    """+1 where the candidate ran after the baseline, -1 where before, 0 where it ran alone."""


NOT_KEPT = "finished runs are not kept: pytest's cache is switched off, or cannot be written"


class Journal:
    """The journal of a project."""

    def __init__(
        self, path: Path | None, resumes: bool = False, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """`tell` is told at once when it cannot be written any more."""
        self._path, self._tell = path, tell
        self._rounds: dict[str, list[Round]] = {}
        self.problem = "" if _can_be_written(path) else NOT_KEPT
        """Why it cannot be written."""
        if resumes and path is not None:
            self._rounds = _read(path)
        self._session = os.urandom(8).hex()

    def rounds(self, key: str, files: Mapping[str, Mapping[str, str]]) -> list[Round]:
        """What an earlier session has finished of each round, of files (by slot, with their digests) that are still the
        same.
        """
        return [
            one
            for one in self._rounds.get(key, ())
            if all(_is_of(run, files[slot]) for slot, run in one.runs.items() if slot in files)
        ]

    def add(
        self, key: str, number: int, slot: str, order: int, run: Execution, what: Mapping[str, str]
    ) -> None:
        """Keep a run that has finished. `what` is for a person who reads the file."""
        if self._path is None:
            return
        plain = {**run.plain(), "output": run.output[-MOST_KEPT:], "errors": run.errors[-MOST_KEPT:]}
        record = {
            "greta_journal": VERSION,
            "session": self._session,
            "key": key,
            "round": number,
            "slot": slot,
        }
        line = json.dumps({**record, "order": order, **what, "run": plain}) + "\n"
        try:
            with open(self._path, "ab+") as file:
                file.seek(0, os.SEEK_END)
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    line = line if file.read(1) == b"\n" else "\n" + line  # the one before was cut short
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            known, self.problem = (
                self.problem,
                f"finished runs cannot be kept in {self._path}: {error.strerror}",
            )
            if not known:
                self._tell(self.problem)


def _can_be_written(path: Path | None) -> bool:
    if path is None or (path.exists() and not path.is_file()):
        return False
    return os.access(path if path.exists() else path.parent, os.R_OK | os.W_OK)


def _is_of(run: Execution, files: Mapping[str, str]) -> bool:
    """Whether a run was one of such files; what it wrote itself is another each time."""
    return all(files.get(name) == digest for name, digest in run.files.items())


def _read(path: Path) -> dict[str, list[Round]]:
    """The rounds by key, each of the last session that has any of it, or what it resumed."""
    found: dict[str, dict[tuple[str, int], tuple[int, dict[str, Execution]]]] = {}
    try:
        with open(path, "rb") as file:
            for line in file:
                try:
                    data: Any = json.loads(line)
                    if data["greta_journal"] != VERSION:
                        continue
                    place = str(data["session"]), int(data["round"])
                    rounds = found.setdefault(data["key"], {})
                    runs = rounds.setdefault(place, (int(data["order"]), {}))[1]
                    runs[str(data["slot"])] = Execution.of(data["run"])
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue
    except OSError:
        return {}
    return {key: _of_last_session(rounds) for key, rounds in found.items()}


def _of_last_session(rounds: Mapping[tuple[str, int], tuple[int, dict[str, Execution]]]) -> list[Round]:
    """The rounds of one key in order. A session that resumed counts on from those before it; one that began anew has a
    round 0 again, and what was before it counts no more.
    """
    latest: dict[int, Round] = {}
    sessions = list(dict.fromkeys(session for session, _ in rounds))
    for session in sessions:
        own = {number: one for (name, number), one in rounds.items() if name == session}
        if 0 in own:
            latest = {}
        for number, (order, runs) in sorted(own.items()):
            latest[number] = Round(runs, order)
    return [latest[number] for number in sorted(latest)]


def key_of(parts: Any) -> str:
    """The key of what is run: a digest of command, environment, folder, node, problem and output."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


_digests: dict[tuple[str, int, int], str] = {}


def digest_of(path: Path) -> str:
    """What is in a file; empty where it cannot be read."""
    try:
        stat = path.stat()
        key = str(path), stat.st_size, stat.st_mtime_ns
        if stat.st_size > MOST_HASHED_BYTES:
            return f"{stat.st_size} bytes of {stat.st_mtime_ns}"
        if key not in _digests:
            with open(path, "rb") as file:
                _digests[key] = hashlib.sha256(file.read()).hexdigest()
        return _digests[key]
    except OSError:
        return ""
