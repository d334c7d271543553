"""`python -m pytest_greta init`: gates, a kernel, tests and a workflow of CI, in an empty or an existing project.

Nothing that is there is written over. With --from the kernels are those of a source or of a built file, and the gates
a little above what they take today.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path

from pytest_greta.errors import ConfigError, GretaError, as_lines, shown_path
from pytest_greta.gates import file as gatefile
from pytest_greta.scaffold import draft as drafts
from pytest_greta.scaffold.built import from_built
from pytest_greta.scaffold.draft import GATES, TARGETS, Draft
from pytest_greta.scaffold.example import example
from pytest_greta.scaffold.layout import Layout, ask_pytest, uncollected
from pytest_greta.scaffold.source import from_source
from pytest_greta.sources import TARGET

SOURCES = (".hip", ".cu")
MISTAKE = 2
"""Exit code, as argparse has it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the project's root directory [here]",
    )
    parser.add_argument(
        "--from", dest="path", type=Path, metavar="FILE", help="a .hip source, or any file with built kernels"
    )
    parser.add_argument(
        "--target",
        default="",
        metavar="GFX[,GFX...]",
        help=f"what a source is compiled for [the targets of {GATES}, else {','.join(TARGETS)}]",
    )


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write what is missing, and tell of each file. Gives the exit code."""
    targets = tuple(filter(None, options.target.split(",")))
    wrong = [target for target in targets if not re.fullmatch(TARGET, target)]
    if wrong or (targets and (options.path is None or options.path.suffix not in SOURCES)):
        parser.error(f"--target: {wrong[0]!r} is not a target" if wrong else "--target is for sources")
    root = options.folder.resolve()
    has_gates = options.path is None and (root / GATES).is_file()
    try:
        _look(root, options.path)
        root.mkdir(parents=True, exist_ok=True)
        layout = ask_pytest(root)
        if has_gates:
            told = f"{shown_path(root / GATES)} is there: this project has gates; --from FILE adds to them"
            lines, refused = [told, *drafts.finish(layout)], ""
        else:
            draft = _draft(layout, options.path, targets)
            lines = drafts.write(layout, draft)
            refused = uncollected(layout, draft.tests)
    except GretaError as error:
        problems = error.problems if isinstance(error, ConfigError) else str(error).splitlines()
        sys.stderr.writelines(f"error: {line}\n" for line in as_lines(problems))
        return MISTAKE
    except OSError as error:
        where = f"{shown_path(error.filename)}: cannot be written: " if error.filename else ""
        sys.stderr.write(f"error: {where}{error.strerror or error}\n")
        return MISTAKE
    lines += [f"todo   {refused}"] if refused else []
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if not has_gates:
        there = "" if root == Path.cwd() else f"cd {shown_path(root)} && "
        sys.stdout.write(f"now run: {there}pytest\n")
    return 0


def _look(root: Path, path: Path | None) -> None:
    """Raises ConfigError where the project is no directory, or what is to be gated no file."""
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{shown_path(root)}: is a file; init takes the project's root directory")
    if path is not None and path.is_dir():
        kinds = f"a source ({', '.join(SOURCES)}) or a file with built kernels"
        raise ConfigError(f"{shown_path(path)}: is a directory; --from takes {kinds}")
    if path is not None and not path.is_file():
        raise ConfigError(f"{shown_path(path)}: there is no such file")


def _draft(layout: Layout, path: Path | None, targets: tuple[str, ...]) -> Draft:
    if path is None:
        return example(layout)
    if path.suffix in SOURCES:
        taken = drafts.names(layout.root / GATES, "kernels")
        draft = from_source(layout, path, targets or _targets(layout.root / GATES), taken)
        named = draft.folder / "conftest.py"
    else:
        taken = drafts.names(layout.root / GATES, "artifacts")
        draft, named = from_built(layout, path, taken), layout.root / GATES
    if path.resolve().is_relative_to(layout.repository):
        return draft
    where = f"{shown_path(path)} lies outside of {layout.repository}: other checkouts and CI lack it"
    note = f"todo   {where}; copy it in, and name the copy in {shown_path(named)}"
    return replace(draft, notes=[*draft.notes, note])


def _targets(path: Path) -> tuple[str, ...]:
    """The targets of the project's gates file, if it has some. Raises ConfigError where it has mistakes."""
    return (gatefile.load(path).targets if path.exists() else ()) or TARGETS
