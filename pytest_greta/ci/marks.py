"""What failed and where it is written, as plain data: on a line of gates.yaml, on a kernel, or on neither."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Mark:
    """One failed gate at one place, of one test."""

    file: str
    """Relative to the repository, with slashes; empty where the place is not known, or in none."""
    line: int
    """From 1; 0 where it is not known."""
    column: int
    gate: str
    """Name of the gate; of a test that could not evaluate any, `all gates` or `compiles`."""
    subject: str
    """Kernel, variant and where, in short: `attention v3 @ gfx942`. It is the same in every run."""
    text: str
    """The verdict in one line."""
    status: str
    distance: float = 0.0
    """How far the value lies outside of its limit, a number to sort by."""

    def plain(self) -> dict[str, Any]:
        """For a test's report."""
        return asdict(self)


@dataclass(frozen=True)
class Spot:
    """All that failed at one place."""

    file: str
    line: int
    column: int
    marks: Sequence[Mark] = field(default_factory=list)

    @property
    def gates(self) -> list[str]:
        """The names of the gates, each once."""
        return list(dict.fromkeys(mark.gate for mark in self.marks))

    @property
    def is_undecided(self) -> bool:
        """Nothing failed: what was required is not decided."""
        return all(mark.status in ("INCONCLUSIVE", "NOT MEASURED") for mark in self.marks)


def spots(marks: Iterable[Mapping[str, Any]]) -> list[Spot]:
    """Marks by place, each once, the worst first: what failed before what is not decided, by distance, then place."""
    found: dict[tuple[str, int, int], list[Mark]] = {}
    for mark in dict.fromkeys(Mark(**one) for one in marks):
        found.setdefault((mark.file, mark.line, mark.column), []).append(mark)
    listed = [Spot(*place, marks) for place, marks in found.items()]
    return sorted(
        listed,
        key=lambda s: (
            s.is_undecided,
            -max(m.distance for m in s.marks),
            not s.file,
            s.file,
            s.line,
            s.column,
        ),
    )


def relative(path: Path, root: Path) -> str:
    """A path relative to a folder, with slashes and no `..`; empty where it lies outside, links followed or not."""
    plain = Path(os.path.normpath(path))
    for one, folder in itertools.product((plain, path.resolve()), (root, root.resolve())):
        if one.is_relative_to(folder):
            return one.relative_to(folder).as_posix()
    return ""


def repository_root(folder: Path, environment: Mapping[str, str]) -> Path:
    """What paths of a CI server are relative to: the working tree that `folder` is in, else the folder that the server
    names, else `folder`.
    """
    for one in (folder, *folder.parents):
        if (one / ".git").exists():
            return one
    named = environment.get("GITHUB_WORKSPACE") or environment.get("CI_PROJECT_DIR")
    return Path(named) if named and folder.is_relative_to(named) else folder


_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def line_of_kernel(source: str, entry: str) -> int:
    """The line on which a source defines a `__global__` function, named as a variant names it: `scale`, `scale<4>`,
    `ns::scale(int)`. 0 where the text does not say: it is made by a macro, or there are several of the name.
    """
    name = re.split(r"[<(]", entry, maxsplit=1)[0].rpartition("::")[2].strip()
    if not re.fullmatch(r"\w+", name):
        return 0
    plain = _COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), source)
    lines = list(_definitions(plain, name))
    return lines[0] if len(lines) == 1 else 0


def _definitions(source: str, name: str) -> Iterator[int]:
    """The lines of the name in `__global__ ... name(...) {`; a declaration ends in a semicolon before any brace."""
    for found in re.finditer(rf"__global__[^;{{}}]*?\b(?P<name>{name})\s*\(", source):
        end = re.search(r"[;{]", source[found.end() :])
        if end and end[0] == "{":
            yield source.count("\n", 0, found.start("name")) + 1
