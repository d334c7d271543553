"""What became of kernels from one build to another: worse, better, new, gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_greta.binaries.kernels import BuiltKernel
from pytest_greta.gates.catalogue import CATALOGUE

HELD = ("scratch_bytes", "vgprs", "vgpr_spills", "sgpr_spills", "lds_bytes", "occupancy")
"""What makes a kernel worse or better. Of the others, code bytes change with every edit, and what AGPRs and SGPRs limit
is the occupancy.
"""

Figures = Mapping[str, int | None]
"""Quantities by gate; None where one is not known."""


@dataclass(frozen=True)
class Change:
    """One quantity that is another now."""

    gate: str
    old: int | None
    new: int | None

    @property
    def is_worse(self) -> bool:
        """Whether it is worse than it was: scratch that nothing bounds is worse than any."""
        if self.old is None or self.new is None:
            return self.new is None
        return self.new < self.old if CATALOGUE[self.gate].better == "higher" else self.new > self.old

    @property
    def text(self) -> str:
        """`scratch_bytes 0 -> 16`."""
        return f"{self.gate} {_known(self.old)} -> {_known(self.new)}"


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)


def changes(old: Figures, new: Figures) -> list[Change]:
    """What is held and differs. An occupancy that is not known any more says nothing; one that was not known and is, is
    to be recorded.
    """
    return [
        Change(gate, old.get(gate), new.get(gate))
        for gate in HELD
        if old.get(gate) != new.get(gate) and not (gate == "occupancy" and new.get(gate) is None)
    ]


def worst_of(kernels: Iterable[BuiltKernel]) -> dict[str, int | None]:
    """What is held of kernels that share a name: of each quantity the worst. A kernel is in a library as often as it is
    instantiated in files that are compiled apart.
    """
    return worst({gate: kernel.value(gate) for gate in HELD} for kernel in kernels)


def worst(figures: Iterable[Figures]) -> dict[str, int | None]:
    """Of each quantity the worst."""
    found: dict[str, int | None] = {}
    for one in figures:
        for gate in HELD:
            if gate not in found or Change(gate, found[gate], one[gate]).is_worse:
                found[gate] = one[gate]
    return found


@dataclass(frozen=True)
class Compared:
    """One kernel on one target in two builds."""

    name: str
    symbol: str
    target: str
    changes: tuple[Change, ...]

    @property
    def is_worse(self) -> bool:
        """Whether some of it is worse, whatever else is better."""
        return any(change.is_worse for change in self.changes)

    @property
    def text(self) -> str:
        """All changes."""
        return ", ".join(change.text for change in self.changes)


@dataclass(frozen=True)
class Comparison:
    """Two builds."""

    worse: tuple[Compared, ...]
    better: tuple[Compared, ...]
    new: tuple[BuiltKernel, ...]
    gone: tuple[BuiltKernel, ...]
    unchanged: int
    compilers: tuple[tuple[str, ...], tuple[str, ...]]
    """What made the old and the new."""


def compare(old: Sequence[BuiltKernel], new: Sequence[BuiltKernel]) -> Comparison:
    """Kernels of two builds, by symbol and target; of what is worse, the worst first."""
    before, after = _by_key(old), _by_key(new)
    found = []
    for key in after.keys() & before.keys():
        differing = tuple(changes(worst_of(before[key]), worst_of(after[key])))
        if differing:
            found.append(Compared(after[key][0].name, *key, differing))
    found.sort(key=lambda one: (HELD.index(one.changes[0].gate), one.name, one.target))
    return Comparison(
        tuple(one for one in found if one.is_worse),
        tuple(one for one in found if not one.is_worse),
        tuple(some[0] for key, some in after.items() if key not in before),
        tuple(some[0] for key, some in before.items() if key not in after),
        len(after.keys() & before.keys()) - len(found),
        (_compilers(old), _compilers(new)),
    )


def _by_key(kernels: Iterable[BuiltKernel]) -> dict[tuple[str, str], list[BuiltKernel]]:
    found: dict[tuple[str, str], list[BuiltKernel]] = {}
    for kernel in kernels:
        found.setdefault((kernel.symbol, kernel.target), []).append(kernel)
    return found


def _compilers(kernels: Iterable[BuiltKernel]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kernel.compiler or "unknown" for kernel in kernels))
