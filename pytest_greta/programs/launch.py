"""One run of a program, here or on another node: its words, what is looked for in its output, what it came to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from pytest_greta.errors import ProgramBlocked, quote
from pytest_greta.gates.programs import ProgramEntry
from pytest_greta.gates.templates import fill
from pytest_greta.kernel import Size
from pytest_greta.programs.capture import LOST_DEVICE, SURE_SIGNS, Lines, Signs
from pytest_greta.programs.execution import Execution
from pytest_greta.programs.place import Invocation, check_here
from pytest_greta.programs.process import Ended, run_command
from pytest_greta.programs.reading import Reading, read_csv, reading_of
from pytest_greta.programs.written import Before, before_run


def launch(
    entry: ProgramEntry,
    invocation: Invocation,
    deadline_seconds: float,
    values: Mapping[str, Size],
    waited: Callable[[], None],
    project: str = "",
) -> Execution:
    """Run a program once. Raises ProgramBlocked where it could not be run, or where the machine is what failed."""
    reading, before = reading_of(entry.output), invocation.files()
    is_file = entry.output.kind == "csv" and entry.output.source != "stdout"
    written = before_run(invocation.folder / fill(entry.output.source, values)) if is_file else None
    errors, lost = Signs(entry.errors, SURE_SIGNS), Signs(entry.blocked, LOST_DEVICE)
    output = Lines(reading.look, errors.look, lost.look)
    beside = Lines(errors.look, lost.look)
    if invocation.on:
        from pytest_greta.programs.remote import run_there

        ended = run_there(entry.name, invocation, deadline_seconds, output, beside, waited)
    else:
        words = check_here(invocation, entry.name)
        environment = {**os.environ, **invocation.environment}
        try:
            ended = run_command(
                words,
                environment,
                invocation.folder,
                deadline_seconds,
                output,
                beside,
                waited,
                project=project,
            )
        except (OSError, ValueError) as error:
            problem = error.strerror if isinstance(error, OSError) else error
            raise ProgramBlocked(f"program {quote(entry.name)} cannot be started: {problem}") from None
    if lost.found and ended.status != 0 and not ended.is_overdue:
        raise ProgramBlocked(f"the device of program {quote(entry.name)} is lost: {lost.found}")
    after = invocation.files()
    files = {word: digest for word, digest in before.items() if after.get(word) == digest}
    found = _execution(ended, reading, errors.found, written)
    if found.unreadable and written is None and _is_read(entry, ended.errors):
        told = f"{found.unreadable}; it is on standard error, which is not read"
        found = replace(found, unreadable=told)
    return replace(found, files=files)


def _is_read(entry: ProgramEntry, text: str) -> bool:
    """Whether a text is what the output should have been."""
    reading = reading_of(entry.output)
    lines = Lines(reading.look)
    lines.feed(text.encode(errors="surrogateescape"))
    lines.close()
    found, problem = reading.result()
    return bool(found) and not problem


def _execution(ended: Ended, reading: Reading, error: str, written: Before | None) -> Execution:
    found, unreadable = reading.result() if written is None else read_csv(written)
    return Execution(
        ended.status,
        ended.wall_seconds,
        ended.cpu_seconds,
        ended.peak_bytes,
        ended.vram_bytes,
        found,
        unreadable,
        error,
        ended.left,
        ended.is_overdue,
        output=ended.output,
        errors=ended.errors,
        vram_how=ended.vram_how,
        vram_course=ended.vram_course,
    )
