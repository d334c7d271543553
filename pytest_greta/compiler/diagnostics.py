"""What a compiler says is wrong: the first error of its log, with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ERROR = re.compile(
    r"^(?:.*? does not compile for [^:\s]+: ?)?"
    r"(?:(?P<file>[^\n]+?):(?P<line>\d+):(?P<column>\d+): |\S*: )?(?:fatal )?error: (?P<message>.+)$",
    re.MULTILINE,
)
"""As clang has it (and hiprtc, which is clang): `k.hip:8:45: error: use of undeclared identifier 'j'`; of a linker
`ld.lld: error: undefined symbol: f`."""


@dataclass(frozen=True)
class Diagnostic:
    """An error of a compiler. `file` is empty and `line` 0 where it has no place."""

    message: str
    file: str = ""
    line: int = 0
    column: int = 0


def compile_error(message: str) -> Diagnostic | None:
    """The first error in a message that says what does not compile; None of any other message."""
    return first_error(message) if " does not compile for " in message else None


def first_error(log: str) -> Diagnostic | None:
    """The first error in what a compiler printed; notes and warnings before it are none. None where there is none."""
    found = _ERROR.search(log)
    if found is None:
        return None
    return Diagnostic(
        found["message"].strip(), found["file"] or "", int(found["line"] or 0), int(found["column"] or 0)
    )
