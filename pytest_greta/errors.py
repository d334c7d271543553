"""Every error greta raises on purpose. What a user can mend says how to mend it."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path


class GretaError(Exception):
    """Base of all errors raised by pytest-greta."""


class ConfigError(GretaError):
    """A mistake in gates.yaml, an option or a registered kernel: exit code 4, never a traceback.

    `problems` holds one line per mistake, each complete in itself
    (`gates.yaml:14:7: unknown gate 'vpgrs' for variant 'v3'; did you mean 'vgprs'?`).
    """

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(map(printable, problems))
        super().__init__("\n".join(self.problems))


class MarkerMistake(ConfigError):
    """The `greta` marker of a test names nothing that there is, or is missing where it must be: told with the test's
    own place.
    """


class KernelMistake(GretaError):
    """What a method of a kernel family returned cannot be used, or it raised something; one line that names kernel,
    method and value.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class SkippedByKernel(KernelMistake):
    """A method of a kernel family asked pytest to skip: what it would have said is not measured, with its reason."""


class CompileError(GretaError):
    """A source that does not compile. The message is the compiler's own, with file and line."""


class Lacking(GretaError):
    """Something that is needed is not here: what it is, where it was looked for, what to do.

    `command` is the one command that brings it, where there is one.
    """

    def __init__(self, message: str, command: str = "") -> None:
        super().__init__(message)
        self.command = command


class ToolMissing(Lacking):
    """A compiler, library or package that is needed here is not installed; the message says which."""


class ProgramBlocked(GretaError):
    """A program that could not be run for no fault of its own: it is missing, its node cannot be reached, its device is
    lost. Never passed, and never its failure.

    `node` is the one that cannot be reached, if that is why: nobody needs to wait for it again.
    """

    def __init__(self, message: str, node: str = "") -> None:
        super().__init__(printable(message))
        self.node = node


class ProgramMistake(GretaError):
    """A program that was not run, because it is known to fail: its model is not made for so long a context."""


class DeviceUnavailable(Lacking):
    """A device that cannot be opened: what is missing, where it was looked for, what to do."""


class NoSuchDevice(DeviceUnavailable):
    """A device that was named by a number that none has: a mistake, and never a reason to skip."""


class DeviceBusy(DeviceUnavailable):
    """A device that another run did not give away in time: who has it."""


class NotRecorded(GretaError):
    """Nothing of what a test is about was recorded, or not of this code: it is not measured."""


class RecordedFailure(GretaError):
    """What stopped a test when it was recorded."""


class RecordedBlock(ProgramBlocked):
    """What kept a test from running when it was recorded, for no fault of what it is about: it never passes."""


class NotForDevice(GretaError):
    """A variant that is written for other devices than the one at hand: no failure, whatever is required."""


class DeviceFault(GretaError):
    """A device call failed or the process that owns the device died.

    `kind` is one of `error` (the runtime refused a call), `crash` (the worker process died) and
    `deadline` (the worker was killed because a launch did not end in time).
    `steps_done` are those of a batch that had ended before, where the device can tell.
    """

    def __init__(self, message: str, kind: str = "error", steps_done: int | None = None) -> None:
        super().__init__(message)
        self.kind, self.steps_done = kind, steps_done


# -- words for messages ----------------------------------------------------------------------------------


def printable(text: str) -> str:
    """A text of the user as one line that a terminal shows and does not obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def shown(value: object) -> str:
    """A value of the user in words, cut where it is long."""
    try:
        text = repr(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # of the user's own class, or a number of more digits than Python writes
        return f"a {type(value).__name__} that cannot be written out"
    return text if len(text) <= 120 else text[:117] + "..."


def raised(error: BaseException, *of: str) -> str:
    """An exception of the user's code in words: what, of what (`class Scale`), and where in the user's own files."""
    ours, libraries = str(Path(__file__).parent), (sysconfig.get_path("stdlib"), "site-packages")
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((ours, libraries[0])) and libraries[1] not in frame.filename
    ]
    where = [*of, *(f"{shown_path(frame.filename)}:{frame.lineno}" for frame in own[-1:])]
    what = "KeyError" if isinstance(error, KeyError) else type(error).__name__
    try:
        text = f"{what}: {error}" if str(error) else what
    except KeyboardInterrupt:
        raise
    except BaseException:  # of the user's own class
        text = what
    return f"{text} ({', '.join(where)})" if where else text


def quote(name: str) -> str:
    """A name of the user as text on one line, cut where it is long."""
    return repr(name if len(name) <= 60 else name[:57] + "...")


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: `did you mean 'vgprs'?`, or the names there are."""
    known = list(known)
    return likely(name, known) or f"there is {', '.join(known) or 'none'}"


def likely(name: str, known: Sequence[str]) -> str:
    """The first half of it; empty where no name is like the unknown one."""
    import difflib  # only here: a session without a mistake does not pay for it

    close = difflib.get_close_matches(name, known, n=1) if len(name) <= 80 else []
    return f"did you mean {quote(close[0])}?" if close else ""


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path as messages show it: relative to the working directory where it lies in there."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)


MOST_TOLD = 50
"""Mistakes that are printed."""


def as_lines(problems: Iterable[str]) -> list[str]:
    """Mistakes as lines of a terminal, not more than anyone reads."""
    lines = [printable(problem) for problem in problems]
    more = len(lines) - MOST_TOLD
    return [*lines[:MOST_TOLD], f"and {more} more"] if more > 0 else lines
