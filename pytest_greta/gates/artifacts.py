"""Which entries of one artifact of gates.yaml count for a kernel of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pytest_greta.gates.model import EVERY_VARIANT, Gate
from pytest_greta.gates.nodes import Position
from pytest_greta.gates.scopes import covers, specificity


@dataclass(frozen=True)
class ArtifactEntry:
    """One artifact of gates.yaml: files that were built elsewhere, and the gates of their kernels."""

    name: str
    position: Position
    files: Mapping[str, Position]
    """Globs, relative to the folder of the gates file."""
    gates: tuple[Gate, ...]
    """Each with a pattern of names in the place of a variant; `*` for every kernel."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of names, as written, without `*`."""
        return tuple(dict.fromkeys(g.variant for g in self.gates if g.variant != EVERY_VARIANT))

    def gates_of(self, matching: Collection[str], target: str) -> list[Gate]:
        """The gates of a kernel that these patterns match, each name once.

        Of several patterns that have a gate, the last in the file counts, before `*`: its whole entry, as that of a
        variant does. Of the entries of a list, the one that names targets before one that does not.
        """
        owners = {gate.name: EVERY_VARIANT for gate in self.gates}
        owners |= {gate.name: gate.variant for gate in self.gates if gate.variant in matching}
        best: dict[str, Gate] = {}
        for gate in self.gates:
            applies = owners[gate.name] == gate.variant and (
                not gate.targets or any(covers(scope, target) for scope in gate.targets)
            )
            if applies and (gate.name not in best or specificity(gate) > specificity(best[gate.name])):
                best[gate.name] = gate
        return list(best.values())
