"""`python -m pytest_greta COMMAND`: what greta does outside of a test session."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_greta import __version__, explain
from pytest_greta.binaries import inspect
from pytest_greta.doctor import command as doctor
from pytest_greta.records import merge
from pytest_greta.report import command as report
from pytest_greta.scaffold import command as init

SCRIPT = "greta"
"""The console script: the same commands."""
MISTAKE = 2
"""Exit code, as argparse has it."""
COMMANDS = {
    "doctor": doctor,
    "explain": explain,
    "init": init,
    "inspect": inspect,
    "merge": merge,
    "report": report,
}
"""Modules with `HELP`, `add_arguments(parser)` and `run(options, parser)`, which gives the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Gives its exit code; 2 for a mistake in the command line, as argparse has it."""
    is_script = Path(sys.argv[0]).name == SCRIPT
    parser = argparse.ArgumentParser(
        SCRIPT if is_script else f"python -m {__package__}", description="Gates for GPU kernels."
    )
    parser.add_argument("--version", action="version", version=f"pytest-greta {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {}
    for name, module in COMMANDS.items():
        parsers[name] = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(parsers[name])
    options = parser.parse_args(arguments)
    if sys.stdout is None:  # of `>&-`
        return _unwritten("standard output is closed")
    try:
        code: int = COMMANDS[options.command].run(options, parsers[options.command])
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # of no output
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left
        if isinstance(error, BrokenPipeError):  # of `| head`: nobody reads on
            return 128 + signal.SIGPIPE
        return _unwritten(error.strerror or str(error))
    return code


def _unwritten(why: str) -> int:
    if sys.stderr is not None:
        sys.stderr.write(f"error: the output cannot be written: {why}\n")
    return MISTAKE


if __name__ == "__main__":
    sys.exit(main())
