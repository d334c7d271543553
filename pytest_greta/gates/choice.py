"""Which entries of one kernel of gates.yaml count: for a code object, for a run, as its baseline. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_greta.contract import refusal
from pytest_greta.errors import KernelMistake
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import built_in_for_code
from pytest_greta.gates.model import EVERY_VARIANT, Gate
from pytest_greta.gates.reader import KernelEntry
from pytest_greta.gates.scopes import covers, is_there, specificity
from pytest_greta.kernel import Problem

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Variant

NO_PROBLEM = Problem(0)
"""In the place of a problem where none is known: it lies in no `where`."""


def written(
    entry: KernelEntry | None,
    variant: str,
    problem: Problem,
    *,
    target: str | None = None,
    device: str | None = None,
    baseline: str | None = None,
) -> list[Gate]:
    """The gates of the file for a problem, of its code (`target`) or its run: the variant's own before `*`, each name
    once. `baseline` is the name of the problem's, empty where it has none; without it, the first that is listed.
    """
    if entry is None:
        return []
    own = {gate.name for gate in entry.gates if gate.variant == variant}
    if baseline is None:
        baseline = entry.baselines[0].variant
    best: dict[tuple[str, tuple[str, ...]], Gate] = {}
    for gate in entry.gates:
        definition = CATALOGUE[gate.name]
        applies = (
            definition.source == ("run" if target is None else "code")
            and (gate.variant == variant or (gate.variant == EVERY_VARIANT and gate.name not in own))
            and not (definition.relative and variant == baseline)
            and (not gate.targets or any(covers(scope, target or "") for scope in gate.targets))
            and (not gate.contexts or problem.context in gate.contexts)
            and is_there(gate.where, problem)
            and (not gate.devices or device in gate.devices)
        )
        key = (gate.name, gate.outputs)
        if applies and (key not in best or specificity(gate) > specificity(best[key])):
            best[key] = gate
    return list(best.values())


def code_gates(
    entry: KernelEntry | None, kernel: str, variant: str, target: str, problems: Sequence[Problem]
) -> list[tuple[list[Problem], list[Gate]]]:
    """The gates of a code object that serves `problems`, with the problems that each is for.

    The gates of every one of them hold, each the most specific one there: what serves two problems has two limits where
    the file gives each its own.
    """
    found: list[tuple[Gate, list[Problem]]] = []
    for problem in problems:
        gates = written(entry, variant, problem, target=target)
        names = {gate.name for gate in gates}
        for gate in [
            *(g for g in built_in_for_code(kernel, variant, target) if g.name not in names),
            *gates,
        ]:
            same = next((served for other, served in found if other == gate), None)
            if same is None:
                found.append((gate, [problem]))
            else:
                same.append(problem)
    groups: list[tuple[list[Problem], list[Gate]]] = []
    for gate, served in found:
        group = next((gates for others, gates in groups if others == served), None)
        if group is None:
            groups.append((served, [gate]))
        else:
            group.append(gate)
    return groups


def baseline_of(entry: KernelEntry, kernel: Kernel, problem: Problem) -> Variant | None:
    """What a problem's speedups are measured against: of the baselines listed for it, the first that can process it,
    else the first. None where none is listed for it.
    """
    named = [kernel.variant(one.variant) for one in entry.baselines if is_there(one.where, problem)]
    able = [variant for variant in named if not _is_refused(kernel, problem, variant)]
    return next(iter(able or named), None)


def _is_refused(kernel: Kernel, problem: Problem, variant: Variant) -> bool:
    try:
        return bool(refusal(kernel, problem, variant))
    except KernelMistake:  # which its own tests will say
        return True
