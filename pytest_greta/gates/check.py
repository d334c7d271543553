"""A gates.yaml held against the registered kernels: names that they do not have, entries that can never apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_greta.contract import max_errors, refusal
from pytest_greta.errors import KernelMistake
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.choice import NO_PROBLEM, baseline_of, written
from pytest_greta.gates.model import EVERY_VARIANT, Gate
from pytest_greta.gates.nodes import Position, quote, suggestion
from pytest_greta.gates.reader import KernelEntry
from pytest_greta.gates.scopes import is_there
from pytest_greta.kernel import Size

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Problem

Problems = Iterator[tuple[Position, str]]
"""What is wrong, and where."""


def unknown_names(
    entries: Mapping[str, KernelEntry], kernels: Mapping[str, Kernel], unread: Sequence[str]
) -> Problems:
    """Kernels, variants and axes that are not registered. `unread` says why kernels may be missing."""
    for entry in entries.values():
        if entry.name not in kernels:
            hint = "; ".join([suggestion(entry.name, kernels), *unread])
            yield entry.position, f"unknown kernel {quote(entry.name)}; {hint}"
            continue
        kernel = kernels[entry.name]
        variants, axes = [variant.name for variant in kernel.variants], {**kernel.sizes, **kernel.cpu_sizes}
        for name, position, what, known in [
            *((one.variant, one.position, "baseline", variants) for one in entry.baselines),
            *((name, position, "variant", variants) for name, position in entry.variants.items()),
            *((name, position, "axis", list(axes)) for name, position in entry.axes.items()),
        ]:
            if name not in known:
                text = f"unknown {what} {quote(name)} of kernel {quote(entry.name)}"
                yield position, f"{text}; {suggestion(name, known)}"


def entries_in_vain(entry: KernelEntry, kernel: Kernel, targets: Sequence[str]) -> Problems:
    """What the file says of one kernel and never applies, where it lists the problems; outputs that there are not."""
    wrong_kind = dict(_wrong_kinds(entry, kernel))
    yield from wrong_kind.items()
    if wrong_kind:
        return  # such problems cannot be made
    cases = _Cases.of(entry, kernel)
    for one in entry.baselines:
        problems = [problem for _, problem in cases.runs]
        yield from ((one.position, text) for text in _where_problems(one.where, kernel, problems))
    outputs = _outputs_of(entry, kernel)
    for gate in entry.gates:
        found = [
            *_where_problems(gate.where, kernel, cases.reached_by(gate)),
            *(_output_problems(gate, outputs) if outputs and CATALOGUE[gate.name].per_output else ()),
        ] or [*_own_baseline(entry, kernel, gate, cases)]
        if not found and gate.expected and not _is_met(entry, kernel, gate, targets, cases):
            found = [f"the `expect` of {gate.name} matches no variant, target or context: delete it"]
        yield from ((Position(gate.line, gate.column), text) for text in found)


@dataclass(frozen=True)
class _Cases:
    """The problems of a kernel that the file lists; none where it lists none."""

    runs: Sequence[tuple[str, Problem]]
    """With the device that each is for."""
    code: Sequence[Problem]
    """What code is compiled for: for a GPU, also where a problem is listed for a cpu alone."""

    @staticmethod
    def of(entry: KernelEntry, kernel: Kernel) -> _Cases:
        listed = [(device, one) for device, some in entry.problems.items() for one in some]
        return _Cases(
            [(device, kernel.problem(one.context, device, one.axes)) for device, one in listed],
            [kernel.problem(one.context, "hip", one.axes) for _, one in listed],
        )

    def reached_by(self, gate: Gate) -> list[Problem]:
        """Those of the devices and contexts that a gate names."""
        if CATALOGUE[gate.name].source == "code":
            return list(self.code)
        return [
            problem
            for device, problem in self.runs
            if (not gate.devices or device in gate.devices)
            and (not gate.contexts or problem.context in gate.contexts)
        ]


def _wrong_kinds(entry: KernelEntry, kernel: Kernel) -> Problems:
    """Texts where an axis is a number, and the other way round, in problems."""
    for listed in entry.problems.values():
        for one in listed:
            for name, size in one.axes.items():
                text = kernel.axis_problem(name, size)
                if text:
                    yield entry.axes[name], text


def _where_problems(
    where: Mapping[str, tuple[Size, ...]], kernel: Kernel, problems: Sequence[Problem]
) -> Iterator[str]:
    """Values of a `where` that none of the problems has, alone or together."""
    wrong = False
    for axis, values in where.items():
        there = sorted({problem.sizes[axis] for problem in problems if axis in problem.sizes}, key=str)
        there.sort(key=lambda size: size if isinstance(size, int) else 0)
        for value in values:
            text = kernel.axis_problem(axis, value)
            if not text and problems and value not in there:
                known = ", ".join(map(str, there)) or "none"
                text = f"{axis} {value} is in no problem of the kernel; there is {known}"
            if text:
                wrong = True
                yield f"where: {text}"
    if where and problems and not wrong and not any(is_there(where, problem) for problem in problems):
        yield f"where: no problem of the kernel has {' and '.join(where)} as it says at once"


def _own_baseline(entry: KernelEntry, kernel: Kernel, gate: Gate, cases: _Cases) -> Iterator[str]:
    """A variant held against itself wherever the gate applies."""
    if not CATALOGUE[gate.name].relative or gate.variant == EVERY_VARIANT:
        return
    variant = kernel.variant(gate.variant)
    reached = [
        p for p in cases.reached_by(gate) if is_there(gate.where, p) and _runs(kernel, p, gate.variant)
    ]
    baselines = [baseline_of(entry, kernel, problem) for problem in reached]
    if baselines and all(baseline is variant for baseline in baselines):
        where = f"of every problem that it is for: {gate.name} against itself says nothing"
        yield f"{gate.name}: variant {quote(gate.variant)} is the baseline {where}"


def _runs(kernel: Kernel, problem: Problem, variant: str) -> bool:
    try:
        return not refusal(kernel, problem, kernel.variant(variant))
    except KernelMistake:  # which its tests will say
        return True


def _is_met(entry: KernelEntry, kernel: Kernel, gate: Gate, targets: Sequence[str], cases: _Cases) -> bool:
    """Whether some code object or run of those the file lists is held against this gate."""
    names = [v.name for v in kernel.variants if gate.variant in (v.name, EVERY_VARIANT)]
    if CATALOGUE[gate.name].source == "code":
        if not targets or (gate.where and not cases.code):
            return True
        problems = cases.code or [NO_PROBLEM]
        return any(gate in written(entry, n, p, target=t) for n in names for t in targets for p in problems)
    baselines = [(d, p, baseline_of(entry, kernel, p)) for d, p in cases.runs]
    runs = [
        written(entry, n, p, device=d, baseline=baseline.name if baseline else "")
        for n in names
        for d, p, baseline in baselines
    ]
    return not cases.runs or any(gate in some for some in runs)


def _outputs_of(entry: KernelEntry, kernel: Kernel) -> dict[str, float | None]:
    """The outputs of the first problem listed, as `max_errors` has them; empty where the family cannot say, or no gate
    asks.
    """
    listed = next(((device, found[0]) for device, found in entry.problems.items() if found), None)
    if listed is None or not any(CATALOGUE[gate.name].per_output for gate in entry.gates):
        return {}
    device, one = listed
    try:
        return max_errors(kernel, kernel.problem(one.context, device, one.axes))
    except KernelMistake:  # the test that runs it says so
        return {}


def _output_problems(gate: Gate, outputs: Mapping[str, float | None]) -> Iterator[str]:
    """What is wrong with the outputs that an entry names, or does not."""
    for name in gate.outputs:
        if name not in outputs:
            yield f"unknown output {quote(name)} of kernel {quote(gate.kernel)}; {suggestion(name, outputs)}"
    if not gate.outputs and gate.limit.max and all(default is None for default in outputs.values()):
        whole = f"the outputs of kernel {quote(gate.kernel)} are whole numbers, which are exact"
        yield f"{gate.name}: {whole}; name those that need not be under outputs"
