"""What a run measures, from gates and options: the candidate, what it is timed beside, and for how long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_greta import contract
from pytest_greta.accept import identity_of
from pytest_greta.contender import ACCEPTED, BASELINE, Contender, contender_of, is_same
from pytest_greta.errors import CompileError, ToolMissing
from pytest_greta.gates import EMULATED_TIMES
from pytest_greta.regression import reference_runs
from pytest_greta.sequential import MOST_BLOCKS

if TYPE_CHECKING:
    from pytest_greta.devices import DeviceInfo
    from pytest_greta.gates import Gate, Limit
    from pytest_greta.kernel import Kernel, Problem, Variant
    from pytest_greta.regression import HistoricRun
    from pytest_greta.session import Session

ROUNDS = 50
"""Timed rounds of a run that is held against history, within the budget: what docs/verdicts.md shows was found so."""


@dataclass(frozen=True)
class Yardstick:
    """What the candidate is timed beside, in pairs."""

    contender: Contender
    limits: tuple[Limit, ...]
    """What the ratio will be held against. Rounds go on until all are decided; without any they ask for no rounds."""
    max_error: float
    """Above this error it is no yardstick: the limit of its own gate."""


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    kernel: Kernel
    variant: Variant
    problem: Problem
    candidate: Contender
    yardsticks: Mapping[str, Yardstick]
    """By slot: `BASELINE`, and the code of the last accepted run as `ACCEPTED`."""
    missing: Mapping[str, str]
    """Why a yardstick is not there, by slot."""
    fewest_rounds: int
    """So many are timed within the budget, also where all limits are decided earlier."""
    most_rounds: int
    """Timed launches of the candidate, each paired with one of every yardstick."""
    budget_seconds: float
    """No round is begun after so much time, except the first."""
    single_shot: bool
    """One launch and no more: it is verified and timed, and nothing is compared."""
    seed: int
    unchanged_since: str = ""
    """The commit of the last accepted run, where its code and launches are the candidate's, byte for byte."""
    cold: bool = True
    """Whether caches are made cold before every launch: not where times do not count."""


def plan_run(
    session: Session,
    kernel: Kernel,
    candidate: Contender,
    variant: Variant,
    context: int,
    gates: Sequence[Gate],
) -> Plan:
    """What to measure of a variant at a context. `gates` are those of its run. Raises DeviceUnavailable."""
    options, device = session.options, session.host.worker().info
    problem = kernel.problem(context, session.host.sizes)
    baseline = kernel.variant(session.gate_file.kernels[kernel.name].baseline)
    yardsticks, missing, unchanged_since = {}, {}, ""
    if device.emulated:  # nothing is timed beside it: no ratio of such times would count
        missing[BASELINE] = EMULATED_TIMES
    elif not options.single_shot:
        found = _baseline(session, kernel, baseline, variant, context)
        if isinstance(found, str):
            missing[BASELINE] = found
        else:
            max_error = _max_error(session.run_gates(kernel, baseline, problem))
            yardsticks[BASELINE] = Yardstick(found, _limits(session, gates, device, "speedup"), max_error)
        limits = _limits(session, gates, device, "regression")
        reference = _accepted_run(session, kernel, variant, problem, device) if limits else None
        if reference and is_same(reference.code, candidate):
            unchanged_since = reference.short_commit
        elif reference:
            found = _accepted(session, reference, variant, candidate.deadline_seconds)
            if isinstance(found, str):
                missing[ACCEPTED] = found
            else:
                yardsticks[ACCEPTED] = Yardstick(found, limits, _max_error(gates))
    if options.rounds_given:
        yardsticks = {slot: replace(yardstick, limits=()) for slot, yardstick in yardsticks.items()}
    fewest, most = (
        (1, 1) if device.emulated else _rounds(session, context, yardsticks, is_compared(gates, device))
    )
    return Plan(
        kernel=kernel,
        variant=variant,
        problem=problem,
        candidate=candidate,
        yardsticks=yardsticks,
        missing=missing,
        fewest_rounds=fewest,
        most_rounds=most,
        budget_seconds=options.budget_seconds,
        single_shot=options.single_shot,
        seed=session.draw_seed(),
        unchanged_since=unchanged_since,
        cold=not session.parallel,
    )


def make_contender(session: Session, kernel: Kernel, variant: Variant, context: int) -> Contender:
    """A variant ready to run. Raises CompileError, ToolMissing, DeviceUnavailable or KernelMistake."""
    code = session.builder.for_device(kernel, variant, context).code
    problem = kernel.problem(context, session.host.sizes)
    deadline_seconds = session.options.deadline_seconds or session.gate_file.deadline_seconds(
        kernel.name, variant.name, context, session.host.kind
    )
    launches = contract.launches(kernel, problem, variant)
    workspaces = contract.workspaces(kernel, problem, variant)
    return Contender(variant.name, variant.entry, code, launches, workspaces, deadline_seconds)


def is_compared(gates: Sequence[Gate], device: DeviceInfo) -> bool:
    """Whether a run is held against history."""
    return _is_timed(device) and any(g.name == "regression" and g.times_on(device.kind) for g in gates)


def _is_timed(device: DeviceInfo) -> bool:
    return not (device.emulated or device.serialized)


def _limits(session: Session, gates: Sequence[Gate], device: DeviceInfo, name: str) -> tuple[Limit, ...]:
    """What a ratio will be held against, where its times mean something."""
    judged = _is_timed(device) and not session.parallel
    found = [g for g in gates if judged and g.name == name and g.times_on(device.kind)]
    return tuple(gate.expected.bound if gate.expected else gate.limit for gate in found)


def _rounds(
    session: Session, context: int, yardsticks: Mapping[str, Yardstick], compared: bool
) -> tuple[int, int]:
    """How many rounds are timed at least, and at most."""
    if session.options.rounds_given:
        return (session.options.rounds_for(context),) * 2
    if session.parallel:
        return 1, 1
    decides = any(yardstick.limits for yardstick in yardsticks.values())
    fewest = ROUNDS if compared else session.options.rounds_for(context)
    return fewest, MOST_BLOCKS if decides else fewest


def _baseline(
    session: Session, kernel: Kernel, baseline: Variant, variant: Variant, context: int
) -> Contender | str:
    """The baseline to run beside a variant, or why there is none."""
    if baseline.name == variant.name:
        return "it is the baseline itself"
    name = f"the baseline {baseline.name}"
    if baseline.max_context is not None and context > baseline.max_context:
        return f"{name} processes at most {baseline.max_context}"
    try:
        return make_contender(session, kernel, baseline, context)
    except (CompileError, ToolMissing) as error:
        return f"{name} cannot be compiled: {str(error).splitlines()[0]}"


def _accepted_run(
    session: Session, kernel: Kernel, variant: Variant, problem: Problem, device: DeviceInfo
) -> HistoricRun | None:
    """The last accepted run of a variant here that says what code it was."""
    history = session.past.runs(identity_of(kernel, variant, problem, device))
    return next((run for run in reversed(reference_runs(device.identity, history)) if run.code), None)


def _accepted(
    session: Session, reference: HistoricRun, variant: Variant, deadline_seconds: float
) -> Contender | str:
    """The code of an accepted run, to run beside a variant, or why it cannot be had."""
    name = f"{variant.name} of commit {reference.short_commit}"
    try:
        code = session.past.code(str(reference.code.get("sha256")))
        if code is None:
            return f"the code of the accepted {name} is not kept beside the history"
        return contender_of(reference.code, code, name, deadline_seconds)
    except ValueError:
        return f"the code of the accepted {name} is described in a way that cannot be read"


def _max_error(gates: Sequence[Gate]) -> float:
    """The error that the gates of a run let pass."""
    found = [gate for gate in gates if gate.name == "max_error"]
    limits = [gate.expected.bound.max if gate.expected else gate.limit.max for gate in found]
    return min(limit for limit in limits if limit is not None)


def without_accepted(plan: Plan, problem: str) -> Plan:
    """The plan without the accepted code, which turned out to be no yardstick."""
    name = f"the accepted {plan.yardsticks[ACCEPTED].contender.name}"
    kept = {slot: yardstick for slot, yardstick in plan.yardsticks.items() if slot != ACCEPTED}
    return replace(plan, yardsticks=kept, missing={**plan.missing, ACCEPTED: f"{name} {problem}"})
