"""Which measurements a session will come to, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Problem

    Planned = tuple[Kernel, str, Problem]
    """A kernel, the name of a variant, a problem."""

_FAR = 100
"""So many measurements are looked ahead."""


@dataclass
class Upcoming:
    """What is planned, and how far the session has come."""

    planned: list[Planned] = field(default_factory=list)
    _at: int = 0

    def add(self, kernel: Kernel, variant_name: str, problem: Problem) -> None:
        """The next one that was collected."""
        self.planned.append((kernel, variant_name, problem))

    def after(self, kernel: Kernel, variant_name: str, problem: Problem) -> Sequence[Planned]:
        """The next ones after the one that is measured now, the first of each other problem; where that one is not
        planned, after the last that was found.
        """
        this = kernel.name, variant_name, problem
        for number in range(self._at, len(self.planned)):
            one, name, its_problem = self.planned[number]
            if (one.name, name, its_problem) == this:
                self._at = number
                break
        later = self.planned[self._at + 1 : self._at + 1 + _FAR]
        first: dict[tuple[str, Problem], Planned] = {}
        for one, name, its_problem in later:
            if (one.name, its_problem) != (kernel.name, problem):
                first.setdefault((one.name, its_problem), (one, name, its_problem))
        return list(first.values())
