"""The kernels of a file: names, targets, and what each takes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_greta.binaries.contents import BinaryProblem, Contents, HeldCode, located
from pytest_greta.compiler.codeobject import KernelResources, read_contents
from pytest_greta.compiler.demangling import demangled
from pytest_greta.compiler.prebuilt import refuse_other_code
from pytest_greta.compiler.resources import DECODED, barriers_of, quantities_of
from pytest_greta.errors import quote
from pytest_greta.gates.model import Quantity
from pytest_greta.sources import TARGET

Asked = Callable[[str, str, str], Collection[str]]
"""Which quantities that take decoding are asked of a kernel, by its name, symbol and target."""


@dataclass(frozen=True)
class BuiltKernel:
    """One kernel of one code object, and what it takes when it is launched with the largest blocks that it is for."""

    name: str
    """Demangled."""
    symbol: str
    target: str
    place: str
    """Where its code lies: `libk.so: .hip_fatbin+0x1000`."""
    member: str
    """The member of a wheel or static library that its code lies in; empty where the file is none."""
    compiler: str
    """What made it; empty where it does not say."""
    block_threads: int
    """Threads of the largest block that it may be launched with."""
    quantities: Mapping[str, Quantity] = field(repr=False)
    """By name of the gate."""

    def value(self, name: str) -> int | None:
        """A quantity as a number; None where it is not known."""
        value = self.quantities[name].value if name in self.quantities else None
        return value if isinstance(value, int) else None


@dataclass(frozen=True)
class BinaryFile:
    """All kernels of a file."""

    name: str
    """The file as messages show it."""
    kernels: tuple[BuiltKernel, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know besides: device code without machine code, names that stayed mangled."""


def read_file(path: Path, name: str, asked: Asked | None = None) -> BinaryFile:
    """The kernels of a file, in its order. Machine code is decoded for what is `asked` alone.

    Raises BinaryProblem where the file holds no code for an AMD GPU, or is damaged.
    """
    contents = Contents(path, name)
    kernels: list[BuiltKernel] = []
    notes: dict[str, None] = {}
    for held in contents.code_objects():
        with located(held.place):
            kernels += _kernels(held, asked, notes)
    return BinaryFile(name, tuple(kernels), (*contents.skipped, *notes))


def read_code(codes: Mapping[str, bytes], name: str, asked: Asked | None = None) -> BinaryFile:
    """The kernels of code objects by target, of a source of this name. Raises BinaryProblem."""
    kernels: list[BuiltKernel] = []
    notes: dict[str, None] = {}
    for target, code in codes.items():
        with located(name):
            kernels += _kernels(HeldCode(target, name, "", code), asked, notes)
    return BinaryFile(name, tuple(kernels), tuple(notes))


def _kernels(held: HeldCode, asked: Asked | None, notes: dict[str, None]) -> Iterator[BuiltKernel]:
    found = read_contents(held.code)
    target = found.target or held.label
    if not re.fullmatch(TARGET, target):
        what = f"{quote(target)} as its target" if target else "no target, which they do from version 4 on"
        raise BinaryProblem(f"{held.place}: its metadata state {what}")
    if held.label and found.target:
        refuse_other_code(held.label, found.target)
    names, note = demangled(found.kernels)
    if note:
        notes[note] = None
    for symbol, taken in found.kernels.items():
        wanted = asked(names[symbol], symbol, target) if asked else ()
        quantities = _quantities(held.code, taken, target, wanted)
        threads = taken.max_block_threads
        yield BuiltKernel(
            names[symbol], symbol, target, held.place, held.member, found.compiler, threads, quantities
        )


def _quantities(
    code: bytes, taken: KernelResources, target: str, asked: Collection[str]
) -> dict[str, Quantity]:
    wanted = [name for name in DECODED if name in asked]
    quantities = quantities_of(taken, target, taken.max_block_threads, asked=wanted)
    if "unwaited_barriers" in wanted:
        quantities["unwaited_barriers"] = barriers_of(target, code, [taken])
    return quantities


def badness(kernel: BuiltKernel) -> tuple[float, ...]:
    """What makes one kernel worse than another, most important first: scratch, spills, few wavefronts, registers."""

    def known(name: str, missing: float) -> float:
        value = kernel.value(name)
        return missing if value is None else value

    return (
        known("scratch_bytes", math.inf),
        known("vgpr_spills", 0),
        -known("occupancy", math.inf),
        known("sgpr_spills", 0),
        known("vgprs", 0),
    )
