"""What all measurements of a problem share: its inputs, drawn once a session, what they make of the outputs, and the
outputs of the baseline.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta import contract
from pytest_greta.errors import KernelMistake
from pytest_greta.measure.draws import Inputs, draw_shared
from pytest_greta.measure.executable import key_of
from pytest_greta.measure.reference import Reference, references_of

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Problem
    from pytest_greta.measure.draws import Arrays
    from pytest_greta.measure.executable import Executable
    from pytest_greta.measure.reference import Tolerances
    from pytest_greta.measure.verification import Verification

_MOST_BYTES = 8 << 30
"""Of inputs and references that are kept, nor more than a quarter of the machine's memory; those of one problem always
are."""

Key = tuple[str, "Problem", int, int]


@dataclass(frozen=True)
class Right:
    """Outputs of an executable on one draw, which were judged and found right."""

    digest: bytes
    outputs: Arrays
    tolerances: Tolerances
    rows: int
    """So many rows of the reference were known then."""


@dataclass
class ProblemData:
    """The inputs of one problem, and its references when they were computed."""

    kernel: Kernel
    problem: Problem
    shared: Mapping[str, Inputs]
    rng: np.random.Generator
    stack: ExitStack
    _references: dict[str, Reference] = field(default_factory=dict)
    _right: dict[tuple[str, str], Right] = field(default_factory=dict)
    """By executable and draw."""
    mistakes: list[KernelMistake] = field(default_factory=list)
    """What its references raised for any row."""

    def references(self) -> dict[str, Reference]:
        """What the outputs must hold, by draw: for one measurement, with the rows that others computed before it.

        Raises KernelMistake, the first that they met in any measurement: others may not meet that row again.
        """
        if self.mistakes:
            raise type(self.mistakes[0])(str(self.mistakes[0]))
        if not self._references:
            inputs = {draw: drawn.arrays for draw, drawn in self.shared.items()}
            outputs = contract.outputs(self.kernel, self.problem)
            made = references_of(self.kernel, self.problem, inputs, outputs, self.rng, self.mistakes)
            self._references = made
        return {draw: reference.anew() for draw, reference in self._references.items()}

    def remember(self, executable: Executable, check: Verification | None) -> None:
        """Keep the outputs of what others are timed beside, so that later measurements need not read and judge the same
        bytes again; forget them where it was wrong, which is `None`.
        """
        key = key_of(executable)
        for draw in self.shared:
            self._right.pop((key, draw), None)
            if check is not None and check.expected(draw) and not (check.differing or check.problem):
                rows = len(self._references[draw].rows)
                found = Right(check.expected(draw), check.first[draw], check.tolerances, rows)
                self._right[key, draw] = found

    def right(self, executable: Executable, tolerances: Tolerances) -> dict[str, Right]:
        """What was remembered of it, by draw: what was held against all that is known of the reference today."""
        kept = {draw: self._right.get((key_of(executable), draw)) for draw in self.shared}
        return {
            draw: one
            for draw, one in kept.items()
            if one and one.tolerances == tolerances and one.rows == len(self._references[draw].rows)
        }

    @property
    def size_bytes(self) -> int:
        """Of the inputs, the references, and the outputs that were found right."""
        inputs = sum(array.nbytes for drawn in self.shared.values() for array in drawn.arrays.values())
        outputs = sum(array.nbytes for one in self._right.values() for array in one.outputs.values())
        return inputs + outputs + sum(reference.size_bytes for reference in self._references.values())


class DataStore:
    """The data of the problems of a session, those used last."""

    def __init__(self, most_bytes: int | None = None) -> None:
        """Keep no more than so many bytes; None for what suits the machine."""
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._most_bytes = min(_MOST_BYTES, pages // 4) if most_bytes is None else most_bytes
        self._kept: dict[Key, ProblemData] = {}
        self._mistakes: dict[Key, list[KernelMistake]] = {}
        """What references raised, of problems that are not kept too."""

    def of(
        self, kernel: Kernel, problem: Problem, seed: int, count: int, progress: Callable[[str], None]
    ) -> ProblemData:
        """The data of a problem, from `count` draws with this seed. Raises KernelMistake."""
        key = kernel.name, problem, seed, count
        data = self._kept.pop(key, None)
        if data is None:
            progress("drawing inputs")
            rng, stack = np.random.default_rng(seed), ExitStack()
            with ExitStack() as unless_kept:
                unless_kept.push(stack)
                shared = draw_shared(kernel, problem, rng, count, stack)
                unless_kept.pop_all()
            data = ProblemData(kernel, problem, shared, rng, stack)
            data.mistakes += self._mistakes.get(key, [])
            self._mistakes[key] = data.mistakes
        self._kept[key] = data
        while len(self._kept) > 1 and sum(one.size_bytes for one in self._kept.values()) > self._most_bytes:
            self._kept.pop(next(iter(self._kept))).stack.close()
        return data

    def close(self) -> None:
        """Let go of all of it."""
        for data in self._kept.values():
            data.stack.close()
        self._kept.clear()
