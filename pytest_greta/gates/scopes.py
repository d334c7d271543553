"""Where an entry of gates.yaml applies, and which of two counts. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_greta.gates.model import Gate
from pytest_greta.kernel import Problem, Size


def covers(scope: str, target: str) -> bool:
    """Whether a target in gates.yaml stands for another: `gfx942` does for `gfx942:sramecc+:xnack-`."""
    base, *features = scope.split(":")
    other, *others = target.split(":")
    return base == other and set(features) <= set(others)


def is_there(where: Mapping[str, tuple[Size, ...]], problem: Problem) -> bool:
    """Whether a problem lies where an entry says: each axis named there has one of its values."""
    return all(problem.sizes.get(axis) in values for axis, values in where.items())


def specificity(gate: Gate) -> int:
    """How many scopes a gate names: of two gates that apply, the one that names more wins."""
    return sum(map(bool, (gate.targets, gate.contexts, gate.devices, gate.outputs))) + len(gate.where)


def overlap(a: Gate, b: Gate) -> bool:
    """Whether two gates of one name are equally specific and can apply to the same code object or run."""
    return (
        specificity(a) == specificity(b)
        and (not a.contexts or not b.contexts or not set(a.contexts).isdisjoint(b.contexts))
        and (not a.outputs or not b.outputs or not set(a.outputs).isdisjoint(b.outputs))
        and (not a.devices or not b.devices or not set(a.devices).isdisjoint(b.devices))
        and (not a.targets or not b.targets or any(_compatible(x, y) for x in a.targets for y in b.targets))
        and all(not set(a.where[axis]).isdisjoint(b.where[axis]) for axis in a.where.keys() & b.where.keys())
    )


def _compatible(a: str, b: str) -> bool:
    """Whether some target is covered by both: equal processor, no feature on in one and off in the other."""
    (base, *features), (other, *others) = a.split(":"), b.split(":")
    signs = {feature[:-1]: feature[-1] for feature in features}
    return base == other and all(signs.get(f[:-1], f[-1]) == f[-1] for f in others)
