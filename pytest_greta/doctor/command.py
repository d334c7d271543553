"""`python -m pytest_greta doctor`: what this machine can do, and the one command that brings what it cannot.

Exit code 0 where kernels can be compiled, or run on a device: then their gates on code can be held here. 1 where not
even that can be done; files built elsewhere, programs and records can be gated all the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_greta import __version__
from pytest_greta.doctor import devices, machine
from pytest_greta.doctor.finding import Finding, Probe, look

NOTHING = 1
"""Exit code where no kernel can be compiled or run."""
WIDTH = 100
_INDENT = 24
PROBES: Mapping[str, Probe] = {
    "packages": machine.packages,
    "compilers": machine.compilers,
    "HIP": devices.hip_parts,
    devices.HIP: devices.hip_device,
    devices.CPU: devices.cpu_device,
    "storage": machine.storage,
    "extras": machine.extras,
}
CAN = {
    machine.CODE: "gate what kernels take (registers, scratch, LDS, occupancy)",
    devices.HIP: "run and time kernels on a GPU",
    devices.CPU: "run kernels on the CPU, for correctness",
}
"""What a finding of this name means for tests."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace, _: argparse.ArgumentParser) -> int:
    """Look at everything and print it, each as it is found. Gives the exit code."""
    found: list[Finding] = []
    for name, probe in PROBES.items():
        for finding in look(name, probe):
            if not options.json:
                sys.stdout.writelines(f"{line}\n" for line in lines_of(without_repeats(finding, found)))
                sys.stdout.flush()
            found.append(finding)
    able = abilities(found)
    if options.json:
        sys.stdout.write(json.dumps(plain(found), indent=1) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in closing(able))
    return 0 if any(able.values()) else NOTHING


def abilities(found: Sequence[Finding]) -> Mapping[str, bool]:
    """What can be tested here, by what it takes."""
    there = {one.name for one in found if one.is_there}
    return {name: name in there for name in CAN}


def without_repeats(finding: Finding, before: Sequence[Finding]) -> Finding:
    """A finding for a reader, who knows those before: what is missing for the same reason needs it no second time."""
    for one in before:
        if not (one.is_there or finding.is_there) and finding.text.endswith(one.text):
            return replace(finding, text=f"for the reason of {one.name}, above", command="")
    return finding


def lines_of(finding: Finding) -> Iterator[str]:
    """A finding in lines of a terminal."""
    mark = "yes" if finding.is_there else "no "
    yield from textwrap.wrap(
        finding.text,
        WIDTH,
        initial_indent=f"{mark}  {finding.name:<{_INDENT - 5}}",
        subsequent_indent=" " * _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if finding.command:
        yield f"{'':{_INDENT}}$ {finding.command}"


def closing(able: Mapping[str, bool]) -> Iterator[str]:
    """What can be tested here, and what cannot."""
    yield ""
    for verb, wanted in (("can", True), ("cannot", False)):
        some = [CAN[name] for name, is_able in able.items() if is_able == wanted]
        if some:
            yield from textwrap.wrap(f"This machine {verb} {'; '.join(some)}.", WIDTH)
    if not any(able.values()):
        yield "Files that were built elsewhere, programs and records can be gated all the same."


def plain(found: Sequence[Finding]) -> dict[str, object]:
    """All of it as data."""
    keys = {machine.CODE: "code", devices.HIP: "hip", devices.CPU: "cpu"}
    return {
        "version": 1,
        "greta": __version__,
        "can": {keys[name]: is_able for name, is_able in abilities(found).items()},
        "findings": [
            {"name": one.name, "is_there": one.is_there, "text": one.text, "command": one.command}
            for one in found
        ],
    }
