"""What all measurements of a problem share: its inputs, drawn once a session, what they make of the outputs, and the
outputs of the baseline.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta import contract
from pytest_greta.errors import KernelMistake
from pytest_greta.measure.beside import Ahead
from pytest_greta.measure.draws import Inputs, draw_shared
from pytest_greta.measure.executable import key_of
from pytest_greta.measure.reference import ROWS_SECONDS, Reference, references_of

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Problem
    from pytest_greta.measure.correctness import Row
    from pytest_greta.measure.draws import Arrays
    from pytest_greta.measure.executable import Executable
    from pytest_greta.measure.reference import Tolerances
    from pytest_greta.measure.verification import Verification

_MOST_BYTES = 8 << 30
"""Of inputs and references that are kept, nor more than a quarter of the machine's memory; those of one problem always
are."""

_MOST_ARRAYS = 100
"""Of all problems that are kept, and outputs that were right: each array takes two file descriptors, of which a process
may have 1024."""

_MOST_AHEAD = 2
"""So many problems are drawn ahead at once, of those that no test has asked for yet."""

Key = tuple[str, "Problem", int, bool]


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
    _further: set[str] = field(default_factory=set)
    """Draws whose further rows were computed."""

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

    def has_further_rows(self, draw: str) -> bool:
        """Whether rows were computed beyond those that cover the outputs: once a session, for all measurements."""
        return draw in self._further

    def add_further_rows(self, draw: str, rows: Mapping[Row, Arrays]) -> None:
        """Keep what was computed of the reference of a draw."""
        self._references[draw].rows.update(rows)
        self._further.add(draw)

    def complete(self, stop: threading.Event) -> None:
        """Compute ahead what a measurement that is timed beside nothing will hold outputs against. Raises
        KernelMistake.
        """
        for draw, reference in self.references().items():
            if reference.is_partial and not stop.is_set():
                self.add_further_rows(draw, reference.further_rows(ROWS_SECONDS, stop))

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
    def arrays(self) -> int:
        """How many inputs, and outputs that were found right, are kept in memory of their own."""
        inputs = sum(len(drawn.arrays) for drawn in self.shared.values())
        return inputs + sum(len(one.outputs) for one in self._right.values())

    @property
    def size_bytes(self) -> int:
        """Of the inputs, the references, and the outputs that were found right."""
        inputs = sum(array.nbytes for drawn in self.shared.values() for array in drawn.arrays.values())
        outputs = sum(array.nbytes for one in self._right.values() for array in one.outputs.values())
        return inputs + outputs + sum(reference.size_bytes for reference in self._references.values())


@dataclass(frozen=True)
class Wanted:
    """Data of a problem that a session will ask for."""

    kernel: Kernel
    problem: Problem
    seed: int
    single_shot: bool = False
    """Whether it is launched once, and inputs are drawn once."""
    is_alone: bool = False
    """Whether it is measured beside nothing, so that only float64 tells what outputs must hold."""

    @property
    def key(self) -> Key:
        """What makes it that of no other."""
        return self.kernel.name, self.problem, self.seed, self.single_shot


class DataStore:
    """The data of the problems of a session, those used last, and those used next."""

    def __init__(self, most_bytes: int | None = None) -> None:
        """Keep no more than so many bytes; None for what suits the machine."""
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self._most_bytes = min(_MOST_BYTES, pages // 4) if most_bytes is None else most_bytes
        self._kept: dict[Key, ProblemData] = {}
        self._mistakes: dict[Key, list[KernelMistake]] = {}
        """What references raised, of problems that are not kept too."""
        self._ahead: Ahead[Key, ProblemData] = Ahead()
        self._stop = threading.Event()

    def foresee(self, wanted: Iterable[Wanted]) -> None:
        """Draw inputs and compute references that will be asked for, in this order, in a thread beside the device, as
        far as memory allows. What raises there does so again where it is asked for.
        """
        for one in wanted:
            if self._ahead.pending >= _MOST_AHEAD or self._is_full():
                break
            if one.key not in self._kept:
                self._ahead.begin(one.key, partial(self._make, one))

    def of(self, wanted: Wanted, progress: Callable[[str], None]) -> ProblemData:
        """The data of a problem. Raises KernelMistake."""
        data = self._kept.pop(wanted.key, None)
        if data is None:
            progress("drawing inputs")
            data = self._ahead.take(wanted.key) or _drawn(wanted)
            data.mistakes += self._mistakes.get(wanted.key, [])
            self._mistakes[wanted.key] = data.mistakes
        self._kept[wanted.key] = data
        while len(self._kept) > 1 and self._is_full():
            self._kept.pop(next(iter(self._kept))).stack.close()
        return data

    def close(self) -> None:
        """Let go of all of it."""
        self._stop.set()
        for data in [*self._kept.values(), *self._ahead.close()]:
            data.stack.close()
        self._kept.clear()

    def _make(self, wanted: Wanted) -> ProblemData:
        """The data of a problem, with its references: what these raise is left to whoever asks for them."""
        data = _drawn(wanted)
        with suppress(KernelMistake):
            if wanted.is_alone:
                data.complete(self._stop)
            else:
                data.references()
        return data

    def _is_full(self) -> bool:
        held = [*self._kept.values(), *self._ahead.made]
        arrays = sum(one.arrays for one in held)
        return arrays > _MOST_ARRAYS or sum(one.size_bytes for one in held) > self._most_bytes


def _drawn(wanted: Wanted) -> ProblemData:
    """Inputs, drawn anew. Raises KernelMistake."""
    rng = np.random.default_rng(wanted.seed)
    with ExitStack() as unless_kept:
        count = 1 if wanted.single_shot else 2
        shared = draw_shared(wanted.kernel, wanted.problem, rng, count, unless_kept)
        return ProblemData(wanted.kernel, wanted.problem, shared, rng, unless_kept.pop_all())
