"""One pytest session that uses greta: its parts, and what it tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_greta import contract
from pytest_greta.compiler.builder import job_of
from pytest_greta.errors import ConfigError, KernelMistake, MarkerMistake
from pytest_greta.gates.nodes import suggestion
from pytest_greta.kernel import Problem
from pytest_greta.options import OPTIONS
from pytest_greta.problems import code_problems_for, is_not_for, problems_for, program_problems, sharing_code
from pytest_greta.records.digests import Digests

if TYPE_CHECKING:
    from pytest_greta.binaries.artifacts import ArtifactCase, Artifacts
    from pytest_greta.compiler.builder import Builder
    from pytest_greta.compiler.clang import Job
    from pytest_greta.device.session_device import SessionDevice
    from pytest_greta.gates.file import GateFile
    from pytest_greta.gates.model import Verdict
    from pytest_greta.history.acceptance import Acceptance
    from pytest_greta.kernel import Kernel, Variant
    from pytest_greta.measure.run import Run
    from pytest_greta.options import Options
    from pytest_greta.planner import Planner
    from pytest_greta.programs.campaign import Programs
    from pytest_greta.programs.result import ProgramCase, ProgramResult, ProgramRun
    from pytest_greta.progress import Progress
    from pytest_greta.records.replay import ReplayedResult
    from pytest_greta.runner import Runner


@dataclass
class Session:
    """The parts of a session, and what follows from them together: kernels, variants, targets and problems to test."""

    options: Options
    gate_file: GateFile
    kernels: dict[str, Kernel]
    artifacts: Artifacts
    programs: Programs
    device: SessionDevice
    builder: Builder
    planner: Planner
    runner: Runner
    progress: Progress
    unread: Sequence[str] = ()
    """Why kernels may be missing: conftest files that cannot be imported, a text each."""
    left_out: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Cases that are listed and not tested: kernel, variant, problem or target, and why."""
    digests: Digests = field(default_factory=Digests)
    """Those of the variants' sources."""
    tested_programs: dict[str, None] = field(default_factory=dict)
    """The programs of all tests that were collected."""

    @property
    def has_several(self) -> bool:
        """Whether a variant's name leaves open what it is of: there are several kernels, artifacts and programs."""
        file = self.gate_file
        return len({*self.kernels, *file.kernels}) + len(file.artifacts) + len(file.programs) > 1

    def program_result(self, case: ProgramCase) -> ProgramResult | ReplayedResult:
        """A program's runs with their gates, or what was recorded of them."""
        replayer = self.runner.replayer
        if replayer is not None:
            return replayer.program_result(case, self.programs.gates_of(case), self.programs.files_of(case))
        self.device.release()  # a program may use it
        result = self.programs.judge(case)
        if self.options.accept:
            from pytest_greta.history.acceptance import with_acceptance
            from pytest_greta.history.programs import no_reference

            if not no_reference(result.run, self.runner.past):
                gates = [with_acceptance(gate, self.options.accept) for gate in result.gates]
                return replace(result, gates=gates)
        return result

    def history(self, run: Run | ProgramRun) -> Mapping[str, object]:
        """What history keeps of a run besides its times."""
        from pytest_greta.history.programs import info_of_program
        from pytest_greta.programs.result import ProgramRun

        if isinstance(run, ProgramRun):
            return info_of_program(run)
        return self.runner.history(run, self.targets_of(run.plan.kernel, run.plan.variant))

    def acceptance(self, run: Run | ProgramRun, verdicts: Sequence[Verdict]) -> Acceptance:
        """Whether a run becomes a reference for later ones."""
        from pytest_greta.history.programs import acceptance_of_program
        from pytest_greta.programs.result import ProgramRun

        if isinstance(run, ProgramRun):
            return acceptance_of_program(run, verdicts, self.runner.past)
        return self.runner.acceptance(run, verdicts)

    def close(self) -> None:
        """End the compiler, and let go of what was drawn."""
        self.builder.compiler.close()
        self.runner.data.close()

    def kernel(self, name: str | None) -> Kernel:
        """The kernel a test names, or the only one there is. Raises ConfigError."""
        if name is None:
            if len(self.kernels) == 1:
                return next(iter(self.kernels.values()))
            known = ", ".join(self.kernels) or "none: register one with the hook pytest_greta_kernels"
            which = f"say which kernel is meant with @pytest.mark.greta(NAME); there is {known}"
            raise self._mistake("; ".join([which, *self.unread]))
        if name not in self.kernels:
            hint = "; ".join([suggestion(name, self.kernels), *self.unread])
            raise self._mistake(f"@pytest.mark.greta: unknown kernel {name!r}; {hint}")
        return self.kernels[name]

    def _mistake(self, text: str) -> ConfigError:
        """Of a test's marker, unless there are kernels that nobody could read: then of all tests alike."""
        return MarkerMistake(text) if self.kernels and not self.unread else ConfigError(text)

    def artifact_cases(self, name: str | None) -> list[ArtifactCase]:
        """The files of the artifact that a test names, or of all. Raises ConfigError."""
        names = self._named(name, self.gate_file.artifacts, "artifact")
        return [case for one in names for case in self.artifacts.cases(one)]

    def program_cases(self, name: str | None) -> list[ProgramCase]:
        """The variants and problems of the program that a test names, or of all. Raises ConfigError."""
        from pytest_greta.programs.result import ProgramCase

        options, found = self.options, []
        names = self._named(name, self.gate_file.programs, "program")
        self.tested_programs.update(dict.fromkeys(names))
        for one in names:
            entry = self.gate_file.programs[one]
            problems = program_problems(entry, options.contexts, options.axes)
            if not problems:
                place = f"{self.gate_file.path}: contexts of program {one!r}"
                raise ConfigError(f"{place}: none are listed; list some there or give {OPTIONS['ctx'].flag}")
            for variant in entry.variants:
                if options.variants is None or variant in options.variants:
                    self.programs.listed[one, variant] = problems
                    found += [ProgramCase(one, variant, problem, len(names) > 1) for problem in problems]
        return found

    def _named(self, name: str | None, known: Mapping[str, object], what: str) -> list[str]:
        """The artifact or program that a test names, or all. Raises ConfigError."""
        if not known:
            raise ConfigError(f"{self.gate_file.path} has no {what}s, and a test uses greta_{what}")
        if name is not None and name not in known:
            raise MarkerMistake(f"@pytest.mark.greta: unknown {what} {name!r}; {suggestion(name, known)}")
        return list(known) if name is None else [name]

    def variants(self, kernel: Kernel) -> list[Variant]:
        """The variants to test: those of `--greta-variant` that the kernel has, else all."""
        wanted = self.options.variants
        return [v for v in kernel.variants if wanted is None or v.name in wanted]

    @property
    def targets(self) -> Sequence[str]:
        """What to compile for: `--greta-target`, else the targets of gates.yaml."""
        return self.gate_file.targets if self.options.targets is None else self.options.targets

    def targets_of(self, kernel: Kernel, variant: Variant) -> list[str]:
        """The targets to gate a variant for: those that it and its family are written for, and that a file of code
        holds. What is left out is told, with its reason.
        """
        why = {target: is_not_for(kernel, variant, target) for target in self.targets}
        if all(why.values()):
            why = {target: f"{text}; the targets here are {', '.join(why)}" for target, text in why.items()}
        self._leave_out([(kernel.name, variant.name, target, why[target]) for target in why if why[target]])
        return [target for target in self.targets if not why[target]]

    def code_targets(self, kernel: Kernel, variant: Variant) -> list[str]:
        """The targets to gate a variant's code for; none where it refuses every problem, which is told."""
        problems = self._code_problems(kernel, variant)
        refused = [(p, self._refusal(kernel, p, variant)) for p in problems]
        if all(why for _, why in refused):
            self._leave_out([(kernel.name, variant.name, p.id, why) for p, why in refused])
            return []
        return self.targets_of(kernel, variant)

    def _refusal(self, kernel: Kernel, problem: Problem, variant: Variant) -> str:
        """Why a variant is left out. One that cannot say is not: its test shows what is wrong."""
        try:
            return contract.refusal(kernel, problem, variant)
        except KernelMistake:
            return ""

    def why_nothing(self, kernel: Kernel) -> str:
        """Why a kernel has nothing to test, in a session that requires measurements and does not deselect it."""
        if not self.options.require or self.options.targets is not None or not self.variants(kernel):
            return ""
        reasons = dict.fromkeys(why for name, _, _, why in self.left_out if name == kernel.name)
        return f"all variants of kernel {kernel.name!r} are left out: {'; '.join(reasons)}" if reasons else ""

    def _leave_out(self, cases: Sequence[tuple[str, str, str, str]]) -> None:
        self.left_out += [case for case in cases if case not in self.left_out]

    def problems(self, kernel: Kernel) -> list[Problem]:
        """The problems to run: those of gates.yaml for this device, with `--greta-ctx` and `--greta-axis` in
        their place. On a machine without a GPU, those of a family that lists none for a cpu are the GPU's; the
        runner says that they were not measured. Raises ConfigError where nobody names any.
        """
        options, kind = self.options, self.device.kind
        entry = self.gate_file.kernels.get(kernel.name)
        found = problems_for(kernel, entry, kind, kind, options.contexts, options.axes)
        if not found and kind == "cpu":
            found = problems_for(kernel, entry, "hip", "hip", options.contexts, options.axes)
            place = f"{self.gate_file.path} lists problems of kernel {kernel.name!r} for hip alone"
            self.runner.not_here[kernel.name] = f"{place}, and the device is a cpu"
        if not found:
            place = f"{self.gate_file.path}: contexts of kernel {kernel.name!r} for {kind}"
            raise ConfigError(f"{place}: none are listed; list some there or give {OPTIONS['ctx'].flag}")
        return found

    def cases(self, kernel: Kernel) -> list[tuple[Variant, Problem]]:
        """The variants with the problems that they can process. What is left out is told, with its reason.

        Raises ConfigError where both were named on the command line.
        """
        found, refused = [], []
        variants, problems = self.variants(kernel), self.problems(kernel)
        for variant in variants:
            for problem in problems:
                why = self._refusal(kernel, problem, variant)
                if why:
                    refused.append((variant, problem, why))
                else:
                    found.append((variant, problem))
        if self.options.contexts and self.options.variants:
            asked_in_vain = [
                f"{OPTIONS['ctx'].flag}: context {p.context}: variant {v.name!r} of kernel {kernel.name!r} cannot run "
                f"it: {why}; shorten it or leave the variant out with {OPTIONS['variant'].flag}"
                for v, p, why in refused
                if not any(v is w and p.context == q.context for w, q in found)
            ]
            if asked_in_vain:
                raise ConfigError(*dict.fromkeys(asked_in_vain))
        self._leave_out([(kernel.name, v.name, p.id, why) for v, p, why in refused])
        for variant in variants:
            self.runner.listed[kernel.name, variant.name] = [p for v, p in found if v is variant]
        return found

    def code_problems(self, kernel: Kernel, variant: Variant) -> list[list[Problem]]:
        """The GPU problems of a variant, in groups that share their code. Raises KernelMistake."""
        runs = [p for p in self._code_problems(kernel, variant) if not contract.refusal(kernel, p, variant)]
        # The plainest stands for its group.
        return sharing_code(kernel, variant, sorted(runs, key=lambda p: len(p.axes)))

    def _code_problems(self, kernel: Kernel, variant: Variant) -> list[Problem]:
        entry, options = self.gate_file.kernels.get(kernel.name), self.options
        return code_problems_for(kernel, variant, entry, options.contexts, options.axes)

    def jobs(
        self, kernel: Kernel, variant: Variant, target: str | None, problem: Problem | None
    ) -> list[Job]:
        """All that a test of a variant compiles here: for its target, or for the cpu device with its baseline."""
        if self.options.replay:
            return []
        firsts = [] if variant.code else [group[0] for group in self.code_problems(kernel, variant)]
        targets = self.targets_of(kernel, variant) if target is None else [target]
        jobs = [job_of(kernel, variant, first, name) for name in targets for first in firsts]
        if problem is not None and self.device.kind == "cpu" and kernel.name not in self.runner.not_here:
            baseline = self.gate_file.baseline_of(kernel, problem)
            both = [v for v in (variant, baseline) if v and not v.code]
            jobs += [self.builder.cpu_job(kernel, v, problem) for v in both]
        return jobs

    def option_problems(self, collected: Sequence[Kernel]) -> list[str]:
        """Names in `--greta-variant` and `--greta-axis` that nothing has that was collected."""
        programs = [self.gate_file.programs[name] for name in self.tested_programs]
        variants = list(dict.fromkeys(v.name for kernel in collected for v in kernel.variants))
        variants += [name for entry in programs for name in entry.variants]
        axes = list(dict.fromkeys(axis for kernel in collected for axis in kernel.sizes))
        axes += [axis for entry in programs for problem in entry.problems for axis in problem.axes]
        return [
            f"{OPTIONS[what].flag}: unknown {what} {name!r}; {suggestion(name, known)}"
            for what, wanted, known in (
                ("variant", self.options.variants or (), variants),
                ("axis", self.options.axes, axes),
            )
            for name in wanted
            if name not in known
        ]

    def entry_problems(self, used: Sequence[Kernel]) -> list[str]:
        """Kernels under test that gates.yaml has no baseline for."""
        return [
            f"{self.gate_file.path}: kernel {kernel.name!r} has no entry, so it has no baseline"
            for kernel in used
            if kernel.name not in self.gate_file.kernels
        ]

    def headline(self, device: str = "") -> list[str]:
        """What is gated, on what, by what. `device` stands in the place of the one of this process."""
        targets = " ".join(self.targets) or "none"
        device = device or (self.device.describe() if self.runner.planner.upcoming.planned else "none needed")
        artifacts = " ".join(self.gate_file.artifacts)
        what = f"device: {device}; targets: {targets}; gates: {self.gate_file.path}"
        what += f"; artifacts: {artifacts}" if artifacts else ""
        programs = " ".join(self.gate_file.programs)
        what += f"; programs: {programs}" if programs else ""
        unkept = self.programs.journal.problem if self.tested_programs and not self.options.replay else ""
        return [what, *self.device.notes(), *([unkept] if unkept else [])]
