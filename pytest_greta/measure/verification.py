"""Whether what ran was right: what outputs, inputs and bands show after launches, as quantities for the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.gates.model import Quantity
from pytest_greta.measure import correctness

if TYPE_CHECKING:
    from pytest_greta.kernel import Array
    from pytest_greta.measure.draws import Arrays
    from pytest_greta.measure.reference import Reference
    from pytest_greta.measure.run import Run


class Verification:
    """What was seen of one run's memory. What it finds goes into the run's quantities."""

    def __init__(self, run: Run, outputs: Mapping[str, Array]) -> None:
        self._run, self._outputs = run, outputs
        self.references: dict[str, Reference] = {}
        """What the outputs must hold, by draw of inputs; nothing is checked of a draw that is not there."""
        self.first: dict[str, Arrays] = {}
        """The candidate's first outputs, by draw."""
        self._poisoned: dict[int, Arrays] = {}
        """The candidate's outputs by poison: what holds its poison in all of them was not written."""
        self._differing = ""
        self._changed: list[str] = []
        self._damaged: list[str] = []

    def check(self, draw: str, poison: int, outputs: Arrays) -> None:
        """Look at outputs of the candidate: the first on a draw of inputs are held against the reference, and every
        later one must be bitwise equal to these.
        """
        self._poisoned.setdefault(poison, outputs)
        first = self.first.setdefault(draw, outputs)
        if first is outputs:
            error, place = self.references[draw].error(outputs)
            known = self._run.quantities.get("max_error")
            if known is None or not error <= float(known.value or 0):
                where = f"largest error in {place}; " if place else ""
                self._note("max_error", error, where + self.references[draw].checked)
            return
        for name, output in outputs.items():
            if self._differing or correctness.same_bytes(output, first[name]):
                continue
            bits = f"u{output.itemsize}"
            differs = output.view(bits) != first[name].view(bits)
            if differs.any():
                first_at = [int(i) for i in np.unravel_index(int(differs.argmax()), differs.shape)]
                self._differing = (
                    f"{int(differs.sum())} of {differs.size} elements of '{name}' differ between two launches on equal "
                    f"inputs, the first at {first_at}"
                )

    def note_misuse(self, changes: Sequence[str], damage: Sequence[str]) -> None:
        """Keep what the candidate did to inputs, and outside of buffers."""
        self._changed = list(dict.fromkeys([*self._changed, *changes]))
        self._damaged = list(dict.fromkeys([*self._damaged, *damage]))

    def counterpart_problem(
        self,
        draw: str,
        poison: int,
        outputs: Arrays,
        misuse: tuple[Sequence[str], Sequence[str]],
        max_error: float,
    ) -> str:
        """What is wrong with a counterpart after its first launch; empty if nothing is."""
        changes, damage = misuse
        known = {*self._changed, *self._damaged}  # by the candidate
        wrong = [self._unwritten({poison: outputs})]
        wrong += [text for text in (*damage, *changes) if text not in known]
        error, place = self.references[draw].error(outputs)
        if not error <= max_error:
            wrong.append(f"its error is {error:.2e} in {place}, over {max_error:.2e}")
        return "; ".join(text for text in wrong if text)

    def finish(self, launches: int) -> None:
        """What all launches together left behind: holes in the outputs, damaged bands, changed inputs."""
        holes = self._unwritten(self._poisoned)
        self._run.quantities["complete"] = self._complete(holes)
        if self._run.plan.single_shot:
            self._unknown("deterministic", "a single shot has nothing to compare with")
        elif holes:
            self._unknown("deterministic", "what was not written cannot be compared")
        else:
            self._note("deterministic", not self._differing, self._differing or f"{launches} launches")
        self._note("canaries", not self._damaged, "; ".join(self._damaged))
        self._note("inputs_unchanged", not self._changed, "; ".join(self._changed))

    def _complete(self, holes: str) -> Quantity:
        """Whether all was written. An output that starts with something is not poisoned, so that nobody can tell."""
        if holes:
            return Quantity(False, reason=holes)
        poisoned = [a for a in self._outputs.values() if a.initial is None]
        started = ", ".join(f"'{name}'" for name, a in self._outputs.items() if a.initial is not None)
        if not poisoned:
            reason = f"{started}: what starts with a value shows only by its error whether it was written"
            return Quantity(None, reason=reason, excused=True)  # nothing that the author could mend
        if self._run.plan.single_shot and any(np.dtype(a.dtype).kind in "biu" for a in poisoned):
            reason = "an integer may hold any bits: one launch does not show that it was written"
            return Quantity(None, reason=reason)
        return Quantity(True, reason=f"not asked of {started}, with its initial value" if started else "")

    def _unwritten(self, kept: Mapping[int, Arrays]) -> str:
        found = [
            correctness.unwritten(name, [(poison, run[name]) for poison, run in kept.items()])
            for name, array in self._outputs.items()
            if array.initial is None
        ]
        return "; ".join(text for text in found if text)

    def _note(self, name: str, value: bool | float | str, reason: str = "") -> None:
        self._run.quantities[name] = Quantity(value, reason=reason)

    def _unknown(self, name: str, reason: str) -> None:
        self._run.quantities[name] = Quantity(None, reason=reason)
