"""What the outputs must hold on one draw of inputs, and how far those of a launch are from it.

All of them where a family says so at once. Else some rows in float64, and every row against outputs that were verified
on such rows: where the two lie further apart than the one may be off, float64 says which is wrong.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta import contract, contract_arrays
from pytest_greta.errors import KernelMistake
from pytest_greta.measure import correctness
from pytest_greta.measure.correctness import Errors, Row, Tolerance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.kernel import Array, Kernel, Problem
    from pytest_greta.measure.draws import Arrays

ROWS_SECONDS = 2.0
"""For so long, of each draw, rows are computed in float64 where nothing else is there to compare all of them with:
while launches are timed, then what is left of it; `_TRIED` of it, where all would not reach `_WORTH` of the rows."""
_WORTH = 0.1
_TRIED = 1 / 16

_COVER_SECONDS = 20.0
"""After so long even the rows that cover an output are cut short: a reference in Python may take minutes a row."""

_FEWEST_ROWS = 8

_DISPUTED = 32
"""Of the rows that lie too far from the verified ones, so many are computed in float64 at least, the worst first: then
no more where one of them was wrong, and else all, for `_DISPUTED_SECONDS`."""
_DISPUTED_SECONDS = 10.0

_one_at_a_time = threading.Lock()
"""Rows are computed in two threads, by an author's code that need not expect that."""

Tolerances = Mapping[str, Tolerance]
"""By name of the output."""


@dataclass
class Reference:
    """The reference of one draw of inputs."""

    kernel: Kernel
    problem: Problem
    inputs: Arrays
    outputs: Mapping[str, Array]
    others: Iterator[Row]
    """Rows that can be computed besides, in the order in which they are."""
    whole: Arrays | None
    """All that they must hold, where the family says so at once."""
    rows: dict[Row, Arrays] = field(default_factory=dict)
    """What rows must hold, in float64; none where `whole` is there."""
    verified: Arrays | None = None
    """Outputs that were right in `rows`: those of what the candidate is timed beside."""
    verified_tolerances: Tolerances = field(default_factory=dict)
    verified_slot: str = ""
    verified_name: str = ""
    wrong: str = ""
    """Where `verified` turned out to be wrong after all."""
    mistakes: list[KernelMistake] = field(default_factory=list)
    """What the family raised for any row of any draw: the tests of this problem fail with it, all that come later."""

    def errors(self, outputs: Arrays, tolerances: Tolerances) -> dict[str, Errors]:
        """The largest errors of every output. Raises KernelMistake."""
        if self.whole is not None:
            whole = self.whole
            return {name: self._errors(name, outputs, whole, tolerances) for name in self.outputs}
        rows = list(self.rows)
        places = tuple(np.array(rows, np.intp).T)
        found = {}
        for name in self.outputs:
            expected = np.stack([row[name] for row in self.rows.values()])
            at = (outputs[name][places], expected, tolerances[name], rows.__getitem__, self._decode)
            found[name] = correctness.errors_of(name, *at)
        began, verified = time.monotonic(), self.verified
        for number, row in enumerate(self._disputed(outputs, tolerances)):
            is_wrong = any(found[name].problem(tolerances[name]) for name in found)
            if number >= _DISPUTED and is_wrong:
                break
            if number >= _DISPUTED and time.monotonic() - began > _DISPUTED_SECONDS:
                self.verified = None  # too many rows are as far from it for all of them to be looked at
                break
            wanted = self.rows[row] = self.rows.get(row) or self.compute(row)
            ours = self._at(row, wanted, outputs, tolerances)
            found = {name: one.worst(ours[name]) for name, one in found.items()}
            if verified is not None and not self.wrong:
                theirs = self._at(row, wanted, verified, self.verified_tolerances)
                wrong = (errors.problem(self.verified_tolerances[name]) for name, errors in theirs.items())
                self.wrong = next(filter(None, wrong), "")
        return found

    def distances(self, name: str, outputs: Arrays) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of every row of an output the size that its error is relative to, and how far it is off, both `[rows]`: from
        what was computed, else from the verified outputs. Where there is neither, `outputs` are taken for right.
        """
        found, wanted = self._flat(outputs, name), self.whole or self.verified
        scales, errors = correctness.distances(found, self._flat(wanted or outputs, name))
        is_told = np.full(len(scales), wanted is not None)
        if self.rows and self.whole is None:
            numbers = [int(np.ravel_multi_index(row, self._extent)) for row in self.rows]
            expected = np.stack([row[name] for row in self.rows.values()])
            scales[numbers], errors[numbers] = correctness.distances(found[numbers], expected)
            is_told[numbers] = True
        scales[is_told & (scales == 0)] = 1.0  # then the error is absolute
        return scales, errors

    def anew(self) -> Reference:
        """The same rows for another measurement, which has verified nothing yet."""
        kept = self.kernel, self.problem, self.inputs, self.outputs, self.others, self.whole
        return Reference(*kept, self.rows, mistakes=self.mistakes)

    def forget(self, slot: str) -> None:
        """The outputs of a slot are no longer taken for right."""
        if self.verified_slot == slot:
            self.verified = None

    @property
    def is_partial(self) -> bool:
        """Whether there are rows that are compared with nothing."""
        return self.whole is None and self.verified is None and len(self.rows) < math.prod(self._extent)

    def further_rows(self, seconds: float, stop: threading.Event) -> dict[Row, Arrays]:
        """Rows that are not there yet, as many as can be computed in so long, or until `stop`. Raises KernelMistake.

        May be called in another thread: what it gives is added to `rows` in the thread that reads them.
        """
        found: dict[Row, Arrays] = {}
        began, worth = time.monotonic(), _WORTH * math.prod(self._extent)
        for row in self.others:
            if row not in self.rows:
                found[row] = self.compute(row)
            spent = time.monotonic() - began
            if (
                stop.is_set()
                or spent > seconds
                or (spent > seconds * _TRIED and len(found) * seconds / spent < worth)
            ):
                break
        return found

    def verify(self, slot: str, name: str, outputs: Arrays, tolerances: Tolerances) -> None:
        """Keep outputs that were right, to hold all rows of others against them."""
        if self.whole is None:
            self.verified, self.verified_tolerances = outputs, tolerances
            self.verified_slot, self.verified_name = slot, f"the {slot} {name}"

    @property
    def checked(self) -> str:
        """How much of the outputs is compared."""
        rows = math.prod(self._extent)
        if self.whole is not None:
            return f"all {sum(array.size for array in self.whole.values())} elements checked"
        if self.verified is not None:
            return f"all {rows} rows checked against {self.verified_name}, {len(self.rows)} of them against float64"
        return f"{len(self.rows)} of {rows} rows checked"

    def _decode(self, name: str, values: NDArray[np.generic]) -> NDArray[np.generic]:
        return contract.decode(self.kernel, name, values)

    def compute(self, row: Row) -> Arrays:
        """What a row must hold. Raises KernelMistake."""
        with _one_at_a_time, _noted(self.mistakes):
            return contract.reference(self.kernel, self.problem, self.inputs, row, self.outputs)

    @property
    def size_bytes(self) -> int:
        """Of what the outputs must hold, as far as it was computed."""
        row = next(iter(self.rows.values()), {})  # all have one size
        of_a_row = sum(array.nbytes for array in row.values())
        return len(self.rows) * of_a_row + sum(array.nbytes for array in (self.whole or {}).values())

    @property
    def _extent(self) -> Row:
        return self.kernel.rows(self.problem)

    def _disputed(self, outputs: Arrays, tolerances: Tolerances) -> list[Row]:
        """Rows to look at besides: too far from the verified ones, or with what is no finite number."""
        found: dict[int, None] = {}
        for name in self.outputs:
            ours, decode = self._flat(outputs, name), self._decode
            if self.verified is None:
                odd = correctness.nonfinite(name, ours, decode)
            else:
                odd = correctness.suspects(
                    name, ours, self._flat(self.verified, name), tolerances[name], decode
                )
            found |= dict.fromkeys(int(n) for n in odd)
        return [self._row(number) for number in found]

    def _at(self, row: Row, wanted: Arrays, outputs: Arrays, tolerances: Tolerances) -> dict[str, Errors]:
        """The errors of one row."""

        def errors(name: str) -> Errors:
            pair = outputs[name][row][np.newaxis], wanted[name][np.newaxis]
            return correctness.errors_of(name, *pair, tolerances[name], lambda _: row, self._decode)

        return {name: errors(name) for name in self.outputs}

    def _errors(self, name: str, outputs: Arrays, wanted: Arrays, tolerances: Tolerances) -> Errors:
        """The errors of all rows of an output."""
        pair = self._flat(outputs, name), self._flat(wanted, name)
        return correctness.errors_of(name, *pair, tolerances[name], self._row, self._decode)

    def _flat(self, arrays: Arrays, name: str) -> NDArray[np.generic]:
        """An output as `[rows, ...]`."""
        array = arrays[name]
        return array.reshape(-1, *array.shape[len(self._extent) :])

    def _row(self, number: int) -> Row:
        return tuple(int(i) for i in np.unravel_index(number, self._extent))


@contextmanager
def _noted(mistakes: list[KernelMistake]) -> Iterator[None]:
    """Keep what a family raises."""
    try:
        yield
    except KernelMistake as mistake:
        mistakes.append(mistake)
        raise


def references_of(
    kernel: Kernel,
    problem: Problem,
    inputs_by_draw: Mapping[str, Arrays],
    outputs: Mapping[str, Array],
    rng: np.random.Generator,
    mistakes: list[KernelMistake] | None = None,
) -> dict[str, Reference]:
    """The reference of every draw: whole where the family gives it, else rows that cover it. Raises KernelMistake. One
    is kept in `mistakes`, also where a row is computed later.
    """
    mistakes = [] if mistakes is None else mistakes
    extent = kernel.rows(problem)
    found = {}
    for (draw, inputs), others in zip(
        inputs_by_draw.items(), correctness.all_rows(extent, rng), strict=False
    ):
        with _noted(mistakes):
            whole = contract_arrays.reference_all(kernel, problem, inputs, outputs)
        made = Reference(kernel, problem, inputs, outputs, others, whole, mistakes=mistakes)
        found[draw] = made
        began = time.monotonic()
        for row in correctness.covering_rows(extent, rng) if whole is None else ():
            if len(made.rows) >= _FEWEST_ROWS and time.monotonic() - began > _COVER_SECONDS:
                break
            made.rows[row] = made.compute(row)
    return found
