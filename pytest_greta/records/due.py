"""What the parts of a session owe together: entries of gates.yaml and of greta.lock of which no part alone can say that
they are left out, because another may have had them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_greta.binaries.lock import Key
from pytest_greta.binaries.locked import gone_lines

Entry = tuple[str, str, str]
"""Kernel, place and condition of an entry: `("prefill", "gates.yaml:31", "speedup >= 1.20")`; and of the built-in gate
that every run has. Of what has no gates in the file: its name, what to do with it, and no condition."""

OF_EVERY_RUN = "no_fault"


@dataclass(frozen=True)
class Due:
    """What of a whole session one part did, or several."""

    left: Sequence[Entry] = ()
    """Entries of gates.yaml that were not evaluated."""
    evaluated: Sequence[Entry] = ()
    gone: Sequence[tuple[Key, str]] | None = ()
    """Entries of greta.lock that no kernel was, with their places; None where that is not known."""
    read: Collection[str] = ()
    """Artifacts and kernel families of which kernels were read."""
    is_required: bool = False
    """Whether `--greta-require` was given."""

    @property
    def lines(self) -> list[str]:
        """What no part evaluated, a line each."""
        return lines_of(self.left)

    @property
    def lock_lines(self) -> list[str]:
        """What no kernel of any part is, a line each."""
        return gone_lines(self.gone or (), self.read)

    @property
    def fails(self) -> bool:
        """Whether a whole session that owes this would fail."""
        return bool(self.gone) or (self.is_required and bool(self.left))

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        gone = None if self.gone is None else [[*key, place] for key, place in self.gone]
        return {
            "left": list(map(list, self.left)),
            "evaluated": list(map(list, self.evaluated)),
            "gone": gone,
            "read": list(self.read),
            "required": self.is_required,
        }


def due_of(plain: Mapping[str, Any]) -> Due:
    """What `Due.plain` made a plain value of."""
    left, evaluated = ([(a, b, c) for a, b, c in plain[name]] for name in ("left", "evaluated"))
    gone = None if plain["gone"] is None else [(Key(*key), place) for *key, place in plain["gone"]]
    return Due(left, evaluated, gone, plain["read"], plain["required"])


def united(parts: Sequence[Due]) -> Due:
    """What is left when all these parts are there, the same whatever their order."""
    evaluated = {entry for part in parts for entry in part.evaluated}
    left = {entry for part in parts for entry in part.left} - evaluated
    known = [set(part.gone) for part in parts if part.gone is not None]
    return Due(
        sorted(left, key=_natural),
        sorted(evaluated, key=_natural),
        sorted(set.intersection(*known), key=lambda one: _natural((one[1], *one[0])))
        if len(known) == len(parts)
        else None,
        sorted({name for part in parts for name in part.read}),
        any(part.is_required for part in parts),
    )


def _natural(entry: Sequence[str]) -> list[str]:
    """In the order of lines: 9 before 10."""
    return [re.sub(r"\d+", lambda digits: digits[0].zfill(9), text) for text in (*entry[1:2], *entry)]


def lines_of(left: Iterable[Entry]) -> list[str]:
    """Entries that nothing evaluated, a line for each kernel, and the kernels that no test runs."""
    gates: dict[str, list[str]] = {}
    never_run: list[str] = []
    for kernel, place, condition in left:
        if not condition:
            never_run.append(f"no test {place}")
        elif condition.startswith(OF_EVERY_RUN):
            never_run.append(
                f"no test with greta_run runs kernel {kernel!r}: what it computes is not checked"
            )
        else:
            gates.setdefault(kernel, []).append(f"{condition} ({place})")
    return [
        *never_run,
        *(f"no test evaluated these gates of {name!r}: {', '.join(some)}" for name, some in gates.items()),
    ]
