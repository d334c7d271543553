"""`python -m pytest_greta report`: a page and tables for people, from records, history and the lock file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.binaries import lock
from pytest_greta.errors import ConfigError, ToolMissing, printable, shown_path

if TYPE_CHECKING:
    from pytest_greta.records.model import Summary

HISTORY = Path(".benchmarks")
"""Where pytest-benchmark stores runs."""
MISTAKE = 2
"""Exit code, as argparse has it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    add = parser.add_argument
    add("files", nargs="+", type=Path, metavar="FILE", help="files of --greta-summary")
    add("-o", "--output", type=Path, default=Path(), metavar="DIR", help="where both files go [here]")
    add(
        "--history",
        type=Path,
        metavar="DIR",
        help=f"runs that pytest-benchmark stored [{HISTORY}, where it is there]",
    )
    add("--lock", type=Path, metavar="FILE", help=f"a lock file [{lock.NAME}, where it is there]")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write the report. Gives the exit code: 0 whatever the report says."""
    from pytest_greta.history.benchmark import stored_runs
    from pytest_greta.report.contents import Sources
    from pytest_greta.report.writing import write

    for name in ("history", "lock"):
        given = getattr(options, name)
        if given is not None and not given.exists():
            parser.error(f"--{name}: there is no {shown_path(given)}")
    summaries, mistakes = _loaded(options.files)
    held = None
    try:
        held = lock.load(options.lock or Path(lock.NAME))
    except ConfigError as error:
        mistakes += error.problems
    if mistakes:
        return _refuse(mistakes)
    runs, problems = stored_runs(options.history or HISTORY)
    try:
        paths = write(options.output, Sources(summaries, runs, problems, held))
    except ToolMissing as error:
        return _refuse([str(error)])
    except OSError as error:
        where = error.filename or options.output
        return _refuse([f"{shown_path(where)}: cannot be written: {error.strerror or error}"])
    sys.stdout.write("".join(f"{printable(shown_path(path))}\n" for path in paths))
    return 0


def _loaded(paths: Sequence[Path]) -> tuple[list[Summary], list[str]]:
    """What is in some files, and what is wrong with others, a line each."""
    from pytest_greta.records.model import load

    summaries: list[Summary] = []
    mistakes: list[str] = []
    for path in paths:
        try:
            summaries.append(load(path))
        except ConfigError as error:  # noqa: PERF203 - all mistakes at once
            mistakes += error.problems
    return summaries, mistakes


def _refuse(mistakes: list[str]) -> int:
    sys.stderr.write("".join(f"error: {printable(line)}\n" for line in mistakes))
    return MISTAKE
