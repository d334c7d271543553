"""What was found of one thing that greta needs, or can use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pytest_greta.errors import Lacking, printable


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    name: str
    is_there: bool
    text: str
    """What is there, or what is missing."""
    command: str = ""
    """The one command that brings it, where something brings it."""


Probe = Callable[[], Iterator[Finding]]
"""Looks at a part of the machine. May raise anything: `look` tells it."""


def look(name: str, probe: Probe) -> Iterator[Finding]:
    """What a probe finds. Where it fails, that is a finding too: a doctor never crashes."""
    try:
        yield from probe()
    except KeyboardInterrupt:
        raise
    except Lacking as error:
        yield Finding(name, False, one_line(error), error.command)
    except Exception as error:
        yield Finding(name, False, f"cannot be told: {type(error).__name__}: {one_line(error)}")


def one_line(error: Exception) -> str:
    """What an error says, in one line."""
    return printable(" ".join(str(error).split()))
