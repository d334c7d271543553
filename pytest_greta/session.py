"""One pytest session that uses greta: what to test, and how each test gets its measurement."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.accept import (
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
from pytest_greta.errors import CompileError, ConfigError, DeviceFault
from pytest_greta.gatefile import GateFile
from pytest_greta.gates import (
    CPU_TIMES,
    EMULATED_TIMES,
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
from pytest_greta.yamlnode import suggestion

if TYPE_CHECKING:
    from pytest_greta.contender import Contender
    from pytest_greta.host import Host
    from pytest_greta.kernel import Kernel, Problem, Variant
    from pytest_greta.measure import Run
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
        compiler, job = self.builder.compiler, self.builder.job(kernel, variant, target)
        code_object = compiler.compile(job)
        context = self._launch_context(kernel)
        quantities = resource_quantities(kernel, variant, code_object, context)
        subject = self._code_subject(kernel, variant, target, quantities)
        return CodeResult([subject], code_object, compiler.hiprtc_notes(job))

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
                plan.kernel, plan.variant, self.targets, plan.problem.context
            ),
        }

    def acceptance(self, run: Run, verdicts: Sequence[Verdict]) -> Acceptance:
        """Whether a run becomes a reference for later ones. The code of one that becomes a yardstick is kept."""
        found = acceptance(verdicts, no_reference(run, self._untimed(run), self.past))
        if found.yardstick and self.past.is_saved:
            self.past.keep_code(run.plan.candidate.code)
        return found

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
        from pytest_greta.plan import make_contender

        candidate = make_contender(self, kernel, variant, context)
        subjects = [] if self.host.kind == "cpu" else [self._device_code(kernel, variant, context)]
        if any(verdict.status is Status.FAIL for subject in subjects for verdict in subject.verdicts()):
            return RunResult(subjects, None)
        run = self._measure(kernel, variant, candidate, context)
        again = self._compare(run, lambda: self._measure(kernel, variant, candidate, context))
        subjects.append(self._run_subject(run))
        if again:
            subjects += self._second_subject(again)
            run.seconds += again.seconds
            run.baseline.seconds += again.baseline.seconds
            run.accepted.seconds += again.accepted.seconds
        return RunResult(subjects, run)

    def draw_seed(self) -> int:
        """The seed of the next inputs: that of `--greta-seed`, else a new one."""
        return secrets.randbits(32) if self.options.seed is None else self.options.seed

    def _compare(self, run: Run, measure_again: Callable[[], Run]) -> Run | None:
        """Add the quantity `regression`, where it is gated; gives the second measurement, where it took one."""
        plan = run.plan
        gates = self.run_gates(plan.kernel, plan.variant, plan.problem)
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

    def _measure(self, kernel: Kernel, variant: Variant, candidate: Contender, context: int) -> Run:
        from pytest_greta.contender import ACCEPTED
        from pytest_greta.measure import measure
        from pytest_greta.plan import plan_run, without_accepted

        gates = self.run_gates(kernel, variant, kernel.problem(context, self.host.sizes))
        plan = plan_run(self, kernel, candidate, variant, context, gates)
        self.builder.compiler.settle()
        with self.progress.measuring(f"{variant.name} @ {context}"):
            run = measure(self.host.worker(), plan, self.progress.show)
            if run.fault and run.fault_of == ACCEPTED:  # no fault of the code that is tested
                plan = without_accepted(plan, f"fails today: {run.fault}")
                run = measure(self.host.worker(), plan, self.progress.show)
        self._add_scaling(run)
        return run

    def _device_code(self, kernel: Kernel, variant: Variant, context: int) -> Subject:
        """The code object that will run on the GPU, with its gates."""
        code_object = self.builder.for_device(kernel, variant, context)
        if code_object.kernels:
            quantities = resource_quantities(kernel, variant, code_object, context)
        else:
            names = entries(kernel, variant, context, "hip")
            try:
                quantities = attribute_quantities(self.host.worker().inspect(code_object.code, names))
            except DeviceFault as fault:
                raise CompileError(f"{variant.source}: its code cannot be loaded: {fault}") from fault
        return self._code_subject(kernel, variant, code_object.target, quantities)

    def run_gates(self, kernel: Kernel, variant: Variant, problem: Problem) -> list[Gate]:
        """The gates of a run of a variant on this session's device."""
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
        kernel, variant, problem = run.plan.kernel, run.plan.variant, run.plan.problem
        measurement = Measurement(
            kernel.name,
            variant.name,
            run.quantities,
            context=problem.context,
            device=run.device.kind,
            untimed=self._untimed(run),
        )
        gates = self.run_gates(kernel, variant, problem)
        contexts = self.contexts_of.get((kernel.name, variant.name), [])
        if len(contexts) > 1 and problem.context == min(contexts):
            gates = [gate for gate in gates if gate.name != "scaling"]  # the others are held against this one
        if self.options.accept and not no_reference(run, self._untimed(run), self.past):
            gates = [with_acceptance(gate, self.options.accept) for gate in gates]
        return Subject(measurement, [self._with_deadline(gate) for gate in gates])

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
        if self.parallel:
            return "pytest-xdist runs tests side by side, which disturbs their times"
        return ""

    def _add_scaling(self, run: Run) -> None:
        """The `scaling` quantity: against the smallest context of this session."""
        plan = run.plan
        key, context = (plan.kernel.name, plan.variant.name), plan.problem.context
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
