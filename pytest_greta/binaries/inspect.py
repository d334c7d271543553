"""`python -m pytest_greta inspect`: what the kernels of built files take, and what became of them."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_greta.binaries import views
from pytest_greta.binaries.changes import Comparison, compare
from pytest_greta.binaries.columns import BARRIERS, BY_NAME, COLUMNS, Column, order
from pytest_greta.binaries.kernels import Asked, BinaryFile, read_code, read_file
from pytest_greta.binaries.selection import Selection, groups
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.entries import NO_KERNEL
from pytest_greta.errors import GretaError, printable, shown_path
from pytest_greta.gates.patterns import pattern
from pytest_greta.sources import TARGET

SOURCES = (".hip", ".cu")
SOURCE_TARGET = "gfx942"
"""What a source is compiled for where nobody says."""
LIMIT = 20
"""Lines of a table: what a screen holds."""
MISTAKE = 2
"""Exit code, as argparse has it."""
WORSE = 1
"""Exit code of `--diff --fail`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    add = parser.add_argument
    add("files", nargs="*", type=Path, metavar="FILE", help="files to read")
    add("--diff", nargs=2, type=Path, metavar=("OLD", "NEW"), help="what became of the kernels of a file")
    add("--fail", action="store_true", help="with --diff: exit code 1 where a kernel got worse")
    add(
        "--sort",
        default="",
        metavar="COLUMN",
        help=f"{', '.join([*BY_NAME, *COLUMNS, BARRIERS.name])} [what makes it bad]",
    )
    add(
        "--target",
        default="",
        metavar="GFX[,GFX...]",
        help="these targets alone; what a source is compiled for",
    )
    add(
        "--kernel",
        action="append",
        default=[],
        metavar="GLOB",
        help="kernels with such names, or /expressions/",
    )
    add("--limit", type=int, default=LIMIT, metavar="N", help=f"lines to show; 0 for all [{LIMIT}]")
    add("--all", action="store_true", help="a line for every instantiation of a template")
    add(
        "--barriers",
        action="store_true",
        help="decode the machine code for barriers that are reached too early",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="everything that is known, without a limit")
    form.add_argument("--markdown", action="store_true", help="for a pull request")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print what is asked for. Gives the exit code."""
    targets = _check(options, parser)
    selection = Selection(targets, tuple(options.kernel))
    files, mistakes = [], []
    for path in options.diff or options.files:
        file = _read(path, selection, options.barriers)
        if isinstance(file, BinaryFile):
            files.append(file)
        else:
            mistakes.append(file)
    empty = [file.name for file in files if not file.kernels]
    if not mistakes and len(empty) == len(files):
        mistakes += [f"{name}: no kernel{_why_none(name)}" for name in empty]
    elif not mistakes and not any(selection.of(file.kernels) for file in files):
        mistakes.append(selection.why_nothing([kernel for file in files for kernel in file.kernels]))
    for mistake in mistakes:
        sys.stderr.write("\n".join(f"error: {printable(line)}" for line in mistake.splitlines()) + "\n")
    if mistakes:
        return MISTAKE
    if options.diff:
        found = compare(*(selection.of(file.kernels) for file in files))
        _write(_lines_of_comparison(found, options))
        return WORSE if options.fail and found.worse else 0
    _write(_lines_of_files(files, selection, options))
    notes = [note for file in files for note in file.notes]
    notes += selection.absent([kernel for file in files for kernel in file.kernels])
    for note in dict.fromkeys(notes):
        sys.stderr.write(f"note: {printable(note)}\n")
    return 0


def _check(options: argparse.Namespace, parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """The targets that are asked for. Ends with one line and exit code 2 where an option makes no sense."""
    if bool(options.files) == bool(options.diff):
        parser.error("give files, or --diff OLD NEW")
    if options.fail and not options.diff:
        parser.error("--fail is for --diff")
    if options.limit < 0:
        parser.error(f"--limit: {options.limit} is not a number of lines; expected a whole number from 0")
    if options.sort == BARRIERS.name and not options.barriers:
        parser.error("--sort barriers takes --barriers")
    targets = tuple(filter(None, options.target.split(",")))
    wrong = next((target for target in targets if not re.fullmatch(TARGET, target)), None)
    if wrong is not None:
        parser.error(f"--target: {wrong!r} is not a target; expected one like gfx942")
    try:
        order(options.sort)
        for text in options.kernel:
            pattern(text)
    except ValueError as error:
        parser.error(str(error))
    return targets


def _read(path: Path, selection: Selection, has_barriers: bool) -> BinaryFile | str:
    """The kernels of a file, or why they cannot be had; of a source, those of what it compiles to."""

    def asked(name: str, symbol: str, target: str) -> Sequence[str]:
        return BARRIERS.gates if has_barriers and selection.means(name, symbol, target) else ()

    name = shown_path(path)
    try:
        if path.suffix in SOURCES and path.is_file():
            return _compiled(path, name, selection.targets, asked)
        return read_file(path, name, asked)
    except GretaError as error:
        return str(error)


def _compiled(path: Path, name: str, targets: Sequence[str], asked: Asked) -> BinaryFile:
    """The kernels of a source. Raises GretaError where it does not compile."""
    with tempfile.TemporaryDirectory() as folder:
        compiler = Compiler(Path(folder))
        try:
            codes = {
                target: compiler.compile(Job(path.absolute(), target)).code
                for target in targets or (SOURCE_TARGET,)
            }
        finally:
            compiler.close()
    return read_code(codes, name, asked)


def _why_none(name: str) -> str:
    """Why a source has no kernel; nothing is known of a binary."""
    return f": {NO_KERNEL}" if name.endswith(SOURCES) else ""


def _columns(options: argparse.Namespace) -> list[Column]:
    return [*COLUMNS.values(), *([BARRIERS] if options.barriers else [])]


def _lines_of_files(
    files: Sequence[BinaryFile], selection: Selection, options: argparse.Namespace
) -> Iterator[str]:
    chosen = [(file, selection.of(file.kernels)) for file in files]
    if options.json:
        yield json.dumps(views.json_of_files(chosen), indent=1)
        return
    columns = _columns(options)
    for number, (file, kernels) in enumerate(chosen):
        if number:
            yield ""
        lines = groups(kernels, options.sort, options.all)
        if options.markdown:
            yield views.code(views.headline(file, kernels))
            yield ""
            yield from views.markdown_table(lines, columns, options.limit)
        else:
            yield printable(views.headline(file, kernels))
            yield from views.table(lines, columns, options.limit, _width())


def _lines_of_comparison(found: Comparison, options: argparse.Namespace) -> Iterator[str]:
    if options.json:
        yield json.dumps(views.json_of_comparison(found), indent=1)
    elif options.markdown:
        yield from views.markdown_comparison(found, options.limit)
    else:
        yield from views.comparison(found, options.limit, _width())


def _width() -> int | None:
    """Columns of the terminal; None where the output goes elsewhere, and nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _write(lines: Iterator[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
