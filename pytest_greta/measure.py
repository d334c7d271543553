"""One measurement on a device: verify, warm up, time beside the baseline; then quantities for the gates.

Everything here runs in the test process. The worker only launches what it is told to.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_greta import checks, contract
from pytest_greta.errors import DeviceFault
from pytest_greta.gates import Limit, Quantity
from pytest_greta.quantities import add_quantities, log_ratio
from pytest_greta.sequential import PairedTest
from pytest_greta.shared import SharedMemory
from pytest_greta.worker import BAND_BYTES, BufferPlan, Worker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.codeobject import CodeObject
    from pytest_greta.devices import DeviceInfo
    from pytest_greta.kernel import Array, Kernel, Problem, Variant
    from pytest_greta.telemetry import Telemetry

_VERIFY_SECONDS = 0.5
"""Outputs are read back and compared at least once in this much device time (and after every longer launch):
often enough to catch a kernel that errs now and then, rarely enough not to spend the run on copies."""


@dataclass(frozen=True)
class Contender:
    """A variant that is ready to run: its code and the deadline of one launch."""

    variant: Variant
    code_object: CodeObject
    deadline_seconds: float


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    kernel: Kernel
    problem: Problem
    candidate: Contender
    baseline: Contender | None
    """What the candidate is compared with; None for the baseline itself, or where it cannot be had."""
    baseline_max_error: float
    """Above this error the baseline is no yardstick: the limit of its own gate."""
    baseline_missing: str
    """Why there is no baseline, when there is none."""
    most_rounds: int
    """Timed launches of the candidate, each paired with one of the baseline; all of them where `limits` is empty."""
    fewest_rounds: int
    """So many are timed within the budget, also where the limits are decided earlier."""
    limits: tuple[Limit, ...]
    """What the speedup will be held against: no round is begun once all of these are decided."""
    budget_seconds: float
    """No round is begun after so much time, except the first."""
    single_shot: bool
    """One launch and no more: it is verified and timed, and nothing is compared."""
    seed: int


@dataclass
class Run:
    """What was found, as far as it came: it is filled while measuring, so that a fault loses nothing."""

    plan: Plan
    device: DeviceInfo
    seconds: list[float] = field(default_factory=list)
    """Device seconds of the candidate's timed launches; `baseline_seconds[i]` was measured beside `seconds[i]`."""
    baseline_seconds: list[float] = field(default_factory=list)
    slowest_wall_seconds: float = 0.0
    quantities: dict[str, Quantity] = field(default_factory=dict)
    baseline_problem: str = ""
    pairs: PairedTest = field(default_factory=PairedTest)
    """The pairs of `seconds` and `baseline_seconds`, and when they were enough."""
    telemetry: Telemetry | None = None
    """Clocks, temperature and power while the times were taken."""
    fault: DeviceFault | None = None
    worker_output: str = ""
    """What kernels and libraries printed before a fault."""

    @property
    def prefill_seconds(self) -> float:
        """Median device time of one launch of the candidate."""
        return statistics.median(self.seconds)


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
    with ExitStack() as stack:
        try:
            _Bench(worker, plan, run, progress, stack).measure()
        except DeviceFault as fault:
            run.fault, run.worker_output = fault, worker.output()
            worker.kill()  # after a fault nothing the device says can be trusted; the next test gets a new worker
    add_quantities(run)
    if run.fault:
        for name in _OF_A_WHOLE_RUN:
            run.quantities.setdefault(name, Quantity(None, reason="not reached: the run ended early"))
    return run


def time_only(worker: Worker, plan: Plan, progress: Progress) -> Run:
    """Time candidate and baseline, and check nothing: for code that was verified before. Raises DeviceFault."""
    run = Run(plan, worker.info)
    with ExitStack() as stack:
        _Bench(worker, plan, run, progress, stack).time_only()
    add_quantities(run)
    return run


class _Bench:
    """The buffers and programs of one measurement."""

    def __init__(self, worker: Worker, plan: Plan, run: Run, progress: Progress, stack: ExitStack) -> None:
        self.worker, self.plan, self.run, self.progress = worker, plan, run, progress
        self.stack = stack
        self.rng = np.random.default_rng(plan.seed)
        self.contenders = {"candidate": plan.candidate}
        if plan.baseline:
            self.contenders["baseline"] = plan.baseline
        self.arrays = contract.outputs(plan.kernel, plan.problem)
        self.outputs = {name: _Layout.of(array) for name, array in self.arrays.items()}
        self.first: dict[str, dict[str, NDArray[np.generic]]] = {}
        self.poisoned: dict[str, list[tuple[int, dict[str, NDArray[np.generic]]]]] = {}
        self.references: checks.References | None = None
        self.differing = ""
        self.changed: list[str] = []

    def measure(self) -> None:
        plan = self.plan
        self.progress("drawing inputs")
        inputs = self._place(contract.inputs(plan.kernel, plan.problem, self.rng))
        self._load(inputs)
        self._verify("candidate", inputs)
        if not plan.single_shot:
            if plan.baseline:
                self._verify("baseline", inputs)
            self._time_unthrottled()
        self._finish(inputs)

    def time_only(self) -> None:
        inputs = self._place(self.plan.kernel.inputs(self.plan.problem, self.rng))
        self._load(inputs)
        list(self._launch(list(self.contenders), checks.POISONS[0]))  # warm up
        self._time_unthrottled()

    def _place(
        self, drawn: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, tuple[SharedMemory, NDArray[np.generic]]]:
        """Inputs in shared memory, from where the worker copies them to the device."""
        placed = {}
        for name, values in drawn.items():
            memory = self.stack.enter_context(SharedMemory(values.nbytes))
            array: NDArray[np.generic] = np.frombuffer(memory.view, values.dtype).reshape(values.shape)
            array[...] = values
            array.flags.writeable = False  # it is what the device's inputs and the reference are held against
            placed[name] = memory, array
        return placed

    def _load(self, inputs: Mapping[str, tuple[SharedMemory, NDArray[np.generic]]]) -> None:
        plan, buffers = self.plan, {}
        for name, (_, array) in inputs.items():
            buffers[name] = BufferPlan(array.nbytes)
        for slot, contender in self.contenders.items():
            launches = contract.launches(plan.kernel, plan.problem, contender.variant)
            workspaces = contract.workspaces(plan.kernel, plan.problem, contender.variant)
            contract.check_names(
                plan.kernel, inputs=list(inputs), outputs=list(self.outputs), workspaces=list(workspaces)
            )
            contract.check_arguments(plan.kernel, launches, [*inputs, *self.outputs, *workspaces])
            self.progress(f"loading {contender.variant.name}")
            name = self.worker.load(slot, contender.code_object.code, contender.variant.entry, launches)
            if slot == "candidate":
                self._found("implementation", name)
            for output, layout in self.outputs.items():
                buffers[f"{slot}/{output}"] = BufferPlan(layout.size_bytes, slot, poisoned=True)
            for workspace, shape in workspaces.items():
                buffers[f"{slot}/{workspace}"] = BufferPlan(_Layout.of(shape).size_bytes, slot)
        self.buffers = buffers
        self.worker.allocate(buffers)
        vram_bytes = self.worker.memory_used_bytes()
        if vram_bytes is not None:
            self._found("vram_bytes", vram_bytes, "in use on the device, by all processes")
        for name, (memory, _) in inputs.items():
            self.worker.write(name, memory)

    def _verify(self, slot: str, inputs: Mapping[str, tuple[SharedMemory, NDArray[np.generic]]]) -> None:
        """The first launch: it warms up, and its output is held against the float64 reference."""
        plan, variant = self.plan, self.contenders[slot].variant
        self.progress(f"verifying {variant.name}")
        (seconds,) = self._launch([slot], checks.POISONS[0])
        self._collect(slot, checks.POISONS[0])
        if plan.single_shot:
            self.run.seconds.append(seconds)
        if self.references is None:
            rows = checks.sample_rows(plan.kernel.rows(plan.problem), self.rng)
            arrays = {name: array for name, (_, array) in inputs.items()}
            self.references = {
                row: contract.reference(plan.kernel, plan.problem, arrays, row, self.arrays) for row in rows
            }
        error, place = checks.max_error(self.references, self.first[slot], plan.kernel.decode)
        if slot == "candidate":
            self._found("max_error", error, f"largest error in {place}" if place else "")
            if not plan.single_shot:  # now, before a later launch may undo what the first one did
                self._note_changes(inputs)
            return
        limit = plan.baseline_max_error
        wrong = [self._unwritten(slot), *self._damage(slot), *self._changes(inputs)]
        if not error <= limit:
            wrong.append(f"its error is {error:.2e} in {place}, over {limit:.2e}")
        self.run.baseline_problem = "; ".join(text for text in wrong if text)
        if self.run.baseline_problem:  # no yardstick: the candidate goes on alone, on inputs as they were
            del self.contenders[slot]
            for name, (memory, _) in inputs.items():
                self.worker.write(name, memory)

    def _time_unthrottled(self) -> None:
        """Time, and again where the device was throttled; the last try stands, marked as throttled if it was."""
        for attempt in range(1 + _THROTTLE_RETRIES):
            self.run.seconds.clear()
            self.run.baseline_seconds.clear()
            self.worker.begin_telemetry()
            self._time()
            self.run.telemetry = self.worker.end_telemetry()
            if not self.run.telemetry.is_throttled:
                return
            self.progress(f"{self.run.telemetry.throttled}; attempt {attempt + 1} of {1 + _THROTTLE_RETRIES}")

    def _time(self) -> None:
        """Rounds of candidate and baseline in random order, until they decide, or rounds or budget are used up."""
        plan, slots = self.plan, list(self.contenders)
        limits = plan.limits if "baseline" in self.contenders else ()
        pairs = self.run.pairs = PairedTest(limits, plan.budget_seconds, plan.most_rounds)
        batch_seconds, poison = math.inf, checks.POISONS[0]  # the first round is looked at
        while not pairs.is_finished or (
            pairs.blocks < plan.fewest_rounds and pairs.spent_seconds < plan.budget_seconds
        ):
            # The coin: a fair one for each pair, which is what the statistics of the pairs rest on.
            order = list(self.rng.permutation(slots))
            poison = checks.POISONS[(pairs.blocks + 1) % 2]
            began = time.monotonic()
            seconds = dict(zip(order, self._launch(order, poison), strict=True))
            self.run.seconds.append(seconds["candidate"])
            if "baseline" in seconds:
                self.run.baseline_seconds.append(seconds["baseline"])
            batch_seconds += sum(seconds.values())
            if batch_seconds >= _VERIFY_SECONDS:
                self._collect("candidate", poison)
                batch_seconds = 0.0
            pairs.add_block(log_ratio(seconds), time.monotonic() - began)
            self.progress(f"round {pairs.blocks} of {'up to ' if plan.limits else ''}{plan.most_rounds}")
        if batch_seconds:
            self._collect("candidate", poison)

    def _launch(self, slots: Sequence[str], poison: int) -> Iterator[float]:
        deadlines = [self.contenders[slot].deadline_seconds for slot in slots]
        launched = self.worker.run(slots, poison, deadlines)
        for slot in slots:
            begin = time.monotonic()
            try:
                seconds = next(launched)
            except DeviceFault as fault:
                if slot == "baseline":
                    name = self.contenders[slot].variant.name
                    raise DeviceFault(f"the baseline {name}: {fault}", fault.kind) from fault
                raise
            finally:
                if slot == "candidate":
                    wall = time.monotonic() - begin
                    self.run.slowest_wall_seconds = max(self.run.slowest_wall_seconds, wall)
            yield seconds

    def _collect(self, slot: str, poison: int) -> None:
        """Read the outputs of a slot: check their bands, and that they are bitwise those of the first launch."""
        outputs = {}
        for name, layout in self.outputs.items():
            with self._raw(f"{slot}/{name}") as raw:
                outputs[name] = checks.body(raw).copy().view(layout.dtype).reshape(layout.shape)
        kept = self.poisoned.setdefault(slot, [])
        if all(poison != other for other, _ in kept):
            kept.append((poison, outputs))
        first = self.first.setdefault(slot, outputs)
        if slot != "candidate" or first is outputs:
            return
        for name, output in outputs.items():
            if self.differing or checks.same_bytes(output, first[name]):
                continue
            bits = f"u{output.itemsize}"
            differs = output.view(bits) != first[name].view(bits)
            if differs.any():
                where = tuple(int(i) for i in np.unravel_index(int(differs.argmax()), differs.shape))
                self.differing = (
                    f"{int(differs.sum())} of {differs.size} elements of '{name}' differ between two launches on equal "
                    f"inputs, the first at {list(where)}"
                )

    def _finish(self, inputs: Mapping[str, tuple[SharedMemory, NDArray[np.generic]]]) -> None:
        """What all launches together left behind: holes in the outputs, damaged bands, changed inputs."""
        holes = self._unwritten("candidate")
        if self.plan.single_shot and not holes and any(o.dtype.kind in "biu" for o in self.outputs.values()):
            self._unknown(
                "complete", "an integer may hold any bits: one launch does not show that it was written"
            )
        else:
            self._found("complete", not holes, holes)
        launches = 1 + len(self.run.seconds)
        if self.plan.single_shot:
            self._unknown("deterministic", "a single shot has nothing to compare with")
        elif holes:
            self._unknown("deterministic", "what was not written cannot be compared")
        else:
            self._found("deterministic", not self.differing, self.differing or f"{launches} launches")
        damage = self._damage("candidate")
        self._note_changes(inputs)
        self._found("canaries", not damage, "; ".join(damage))
        self._found("inputs_unchanged", not self.changed, "; ".join(self.changed))

    def _note_changes(self, inputs: Mapping[str, tuple[SharedMemory, NDArray[np.generic]]]) -> None:
        self.changed = list(dict.fromkeys([*self.changed, *self._changes(inputs)]))

    def _changes(self, inputs: Mapping[str, tuple[SharedMemory, NDArray[np.generic]]]) -> list[str]:
        """How the device's inputs differ from the originals."""
        found = []
        for name, (_, array) in inputs.items():
            with self._raw(name) as raw:
                if not checks.same_bytes(checks.body(raw), array):
                    differ = int((checks.body(raw) != array.reshape(-1).view(np.uint8)).sum())
                    found.append(f"{differ} bytes of '{name}' were modified")
        return found

    def _damage(self, slot: str) -> list[str]:
        """What was written outside the buffers of a slot, and outside the inputs, which all share."""
        found = []
        for name, plan in self.buffers.items():
            if plan.slot in (None, slot):
                with self._raw(name) as raw:
                    found.append(checks.damaged_bands(name.removeprefix(f"{slot}/"), raw))
        return [text for text in found if text]

    def _unwritten(self, slot: str) -> str:
        kept = self.poisoned[slot]
        found = [
            checks.unwritten(name, [(poison, run[name]) for poison, run in kept]) for name in self.outputs
        ]
        return "; ".join(text for text in found if text)

    def _found(self, name: str, value: bool | float | str, reason: str = "") -> None:
        self.run.quantities[name] = Quantity(value, reason=reason)

    def _unknown(self, name: str, reason: str) -> None:
        self.run.quantities[name] = Quantity(None, reason=reason)

    @contextmanager
    def _raw(self, name: str) -> Iterator[NDArray[np.uint8]]:
        with SharedMemory(self.buffers[name].size_bytes + 2 * BAND_BYTES) as memory:
            self.worker.read(name, memory)
            yield np.frombuffer(memory.view, np.uint8)


@dataclass(frozen=True)
class _Layout:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, array: Array) -> _Layout:
        return cls(tuple(array.shape), np.dtype(array.dtype))

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def error_limit(kernel: Kernel, problem: Problem) -> float:
    """The largest error allowed where gates.yaml says nothing: the kernel's own, or that of its output dtypes."""
    if kernel.max_error is not None:
        return kernel.max_error
    return checks.default_max_error([np.dtype(a.dtype) for a in kernel.outputs(problem).values()])
