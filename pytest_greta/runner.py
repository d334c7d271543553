"""Compiles and measures for a test: code to its resources, a variant and a problem to a run, each with its gates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_greta import contract
from pytest_greta.binaries.kernels import read_code
from pytest_greta.binaries.locked import HeldParts, Locking, Part
from pytest_greta.compiler.demangling import demangled
from pytest_greta.compiler.entries import symbol_in
from pytest_greta.compiler.names import qualified
from pytest_greta.compiler.resources import (
    attribute_quantities,
    dynamic_lds_notes,
    entries,
    launch_notes,
    printing_notes,
    resource_quantities,
    trap_notes,
)
from pytest_greta.compiler.spirv_module import ends_before_barrier
from pytest_greta.dtypes import dtype_of
from pytest_greta.errors import CompileError, DeviceFault, DeviceUnavailable, NotForDevice
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import CPU_TIMES, EMULATED_TIMES, scaling, scaling_interval
from pytest_greta.gates.model import Gate, Limit, Measurement, Quantity, Status, Verdict
from pytest_greta.history.acceptance import Acceptance, acceptance, no_reference, with_acceptance
from pytest_greta.history.records import info_of
from pytest_greta.history.regression import machine_note, regression
from pytest_greta.measure.budget import SessionBudget
from pytest_greta.measure.executable import ACCEPTED, BASELINE, sha256_of
from pytest_greta.measure.problem_data import DataStore
from pytest_greta.options import OPTIONS
from pytest_greta.problems import as_emulated, is_not_for
from pytest_greta.results import CodeResult, GatedMeasurement, RunResult

if TYPE_CHECKING:
    from pytest_greta.compiler.builder import Builder
    from pytest_greta.compiler.codeobject import CodeObject
    from pytest_greta.device.session_device import SessionDevice
    from pytest_greta.gates.file import GateFile
    from pytest_greta.history.records import PastRuns
    from pytest_greta.kernel import Kernel, Problem, Variant
    from pytest_greta.measure.executable import Executable
    from pytest_greta.measure.plan import Plan
    from pytest_greta.measure.run import Run
    from pytest_greta.options import Options
    from pytest_greta.planner import Planner
    from pytest_greta.progress import Progress
    from pytest_greta.records.replay import ReplayedResult
    from pytest_greta.replayer import Replayer

_ONE_CORE = (
    "only ratios are gated on the cpu: launches ran on one core, and gains by filling more do not show"
)


@dataclass
class Runner:
    """Compiles and measures, and remembers what later tests need of earlier ones."""

    options: Options
    gate_file: GateFile
    builder: Builder
    device: SessionDevice
    planner: Planner
    past: PastRuns
    progress: Progress
    budget: SessionBudget
    """What is left to measure with."""
    replayer: Replayer | None = None
    """Gives what was recorded, in place of compiling and measuring; None where that is done here."""
    locking: Locking | None = None
    """What is done about the lock file; nothing where it is None."""
    data: DataStore = field(default_factory=DataStore)
    """Inputs and references of the problems that were measured last."""
    listed: dict[tuple[str, str], list[Problem]] = field(default_factory=dict)
    """Problems that are listed or asked for, whether `-k` and its kin chose them or not."""
    not_here: dict[str, str] = field(default_factory=dict)
    """Why a kernel is not run on this device, by its name."""
    _first_seconds: dict[tuple[str, str, Problem, int], tuple[int, Quantity]] = field(default_factory=dict)
    """The smallest context that was measured with its `prefill_seconds`, by kernel, variant, problem at context 0 and
    number of the device."""
    _machine: list[float] = field(default_factory=list)
    """By how much runs are slower whose code is as fast as ever."""

    @property
    def machine_note(self) -> str:
        """What the times of this session say of the machine; empty where nothing."""
        return machine_note(self._machine)

    def code_result(
        self, kernel: Kernel, variant: Variant, target: str, groups: Sequence[Sequence[Problem]]
    ) -> CodeResult | ReplayedResult:
        """Compile a variant for a target and read its resources. Raises CompileError or ToolMissing.

        `groups` are the problems that share their code; each group is compiled and gated. Where records are replayed it
        raises NotRecorded or RecordedFailure.
        """
        if self.replayer is not None:
            return self.replayer.code_result(kernel, variant, target, groups)
        measurements, objects, parts = [], [], []
        notes: list[str] = []
        for problems in groups:
            code_object = self.builder.for_target(kernel, variant, problems[0], target)
            measurements += self._gated_code(kernel, variant, code_object, problems)
            objects.append(code_object)
            notes += self.builder.notes(kernel, variant, problems[0], target)
            notes += launch_notes(kernel, variant, code_object, problems)
            notes += printing_notes(variant, code_object)
            if self.locking is not None and self.locking.is_active and code_object.kernels:
                parts.append(_part(kernel, variant, code_object, problems[0]))
        held = self.locking.hold(parts) if self.locking else HeldParts()
        return CodeResult(measurements, objects[0], tuple(dict.fromkeys([*notes, *held.notes])), held)

    def history(self, run: Run, targets: Sequence[str]) -> Mapping[str, object]:
        """What history keeps of a run besides its times."""
        plan = run.plan
        return {
            **info_of(run),
            "driver": run.device.driver,
            "seed": plan.seed,
            "telemetry": dataclasses.asdict(run.telemetry) if run.telemetry else None,
            "quantities": {name: quantity.value for name, quantity in run.quantities.items()},
            "resources": self.builder.resource_history(plan.kernel, plan.variant, targets, plan.problem),
        }

    def acceptance(self, run: Run, verdicts: Sequence[Verdict]) -> Acceptance:
        """Whether a run becomes a reference for later ones. Its code is kept, where later code is timed against it."""
        paired = ACCEPTED in run.plan.counterparts and not run.accepted.problem
        found = acceptance(verdicts, no_reference(run, self._untimed(run), self.past), paired)
        if found.keeps_code and self.past.is_saved:
            self.past.keep_code(run.plan.candidate.code)
        return found

    def _gated_code(
        self, kernel: Kernel, variant: Variant, code_object: CodeObject, problems: Sequence[Problem]
    ) -> list[GatedMeasurement]:
        """Code with the gates that apply to it: those of some of its problems alone with what it takes for these."""
        target, found = code_object.target, []
        for served, gates in self.gate_file.code_gates(kernel.name, variant.name, target, problems):
            quantities = self._taken(kernel, variant, code_object, served, gates)
            measurement = Measurement(kernel.name, variant.name, quantities, target=target, problem=served[0])
            found.append(GatedMeasurement(measurement, gates, sha256_of(code_object.code)))
        return found

    def _taken(
        self,
        kernel: Kernel,
        variant: Variant,
        code_object: CodeObject,
        problems: Sequence[Problem],
        gates: Sequence[Gate],
    ) -> dict[str, Quantity]:
        """What the kernels of a variant take; of code that is no AMDGPU code object, as far as the device says."""
        if code_object.kernels:  # what no gate asks for is not looked for in the instructions
            asked = {gate.name for gate in gates}
            return resource_quantities(kernel, variant, code_object, problems, asked)
        code = code_object.code
        names = [symbol_in(code, variant.file, entry) for entry in entries(kernel, variant, problems[0])]
        try:
            return attribute_quantities(self.device.worker().inspect(code, names))
        except DeviceFault as fault:
            raise CompileError(f"{variant.file}: its code cannot be loaded: {fault}") from fault

    def run_result(self, kernel: Kernel, variant: Variant, problem: Problem) -> RunResult | ReplayedResult:
        """Measure a variant for a problem. Raises CompileError, ToolMissing or DeviceUnavailable.

        On a GPU the code object that will run is gated first; one that fails is not launched. Where records are
        replayed it raises NotRecorded or RecordedFailure.
        """
        if kernel.name in self.not_here:
            raise DeviceUnavailable(self.not_here[kernel.name])
        if self.replayer is not None:
            gates = self._applying(
                self.planner.gates_of_kind(kernel, variant, problem), kernel, variant, problem
            )
            smallest = self._smallest(kernel, variant, problem)
            return self.replayer.run_result(kernel, variant, problem, gates, smallest)
        contract.refusal(kernel, problem, variant)  # one that cannot say so was not left out: this says why
        device = self.device.worker().info
        why = is_not_for(kernel, variant, device.target)
        if why:
            raise NotForDevice(f"{why}; the device is {device.target}")
        if device.emulated:
            problem = as_emulated(kernel, problem)
        candidate = self.planner.executable(kernel, variant, problem)
        measurements = [] if self.device.kind == "cpu" else self._device_code(kernel, variant, problem)
        if any(verdict.status is Status.FAIL for gated in measurements for verdict in gated.verdicts()):
            return RunResult(measurements, None)
        run = self._measure(kernel, variant, candidate, problem)
        again = self._compare(run, lambda: self._measure(kernel, variant, candidate, problem))
        measurements.append(self._gated_run(run))
        if again:
            measurements += self._gated_again(again)
            run.seconds += again.seconds
            run.baseline.seconds += again.baseline.seconds
            run.accepted.seconds += again.accepted.seconds
        traps = trap_notes(variant.file, candidate.code, str(run.fault or ""))
        hints = (*_hints(run), *_barrier_hints(variant, candidate), *traps)
        notes = (
            *dynamic_lds_notes(variant.file, candidate.code),
            *([_ONE_CORE] if run.manner.one_core else []),
        )
        return RunResult(measurements, run, hints, notes)

    def _compare(self, run: Run, measure_again: Callable[[], Run]) -> Run | None:
        """Add the quantity `regression`, where it is gated; gives the second measurement, where it took one."""
        plan = run.plan
        gates = self.planner.run_gates(plan.kernel, plan.variant, plan.problem)
        for gate in gates:
            if gate.name == "regression" and gate.times_on(run.device.kind):
                unknown = self.past.unknown(required=self.options.require is not None)
                if unknown:
                    run.quantities["regression"] = Quantity(None, reason=unknown)
                    return None
                found = regression(run, self._untimed, gate.limit, self.past, measure_again)
                quantity = found.quantity
                if found.machine is not None:
                    self._machine.append(found.machine)
                cannot = no_reference(run, self._untimed(run), self.past)
                if self.options.accept and cannot:
                    reason = f"{quantity.reason}; not accepted: {cannot}"
                    quantity = dataclasses.replace(quantity, reason=reason)
                run.quantities["regression"] = quantity
                return found.again
        run.quantities["regression"] = Quantity(None, reason=CPU_TIMES)
        return None

    def _gated_again(self, again: Run) -> list[GatedMeasurement]:
        """What failed when a run was measured once more, its speed aside: that was judged with the first one's."""
        gated = self._gated_run(again)
        failed = [v.gate for v in gated.verdicts() if v.status is Status.FAIL]
        gates = [gate for gate in failed if not CATALOGUE[gate.name].speed]
        return [dataclasses.replace(gated, gates=gates)] if gates else []

    def _measure(self, kernel: Kernel, variant: Variant, candidate: Executable, problem: Problem) -> Run:
        from pytest_greta.measure.measurement import measure
        from pytest_greta.measure.plan import without_accepted

        gates = self.planner.run_gates(kernel, variant, problem)
        plan = self.planner.plan(kernel, candidate, variant, problem, gates)
        self.builder.compiler.settle()
        self.data.foresee(self.planner.foreseen(kernel, variant, problem))
        with self.progress.measuring(f"{variant.name} @ {problem.id}"):
            run = measure(self.device.worker(), plan, self.progress.show, self.data, self.budget)
            if run.fault and run.fault_of == ACCEPTED:  # no fault of the code that is tested
                plan = without_accepted(plan, f"fails today: {run.fault}")
                run = measure(self.device.worker(), plan, self.progress.show, self.data, self.budget)
        self._add_scaling(run, gates)
        return run

    def _device_code(self, kernel: Kernel, variant: Variant, problem: Problem) -> list[GatedMeasurement]:
        """The code object that will run on the GPU, with its gates."""
        code_object = self.builder.for_device(kernel, variant, problem)
        return self._gated_code(kernel, variant, code_object, [problem])

    def _gated_run(self, run: Run) -> GatedMeasurement:
        kernel, variant, problem = run.plan.kernel, run.plan.variant, run.plan.problem
        measurement = Measurement(
            kernel.name,
            variant.name,
            run.quantities,
            problem=problem,
            device=run.device.kind,
            untimed=self._untimed(run),
        )
        gates = self._applying(self.planner.run_gates(kernel, variant, problem), kernel, variant, problem)
        if self.options.accept and not no_reference(run, self._untimed(run), self.past):
            gates = [with_acceptance(gate, self.options.accept) for gate in gates]
        return GatedMeasurement(measurement, gates)

    def _applying(
        self, gates: Sequence[Gate], kernel: Kernel, variant: Variant, problem: Problem
    ) -> list[Gate]:
        """The gates that a run is held against, with the deadline of the command line."""
        is_first = self._is_first_of_several(kernel, variant, problem)  # the others are held against this one
        return [self._with_deadline(gate) for gate in gates if gate.name != "scaling" or not is_first]

    def _is_first_of_several(self, kernel: Kernel, variant: Variant, problem: Problem) -> bool:
        contexts = {p.context for p in self._beside(kernel, variant, problem)}
        return len(contexts) > 1 and problem.context == min(contexts)

    def _smallest(self, kernel: Kernel, variant: Variant, problem: Problem) -> Problem:
        """Of those beside a problem, the one of the shortest context."""
        return min(self._beside(kernel, variant, problem), key=lambda p: p.context)

    def _beside(self, kernel: Kernel, variant: Variant, problem: Problem) -> list[Problem]:
        """A problem, and those listed of a variant with its other axes."""
        listed = self.listed.get((kernel.name, variant.name), [])
        return [problem, *(p for p in listed if p.sizes == problem.sizes)]

    def _with_deadline(self, gate: Gate) -> Gate:
        seconds = self.options.deadline_seconds
        if gate.name != "deadline_seconds" or seconds is None:
            return gate
        return dataclasses.replace(gate, limit=Limit(max=seconds), file=OPTIONS["deadline"].flag, line=0)

    def _untimed(self, run: Run) -> str:
        """Why the times of a run say nothing, if so."""
        device = run.device
        if device.emulated:
            return EMULATED_TIMES
        if device.serialized:
            return "launches are serialised (--greta-serialize)"
        if run.telemetry and run.telemetry.is_throttled:
            return run.telemetry.throttled
        return self.device.disturbed

    def _add_scaling(self, run: Run, gates: Sequence[Gate]) -> None:
        """The `scaling` quantity: against the smallest context that is listed, or that this session runs.

        It is measured here where no test did before: tests run in any order, and `--lf` only those that failed.
        """
        plan = run.plan
        first = self._smallest(plan.kernel, plan.variant, plan.problem)
        form = dataclasses.replace(plan.problem, context=0)
        key = plan.kernel.name, plan.variant.name, form, self.device.number
        if first.context == plan.problem.context:
            if run.seconds:
                self._first_seconds[key] = first.context, run.quantities["prefill_seconds"]
            quantity = Quantity(None, reason="scaling takes a second, longer context in the same run")
        elif not run.seconds:
            quantity = Quantity(None, reason="nothing was timed")
        else:
            asked = any(g.name == "scaling" and g.times_on(run.device.kind) for g in gates)
            if key not in self._first_seconds and asked and not self._untimed(run):
                self._measure_first(plan, first, key)
            if key in self._first_seconds:
                quantity = _scaling(run, *self._first_seconds[key])
            else:
                quantity = Quantity(None, reason=f"context {first.context} was not measured")
        run.quantities["scaling"] = quantity

    def _measure_first(self, plan: Plan, first: Problem, key: tuple[str, str, Problem, int]) -> None:
        """Time the smallest context as the longer one was, beside nothing; a fault there says nothing of this one."""
        from pytest_greta.measure.measurement import measure

        executable = self.planner.executable(plan.kernel, plan.variant, first)
        missing = {BASELINE: "only its time is asked for"}
        seed = self.planner.seed_of(plan.kernel, first)
        alone = dataclasses.replace(
            plan, problem=first, candidate=executable, counterparts={}, missing=missing, seed=seed
        )
        self.progress.show(f"timing {plan.variant.name} @ {first.id}, which scaling is measured from")
        run = measure(self.device.worker(), alone, self.progress.show, self.data, self.budget)
        if run.seconds and not run.fault:
            self._first_seconds[key] = first.context, run.quantities["prefill_seconds"]


def _part(kernel: Kernel, variant: Variant, code_object: CodeObject, problem: Problem) -> Part:
    """The kernels that a variant launches for a problem, as a lock file has them. Raises GretaError."""
    launched = entries(kernel, variant, problem)
    read = read_code({code_object.target: code_object.code}, variant.source)
    name = f"{variant.name} {problem.form}" if problem.form else variant.name
    return Part(kernel.name, name, [one for one in read.kernels if one.symbol in launched])


def _scaling(run: Run, first_context: int, first: Quantity) -> Quantity:
    """The exponent of the time of a run against that of the smallest context."""
    context, now = run.plan.problem.context, run.quantities["prefill_seconds"]
    assert isinstance(first.value, float)
    exponent = scaling(run.prefill_seconds, context, first.value, first_context)
    interval = scaling_interval(now.interval, context, first.interval, first_context)
    return Quantity(exponent, interval, f"from {first_context}")


def _barrier_hints(variant: Variant, candidate: Executable) -> Iterator[str]:
    """A line for each kernel that a GPU may run rightly and the cpu device does not."""
    symbols = dict.fromkeys(
        [candidate.entry, *(launch.entry for launch in candidate.launches if launch.entry)]
    )
    for symbol in symbols:
        if ends_before_barrier(candidate.code, symbol):
            name = qualified(demangled([symbol])[0][symbol])
            yield (
                f"{variant.file}: threads of {name} may return before a __syncthreads() that others of their block "
                "wait at. A GPU counts ended wavefronts as arrived; the cpu device does not, and its results are wrong "
                "then: that is nothing against the kernel on a GPU. Here, let all threads reach the barrier, or choose "
                "sizes that fill every block"
            )


def _hints(run: Run) -> Iterator[str]:
    """What may be wrong with a run whose output is: numpy draws float64 where nobody says, and few kernels take it."""
    variant, errors = run.plan.variant, run.quantities.get("max_error")
    if variant.code or errors is None or errors.value == 0:
        return
    with suppress(OSError, UnicodeDecodeError):
        if "double" in run.plan.kernel.source_path(variant).read_text(encoding="utf-8"):
            return
        for name, array in run.buffers.items():
            if dtype_of(array.dtype) == "float64":
                yield f"'{name}' is float64, and {variant.source} has no double: does the kernel take float32?"
