"""What a run measures, from gates and options: the candidate, what it is timed beside, and for how long."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_greta import contract, contract_arrays
from pytest_greta.compiler.entries import constants_in, symbol_in
from pytest_greta.errors import CompileError, KernelMistake, ToolMissing
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import EMULATED_TIMES, built_in_for_peak
from pytest_greta.history.records import identity_of, of_family
from pytest_greta.measure.correctness import Tolerance
from pytest_greta.measure.executable import ACCEPTED, BASELINE, Executable, executable_of, is_same
from pytest_greta.measure.plan import Counterpart, Plan
from pytest_greta.measure.problem_data import Wanted
from pytest_greta.problems import is_not_for
from pytest_greta.stats.pairs import MOST_BLOCKS
from pytest_greta.stats.runs import accepted_runs
from pytest_greta.upcoming import Upcoming

if TYPE_CHECKING:
    from pytest_greta.compiler.builder import Builder
    from pytest_greta.device import DeviceInfo
    from pytest_greta.device.session_device import SessionDevice
    from pytest_greta.gates.file import GateFile
    from pytest_greta.gates.model import Gate, Limit
    from pytest_greta.history.records import PastRuns
    from pytest_greta.kernel import Kernel, Problem, Variant
    from pytest_greta.options import Options
    from pytest_greta.stats.runs import HistoricRun

ROUNDS = 50
"""Timed rounds of a run that is held against history, within the budget: what docs/verdicts.md shows was found so."""


@dataclass(frozen=True)
class Planner:
    """Makes plans from what it is given: options, gates, code, the device and the past."""

    options: Options
    gate_file: GateFile
    builder: Builder
    device: SessionDevice
    past: PastRuns
    upcoming: Upcoming = field(default_factory=Upcoming)
    """What this session will measure."""
    base_seed: int = field(default_factory=lambda: secrets.randbits(32))
    """What seeds of problems follow from: equal in all processes of a run."""

    def plan(
        self, kernel: Kernel, candidate: Executable, variant: Variant, problem: Problem, gates: Sequence[Gate]
    ) -> Plan:
        """What to measure of a variant for a problem. `gates` are those of its run. Raises DeviceUnavailable."""
        options, device = self.options, self.device.worker().info
        baseline = self.gate_file.baseline_of(kernel, problem)
        counterparts, missing, unchanged_since = {}, {}, ""
        outputs = list(contract.outputs(kernel, problem))
        allowed = tolerances(gates, outputs)
        if device.emulated:  # nothing is timed beside it: no ratio of such times would count
            missing[BASELINE] = EMULATED_TIMES
        elif not options.single_shot:
            found = self._baseline(kernel, baseline, variant, problem)
            if isinstance(found, str):
                missing[BASELINE] = found
            elif baseline is not None:
                theirs = tolerances(self.run_gates(kernel, baseline, problem), outputs)
                counterparts[BASELINE] = Counterpart(found, self._limits(gates, device, "speedup"), theirs)
            limits = self._limits(gates, device, "regression")
            reference = self._accepted_run(kernel, variant, problem, device) if limits else None
            if reference and is_same(reference.code, candidate):
                unchanged_since = reference.short_commit
            elif reference:
                found = self._accepted(reference, kernel, variant, problem, candidate.deadline_seconds)
                if isinstance(found, str):
                    missing[ACCEPTED] = found
                else:
                    counterparts[ACCEPTED] = Counterpart(found, limits, allowed)
        if options.rounds_given:
            counterparts = {
                slot: replace(other, limits=(), judged=other.limits) for slot, other in counterparts.items()
            }
        fewest, most = self._rounds(problem, counterparts, device, is_compared(gates, device))
        return Plan(
            kernel=kernel,
            variant=variant,
            problem=problem,
            candidate=candidate,
            tolerances=allowed,
            counterparts=counterparts,
            missing=missing,
            fewest_rounds=fewest,
            most_rounds=most,
            budget_seconds=options.budget_seconds,
            single_shot=options.single_shot,
            seed=self.seed_of(kernel, problem),
            unchanged_since=unchanged_since,
            peak=self.gate_file.peak_of(device.name, device.target),
            caches=self._caches(kernel, gates, device),
            one_core=device.kind == "cpu" and _asks_for_ratios(gates),
        )

    def executable(self, kernel: Kernel, variant: Variant, problem: Problem) -> Executable:
        """A variant ready to run. Raises CompileError, ToolMissing, DeviceUnavailable or KernelMistake."""
        code = self.builder.for_device(kernel, variant, problem).code
        deadline_seconds = self.options.deadline_seconds or self.gate_file.deadline_seconds(
            kernel.name, variant.name, problem, self.device.kind
        )
        launches = [
            replace(launch, entry=symbol_in(code, variant.file, launch.entry)) if launch.entry else launch
            for launch in contract.launches(kernel, problem, variant)
        ]
        entry = symbol_in(code, variant.file, variant.entry)
        workspaces = contract.workspaces(kernel, problem, variant)
        filled = constants_in(code, variant.file, contract_arrays.constants(kernel, problem, variant))
        return Executable(
            variant.name,
            entry,
            code,
            launches,
            workspaces,
            deadline_seconds,
            variant=variant,
            constants=filled,
        )

    def run_gates(self, kernel: Kernel, variant: Variant, problem: Problem) -> list[Gate]:
        """The gates of a run of a variant on this session's device."""
        device = self.device.worker().info
        built_in = []
        if self.gate_file.peak_of(device.name, device.target).is_stated and contract.work(kernel, problem):
            built_in.append(built_in_for_peak(kernel.name, variant.name))
        return built_in + self.gates_of_kind(kernel, variant, problem)

    def gates_of_kind(self, kernel: Kernel, variant: Variant, problem: Problem) -> list[Gate]:
        """The gates of a run of a variant on any device of the session's kind, which need not be open."""
        baseline = self.gate_file.baseline_of(kernel, problem)
        return self.gate_file.gates_for(
            kernel.name,
            variant.name,
            problem=problem,
            device=self.device.kind,
            entry=variant.entry,
            outputs=contract.max_errors(kernel, problem),
            baseline=baseline.name if baseline else "",
        )

    def _caches(self, kernel: Kernel, gates: Sequence[Gate], device: DeviceInfo) -> str:
        """What caches hold before a timed launch; empty where nobody asks for times. A CPU's are asked for by name."""
        if self.device.disturbed or not _is_timed(device):
            return ""
        if device.kind == "cpu" and not any(CATALOGUE[g.name].speed and g.times_on("cpu") for g in gates):
            return ""
        return self.gate_file.caches_of(kernel.name) or "auto"

    def seed_of(self, kernel: Kernel, problem: Problem) -> int:
        """The seed of the inputs of a problem, one for all of its measurements in a session, in whatever process."""
        if self.options.seed is not None:
            return self.options.seed
        sizes = sorted(problem.sizes.items())
        told = repr((self.base_seed, kernel.name, problem.context, sizes)).encode()
        return int.from_bytes(hashlib.sha256(told).digest()[:4], "little")

    def foreseen(self, kernel: Kernel, variant: Variant, problem: Problem) -> Iterator[Wanted]:
        """The data that later measurements of this process will ask for, after this one. Nothing where the host is the
        device, whose times it would change to make them, nor where nobody knows which tests this process will run.
        """
        following = self.upcoming.after(kernel, variant.name, problem)
        if self.device.kind == "cpu" or self.device.is_side_by_side or self.device.worker().info.emulated:
            return
        for later, name, its_problem in following:
            baseline = self.gate_file.baseline_of(later, its_problem)
            is_alone = baseline is None or baseline.name == name
            seed = self.seed_of(later, its_problem)
            yield Wanted(later, its_problem, seed, self.options.single_shot, is_alone)

    def draw_seed(self) -> int:
        """The seed of inputs that were not drawn yet: that of `--greta-seed`, else a new one."""
        return secrets.randbits(32) if self.options.seed is None else self.options.seed

    def _limits(self, gates: Sequence[Gate], device: DeviceInfo, name: str) -> tuple[Limit, ...]:
        """What a ratio will be held against, where its times mean something."""
        judged = _is_timed(device) and not self.device.disturbed
        found = [g for g in gates if judged and g.name == name and g.times_on(device.kind)]
        return tuple(gate.expected.bound if gate.expected else gate.limit for gate in found)

    def _rounds(
        self, problem: Problem, counterparts: Mapping[str, Counterpart], device: DeviceInfo, compared: bool
    ) -> tuple[int, int]:
        """How many rounds are timed at least, and at most."""
        if device.emulated:
            return 1, 1
        if self.options.rounds_given:
            return (self.options.rounds_for(problem.context),) * 2
        if self.device.disturbed:
            return 1, 1
        decides = any(other.limits for other in counterparts.values())
        fewest = ROUNDS if compared else self.options.rounds_for(problem.context)
        return fewest, MOST_BLOCKS if decides else fewest

    def _baseline(
        self, kernel: Kernel, baseline: Variant | None, variant: Variant, problem: Problem
    ) -> Executable | str:
        """The baseline to run beside a variant, or why there is none."""
        if baseline is None:
            return (
                f"{self.gate_file.path} lists no baseline for it: each has a `where` that it does not lie in"
            )
        if baseline.name == variant.name:
            return "it is the baseline itself"
        name = f"the baseline {baseline.name}"
        try:
            refused = contract.refusal(kernel, problem, baseline)
        except KernelMistake as error:
            refused = str(error)
        if refused:
            return f"{name} cannot run it: {refused}"
        elsewhere = is_not_for(kernel, baseline, self.device.worker().info.target)
        if elsewhere:
            return f"{name} cannot run here: {elsewhere}"
        try:
            return self.executable(kernel, baseline, problem)
        except (CompileError, ToolMissing) as error:
            return f"{name} cannot be compiled: {str(error).splitlines()[0]}"

    def _accepted_run(
        self, kernel: Kernel, variant: Variant, problem: Problem, device: DeviceInfo
    ) -> HistoricRun | None:
        """The last accepted run of a variant here that says what code it was."""
        history, _ = of_family(self.past.runs(identity_of(kernel, variant, problem, device)), kernel, {})
        return next((run for run in reversed(accepted_runs(device.identity, history)) if run.code), None)

    def _accepted(
        self,
        reference: HistoricRun,
        kernel: Kernel,
        variant: Variant,
        problem: Problem,
        deadline_seconds: float,
    ) -> Executable | str:
        """The code of an accepted run, to run beside a variant, or why it cannot be had."""
        name = f"{variant.name} of commit {reference.short_commit}"
        try:
            code = self.past.code(str(reference.code.get("sha256")))
            if code is None:
                return f"the code of the accepted {name} is not kept beside the history"
            filled = constants_in(code, name, contract_arrays.constants(kernel, problem, variant))
            found = executable_of(reference.code, code, name, deadline_seconds)
            return replace(found, variant=variant, constants=filled)
        except ValueError:
            return f"the code of the accepted {name} is described in a way that cannot be read"
        except CompileError as error:
            return f"the accepted code has other constants: {error}"


def is_compared(gates: Sequence[Gate], device: DeviceInfo) -> bool:
    """Whether a run is held against history."""
    return _is_timed(device) and any(g.name == "regression" and g.times_on(device.kind) for g in gates)


def _asks_for_ratios(gates: Sequence[Gate]) -> bool:
    """Whether no gate asks for a time on a cpu, or what follows from one, but as a ratio to that of other code."""
    asked = {gate.name for gate in gates if CATALOGUE[gate.name].speed and gate.times_on("cpu")}
    return asked <= {"speedup", "regression"}


def _is_timed(device: DeviceInfo) -> bool:
    return not (device.emulated or device.serialized)


def tolerances(gates: Sequence[Gate], outputs: Sequence[str]) -> dict[str, Tolerance]:
    """The errors that the gates of a run let pass, by output."""
    found = {}
    of_errors = [gate for gate in gates if gate.name in ("max_error", "allclose")]
    excepted = {output for gate in of_errors if gate.expected for output in gate.outputs or outputs}
    for output in outputs:
        limits = {
            gate.name: gate.expected.bound if gate.expected else gate.limit
            for gate in of_errors
            if output in (gate.outputs or outputs)
        }
        close = limits.get("allclose")
        found[output] = Tolerance(
            limits["max_error"].max or 0.0,
            math.inf if close is None else close.atol or 0.0,
            0.0 if close is None else close.rtol or 0.0,
            is_exception=output in excepted,
        )
    return found
