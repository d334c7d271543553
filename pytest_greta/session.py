"""One pytest session that uses greta: what to test, and how each test gets its measurement."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_greta.compiler import CPU_TARGET, Compiler, Job
from pytest_greta.errors import CompileError, ConfigError, ToolMissing
from pytest_greta.gatefile import GateFile
from pytest_greta.gates import CATALOGUE, Gate, Limit, Measurement, Quantity, Status, Verdict, scaling
from pytest_greta.options import DEFAULT_BUDGET_SECONDS, OPTIONS, Options
from pytest_greta.yamlnode import suggestion

if TYPE_CHECKING:
    from pytest_greta.codeobject import CodeObject, KernelResources
    from pytest_greta.devices import DeviceInfo
    from pytest_greta.host import Host
    from pytest_greta.kernel import Kernel, Launch, Variant
    from pytest_greta.measure import Contender, Run
    from pytest_greta.progress import Progress

_DEFAULT_LAUNCH_CONTEXT = 4096


@dataclass(frozen=True)
class CodeResult:
    """A variant compiled for one target, with the gates that apply."""

    measurement: Measurement
    gates: Sequence[Gate]
    code_object: CodeObject
    resources: KernelResources
    """Of the variant's own entry; a variant of several kernels is gated on the worst of each resource."""

    @property
    def notes(self) -> list[str]:
        """What a reader of a failure needs besides the verdicts."""
        return []


@dataclass(frozen=True)
class RunResult:
    """A variant measured at one context on the device, with the gates that apply."""

    measurement: Measurement
    gates: Sequence[Gate]
    run: Run

    @property
    def notes(self) -> list[str]:
        """What a reader of a failure needs besides the verdicts."""
        return [f"on {self.run.device.identity}; inputs drawn with --greta-seed={self.run.plan.seed}"]


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
    ) -> None:
        self.options = options
        self.gate_file = gate_file
        self.kernels = {kernel.name: kernel for kernel in kernels}
        self.host = host
        self.compiler = Compiler(cache_folder)
        self.parallel = parallel
        """pytest-xdist runs other tests at the same time, so times mean nothing."""
        self.progress = progress
        self.contexts_of: dict[tuple[str, str], list[int]] = {}
        """Contexts this session will run, by kernel and variant."""
        self._first_seconds: dict[tuple[str, str], tuple[int, float]] = {}

    def close(self) -> None:
        """End the compiler."""
        self.compiler.close()

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

    # -- compiling ---------------------------------------------------------------------------------------

    def job(self, kernel: Kernel, variant: Variant, target: str, context: int | None = None) -> Job:
        """The compilation of a variant for a target, or for the cpu device at a context."""
        defines = tuple(sorted((k, str(v)) for k, v in variant.defines.items()))
        source = kernel.source_path(variant)
        if target != CPU_TARGET or context is None:
            return Job(source, target, defines)
        launches = _launches(kernel, variant, context, "cpu")
        blocks = {launch.block for launch in launches if launch.block[1:] != (1, 1)}
        if len(blocks) > 1:
            raise CompileError(
                f"{variant.source}: on the cpu device, launches of a variant share one block of several axes"
            )
        lds_bytes = max(launch.dynamic_lds_bytes for launch in launches)
        return Job(source, target, defines, dynamic_lds_bytes=lds_bytes, block=next(iter(blocks), (0, 1, 1)))

    def jobs(self, kernel: Kernel, variant: Variant, target: str | None, context: int | None) -> list[Job]:
        """All that a test of a variant compiles here: for its target, or for the cpu device with its baseline."""
        if target is not None:
            return [self.job(kernel, variant, target)]
        jobs = [self.job(kernel, variant, name) for name in self.targets]
        if context is not None and self.host.kind == "cpu":
            baseline = kernel.variant(self.gate_file.kernels[kernel.name].baseline)
            jobs += [self.job(kernel, v, CPU_TARGET, context) for v in (variant, baseline)]
        return jobs

    def resources(self, kernel: Kernel, variant: Variant) -> dict[str, dict[str, object]]:
        """What a variant takes on every target it compiles for, for history."""
        found = {}
        for target in self.targets:
            with suppress(CompileError, ToolMissing):
                code_object = self.compiler.compile(self.job(kernel, variant, target))
                quantities, _ = self._resource_quantities(kernel, variant, code_object)
                found[target] = {name: quantity.value for name, quantity in quantities.items()}
        return found

    def code_result(self, kernel: Kernel, variant: Variant, target: str) -> CodeResult:
        """Compile a variant for a target and read its resources. Raises CompileError or ToolMissing."""
        code_object = self.compiler.compile(self.job(kernel, variant, target))
        quantities, resources = self._resource_quantities(kernel, variant, code_object)
        measurement = Measurement(kernel.name, variant.name, quantities, target=target)
        gates = self.gate_file.gates_for(kernel.name, variant.name, target=target)
        return CodeResult(measurement, gates, code_object, resources)

    def _resource_quantities(
        self, kernel: Kernel, variant: Variant, code_object: CodeObject
    ) -> tuple[dict[str, Quantity], KernelResources]:
        from pytest_greta.codeobject import occupancy

        entry = self.gate_file.kernels.get(kernel.name)
        contexts = (
            self.options.contexts or (entry and entry.contexts.get("hip")) or (_DEFAULT_LAUNCH_CONTEXT,)
        )
        limit = variant.max_context or max(contexts)
        launches = _launches(kernel, variant, min(*contexts, limit), "hip")
        found: dict[str, list[float | None]] = {}
        for launch in launches:
            name = launch.entry or variant.entry
            if name not in code_object.kernels:
                known = suggestion(name, code_object.kernels)
                raise CompileError(
                    f'{variant.source} has no kernel {name!r} (extern "C" __global__); {known}'
                )
            resources = code_object.kernels[name]
            threads = launch.block[0] * launch.block[1] * launch.block[2]
            for gate, value in (
                ("scratch_bytes", resources.scratch_bytes),
                ("vgprs", resources.vgprs),
                ("agprs", resources.agprs),
                ("sgprs", resources.sgprs),
                ("vgpr_spills", resources.vgpr_spills),
                ("sgpr_spills", resources.sgpr_spills),
                ("lds_bytes", resources.lds_bytes + launch.dynamic_lds_bytes),
                ("code_bytes", resources.code_bytes),
                ("occupancy", occupancy(resources, code_object.target, threads, launch.dynamic_lds_bytes)),
            ):
                found.setdefault(gate, []).append(value)
        return {gate: _worst(gate, values) for gate, values in found.items()}, code_object.kernels[
            launches[0].entry or variant.entry
        ]

    def headline(self) -> list[str]:
        """What is gated, on what, by what."""
        targets = " ".join(self.targets) or "none"
        device = self.host.describe() if self.contexts_of else "none needed"
        what = f"device: {device}; targets: {targets}; gates: {self.gate_file.path}"
        return [what, *([self.host.note] if self.host.note else [])]

    # -- running -----------------------------------------------------------------------------------------

    def run_result(self, kernel: Kernel, variant: Variant, context: int) -> RunResult:
        """Measure a variant at a context. Raises CompileError, ToolMissing or DeviceUnavailable."""
        from pytest_greta.measure import Plan, error_limit, measure

        worker = self.host.worker()
        problem = kernel.problem(context, self.host.kind)
        candidate = self._contender(kernel, variant, context)
        baseline, missing = self._baseline(kernel, variant, context)
        options = self.options
        self.compiler.settle()
        rounds = options.rounds_for(context) if options.rounds_given or not self.parallel else 1
        plan = Plan(
            kernel=kernel,
            problem=problem,
            candidate=candidate,
            baseline=baseline,
            baseline_missing=missing,
            rounds=rounds,
            budget_seconds=float("inf") if options.rounds_given else DEFAULT_BUDGET_SECONDS,
            single_shot=options.single_shot,
            seed=secrets.randbits(32) if options.seed is None else options.seed,
        )
        with self.progress.measuring(f"{variant.name} @ {context}"):
            run = measure(worker, plan, self.progress.show)
        self._add_scaling(run)
        measurement = Measurement(
            kernel.name,
            variant.name,
            run.quantities,
            context=context,
            device=self.host.kind,
            untimed=self._untimed(run.device),
        )
        gates = self.gate_file.gates_for(
            kernel.name,
            variant.name,
            context=context,
            device=self.host.kind,
            entry=variant.entry,
            max_error=error_limit(kernel, problem),
        )
        contexts = self.contexts_of.get((kernel.name, variant.name), [])
        if len(contexts) > 1 and context == min(contexts):
            gates = [g for g in gates if g.name != "scaling"]  # the others are held against this one
        return RunResult(measurement, [self._with_deadline(g) for g in gates], run)

    def _baseline(self, kernel: Kernel, variant: Variant, context: int) -> tuple[Contender | None, str]:
        """The baseline to run beside a variant, or why there is none."""
        baseline = kernel.variant(self.gate_file.kernels[kernel.name].baseline)
        if baseline.name == variant.name:
            return None, "it is the baseline itself"
        if baseline.max_context is not None and context > baseline.max_context:
            return None, f"the baseline {baseline.name} processes at most {baseline.max_context}"
        try:
            return self._contender(kernel, baseline, context), ""
        except (CompileError, ToolMissing) as error:
            return None, f"the baseline {baseline.name} cannot be compiled: {str(error).splitlines()[0]}"

    def _contender(self, kernel: Kernel, variant: Variant, context: int) -> Contender:
        from pytest_greta.measure import Contender

        code = self.compiler.compile(self.job(kernel, variant, CPU_TARGET, context)).code
        deadline_seconds = self.options.deadline_seconds or self.gate_file.deadline_seconds(
            kernel.name, variant.name, context, self.host.kind
        )
        return Contender(variant, code, deadline_seconds)

    def _with_deadline(self, gate: Gate) -> Gate:
        seconds = self.options.deadline_seconds
        if gate.name != "deadline_seconds" or seconds is None:
            return gate
        return dataclasses.replace(gate, limit=Limit(max=seconds), file=OPTIONS["deadline"].flag, line=0)

    def _untimed(self, device: DeviceInfo) -> str:
        if device.emulated:
            return "an emulated GPU's times say nothing about a GPU's"
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


def check_kernels(kernels: Sequence[Kernel]) -> None:
    """Raise ConfigError for families that cannot be told apart, or whose sources are not there."""
    problems, names = [], set()
    for kernel in kernels:
        where = f"kernel {kernel.name!r}"
        if kernel.name in names:
            problems.append(f"{where} is registered twice")
        names.add(kernel.name)
        variants = [v.name for v in kernel.variants]
        problems += [
            f"{where}: variant {n!r} is there twice" for n in sorted(set(variants)) if variants.count(n) > 1
        ]
        for variant in kernel.variants:
            if not kernel.source_path(variant).is_file():
                problems.append(f"{where}, variant {variant.name!r}: no source {kernel.source_path(variant)}")
    if problems:
        raise ConfigError(*problems)


def failing(verdicts: Sequence[Verdict], require: str | None) -> list[Verdict]:
    """The verdicts that fail a test: every FAIL, and with `--greta-require=hip` all that was not decided.

    `--greta-require=cpu` asks for what a CPU can decide, so gates on GPU speed stay NOT MEASURED there.
    """

    def fails(verdict: Verdict) -> bool:
        if verdict.status in (Status.PASS, Status.FAIL):
            return verdict.status is Status.FAIL
        return require == "hip" or (require == "cpu" and not CATALOGUE[verdict.gate.name].speed)

    return [verdict for verdict in verdicts if fails(verdict)]


def _launches(kernel: Kernel, variant: Variant, context: int, device: str) -> Sequence[Launch]:
    launches = kernel.launch(kernel.problem(context, device), variant)
    return launches if isinstance(launches, Sequence) else [launches]


def _worst(gate: str, values: Sequence[float | None]) -> Quantity:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return Quantity(None, reason="the limits of this target are not known to greta")
    return Quantity(min(known) if CATALOGUE[gate].better == "higher" else max(known))


def information(session: Session, run: Run) -> Mapping[str, object]:
    """What history keeps of a run besides its times."""
    plan = run.plan
    return {
        "resources": session.resources(plan.kernel, plan.candidate.variant),
        "kernel": plan.kernel.name,
        "variant": plan.candidate.variant.name,
        "context": plan.problem.context,
        "problem": str(plan.problem),
        "device": run.device.identity,
        "driver": run.device.driver,
        "seed": plan.seed,
        "baseline": plan.baseline.variant.name if plan.baseline else None,
        "baseline_seconds": list(run.baseline_seconds),
        "quantities": {name: q.value for name, q in run.quantities.items()},
    }
