"""What all measurements of a problem share: its inputs, drawn once a session, and what they make of the outputs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta import contract
from pytest_greta.measure.draws import Inputs, draw_shared
from pytest_greta.measure.reference import Reference, references_of

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Problem

_MOST_BYTES = 8 << 30
"""Of inputs and references that are kept, nor more than a quarter of the machine's memory; those of one problem always
are."""

Key = tuple[str, "Problem", int, int]


@dataclass
class ProblemData:
    """The inputs of one problem, and its references when they were computed."""

    kernel: Kernel
    problem: Problem
    shared: Mapping[str, Inputs]
    rng: np.random.Generator
    stack: ExitStack
    _references: dict[str, Reference] = field(default_factory=dict)

    def references(self) -> dict[str, Reference]:
        """What the outputs must hold, by draw: for one measurement, with the rows that others computed before it.

        Raises KernelMistake.
        """
        if not self._references:
            inputs = {draw: drawn.arrays for draw, drawn in self.shared.items()}
            outputs = contract.outputs(self.kernel, self.problem)
            self._references = references_of(self.kernel, self.problem, inputs, outputs, self.rng)
        return {draw: reference.anew() for draw, reference in self._references.items()}

    @property
    def size_bytes(self) -> int:
        """Of the inputs and the references."""
        inputs = sum(array.nbytes for drawn in self.shared.values() for array in drawn.arrays.values())
        return inputs + sum(reference.size_bytes for reference in self._references.values())


class DataStore:
    """The data of the problems of a session, those used last."""

    def __init__(self, most_bytes: int | None = None) -> None:
        """Keep no more than so many bytes; None for what suits the machine."""
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._most_bytes = min(_MOST_BYTES, pages // 4) if most_bytes is None else most_bytes
        self._kept: dict[Key, ProblemData] = {}

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
        self._kept[key] = data
        while len(self._kept) > 1 and sum(one.size_bytes for one in self._kept.values()) > self._most_bytes:
            self._kept.pop(next(iter(self._kept))).stack.close()
        return data

    def close(self) -> None:
        """Let go of all of it."""
        for data in self._kept.values():
            data.stack.close()
        self._kept.clear()
