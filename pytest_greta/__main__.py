"""`python -m pytest_greta COMMAND`: what greta does outside of a test session."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import textwrap
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from pytest_greta import __version__
from pytest_greta.errors import raised

SCRIPT = "greta"
"""The console script: the same commands."""
MISTAKE = 2
"""Exit code, as argparse has it."""
COMMANDS = {
    "doctor": ("doctor.command", "what this machine can do, and the one command that brings what it cannot"),
    "explain": ("explain", "what a gate of gates.yaml is about, how its limit is written, where it applies"),
    "init": (
        "scaffold.command",
        "gates, a kernel, tests and a workflow of CI for an empty or an existing project",
    ),
    "inspect": (
        "binaries.inspect",
        "what the kernels of built files take: libraries, executables, objects, wheels, code objects, .hip sources",
    ),
    "merge": ("records.merge", "several summary.json as one, or several histories of pytest-benchmark"),
    "report": (
        "report.command",
        "report.html and summary.md of what --greta-summary wrote: what failed, times, speedups, resources, history",
    ),
}
"""Modules with `add_arguments(parser)` and `run(options, parser)`, which gives the exit code, and what they are for.
The one that is asked for is imported.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Gives its exit code; 2 for a mistake in the command line, as argparse has it."""
    is_script = Path(sys.argv[0]).name == SCRIPT
    parser = argparse.ArgumentParser(
        SCRIPT if is_script else f"python -m {__package__}", description="Gates for GPU kernels."
    )
    parser.add_argument("--version", action="version", version=f"pytest-greta {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    given = sys.argv[1:] if arguments is None else arguments
    asked = next((word for word in given if not word.startswith("-")), "")
    parsers = {name: commands.add_parser(name, help=what) for name, (_, what) in COMMANDS.items()}
    if asked in COMMANDS:
        try:
            module = import_module(f"{__package__}.{COMMANDS[asked][0]}")
        except Exception as error:  # a numpy.py of the user's in the place of the real one
            sys.stderr.write(f"error: {asked} cannot import what it needs: {raised(error)}\n")
            return MISTAKE
        parsers[asked].formatter_class = argparse.RawDescriptionHelpFormatter
        parsers[asked].description = _description(module.__doc__ or "", parser.prog)
        module.add_arguments(parsers[asked])
    options = parser.parse_args(given)
    if sys.stdout is None:  # of `>&-`
        return _unwritten("standard output is closed")
    try:
        code: int = module.run(options, parsers[options.command])
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # of no output
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left
        if isinstance(error, BrokenPipeError):  # of `| head`: nobody reads on
            return 128 + signal.SIGPIPE
        return _unwritten(error.strerror or str(error))
    return code


def _description(text: str, called: str) -> str:
    """What a command does, in paragraphs as wide as argparse's own, under the name that it was called by."""
    width = shutil.get_terminal_size().columns - 2
    paragraphs = text.replace(f"python -m {__package__}", called).strip().split("\n\n")
    return "\n\n".join(textwrap.fill(one, width, break_on_hyphens=False) for one in paragraphs)


def _unwritten(why: str) -> int:
    if sys.stderr is not None:
        sys.stderr.write(f"error: the output cannot be written: {why}\n")
    return MISTAKE


if __name__ == "__main__":
    if sys.path[:1] == [str(Path.cwd())]:  # of `python -m`: no module of it takes the place of a real one
        del sys.path[0]
    sys.exit(main())
