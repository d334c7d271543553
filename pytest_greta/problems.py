"""Which problems a kernel is run for: the one place where contexts and axes become problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_greta import contract
from pytest_greta.compiler.prebuilt import is_held, targets_in
from pytest_greta.compiler.targets import runs_on
from pytest_greta.gates.listing import ProblemEntry
from pytest_greta.gates.programs import ProgramEntry
from pytest_greta.gates.reader import KernelEntry
from pytest_greta.kernel import Kernel, Problem, Size, Variant


class ProblemParameter(str):
    """A problem as the parameter of a test: text, so that pytest-benchmark can store it."""

    problem: Problem

    @staticmethod
    def of(problem: Problem) -> ProblemParameter:
        """The parameter of a problem: its id."""
        parameter = ProblemParameter(problem.id)
        parameter.problem = problem
        return parameter


DEFAULT_CONTEXT = 4096
"""What code is compiled and gated for where neither gates.yaml nor an option names a context, and it can run it."""


def problems_for(
    kernel: Kernel,
    entry: KernelEntry | None,
    listed_for: str,
    sizes_of: str,
    contexts: Sequence[int] | None,
    axes: Mapping[str, Sequence[str]],
) -> list[Problem]:
    """The problems of a kernel, by rising context; empty where nobody names one.

    `listed_for` is the device kind (`hip`, `cpu`) whose list in gates.yaml counts, `sizes_of` the one whose sizes do.
    `contexts`, those of the command line, take the place of the listed ones, for every combination of the other axes.
    `axes` take the listed problems that have one of their values; a value that none has takes the place of theirs.
    """
    listed = entry.problems.get(listed_for, ()) if entry else ()
    if contexts is not None:
        forms = {tuple(sorted(one.axes.items())): one for one in reversed(listed or (ProblemEntry(1),))}
        listed = tuple(replace(one, context=c) for one in reversed(forms.values()) for c in contexts)
    for axis, values in axes.items():
        if axis in kernel.sizes or axis in kernel.cpu_sizes:
            default = kernel.problem(1, sizes_of).sizes.get(axis)
            listed = _narrowed(listed, axis, [_size(value, default) for value in values], default)
    found = dict.fromkeys(kernel.problem(one.context, sizes_of, one.axes) for one in listed)
    return sorted(_told_apart(list(found)), key=lambda problem: problem.context)


def program_problems(
    entry: ProgramEntry, contexts: Sequence[int] | None, axes: Mapping[str, Sequence[str]]
) -> list[Problem]:
    """The problems of a program, by rising context: those listed, or `contexts` in their place, narrowed to `axes` or
    with a value that none has in the place of theirs. Empty where nobody names one.
    """
    listed = entry.problems
    if contexts is not None:
        forms = {tuple(sorted(one.axes.items())): one for one in reversed(listed or (ProblemEntry(1),))}
        listed = tuple(replace(one, context=c) for one in reversed(forms.values()) for c in contexts)
    for axis, values in axes.items():
        known = next((one.axes[axis] for one in listed if axis in one.axes), None)
        if known is not None:
            listed = _narrowed(listed, axis, [_size(value, known) for value in values], None)
    found = dict.fromkeys(Problem(one.context, one.axes, one.axes) for one in listed)
    return sorted(_told_apart(list(found)), key=lambda problem: problem.context)


def code_problems_for(
    kernel: Kernel,
    variant: Variant,
    entry: KernelEntry | None,
    contexts: Sequence[int] | None,
    axes: Mapping[str, Sequence[str]],
) -> list[Problem]:
    """The problems that a variant's code for a GPU is compiled for: those of a GPU, and where others are listed for a
    cpu alone (not only at other contexts), these too. One is there in any case.
    """
    listed, others = (problems_for(kernel, entry, kind, "hip", contexts, axes) for kind in ("hip", "cpu"))
    found = [*listed, *(one for one in others if all(one.sizes != other.sizes for other in listed))]
    if not found:
        limits = [most for most in (kernel.max_context, variant.max_context) if most is not None]
        found = [kernel.problem(min([DEFAULT_CONTEXT, *limits]), "hip")]
    return _told_apart(found)


def _told_apart(problems: Sequence[Problem]) -> list[Problem]:
    """Problems whose ids are different: those that would be called the same are spelled out."""
    counts = Counter(problem.id for problem in problems)
    spelled = [replace(one, spelled=True) if counts[one.id] > 1 else one for one in problems]
    if all(one.spelled == other.spelled for one, other in zip(problems, spelled, strict=True)):
        return spelled
    return _told_apart(spelled)


def sharing_code(kernel: Kernel, variant: Variant, problems: Iterable[Problem]) -> list[list[Problem]]:
    """Problems in groups for which a variant is the same code: that of equal definitions, or compiled elsewhere."""
    groups: dict[object, list[Problem]] = {}
    for problem in problems:
        key = () if variant.code else contract.defines(kernel, problem, variant)
        groups.setdefault(key, []).append(problem)
    return list(groups.values())


def as_emulated(kernel: Kernel, problem: Problem) -> Problem:
    """A problem with the sizes of the cpu device: an emulated GPU is as slow."""
    return replace(kernel.problem(problem.context, "cpu", problem.axes), spelled=problem.spelled)


def _size(text: str, default: Size | None) -> Size:
    """A value of `--greta-axis`: a number where it reads like one, and the axis is not one of texts."""
    return int(text) if text.isdecimal() and int(text) and not isinstance(default, str) else text


def _narrowed(
    listed: Sequence[ProblemEntry], axis: str, values: Sequence[Size], default: Size | None
) -> tuple[ProblemEntry, ...]:
    """The problems that have one of the values on an axis, and for a value that none has, all with it in place."""
    found = [one for one in listed if one.axes.get(axis, default) in values]
    known = {one.axes.get(axis, default) for one in found}
    for value in values:
        if value not in known:
            found += [replace(one, axes={**one.axes, axis: value}) for one in listed]
    unique = {(one.context, tuple(sorted(one.axes.items()))): one for one in found}
    return tuple(unique.values())


def is_not_for(kernel: Kernel, variant: Variant, target: str) -> str:
    """Why a variant is not for a target, `spirv64` of the cpu device among them; empty where it is.

    Raises CompileError where its code, compiled elsewhere, cannot be read.
    """
    for what, targets in (
        (f"variant {variant.name}", variant.targets),
        (f"kernel {kernel.name}", kernel.targets),
    ):
        if targets is not None and not any(runs_on(scope, target) for scope in targets):
            return f"{what} is for {', '.join(targets)}"
    if variant.code:
        held = targets_in(kernel.source_path(variant))
        if not is_held(held, target):
            return f"variant {variant.name} is {variant.code}, code for {', '.join(held)}"
    return ""
