"""One measurement on a device: verify, warm up, time beside the counterparts; then quantities for the gates.

Everything here runs in the test process. The worker only launches what it is told to.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta import contract, contract_arrays
from pytest_greta.device.protocol import Launched
from pytest_greta.device.worker import Worker
from pytest_greta.dtypes import dtype_of
from pytest_greta.errors import DeviceFault
from pytest_greta.gates.model import Quantity
from pytest_greta.kernel import Array
from pytest_greta.measure import correctness
from pytest_greta.measure.buffers import Buffers
from pytest_greta.measure.draws import DRAWS, Draws, draw_inputs
from pytest_greta.measure.executable import ACCEPTED, BASELINE, CANDIDATE, Executable, array_number
from pytest_greta.measure.quantities import add_quantities, log_ratio
from pytest_greta.measure.reference import ROWS_SECONDS, Reference, references_of
from pytest_greta.measure.run import Run
from pytest_greta.measure.verification import Verification
from pytest_greta.stats.pairs import PairedTest

if TYPE_CHECKING:
    from pytest_greta.measure.plan import Plan

_THROTTLE_RETRIES = 2
"""How often a throttled measurement is repeated: a GPU that is still hot then will not cool down while it works."""

_OF_A_WHOLE_RUN = (
    *("complete", "canaries", "inputs_unchanged", "deterministic", "max_error"),
    *("prefill_seconds", "tokens_per_second", "speedup"),
)

Progress = Callable[[str], None]


def measure(worker: Worker, plan: Plan, progress: Progress) -> Run:
    """Measure `plan` on the worker's device. A device fault ends the run early and is kept in the result."""
    run = Run(plan, worker.info)
    worker.begin_output()
    with ExitStack() as stack:
        bench = None
        try:
            rng = np.random.default_rng(plan.seed)
            progress("drawing inputs")
            executables = (plan.candidate, *(other.executable for other in plan.counterparts.values()))
            variants = [executable.variant for executable in executables if executable.variant]
            count = 1 if plan.single_shot else 2
            draws = draw_inputs(plan.kernel, plan.problem, variants, rng, count, stack)
            bench = _Bench(worker, plan, run, progress, rng, draws)
            bench.measure()
        except DeviceFault as fault:
            run.fault = fault
            worker.kill()  # after a fault nothing the device says can be trusted; the next test gets a new worker
            if bench and bench.checks and bench.checks[CANDIDATE].first:
                bench.checks[CANDIDATE].add_errors(run)
    run.worker_output = worker.output()
    add_quantities(run)
    if run.fault:
        for name in _OF_A_WHOLE_RUN:
            run.quantities.setdefault(name, Quantity(None, reason="not reached: the run ended early"))
    return run


def time_only(worker: Worker, plan: Plan, draws: Draws, progress: Progress) -> Run:
    """Time candidate and counterparts, and check nothing: for code that was verified before. Raises DeviceFault."""
    run = Run(plan, worker.info)
    try:
        _Bench(worker, plan, run, progress, np.random.default_rng(plan.seed), draws).time_only()
    except DeviceFault:
        worker.kill()
        raise
    add_quantities(run)
    return run


class _Bench:
    """One measurement under way."""

    def __init__(
        self,
        worker: Worker,
        plan: Plan,
        run: Run,
        progress: Progress,
        rng: np.random.Generator,
        draws: Draws,
    ) -> None:
        self.worker, self.plan, self.run, self.progress = worker, plan, run, progress
        self.rng, self.draws = rng, draws
        self.outputs = contract.outputs(plan.kernel, plan.problem)
        self.references: dict[str, Reference] = {}
        """What the outputs must hold, by draw; empty where nothing is checked."""
        self.checks: dict[str, Verification] = {}
        """What was seen of each slot."""
        run.buffers.update({**draws.layout_for(plan.candidate.variant), **self.outputs})
        self.executables = {CANDIDATE: plan.candidate}
        for slot, other in plan.counterparts.items():
            problem = _other_buffers(
                other.executable, draws.layout_for(other.executable.variant), self.outputs
            )
            run.paired(slot).problem = problem
            if not problem:
                self.executables[slot] = other.executable

    def measure(self) -> None:
        plan = self.plan
        self._load()
        self.progress("computing references")
        inputs = {draw: drawn.arrays for draw, drawn in self.draws.shared.items()}
        self.references = references_of(plan.kernel, plan.problem, inputs, self.outputs, self.rng)
        tolerances = {CANDIDATE: plan.tolerances}
        tolerances |= {slot: other.tolerances for slot, other in plan.counterparts.items()}
        self.checks = {
            slot: Verification(self.outputs, self.references, tolerances[slot]) for slot in self.executables
        }
        for slot in list(self.executables):
            self._verify(slot)
        if not plan.single_shot:
            self._time_unthrottled()
            for draw in self.draws.shared:
                if draw not in self.checks[CANDIDATE].first:  # so few rounds that none took it
                    self._round(list(self.executables), draw, correctness.POISONS[0])
        for slot in list(self.executables):
            self._note_misuse(slot)
        for draw, reference in self.references.items():
            if reference.is_partial:
                self.progress("computing more rows of the references")
                reference.extend(ROWS_SECONDS)
                self.checks[CANDIDATE].judge_again(draw)
        self.checks[CANDIDATE].add_quantities(self.run)

    def time_only(self) -> None:
        self._load()
        self._round(list(self.executables), DRAWS[0], correctness.POISONS[0])  # warm up
        self._time_unthrottled()

    def _load(self) -> None:
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
                name = self.worker.load(slot, executable.code, executable.entry, executable.launches)
            except DeviceFault as fault:
                if slot == BASELINE:
                    raise DeviceFault(f"the baseline {executable.name}: {fault}", fault.kind) from fault
                if slot != ACCEPTED or not self.worker.alive:
                    raise
                self._drop(slot, f"cannot be loaded any more: {fault}")
                continue
            if slot == CANDIDATE:
                self._note("implementation", name)
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
        except DeviceFault as fault:
            (*_, last) = self.executables
            if last == CANDIDATE or not self.worker.alive:
                raise
            self._drop(last, f"does not fit beside: {fault}")
            self._allocate()

    def _drop(self, slot: str, problem: str) -> None:
        """The candidate is not timed against this one: it goes on without."""
        self.run.paired(slot).problem = problem
        del self.executables[slot]
        for reference in self.references.values():
            reference.forget(slot)

    def _verify(self, slot: str) -> None:
        """The first launch of a slot: it warms up, and its outputs are judged, as is what it did to other memory,
        before a later launch may undo that. A counterpart that is wrong is dropped: its times would mean nothing.
        """
        self.progress(f"verifying {self.executables[slot].name}")
        seconds = self._round([slot], DRAWS[0], correctness.POISONS[0])
        if slot in self.executables:
            self._note_misuse(slot)
        if self.plan.single_shot:
            self.run.seconds.append(seconds[slot])

    def _time_unthrottled(self) -> None:
        """Time, and again where the device was throttled; the last try stands, marked as throttled if it was."""
        for attempt in range(1 + _THROTTLE_RETRIES):
            self.worker.begin_telemetry()
            self._time()
            self.run.telemetry = self.worker.end_telemetry()
            if not self.run.telemetry.is_throttled:
                return
            self.progress(f"{self.run.telemetry.throttled}; attempt {attempt + 1} of {1 + _THROTTLE_RETRIES}")

    def _time(self) -> None:
        """Rounds of all executables in random order, until they decide, or rounds or budget are used up."""
        plan, run, slots = self.plan, self.run, list(self.executables)
        run.seconds.clear()
        tests = {}
        for slot in slots[1:]:
            paired = run.paired(slot)
            paired.seconds.clear()
            paired.pairs = PairedTest(plan.counterparts[slot].limits, plan.budget_seconds, plan.most_rounds)
            tests[slot] = paired.pairs

        def deciding() -> list[PairedTest]:
            return [test for slot, test in tests.items() if test.limits and slot in self.executables]

        spent_seconds = 0.0
        while not run.seconds or (spent_seconds < plan.budget_seconds and self._goes_on(deciding())):
            # The coin: a fair one for each pair, which is what the statistics of the pairs rest on.
            order = list(self.rng.permutation(list(self.executables)))
            done = len(run.seconds) + 1
            draw = list(self.draws.shared)[(done + 1) % len(self.draws.shared)]
            began = time.monotonic()
            seconds = self._round(order, draw, correctness.POISONS[(done + 1) // 2 % 2])
            run.seconds.append(seconds[CANDIDATE])
            took = time.monotonic() - began
            spent_seconds += took
            for slot in set(tests) & set(self.executables):
                run.paired(slot).seconds.append(seconds[slot])
                tests[slot].add_block(log_ratio(slot, seconds), took)
            self.progress(f"round {done} of {'up to ' if deciding() else ''}{plan.most_rounds}")

    def _goes_on(self, tests: Sequence[PairedTest]) -> bool:
        """Whether a gate is undecided, or history wants more rounds: not those of a run that has failed anyway."""
        if any(not test.is_finished for test in tests):
            return True
        return len(self.run.seconds) < self.plan.fewest_rounds and not any(test.has_failed for test in tests)

    def _round(self, slots: Sequence[str], draw: str, poison: int) -> dict[str, float]:
        """Launch each slot once, in this order, and judge what it wrote. Gives the seconds of each."""
        launched = dict(zip(slots, self._launch(slots, draw, poison), strict=True))
        # The candidate last: what it is held against is verified before.
        for slot in sorted(launched, key=lambda slot: slot == CANDIDATE):
            if slot in self.checks:
                self._judge(slot, draw, poison, launched[slot].digest)
        return {slot: one.seconds for slot, one in launched.items()}

    def _judge(self, slot: str, draw: str, poison: int, digest: bytes) -> None:
        """Read the outputs of a launch and look at them, where they are not those of an earlier one on these inputs."""
        check = self.checks[slot]
        if check.is_known(draw, poison, digest):
            return
        outputs, reference = self.buffers.outputs(slot), self.references[draw]
        check.judge(draw, poison, digest, outputs)
        if slot != CANDIDATE and check.problem:
            self._drop(slot, f"is wrong: {check.problem}")
        elif slot != CANDIDATE and reference.verified is None:
            reference.verify(
                slot, self.executables[slot].name, outputs, self.plan.counterparts[slot].tolerances
            )
            self.checks[CANDIDATE].judge_again(draw)
        if (
            reference.wrong and reference.verified_slot in self.executables
        ):  # a candidate that was right said so
            self._drop(reference.verified_slot, f"is wrong: {reference.wrong}")

    def _launch(self, slots: Sequence[str], draw: str, poison: int) -> Iterator[Launched]:
        deadlines = [self.executables[slot].deadline_seconds for slot in slots]
        launches = self.worker.run(slots, draw, poison, deadlines, self.plan.cold)
        for slot in slots:
            begin = time.monotonic()
            self.run.fault_of = slot
            try:
                launched = next(launches)
            except DeviceFault as fault:
                if slot != CANDIDATE:
                    raise DeviceFault(
                        f"the {slot} {self.executables[slot].name}: {fault}", fault.kind
                    ) from fault
                raise
            finally:
                if slot == CANDIDATE:
                    wall = time.monotonic() - begin
                    self.run.slowest_wall_seconds = max(self.run.slowest_wall_seconds, wall)
            yield launched
        self.run.fault_of = CANDIDATE

    def _note_misuse(self, slot: str) -> None:
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
