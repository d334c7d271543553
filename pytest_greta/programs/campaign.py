"""The programs of a session: each case is run as often as it takes, beside its baseline, and held against its gates."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from pytest_greta.errors import ProgramBlocked
from pytest_greta.gates.model import (
    DEFAULT_DEADLINE_SECONDS,
    Gate,
    Limit,
    Quantity,
)
from pytest_greta.gates.programs import ProgramEntry
from pytest_greta.kernel import Problem
from pytest_greta.measure.budget import SessionBudget
from pytest_greta.programs.contexts import over_contexts_of, scaling_of
from pytest_greta.programs.execution import Execution, add_missing, quantities_of
from pytest_greta.programs.journal import Journal, Round, key_of
from pytest_greta.programs.launch import launch
from pytest_greta.programs.pairing import (
    BASELINE,
    CANDIDATE,
    add_pair,
    limits_of,
    orders_after,
    own_failure,
    pairs_of,
    speedup,
)
from pytest_greta.programs.place import Invocation, check_model, invocation_of
from pytest_greta.programs.recipe import recipe_of
from pytest_greta.programs.result import ProgramCase, ProgramResult, ProgramRun
from pytest_greta.stats.pairs import PairedTest
from pytest_greta.stats.runs import FEWEST_ROUNDS

SERIALISED = "launches are serialised (--greta-serialize)"
SIDE_BY_SIDE = "pytest-xdist runs other tests beside a program, on the same processors"


@dataclass(frozen=True)
class Manner:
    """How programs are run, as the options say."""

    rounds: Callable[[int], int] | None = None
    """Runs at a context; None where the options do not say."""
    budget_seconds: float = math.inf
    single_shot: bool = False
    serialize: bool = False
    deadline_seconds: float | None = None
    deadline_flag: str = "--greta-deadline"
    untimed: str = ""
    """Why times mean nothing here, if so."""


AgainstPast = Callable[[ProgramRun, Limit, Callable[[], ProgramRun]], Quantity]
"""Holds the runs of a case against those stored before, by a limit; the last makes as many again."""
Holding = Callable[[str, Sequence[Mapping[str, str]]], AbstractContextManager[None]]
NO_HISTORY = "pytest-benchmark, which keeps the history, is switched off"


@dataclass
class Programs:
    """The programs of a session."""

    entries: Mapping[str, ProgramEntry]
    folder: Path
    """That of the gates file."""
    manner: Manner
    journal: Journal
    budget: SessionBudget = field(default_factory=SessionBudget)
    show: Callable[[str], None] = lambda _: None
    waited: Callable[[], None] = lambda: None
    measuring: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext()
    holding: Holding = lambda *_: nullcontext()
    """Holds what programs use on a node, with such environments, while they run."""
    against_past: AgainstPast | None = None
    """Gives the quantity of the gate `regression`; None where there is no history."""
    listed: dict[tuple[str, str], list[Problem]] = field(default_factory=dict)
    """The problems of every variant that this session tests."""
    notes: list[str] = field(default_factory=list)
    """What the summary tells of the session."""
    _found: dict[tuple[str, str, str], dict[int, ProgramRun]] = field(default_factory=dict)
    """By program, variant and other axes, what was found at each context."""
    _unreachable: dict[str, str] = field(default_factory=dict)
    """Nodes that could not be reached, and why: no later test waits for them."""
    _has_looked: bool = False

    @property
    def has_run(self) -> bool:
        """Whether any program was run here."""
        return self._has_looked

    @property
    def project(self) -> str:
        """Stands for the project: what a killed session of another left is not this one's to end."""
        return hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]

    def judge(self, case: ProgramCase) -> ProgramResult:
        """Run a case and hold it against its gates. Raises ProgramBlocked and ProgramMistake."""
        entry = self.entries[case.program]
        with self.measuring(str(case)):
            run = self._measure(entry, case)
            self._compare(entry, case, run)
        gates = self.gates_of(case)
        each = [quantities_of([one], entry.output) for one in run.runs]
        for found in (run.quantities, *each):
            add_missing(found, gates)
        resumed = (
            f"{run.resumed} of {len(run.runs)} runs are those of an earlier session" if run.resumed else ""
        )
        ran = " ".join(["ran", *run.command, *(["on", run.on] if run.on else [])])
        notes = ("; ".join(filter(None, [ran, resumed])),)
        told = (f"{case}: {resumed}",) if resumed else ()
        return ProgramResult(run, gates, _shown(run.last), notes, told, each)

    def gates_of(self, case: ProgramCase) -> list[Gate]:
        """What a case is held against."""
        return [self._with_deadline(gate) for gate in self._gates(self.entries[case.program], case)]

    def files_of(self, case: ProgramCase) -> dict[str, str]:
        """The digests of what the command of a case names, as far as it is here."""
        entry = self.entries[case.program]
        return invocation_of(entry, case.variant, case.problem, self.folder, self.manner.serialize).files()

    def _gates(self, entry: ProgramEntry, case: ProgramCase) -> list[Gate]:
        """The gates of a case; at the shortest context none that is about longer ones."""
        gates = entry.gates_for(case.variant, case.problem)
        contexts = {one.context for one in self._beside(case)}
        if len(contexts) > 1 and case.problem.context == min(contexts):
            return [gate for gate in gates if gate.name != "scaling" and gate.limit.ratio is None]
        return gates

    def _beside(self, case: ProgramCase) -> list[Problem]:
        listed = self.listed.get((case.program, case.variant), [])
        return [case.problem, *(one for one in listed if one.sizes == case.problem.sizes)]

    def _with_deadline(self, gate: Gate) -> Gate:
        seconds = self.manner.deadline_seconds
        if gate.name != "deadline_seconds" or seconds is None:
            return gate
        return dataclasses.replace(gate, limit=Limit(max=seconds), file=self.manner.deadline_flag, line=0)

    def _compare(self, entry: ProgramEntry, case: ProgramCase, run: ProgramRun) -> None:
        """Add the quantity `regression`, where it is gated. What looks slower is run again, and all its runs count."""
        gate = next((gate for gate in self._gates(entry, case) if gate.name == "regression"), None)
        if gate is None:
            return
        again: list[ProgramRun] = []

        def once_more() -> ProgramRun:
            again.append(self._measure(entry, case, "again"))
            return again[0]

        found = Quantity(None, reason=NO_HISTORY)
        if self.against_past is not None:
            found = self.against_past(run, gate.limit, once_more)
        for more in again:
            run.extend(more)
            run.quantities = {**run.quantities, **quantities_of(run.runs, entry.output)}
        run.quantities["regression"] = found

    # -- measuring ---------------------------------------------------------------------------------------

    def _measure(self, entry: ProgramEntry, case: ProgramCase, which: str = "") -> ProgramRun:
        """Run a case as often as it takes. `which` tells a second measurement from the first, in the journal."""
        check_model(entry, case.variant, case.problem, self.folder)
        gates = entry.gates_for(case.variant, case.problem)
        has_pairs = bool(limits_of(gates)) and not self.manner.single_shot
        slots = [CANDIDATE, *([BASELINE] if has_pairs else [])]
        variants = {CANDIDATE: case.variant, BASELINE: entry.baseline}
        invoked = {
            s: invocation_of(entry, variants[s], case.problem, self.folder, self.manner.serialize)
            for s in slots
        }
        run = ProgramRun(case.program, case.variant, case.problem, entry.baseline if has_pairs else "")
        run.command, run.on = invoked[CANDIDATE].words, entry.on
        run.asked, run.timing = invoked[CANDIDATE].asked(), entry.output.time or "wall_seconds"
        run.single_shot = self.manner.single_shot
        run.recipe = recipe_of(entry, case.variant, case.problem, run.baseline)
        if has_pairs:
            run.baseline_code = key_of([invoked[BASELINE].identity(), invoked[BASELINE].files()])[:16]
        run.untimed = SERIALISED if self.manner.serialize else self.manner.untimed
        identities = {slot: one.identity() for slot, one in invoked.items()}
        output = dataclasses.asdict(entry.output)
        parts = [identities, str(case.problem), output, entry.errors, entry.blocked, run.untimed]
        key = key_of([*parts, which] if which else parts)
        with self.holding(entry.on, [one.environment for one in invoked.values()]):
            pairs, problem = self._take_rounds(entry, case, run, invoked, key, gates)
        run.digests = dict(run.last.files)
        run.quantities = quantities_of(run.runs, entry.output)
        limits = limits_of(gates)
        if limits:
            alone = "a single shot has no baseline beside it" if self.manner.single_shot else problem
            counted = pairs if run.baseline_seconds else pairs_of((), None, 0.0)
            run.quantities["speedup"] = speedup(counted, limits, alone)
        self._add_over_contexts(entry, case, run)
        return run

    def _count(self, entry: ProgramEntry, case: ProgramCase, gates: Sequence[Gate]) -> int | None:
        """How many rounds are asked for; None where the gates decide."""
        if self.manner.single_shot:
            return 1
        if self.manner.rounds is not None:
            return self.manner.rounds(case.problem.context)
        stated = entry.repeats.get(case.problem.context, entry.repeats.get(0))
        if stated is None and not limits_of(gates):
            names = {gate.name for gate in gates}
            return FEWEST_ROUNDS if "regression" in names else 2 if "deterministic" in names else 1
        return stated

    def _take_rounds(
        self,
        entry: ProgramEntry,
        case: ProgramCase,
        run: ProgramRun,
        invoked: Mapping[str, Invocation],
        key: str,
        gates: Sequence[Gate],
    ) -> tuple[PairedTest, str]:
        """Run it as often as it takes, into `run`; gives its pairs, and why its baseline cannot be timed against."""
        count, limits = self._count(entry, case, gates), limits_of(gates)
        budget = self.budget.of_a_test(self.manner.budget_seconds)
        pairs = pairs_of(limits if len(invoked) > 1 else (), count, budget)
        past = self._past(entry, case, invoked, key)[:count]
        coming = orders_after(past, list(invoked))
        fewest = FEWEST_ROUNDS if any(gate.name == "regression" for gate in gates) else 1
        problem, number = "", 0
        while True:
            if number < len(past):
                taken = past[number]
                run.resumed += 1
            else:  # a baseline that failed once is not run again
                slots = [CANDIDATE] if problem else next(coming)
                taken = self._one_round(entry, case, invoked, key, number, slots)
            number += 1
            problem = self._add_round(entry, case, run, taken, pairs) or problem
            if run.last.problem(entry.output, case.problem.context):
                return pairs, problem  # the candidate has failed: no more runs would change that
            if number >= (count or fewest) and (count or problem or pairs.is_finished):
                self.budget.spent(pairs.spent_seconds, pairs.is_futile, budget)
                return pairs, problem

    def _past(
        self, entry: ProgramEntry, case: ProgramCase, invoked: Mapping[str, Invocation], key: str
    ) -> list[Round]:
        """The whole rounds that an earlier session has finished, up to one in which something was killed at a shorter
        deadline than today's. Whole is one with every slot; where the candidate has failed, or the baseline before, the
        candidate's run alone.
        """
        variants = {CANDIDATE: case.variant, BASELINE: entry.baseline}
        limits = {slot: self._deadline(entry, variants[slot], case.problem) for slot in invoked}
        whole: list[Round] = []
        needed = set(invoked)
        for one in self.journal.rounds(
            key, {slot: invocation.files() for slot, invocation in invoked.items()}
        ):
            problems = {s: self._problem(entry, case, s, run) for s, run in one.runs.items()}
            if not (needed <= one.runs.keys() or problems.get(CANDIDATE)):
                break
            if any(run.is_overdue and run.wall_seconds < limits[slot] for slot, run in one.runs.items()):
                break
            whole.append(one)
            needed = {CANDIDATE} if problems.get(BASELINE) else needed
        return whole

    def _deadline(self, entry: ProgramEntry, variant: str, problem: Problem) -> float:
        """Wall seconds that one run may take."""
        limits = [g.limit.max for g in entry.gates_for(variant, problem) if g.name == "deadline_seconds"]
        return self.manner.deadline_seconds or next(filter(None, limits), DEFAULT_DEADLINE_SECONDS)

    def _one_round(
        self,
        entry: ProgramEntry,
        case: ProgramCase,
        invoked: Mapping[str, Invocation],
        key: str,
        number: int,
        slots: Sequence[str],
    ) -> Round:
        """Run each slot once, in this order; each is in the journal before the next begins."""
        order = 0 if len(slots) == 1 else 1 if slots[-1] == CANDIDATE else -1
        runs: dict[str, Execution] = {}
        variants = {CANDIDATE: case.variant, BASELINE: entry.baseline}
        for slot in slots:
            variant = variants[slot]
            self.show(f"run {number + 1}" + (f" of {variant}" if len(slots) > 1 else ""))
            runs[slot] = self._launch(entry, variant, case.problem, invoked[slot])
            about = {"program": case.program, "variant": variant, "problem": case.problem.id}
            self.journal.add(key, number, slot, order, runs[slot], about)
            if slot == CANDIDATE and runs[slot].problem(entry.output, case.problem.context):
                break
        return Round(runs, order)

    def _launch(
        self, entry: ProgramEntry, variant: str, problem: Problem, invocation: Invocation
    ) -> Execution:
        if not self._has_looked:
            from pytest_greta.programs.tree import kill_left_of_the_dead

            self.notes += kill_left_of_the_dead(self.project)
            self._has_looked = True
        if entry.on in self._unreachable:
            raise ProgramBlocked(self._unreachable[entry.on])
        deadline = self._deadline(entry, variant, problem)
        try:
            return launch(
                entry, invocation, deadline, entry.values(variant, problem), self.waited, self.project
            )
        except ProgramBlocked as error:
            if error.node:
                self._unreachable[error.node] = str(error)
            raise

    def _add_round(
        self, entry: ProgramEntry, case: ProgramCase, run: ProgramRun, taken: Round, pairs: PairedTest
    ) -> str:
        """Add what a round found; gives why its baseline is none, if so."""
        context, output = case.problem.context, entry.output
        candidate, baseline = taken.runs[CANDIDATE], taken.runs.get(BASELINE)
        run.runs.append(candidate)
        if candidate.problem(output, context):
            return ""
        seconds = candidate.seconds(output)
        assert seconds is not None
        problem = self._problem(entry, case, BASELINE, baseline) if baseline else ""
        if baseline is None or problem:
            run.seconds.append(seconds)
            run.orders.append(0)
            if baseline and not baseline.problem(
                output, context
            ):  # what ran is not what the gates take it for
                run.drop_baseline()
            return f"the baseline {run.baseline}: {problem}" if problem else ""
        other = baseline.seconds(output)
        assert other is not None
        run.seconds.append(seconds)
        run.orders.append(taken.order)
        run.baseline_seconds.append(other)
        add_pair(pairs, seconds, other, candidate.wall_seconds + baseline.wall_seconds, taken.order)
        return ""

    def _problem(self, entry: ProgramEntry, case: ProgramCase, slot: str, run: Execution) -> str:
        """Why a run counts for nothing beside the other; of a baseline also what its own gates fail it for."""
        problem = run.problem(entry.output, case.problem.context)
        if problem or slot != BASELINE:
            return problem
        return own_failure(entry, case.problem, run)

    # -- what follows from several contexts --------------------------------------------------------------

    def _add_over_contexts(self, entry: ProgramEntry, case: ProgramCase, run: ProgramRun) -> None:
        """The quantities that take other contexts of the same variant: those that this session has run before."""
        form = dataclasses.replace(case.problem, context=0).id
        beside = self._found.setdefault((case.program, case.variant, form), {})
        beside[case.problem.context] = run
        smallest = min(one.context for one in self._beside(case))
        first = beside.get(smallest)
        if smallest == case.problem.context:
            run.quantities["scaling"] = Quantity(
                None, reason="it takes a second, longer context in the same session"
            )
        elif first is None or not first.seconds:
            run.quantities["scaling"] = Quantity(
                None, reason=f"context {smallest} has no time in this session"
            )
        else:
            run.quantities["scaling"] = scaling_of(run, first)
        for gate in entry.gates_for(case.variant, case.problem):
            if gate.limit.ratio is not None:
                run.quantities[gate.quantity] = over_contexts_of(gate.name, list(beside.values()))


def _shown(run: Execution) -> str:
    """What a run printed, standard error below."""
    parts = [run.output.rstrip("\n"), *(["standard error:", run.errors.rstrip("\n")] if run.errors else [])]
    return "\n".join(part for part in parts if part)
