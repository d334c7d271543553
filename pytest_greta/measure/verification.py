"""Whether what ran was right: what outputs, inputs and bands show after launches, as quantities for the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_greta.dtypes import dtype_of, takes_two
from pytest_greta.gates.model import Quantity
from pytest_greta.measure import correctness
from pytest_greta.measure.correctness import Errors

if TYPE_CHECKING:
    from pytest_greta.kernel import Array
    from pytest_greta.measure.draws import Arrays
    from pytest_greta.measure.reference import Reference, Tolerances
    from pytest_greta.measure.run import Run


class Verification:
    """What was seen of the memory of one executable, over all its launches.

    Of the first launch on every draw of inputs the outputs are read and held against the reference. Every later one
    must have their digest; where it has not, the device tells that they are near enough to the first, or they are read
    and judged as well.
    """

    def __init__(
        self, outputs: Mapping[str, Array], references: Mapping[str, Reference], tolerances: Tolerances
    ) -> None:
        self._outputs, self._references, self.tolerances = outputs, references, tolerances
        self.launches = 0
        self._held = self._read = 0
        self._held_to_first = False
        """Whether some were held within the tolerance of the first in rows that nothing else was known of."""
        self.first: dict[str, Arrays] = {}
        """The first outputs, by draw."""
        self.errors = {name: Errors() for name in outputs}
        """The largest errors of any launch."""
        self.differing = ""
        """How outputs of a later launch differed from the first on equal inputs."""
        self.changed: list[str] = []
        self.damaged: list[str] = []
        self._digests: dict[str, bytes] = {}
        self._poisoned: dict[int, Arrays] = {}
        """Outputs by poison: what holds its poison in all of them was not written."""

    def expected(self, draw: str) -> bytes:
        """The digest that outputs on a draw should have; empty where none was read yet."""
        return self._digests.get(draw, b"")

    def is_known(self, draw: str, poison: int, digest: bytes) -> bool:
        """Count a launch; whether its outputs, of that digest, were judged before. If not, they are to be read."""
        self.launches += 1
        if self._digests.get(draw) != digest:
            return False
        self._poisoned.setdefault(poison, self.first[draw])  # the same bytes, over another poison
        return True

    def see(self, draw: str, poison: int, digest: bytes, outputs: Arrays) -> None:
        """Keep outputs that were read, and hold them against the first ones on these inputs. They are to be judged."""
        self._read += 1
        self._poisoned.setdefault(poison, outputs)
        self._digests.setdefault(draw, digest)
        first = self.first.setdefault(draw, outputs)
        if first is not outputs and not self.differing:
            found = (correctness.difference(name, outputs[name], first[name]) for name in self._outputs)
            self.differing = next(filter(None, found), "")

    def recall(self, draw: str, digest: bytes, outputs: Arrays) -> None:
        """Outputs that were judged in an earlier measurement: launches with their digest need not be read again."""
        self._digests[draw], self.first[draw] = digest, outputs

    def hold(self, draw: str, poison: int, is_partial: bool) -> None:
        """Count a launch whose outputs the device found to be as near to the first ones as the tolerance has it.

        Of these, what the first launch did not write has its bits, and so was written by this one.
        """
        self._held += 1
        self._held_to_first |= is_partial
        self._poisoned.setdefault(poison, self.first[draw])

    def judge(self, draw: str, outputs: Arrays) -> None:
        """Hold outputs against the reference. Raises KernelMistake."""
        found = self._references[draw].errors(outputs, self.tolerances)
        self.errors = {name: one.worst(found[name]) for name, one in self.errors.items()}

    def judge_again(self, draw: str) -> None:
        """Hold the first outputs against the reference once more: it has learned what all rows must hold."""
        if draw in self.first:
            self.judge(draw, self.first[draw])

    def note_misuse(self, changed: Sequence[str], damaged: Sequence[str]) -> None:
        """Keep what it did to inputs, and outside of buffers."""
        self.changed = list(dict.fromkeys([*self.changed, *changed]))
        self.damaged = list(dict.fromkeys([*self.damaged, *damaged]))

    @property
    def holes(self) -> str:
        """What no launch wrote."""
        found = [
            correctness.unwritten(name, [(poison, run[name]) for poison, run in list(self._poisoned.items())])
            for name, array in self._outputs.items()
            if array.initial is None and self._poisoned
        ]
        return "; ".join(text for text in found if text)

    @property
    def problem(self) -> str:
        """Why nothing should be timed against it; empty where it is right so far."""
        wrong = [self.holes, *self.damaged, *self.changed]
        wrong += [errors.problem(self.tolerances[name]) for name, errors in self.errors.items()]
        return "; ".join(text for text in wrong if text)

    def add_quantities(self, run: Run) -> None:
        """What the gates ask of a candidate."""
        found, holes = run.quantities, self.holes
        found["complete"] = self._complete(run, holes)
        if run.plan.single_shot:
            found["deterministic"] = Quantity(None, reason="a single shot has nothing to compare with")
        elif holes:
            found["deterministic"] = Quantity(None, reason="what was not written cannot be compared")
        else:
            several = max(run.manner.counts.values(), default=1) > 1
            compared = f"{self.launches} launches" + (", the last of each round" if several else "")
            reason = self.differing or compared
            found["deterministic"] = Quantity(not self.differing, reason=reason)
        found["canaries"] = Quantity(not self.damaged, reason="; ".join(self.damaged))
        found["inputs_unchanged"] = Quantity(not self.changed, reason="; ".join(self.changed))
        self.add_errors(run)

    def add_errors(self, run: Run) -> None:
        """`max_error` and `allclose` of every output as far as they are known, and the largest of all."""
        references = sorted((self._references[draw] for draw in self.first), key=lambda r: not r.is_partial)
        run.checked = checked = references[0].checked if references else ""
        checked += self._on_device(any(reference.is_partial for reference in references))
        for gate, shown in (("max_error", _of_row), ("allclose", _of_element)):
            known = {name: shown(errors, checked) for name, errors in self.errors.items()}
            run.quantities |= {f"{gate}:{name}": quantity for name, quantity in known.items()}
            run.quantities[gate] = max(known.values(), key=lambda quantity: float(quantity.value or 0))

    def _on_device(self, is_partial: bool) -> str:
        """In words how many launches the errors that are told are of, and what is known of the others."""
        if not self._held:
            return ""
        same = self.launches - self._read - self._held
        first = " of the first" if self._held_to_first or is_partial else ""
        return (
            f"; measured in {self._read} launches that were read, {self._held} were held within the tolerance{first} "
            f"on the device, {same} had the same bits"
        )

    def _complete(self, run: Run, holes: str) -> Quantity:
        """Whether all was written. An output that starts with something is not poisoned, so that nobody can tell."""
        if holes:
            return Quantity(False, reason=holes)
        poisoned = [a for a in self._outputs.values() if a.initial is None]
        started = ", ".join(f"'{name}'" for name, a in self._outputs.items() if a.initial is not None)
        if not poisoned:
            reason = f"{started}: what starts with a value shows only by its error whether it was written"
            return Quantity(None, reason=reason, excused=True)  # nothing that the author could mend
        if len(self._poisoned) < 2 and any(takes_two(dtype_of(a.dtype)) for a in poisoned):
            reason = "an integer may hold any bits: one launch does not show that it was written"
            return Quantity(None, reason=reason)
        return Quantity(True, reason=f"not asked of {started}, with its initial value" if started else "")


def _of_row(errors: Errors, checked: str) -> Quantity:
    where = f"largest error in {errors.row}; " if errors.row else ""
    return Quantity(errors.of_row, reason=where + checked)


def _of_element(errors: Errors, checked: str) -> Quantity:
    where = f"largest in {errors.element}; " if errors.element else ""
    return Quantity(errors.of_element, reason=where + checked)
