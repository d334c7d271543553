"""One pytest session that uses greta: what to test, and how each test gets its measurement."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.accept import (
    ROUNDS,
    Acceptance,
    Past,
    acceptance,
    info_of,
    no_reference,
    regression,
    with_acceptance,
)
from pytest_greta.build import Builder, attribute_quantities, entries, resource_quantities
from pytest_greta.catalogue import CATALOGUE
from pytest_greta.compiler import Compiler, Job
from pytest_greta.errors import CompileError, ConfigError, DeviceFault, ToolMissing
from pytest_greta.gatefile import GateFile
from pytest_greta.gates import (
    CPU_TIMES,
    Gate,
    Limit,
    Measurement,
    Quantity,
    Status,
    Verdict,
    scaling,
)
from pytest_greta.options import OPTIONS, Options
from pytest_greta.results import CodeResult, RunResult, Subject
from pytest_greta.sequential import MOST_BLOCKS
from pytest_greta.yamlnode import suggestion

if TYPE_CHECKING:
    from pytest_greta.devices import DeviceInfo
    from pytest_greta.host import Host
    from pytest_greta.kernel import Kernel, Problem, Variant
    from pytest_greta.measure import Contender, Run
    from pytest_greta.progress import Progress

_DEFAULT_LAUNCH_CONTEXT = 4096


class Session:
    """The state of a session: configuration, compiler, worker, and what later tests need of earlier ones."""

    def __init__(
        self,
        options: Options,
        gate_file: GateFile,
        kernels: Sequence[Kernel],
        host: Host,
        cache_folder: Path,
        parallel: bool,
        progress: Progress,
        past: Past,
    ) -> None:
        self.options = options
        self.gate_file = gate_file
        self.kernels = {kernel.name: kernel for kernel in kernels}
        self.host = host
        self.builder = Builder(Compiler(cache_folder), host)
        self.parallel = parallel
        """pytest-xdist runs other tests at the same time, so times mean nothing."""
        self.progress = progress
        self.past = past
        self.contexts_of: dict[tuple[str, str], list[int]] = {}
        """Contexts this session will run, by kernel and variant."""
        self._first_seconds: dict[tuple[str, str], tuple[int, float]] = {}

    def close(self) -> None:
        """End the compiler."""
        self.builder.compiler.close()

    # -- what to test ------------------------------------------------------------------------------------

    def kernel(self, name: str | None) -> Kernel:
        """The kernel a test names, or the only one there is. Raises ConfigError."""
        if name is None:
            if len(self.kernels) == 1:
                return next(iter(self.kernels.values()))
            known = ", ".join(self.kernels) or "none: register one with the hook pytest_greta_kernels"
            raise ConfigError(f"say which kernel is meant with @pytest.mark.greta(NAME); there is {known}")
        if name not in self.kernels:
            raise ConfigError(
                f"@pytest.mark.greta: unknown kernel {name!r}; {suggestion(name, self.kernels)}"
            )
        return self.kernels[name]

    def variants(self, kernel: Kernel) -> list[Variant]:
        """The variants to test: those of `--greta-variant` that the kernel has, else all."""
        wanted = self.options.variants
        return [v for v in kernel.variants if wanted is None or v.name in wanted]

    @property
    def targets(self) -> Sequence[str]:
        """What to compile for: `--greta-target`, else the targets of gates.yaml."""
        return self.gate_file.targets if self.options.targets is None else self.options.targets

    def contexts(self, kernel: Kernel) -> Sequence[int]:
        """The contexts to run: `--greta-ctx`, else those of gates.yaml for this device, in rising order.

        Raises ConfigError where nobody says, and for a context above the limit of a variant to test.
        """
        entry = self.gate_file.kernels.get(kernel.name)
        contexts, place = self.options.contexts, OPTIONS["ctx"].flag
        if contexts is None:
            contexts = entry.contexts.get(self.host.kind, ()) if entry else ()
            place = f"{self.gate_file.path}: contexts of kernel {kernel.name!r} for {self.host.kind}"
            if not contexts:
                raise ConfigError(f"{place}: none are listed; list some there or give {OPTIONS['ctx'].flag}")
        too_long = [
            f"{place}: context {context} is above the limit of variant {variant.name!r} of kernel {kernel.name!r} "
            f"(max_context {variant.max_context}); shorten it or leave the variant out with {OPTIONS['variant'].flag}"
            for context in contexts
            for variant in self.variants(kernel)
            if variant.max_context is not None and context > variant.max_context
        ]
        if too_long:
            raise ConfigError(*too_long)
        return sorted(contexts)

    def name_problems(self, used: Sequence[Kernel]) -> list[str]:
        """What is wrong with `--greta-variant` and gates.yaml for the kernels under test: a name that none
        of them has, a kernel without a baseline.
        """
        problems = []
        known = list(dict.fromkeys(v.name for kernel in used for v in kernel.variants))
        for name in self.options.variants or ():
            if used and name not in known:
                problems.append(
                    f"{OPTIONS['variant'].flag}: unknown variant {name!r}; {suggestion(name, known)}"
                )
        for kernel in used:
            if kernel.name not in self.gate_file.kernels:
                problems.append(
                    f"{self.gate_file.path}: kernel {kernel.name!r} has no entry, so it has no baseline"
                )
        return problems

    # -- code --------------------------------------------------------------------------------------------

    def jobs(self, kernel: Kernel, variant: Variant, target: str | None, context: int | None) -> list[Job]:
        """All that a test of a variant compiles here: for its target, or for the cpu device with its baseline."""
        if target is not None:
            return [self.builder.job(kernel, variant, target)]
        jobs = [self.builder.job(kernel, variant, name) for name in self.targets]
        if context is not None and self.host.kind == "cpu":
            baseline = kernel.variant(self.gate_file.kernels[kernel.name].baseline)
            jobs += [self.builder.cpu_job(kernel, v, context) for v in (variant, baseline)]
        return jobs

    def code_result(self, kernel: Kernel, variant: Variant, target: str) -> CodeResult:
        """Compile a variant for a target and read its resources. Raises CompileError or ToolMissing."""
        code_object = self.builder.compiler.compile(self.builder.job(kernel, variant, target))
        context = self._launch_context(kernel)
        quantities = resource_quantities(kernel, variant, code_object, context)
        return CodeResult([self._code_subject(kernel, variant, target, quantities)], code_object)

    def history(self, run: Run) -> Mapping[str, object]:
        """What history keeps of a run besides its times."""
        plan = run.plan
        return {
            **info_of(run),
            "driver": run.device.driver,
            "seed": plan.seed,
            "telemetry": dataclasses.asdict(run.telemetry) if run.telemetry else None,
            "quantities": {name: quantity.value for name, quantity in run.quantities.items()},
            "resources": self.builder.resource_history(
                plan.kernel, plan.candidate.variant, self.targets, plan.problem.context
            ),
        }

    def acceptance(self, run: Run, verdicts: Sequence[Verdict]) -> Acceptance:
        """Whether a run becomes a reference for later ones."""
        return acceptance(verdicts, no_reference(run, self._untimed(run), self.past))

    def _code_subject(
        self, kernel: Kernel, variant: Variant, target: str, quantities: Mapping[str, Quantity]
    ) -> Subject:
        measurement = Measurement(kernel.name, variant.name, quantities, target=target)
        return Subject(measurement, self.gate_file.gates_for(kernel.name, variant.name, target=target))

    def _launch_context(self, kernel: Kernel) -> int:
        """The context whose launch geometry occupancy is computed for."""
        entry = self.gate_file.kernels.get(kernel.name)
        listed = entry.contexts.get("hip", ()) if entry else ()
        return min(self.options.contexts or listed or (_DEFAULT_LAUNCH_CONTEXT,))

    def headline(self) -> list[str]:
        """What is gated, on what, by what."""
        targets = " ".join(self.targets) or "none"
        device = self.host.describe() if self.contexts_of else "none needed"
        what = f"device: {device}; targets: {targets}; gates: {self.gate_file.path}"
        return [what, *self.host.notes()]

    # -- running -----------------------------------------------------------------------------------------

    def run_result(self, kernel: Kernel, variant: Variant, context: int) -> RunResult:
        """Measure a variant at a context. Raises CompileError, ToolMissing or DeviceUnavailable.

        On a GPU the code object that will run is gated first; one that fails is not launched.
        """
        candidate = self.contender(kernel, variant, context)
        subjects = [] if self.host.kind == "cpu" else [self._device_code(kernel, candidate, context)]
        if any(verdict.status is Status.FAIL for subject in subjects for verdict in subject.verdicts()):
            return RunResult(subjects, None)
        run = self._measure(kernel, candidate, context)
        again = self._compare(run, lambda: self._measure(kernel, candidate, context))
        subjects.append(self._run_subject(run))
        if again:
            subjects += self._second_subject(again)
            run.seconds += again.seconds
            run.baseline_seconds += again.baseline_seconds
        return RunResult(subjects, run)

    def draw_seed(self) -> int:
        """The seed of the next inputs: that of `--greta-seed`, else a new one."""
        return secrets.randbits(32) if self.options.seed is None else self.options.seed

    def _compare(self, run: Run, measure_again: Callable[[], Run]) -> Run | None:
        """Add the quantity `regression`, where it is gated; gives the second measurement, where it took one."""
        plan = run.plan
        gates = self._run_gates(plan.kernel, plan.candidate.variant, plan.problem)
        for gate in gates:
            if gate.name == "regression" and gate.times_on(run.device.kind):
                quantity, again = regression(run, self._untimed, gate.limit, self.past, measure_again)
                cannot = no_reference(run, self._untimed(run), self.past)
                if self.options.accept and cannot:
                    reason = f"{quantity.reason}; not accepted: {cannot}"
                    quantity = dataclasses.replace(quantity, reason=reason)
                run.quantities["regression"] = quantity
                return again
        run.quantities["regression"] = Quantity(None, reason=CPU_TIMES)
        return None

    def _second_subject(self, again: Run) -> list[Subject]:
        """What failed when a run was measured once more, its speed aside: that was judged with the first one's."""
        subject = self._run_subject(again)
        failed = [v.gate for v in subject.verdicts() if v.status is Status.FAIL]
        gates = [gate for gate in failed if not CATALOGUE[gate.name].speed]
        return [dataclasses.replace(subject, gates=gates)] if gates else []

    def _measure(self, kernel: Kernel, candidate: Contender, context: int) -> Run:
        from pytest_greta.measure import Plan, measure

        options, variant = self.options, candidate.variant
        baseline, missing = self._baseline(kernel, variant, context)
        self.builder.compiler.settle()
        problem, worker = kernel.problem(context, self.host.kind), self.host.worker()
        gates = self._run_gates(kernel, variant, problem)
        most_rounds, limits = self._rounds(context, gates, worker.info, baseline is not None)
        plan = Plan(
            kernel=kernel,
            problem=problem,
            candidate=candidate,
            baseline=baseline,
            baseline_max_error=self._baseline_max_error(kernel, kernel.problem(context, self.host.kind)),
            baseline_missing=missing,
            most_rounds=most_rounds,
            fewest_rounds=min(most_rounds, ROUNDS) if self._is_compared(gates, worker.info) else 0,
            limits=limits,
            budget_seconds=options.budget_seconds,
            single_shot=options.single_shot,
            seed=self.draw_seed(),
        )
        with self.progress.measuring(f"{variant.name} @ {context}"):
            run = measure(worker, plan, self.progress.show)
        self._add_scaling(run)
        return run

    def _rounds(
        self, context: int, gates: Sequence[Gate], device: DeviceInfo, baseline: bool
    ) -> tuple[int, tuple[Limit, ...]]:
        """How many rounds are timed at most, and the limits that may end them earlier."""
        if self.options.rounds_given:
            return self.options.rounds_for(context), ()
        if self.parallel:
            return 1, ()
        judged = not (device.emulated or device.serialized)
        limits = tuple(g.limit for g in gates if judged and g.name == "speedup" and g.times_on(device.kind))
        if limits and baseline:
            return MOST_BLOCKS, limits
        return ROUNDS if self._is_compared(gates, device) else self.options.rounds_for(context), ()

    def _is_compared(self, gates: Sequence[Gate], device: DeviceInfo) -> bool:
        """Whether a run is held against history."""
        judged = not (device.emulated or device.serialized)
        return judged and any(g.name == "regression" and g.times_on(device.kind) for g in gates)

    def _device_code(self, kernel: Kernel, candidate: Contender, context: int) -> Subject:
        """The code object that will run on the GPU, with its gates."""
        variant, code_object = candidate.variant, candidate.code_object
        if code_object.kernels:
            quantities = resource_quantities(kernel, variant, code_object, context)
        else:
            names = entries(kernel, variant, context, "hip")
            try:
                quantities = attribute_quantities(self.host.worker().inspect(code_object.code, names))
            except DeviceFault as fault:
                raise CompileError(f"{variant.source}: its code cannot be loaded: {fault}") from fault
        return self._code_subject(kernel, variant, code_object.target, quantities)

    def _run_gates(self, kernel: Kernel, variant: Variant, problem: Problem) -> list[Gate]:
        from pytest_greta.measure import error_limit

        return self.gate_file.gates_for(
            kernel.name,
            variant.name,
            context=problem.context,
            device=self.host.kind,
            entry=variant.entry,
            max_error=error_limit(kernel, problem),
        )

    def _run_subject(self, run: Run) -> Subject:
        kernel, variant, problem = run.plan.kernel, run.plan.candidate.variant, run.plan.problem
        measurement = Measurement(
            kernel.name,
            variant.name,
            run.quantities,
            context=problem.context,
            device=run.device.kind,
            untimed=self._untimed(run),
        )
        gates = self._run_gates(kernel, variant, problem)
        contexts = self.contexts_of.get((kernel.name, variant.name), [])
        if len(contexts) > 1 and problem.context == min(contexts):
            gates = [gate for gate in gates if gate.name != "scaling"]  # the others are held against this one
        if self.options.accept and not no_reference(run, self._untimed(run), self.past):
            gates = [with_acceptance(gate, self.options.accept) for gate in gates]
        return Subject(measurement, [self._with_deadline(gate) for gate in gates])

    def _baseline(self, kernel: Kernel, variant: Variant, context: int) -> tuple[Contender | None, str]:
        """The baseline to run beside a variant, or why there is none."""
        baseline = kernel.variant(self.gate_file.kernels[kernel.name].baseline)
        if baseline.name == variant.name:
            return None, "it is the baseline itself"
        if baseline.max_context is not None and context > baseline.max_context:
            return None, f"the baseline {baseline.name} processes at most {baseline.max_context}"
        try:
            return self.contender(kernel, baseline, context), ""
        except (CompileError, ToolMissing) as error:
            return None, f"the baseline {baseline.name} cannot be compiled: {str(error).splitlines()[0]}"

    def _baseline_max_error(self, kernel: Kernel, problem: Problem) -> float:
        baseline = kernel.variant(self.gate_file.kernels[kernel.name].baseline)
        limits = [g.limit.max for g in self._run_gates(kernel, baseline, problem) if g.name == "max_error"]
        return min(limit for limit in limits if limit is not None)

    def contender(self, kernel: Kernel, variant: Variant, context: int) -> Contender:
        """A variant ready to run on the device. Raises CompileError, ToolMissing or DeviceUnavailable."""
        from pytest_greta.measure import Contender

        code_object = self.builder.for_device(kernel, variant, context)
        deadline_seconds = self.options.deadline_seconds or self.gate_file.deadline_seconds(
            kernel.name, variant.name, context, self.host.kind
        )
        return Contender(variant, code_object, deadline_seconds)

    def _with_deadline(self, gate: Gate) -> Gate:
        seconds = self.options.deadline_seconds
        if gate.name != "deadline_seconds" or seconds is None:
            return gate
        return dataclasses.replace(gate, limit=Limit(max=seconds), file=OPTIONS["deadline"].flag, line=0)

    def _untimed(self, run: Run) -> str:
        """Why the times of a run say nothing, if so."""
        device = run.device
        if device.emulated:
            return "an emulated GPU's times say nothing about a GPU's"
        if device.serialized:
            return "launches are serialised (--greta-serialize)"
        if run.telemetry and run.telemetry.is_throttled:
            return run.telemetry.throttled
        if self.parallel:
            return "pytest-xdist runs tests side by side, which disturbs their times"
        return ""

    def _add_scaling(self, run: Run) -> None:
        """The `scaling` quantity: against the smallest context of this session."""
        plan = run.plan
        key, context = (plan.kernel.name, plan.candidate.variant.name), plan.problem.context
        contexts = self.contexts_of.get(key, [context])
        if run.seconds and context == min(contexts):
            self._first_seconds[key] = context, run.prefill_seconds
        if context == min(contexts):
            quantity = Quantity(None, reason="scaling takes a second, longer context in the same run")
        elif key not in self._first_seconds:
            quantity = Quantity(None, reason=f"context {min(contexts)} was not measured in this process")
        elif not run.seconds:
            quantity = Quantity(None, reason="nothing was timed")
        else:
            first_context, first_seconds = self._first_seconds[key]
            exponent = scaling(run.prefill_seconds, context, first_seconds, first_context)
            quantity = Quantity(exponent, reason=f"from {first_context}")
        run.quantities["scaling"] = quantity
