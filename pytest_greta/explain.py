"""`python -m pytest_greta explain`: what a gate is about, how its limit is written, and where it applies."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator

from pytest_greta.errors import likely, printable
from pytest_greta.gates.catalogue import CATALOGUE, GateDef
from pytest_greta.gates.programs import PROGRAM_GATES
from pytest_greta.gates.values import scopes_of

MISTAKE = 2
"""Exit code, as argparse has it."""
WIDTH = 80

_SOURCES = {
    "code": "the code object of every target, on any machine",
    "run": "launches on the device, for every problem",
    "program": "runs of a whole program, for every problem",
}
_NOT_OF_ARTIFACTS = ("launchable",)
_NO_LIMIT = "cannot be changed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("gates", nargs="*", metavar="GATE", help="names of gates [a line for each gate]")
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="the table of all gates of kernels, as the documentation has it",
    )


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print what is asked for. Gives the exit code."""
    if options.markdown and options.gates:
        parser.error("--markdown is about all gates")
    known = list(dict.fromkeys([*CATALOGUE, *PROGRAM_GATES]))
    unknown = [name for name in options.gates if name not in known]
    if options.markdown:
        lines = markdown_table()
    elif options.gates:
        lines = (line for name in options.gates if name in known for line in [*reference(name), ""])
    else:
        lines = overview()
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
    for name in unknown:
        close = f"; {meant}" if (meant := likely(name, known)) else ""
        sys.stderr.write(f"error: unknown gate {printable(repr(name))}{close} ({parser.prog} lists all)\n")
    return MISTAKE if unknown else 0


def definitions(name: str) -> list[GateDef]:
    """What a name stands for: a gate of kernels, one of programs, or both."""
    return [gates[name] for gates in (CATALOGUE, PROGRAM_GATES) if name in gates]


def overview() -> Iterator[str]:
    """A line for each gate."""
    for title, gates in (("kernels", CATALOGUE), ("programs", PROGRAM_GATES)):
        yield f"gates of {title}:"
        for one in gates.values():
            yield f"  {one.name:<18}" + textwrap.shorten(one.description, WIDTH - 20, placeholder=" ...")
        yield ""


def reference(name: str) -> Iterator[str]:
    """All that is to be known of a gate, in lines of a terminal."""
    for number, one in enumerate(definitions(name)):
        if number:
            yield ""
        of = " of a program" if one.source == "program" else ""
        about = ", ".join(filter(None, [one.unit, f"{one.better} is better" if one.better else ""]))
        yield f"{one.name}{of}" + (f" ({about})" if about else "")
        yield from textwrap.wrap(one.description, WIDTH, initial_indent="  ", subsequent_indent="  ")
        for title, text in _facts(one):
            yield from textwrap.wrap(
                text,
                WIDTH,
                initial_indent=f"  {title:<11}",
                subsequent_indent=" " * 13,
                break_long_words=False,
                break_on_hyphens=False,
            )


def _facts(one: GateDef) -> Iterator[tuple[str, str]]:
    of_artifacts = one.source == "code" and one.name not in _NOT_OF_ARTIFACTS
    yield "read from", _SOURCES[one.source] + ("; of artifacts too" if of_artifacts else "")
    yield "limit", limit_text(one)
    if not one.limits:
        return
    yield "for", f"every one, or those that an entry names: {', '.join(scopes_of(one))}"
    if one.speed and one.source == "run":
        yield "device", "a GPU; on the cpu device only where the entry says `devices: cpu`"
    if one.noisy:
        yield "verdict", "takes an interval: one value alone never passes"
    if one.relative:
        yield "beside", "the baseline, which has no such gate itself"
    yield "example", one.example


def limit_text(one: GateDef) -> str:
    """How the limit of a gate is written."""
    if not one.limits:
        return f"{_NO_LIMIT} in gates.yaml"
    forms = " or ".join(f"`{name}: ...`" for name in one.limits)
    if one.kind != "number":
        return f"`true` or `false`, or {forms}" if one.kind == "bool" else f"a text, or {forms}"
    kind = "a whole number" if one.integer else "a number"
    if "atol" in one.limits:
        return f"{kind} each: {forms}, or both"
    side = "most" if one.better == "lower" else "least"
    return f"{kind}, the {side} that passes; or {forms}" + (", or both" if len(one.limits) > 1 else "")


def markdown_table() -> Iterator[str]:
    """The table of all gates of kernels."""
    yield "| gate | unit | better | from | meaning | example |"
    yield "|---|---|---|---|---|---|"
    for one in CATALOGUE.values():
        example = f"`{one.example}`" if one.example else _NO_LIMIT
        cells = (f"`{one.name}`", one.unit or "-", one.better or "-", one.source, one.description, example)
        yield f"| {' | '.join(cells)} |"
