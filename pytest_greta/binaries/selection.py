"""Which kernels of a file a table shows, and how: chosen, sorted, and as one line for a template."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_greta.binaries.columns import order
from pytest_greta.binaries.kernels import BuiltKernel
from pytest_greta.binaries.names import matches, template
from pytest_greta.compiler.names import qualified
from pytest_greta.errors import suggestion
from pytest_greta.gates.scopes import covers

_TOLD = 8
"""Names that a message lists."""


@dataclass(frozen=True)
class Selection:
    """Which kernels are meant."""

    targets: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    """Those of names; a kernel is meant that one of them matches."""

    def means(self, name: str, symbol: str, target: str) -> bool:
        """Whether a kernel is meant."""
        return (not self.targets or any(covers(scope, target) for scope in self.targets)) and (
            not self.patterns or any(matches(text, name, symbol) for text in self.patterns)
        )

    def of(self, kernels: Iterable[BuiltKernel]) -> list[BuiltKernel]:
        """The kernels that are meant."""
        return [kernel for kernel in kernels if self.means(kernel.name, kernel.symbol, kernel.target)]

    def absent(self, kernels: Sequence[BuiltKernel]) -> list[str]:
        """A line for each target that is meant and that no kernel is for."""
        there = dict.fromkeys(kernel.target for kernel in kernels)
        return [
            f"no kernel is for {scope}; {suggestion('', there)}"
            for scope in self.targets
            if not any(covers(scope, target) for target in there)
        ]

    def why_nothing(self, kernels: Sequence[BuiltKernel]) -> str:
        """Why none of some kernels is meant."""
        here = Selection(self.targets).of(kernels)
        if not here:
            targets = list(dict.fromkeys(kernel.target for kernel in kernels))
            return (
                f"no kernel is for {' or '.join(self.targets)}; {suggestion('', targets)}"
                if kernels
                else "no kernel"
            )
        return f"no kernel matches {' or '.join(self.patterns)}; {nearest(self.patterns[0], here)}"


def nearest(text: str, kernels: Iterable[BuiltKernel]) -> str:
    """The end of a message about a pattern that matches no kernel: `did you mean 'gemm<*>'?`."""
    known = dict.fromkeys(template(kernel.name).replace("<...>", "<*>") for kernel in kernels)
    told = list(known)[:_TOLD]
    close = suggestion(text, known)
    return (
        close
        if close.startswith("did")
        else f"there is {', '.join(told)}{', ...' if len(known) > _TOLD else ''}"
    )


@dataclass(frozen=True)
class Group:
    """Instantiations of one template, or one kernel; the worst of them stands for all."""

    label: str
    worst: BuiltKernel
    count: int = 1

    @property
    def text(self) -> str:
        """What it is called in a table."""
        if self.count == 1:
            return self.label
        name = qualified(self.worst.name)
        return f"{self.label} x {self.count}" + (f", worst: {name}" if name != self.label else "")


def groups(kernels: Sequence[BuiltKernel], sort: str = "", is_expanded: bool = False) -> list[Group]:
    """Kernels as lines of a table: sorted, and each template as one, by its worst instantiation.

    Raises ValueError for a column to sort by that there is not.
    """
    ordered = sorted(kernels, key=order(sort))
    if is_expanded:
        return [Group(qualified(kernel.name), kernel) for kernel in ordered]
    found: dict[str, list[BuiltKernel]] = {}
    for kernel in ordered:
        found.setdefault(template(kernel.name), []).append(kernel)
    return [
        Group(label if len(some) > 1 else qualified(some[0].name), some[0], len(some))
        for label, some in found.items()
    ]
