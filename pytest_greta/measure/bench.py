"""What a measurement works with: executables beside each other, their memory, and what was seen of their outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_greta import contract, contract_arrays
from pytest_greta.device.protocol import SPARE, Launched, Near, Step
from pytest_greta.device.worker import Worker
from pytest_greta.dtypes import dtype_of
from pytest_greta.errors import DeviceFault
from pytest_greta.gates.model import Quantity
from pytest_greta.kernel import Array
from pytest_greta.measure.batches import Manner, Round, steps_of
from pytest_greta.measure.beside import Aside
from pytest_greta.measure.buffers import Buffers
from pytest_greta.measure.correctness import POISONS
from pytest_greta.measure.deviations import Deviations
from pytest_greta.measure.draws import DRAWS, Draws
from pytest_greta.measure.executable import ACCEPTED, BASELINE, CANDIDATE, Executable, array_number
from pytest_greta.measure.reference import Reference
from pytest_greta.measure.run import Run
from pytest_greta.measure.verification import Verification

if TYPE_CHECKING:
    from pytest_greta.measure.draws import Arrays
    from pytest_greta.measure.plan import Plan
    from pytest_greta.measure.problem_data import Right

Progress = Callable[[str], None]


class Bench:
    """One measurement under way."""

    def __init__(
        self,
        worker: Worker,
        plan: Plan,
        run: Run,
        progress: Progress,
        draws: Draws,
        aside: Aside,
    ) -> None:
        self.worker, self.plan, self.run, self.progress = worker, plan, run, progress
        self.draws, self._aside = draws, aside
        self.outputs = contract.outputs(plan.kernel, plan.problem)
        self.references: dict[str, Reference] = {}
        """What the outputs must hold, by draw; empty where nothing is checked."""
        self.checks: dict[str, Verification] = {}
        """What was seen of each slot."""
        self.first_seconds: dict[str, float] = {}
        """Of the first launch of each slot, which warmed it up."""
        self.one_by_one = False
        """Whether outputs differ between launches on equal inputs, and the device does not tell by how much: from then
        on a batch is one round, so that each launch can be looked at."""
        self._unseen: list[Step] = []
        self._wrong: dict[str, str] = {}
        """What is wrong with the outputs of counterparts."""
        run.buffers.update({**draws.layout_for(plan.candidate.variant), **self.outputs})
        self.executables = {CANDIDATE: plan.candidate}
        for slot, other in plan.counterparts.items():
            problem = _other_buffers(
                other.executable, draws.layout_for(other.executable.variant), self.outputs
            )
            run.paired(slot).problem = problem
            if not problem:
                self.executables[slot] = other.executable

    def hold_against(self, references: dict[str, Reference]) -> None:
        """From now on, what is launched is judged by these."""
        self.references, plan = references, self.plan
        tolerances = {CANDIDATE: plan.tolerances}
        tolerances |= {slot: other.tolerances for slot, other in plan.counterparts.items()}
        self.checks = {
            slot: Verification(self.outputs, references, tolerances[slot]) for slot in self.executables
        }

    def load(self) -> None:
        """Load every executable, and write the inputs into its memory. Raises DeviceFault or KernelMistake."""
        kernel = self.plan.kernel
        for slot, executable in list(self.executables.items()):
            if slot != ACCEPTED:  # what history says of accepted code was checked when it was read
                inputs, workspaces = self.draws.layout_for(executable.variant), executable.workspaces
                groups = {"inputs": inputs, "outputs": self.outputs, "workspaces": workspaces}
                contract.check_names(kernel, **{group: list(arrays) for group, arrays in groups.items()})
                contract_arrays.check_origins(kernel, "outputs", self.outputs, self.draws.layout)
                contract_arrays.check_origins(kernel, "workspaces", workspaces, inputs)
                contract.check_arguments(kernel, executable.launches, [*inputs, *self.outputs, *workspaces])
            self.progress(f"loading {executable.name}")
            self.run.fault_of = slot
            try:
                code, constants = executable.code, executable.constants
                name = self.worker.load(slot, code, executable.entry, executable.launches, constants)
            except DeviceFault as fault:
                if slot == BASELINE:
                    raise DeviceFault(f"the baseline {executable.name}: {fault}", fault.kind) from fault
                if slot != ACCEPTED or not self.worker.alive:
                    raise
                self._drop(slot, f"cannot be loaded any more: {fault}")
                continue
            if slot == CANDIDATE:  # by the author's name for it, if it is the function asked for
                asked_for = executable.variant.entry if executable.variant else executable.entry
                self._note("implementation", asked_for if name == executable.entry else name)
        self.run.fault_of = CANDIDATE
        self._allocate()
        vram_bytes = self.worker.memory_used_bytes()
        if vram_bytes is not None:
            self._note("vram_bytes", vram_bytes, "in use on the device, by all processes")

    def _allocate(self) -> None:
        """Buffers of all executables, with their bands whole, and the inputs in them."""
        inputs = {
            slot: {"family": self.draws.shared, "variant": self.draws.own_of(executable.variant)}
            for slot, executable in self.executables.items()
        }
        needed = {slot: executable.workspaces for slot, executable in self.executables.items()}
        try:
            self.buffers = Buffers(self.worker, inputs, self.outputs, needed)
            self.deviations = Deviations(self.plan.kernel, self.outputs, self.buffers)
        except DeviceFault as fault:
            (*_, last) = self.executables
            if last == CANDIDATE or not self.worker.alive:
                raise
            self._drop(last, f"does not fit beside: {fault}")
            self._allocate()

    def _drop(self, slot: str, problem: str) -> None:
        """The candidate is not timed against this one: it goes on without."""
        self._aside.finish()  # nobody reads the references now
        self.run.paired(slot).problem = problem
        del self.executables[slot]
        for reference in self.references.values():
            reference.forget(slot)

    def verify(self, slot: str) -> None:
        """The first launch of a slot: it warms up, and its outputs are judged, as is what it did to other memory,
        before a later launch may undo that. A counterpart that is wrong is dropped: its times would mean nothing.
        """
        self.progress(f"verifying {self.executables[slot].name}")
        (seconds,) = self.launch([Round([slot], DRAWS[0], POISONS[0])])
        self.first_seconds |= seconds
        if slot in self.executables:
            self.note_misuse(slot)
        if self.plan.single_shot:
            self.run.seconds.append(seconds[slot])

    def recall(self, slot: str, right: Mapping[str, Right]) -> None:
        """Begin with outputs of a slot that an earlier measurement found right, by draw."""
        name = self.executables[slot].name
        for draw, one in right.items():
            self.checks[slot].recall(draw, one.digest, one.outputs)
            self.references[draw].verify(slot, name, one.outputs, one.tolerances)

    def has_seen(self, slots: Sequence[str]) -> bool:
        """Whether the outputs of these slots are known for every draw of inputs, where they are checked: the first ones
        are read after their launch, before the next one.
        """
        checks = [self.checks[slot] for slot in slots if slot in self.checks]
        return all(draw in check.first for check in checks for draw in self.draws.shared)

    def arrays(self) -> list[Array]:
        """What launches write to: outputs, and workspaces of all slots."""
        workspaces = (executable.workspaces.values() for executable in self.executables.values())
        return [*self.outputs.values(), *(array for group in workspaces for array in group)]

    def exchange(self, one: str, other: str) -> bool:
        """Let two slots change places in memory, and say whether they did. What each did there is looked at before.

        What one has damaged stays its own: else the other would be blamed for it.
        """
        for slot in (one, other) if self.checks else ():
            self.note_misuse(slot)
        damaged = [check for check in self.checks.values() if check.changed or check.damaged]
        if damaged or not {one, other} <= set(self.executables):
            return False
        self.buffers.exchange(one, other)
        return True

    def launch(self, rounds: Sequence[Round], manner: Manner | None = None) -> list[dict[str, float]]:
        """Launch what is in these rounds, in a `manner` as one batch, or just so, and judge what was written.

        Gives, for each round, the seconds of every slot; not of one that is wrong, or whose outputs nobody could see.
        """
        steps = steps_of(rounds, manner or Manner(), self._expected, self._near)
        launched = self._run(steps, is_held=manner is not None)
        last = {step.slot: number for number, step in enumerate(steps)}
        found: list[dict[str, float]] = []
        numbers = iter(range(len(steps)))
        for one in rounds:
            here = dict(zip(one.order, numbers, strict=False))
            found.append({})
            # The candidate last: what it is held against is verified before.
            for slot, number in sorted(here.items(), key=lambda item: item[0] == CANDIDATE):
                if slot in self.executables and self._judge(
                    steps[number], launched[number], number == last[slot]
                ):
                    found[-1][slot] = launched[number].seconds
            for slot in set(found[-1]) - set(self.executables):  # wrong
                del found[-1][slot]
        self._note_unseen()
        if self._aside.is_idle:
            self.settle()
        return found

    def _near(self, slot: str, draw: str) -> tuple[Near | None, ...]:
        """What outputs of a slot that is known to vary have to be near to; empty where they are to be read."""
        check = self.checks.get(slot)
        if not (check and check.differing and draw in check.first):
            return ()
        self._aside.finish()
        return self.deviations.near(slot, draw, check.first[draw], self.references[draw], check.tolerances)

    def _can_hold(self, slot: str, draw: str) -> bool:
        """Whether the device will tell how far later outputs of a slot are from its first."""
        check = self.checks[slot]
        return draw in check.first and self.deviations.can_hold(check.first[draw], check.tolerances)

    def _note_unseen(self) -> None:
        """Launches of this batch could not be judged. Those of a slot that is held on the device from now on will be;
        for others batches shrink.
        """
        for step in self._unseen:
            is_new = bool(self.checks[step.slot].differing) and not step.near
            self.one_by_one |= not (is_new and self._can_hold(step.slot, step.draw))
        self._unseen.clear()

    def _expected(self, slot: str, draw: str) -> bytes:
        return self.checks[slot].expected(draw) if slot in self.checks else b""

    def _judge(self, step: Step, launched: Launched, is_there: bool) -> bool:
        """Look at the outputs of a launch where they are not those of an earlier one on these inputs.

        The device may have told that they are near enough. Else they are read from where it kept them, or from their
        place if they still are there. Gives False where neither is so.
        """
        slot, draw = step.slot, step.draw
        if slot not in self.checks:
            return True
        check = self.checks[slot]
        if check.is_known(draw, step.poison, launched.digest):
            return True
        if launched.is_near:
            self._aside.finish()
            check.hold(draw, step.poison, self.references[draw].is_partial)
            return True
        is_other = bool(check.expected(draw))
        self.one_by_one |= is_other and not self._can_hold(slot, draw)
        if not (launched.is_kept or is_there):
            check.launches -= 1
            self._unseen += [step] if is_other else []
            return False
        outputs = self.buffers.outputs(SPARE if launched.is_kept else slot)
        check.see(draw, step.poison, launched.digest, outputs)
        self._aside.do(lambda: self._hold(slot, draw, outputs))
        return True

    def _hold(self, slot: str, draw: str, outputs: Arrays) -> None:
        """Hold outputs against the reference, beside the device. Those of a counterpart that are right stand beside it:
        all rows of the candidate are held against them.
        """
        check, reference = self.checks[slot], self.references[draw]
        check.judge(draw, outputs)
        if slot == CANDIDATE:
            return
        problem = check.problem
        if problem:
            self._wrong[slot] = problem
        elif reference.verified is None:
            name, tolerances = self.executables[slot].name, self.plan.counterparts[slot].tolerances
            reference.verify(slot, name, outputs, tolerances)
            self.checks[CANDIDATE].judge_again(draw)

    def settle(self) -> None:
        """Wait until all that was read is judged. A counterpart that is wrong is dropped. Raises KernelMistake."""
        self._aside.finish()
        # A candidate that was right said so of what its rows are held against.
        wrong = {one.verified_slot: one.wrong for one in self.references.values() if one.wrong}
        for slot, problem in (self._wrong | wrong).items():
            if slot in self.executables:
                self._drop(slot, f"is wrong: {problem}")

    def _run(self, steps: Sequence[Step], is_held: bool) -> list[Launched]:
        """Let the worker run a batch. A fault is that of the slot whose launch did not end."""
        # Several launches between two events are short ones, together shorter than any deadline: one that hangs is not
        # waited for as long as all of them might take.
        deadlines = [
            self.executables[step.slot].deadline_seconds * min(2, step.count + step.untimed) for step in steps
        ]
        began, done = time.monotonic(), list[Launched]()
        self.run.fault_of = steps[0].slot
        try:
            for launched in self.worker.run(steps, deadlines, is_held):
                done.append(launched)
                self.run.fault_of = steps[min(len(done), len(steps) - 1)].slot
        except DeviceFault as fault:
            ended = len(done) if fault.steps_done is None else fault.steps_done
            slot = self.run.fault_of = steps[min(ended, len(steps) - 1)].slot
            others = sorted({step.slot for step in steps[len(done) :]} - {slot})
            text = str(fault)
            is_queued = is_held and self.run.device.kind != "cpu"  # where each waits for the one before
            if fault.kind == "crash" and fault.steps_done is None and others and is_queued:
                text += f" (launches of the {' and '.join(others)} were queued with it)"
            if slot == CANDIDATE:
                self._note_wall(
                    time.monotonic() - began if len(steps) == 1 or fault.kind == "deadline" else 0.0
                )
                raise DeviceFault(text, fault.kind) from fault
            raise DeviceFault(f"the {slot} {self.executables[slot].name}: {text}", fault.kind) from fault
        for step, launched in zip(steps, done, strict=True):
            if step.slot == CANDIDATE:
                self._note_wall(launched.seconds if is_held else time.monotonic() - began)
        self.run.fault_of = CANDIDATE
        return done

    def _note_wall(self, seconds: float) -> None:
        self.run.slowest_wall_seconds = max(self.run.slowest_wall_seconds, seconds)

    def note_misuse(self, slot: str) -> None:
        """Look at what a slot did to its inputs, and outside of its buffers; a counterpart that did is dropped."""
        check = self.checks[slot]
        check.note_misuse(*self.buffers.misuse(slot))
        if slot != CANDIDATE and (check.changed or check.damaged):
            self._drop(slot, f"is wrong: {check.problem}")

    def _note(self, name: str, value: bool | float | str, reason: str = "") -> None:
        self.run.quantities[name] = Quantity(value, reason=reason)


def _other_buffers(executable: Executable, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> str:
    """In what the buffers a executable was made for differ from those of today, if they do."""
    if executable.buffers is None:
        return ""
    buffers, expected = {**inputs, **outputs}, executable.buffers
    for name in sorted({*expected, *buffers}):
        then, now = (_of_array(named.get(name)) for named in (expected, buffers))
        if then != now:
            return f"was made for other buffers: '{name}' was {then}, and is {now}"
    for name, workspace in executable.workspaces.items():
        problem = contract_arrays.origin_problem(workspace, inputs)
        if problem:
            return f"was made for other buffers: '{name}' {problem}"
    return ""


def _of_array(array: Array | None) -> str:
    if array is None:
        return "not there"
    text = f"{dtype_of(array.dtype)} {list(array.shape)}"
    if isinstance(array.initial, str):
        return f"{text} starting from '{array.initial}'"
    return text if array.initial is None else f"{text} starting with {array_number(array)}"
