"""The columns of a table of kernels: what they are called, what they show, which of two values is worse."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_greta.binaries.kernels import BuiltKernel, badness
from pytest_greta.errors import suggestion
from pytest_greta.gates.catalogue import CATALOGUE

SortKey = tuple[object, ...]


@dataclass(frozen=True)
class Column:
    """One column of numbers."""

    name: str
    """As typed: `--sort scratch`."""
    header: str
    gates: tuple[str, ...]
    """The quantities that it shows, by gate."""

    def text(self, kernel: BuiltKernel) -> str:
        """The cell of a kernel: `?` for what is not known."""
        values = [kernel.value(gate) for gate in self.gates]
        texts = ["?" if value is None else str(value) for value in values]
        return "+".join(texts) if any(value != 0 for value in values[1:]) else texts[0]

    def badness(self, kernel: BuiltKernel) -> float:
        """More is worse; what is not known is worst."""
        values = [kernel.value(gate) for gate in self.gates]
        if None in values:
            return math.inf
        total = sum(value or 0 for value in values)
        return -total if CATALOGUE[self.gates[0]].better == "higher" else total


COLUMNS = {
    column.name: column
    for column in (
        Column("vgprs", "VGPRs", ("vgprs",)),
        Column("agprs", "AGPRs", ("agprs",)),
        Column("sgprs", "SGPRs", ("sgprs",)),
        Column("spills", "spills", ("vgpr_spills", "sgpr_spills")),
        Column("scratch", "scratch", ("scratch_bytes",)),
        Column("lds", "LDS", ("lds_bytes",)),
        Column("occupancy", "occupancy", ("occupancy",)),
        Column("code", "code", ("code_bytes",)),
    )
}
BARRIERS = Column("barriers", "barriers", ("unwaited_barriers",))
"""There only where it is asked for: machine code is decoded for it."""
BY_NAME = ("kernel", "target")
"""What can be sorted by besides."""


def order(name: str) -> Callable[[BuiltKernel], SortKey]:
    """What to sort by for a column: worst first, then by name. Empty stands for all that makes a kernel bad.

    Raises ValueError for a column that there is not.
    """
    if name == "kernel":
        return lambda kernel: (kernel.name, kernel.target)
    if name == "target":
        return lambda kernel: (kernel.target, *_worst(kernel))
    if not name:
        return _worst
    columns = {**COLUMNS, BARRIERS.name: BARRIERS}
    if name not in columns:
        raise ValueError(f"unknown column {name!r}; {suggestion(name, [*BY_NAME, *columns])}")
    return lambda kernel: (-columns[name].badness(kernel), *_worst(kernel))


def _worst(kernel: BuiltKernel) -> SortKey:
    return (*(-value for value in badness(kernel)), kernel.name, kernel.target, kernel.place)


def units(columns: Sequence[Column]) -> str:
    """What the numbers of a table are, as a line below it."""
    said = "spills: VGPRs+SGPRs" if any(column.name == "spills" for column in columns) else ""
    return ", ".join(
        filter(None, [said, "scratch, LDS and code in bytes", "occupancy in wavefronts per SIMD"])
    )
