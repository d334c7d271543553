"""Runs of programs in history, and against their past: by times alone, for nobody keeps earlier builds of a program."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from pytest_greta.gates.model import Limit, Quantity, Status, Verdict
from pytest_greta.history.acceptance import Acceptance, acceptance
from pytest_greta.history.family import changed
from pytest_greta.history.records import Identity, PastRuns
from pytest_greta.history.times import Now, against_times
from pytest_greta.programs.result import ProgramRun
from pytest_greta.stats.runs import FEWEST_ROUNDS, HistoricRun, accepted_runs, compare

NOTHING_YET = "no accepted run of this program, variant, problem and machine yet"


def machine_of(run: ProgramRun) -> str:
    """Where a program ran: the node, or the name of this machine. Only runs of the same one are compared."""
    return f"program on {run.on or platform.node() or 'a machine without a name'}"


def identity_of_program(run: ProgramRun) -> Identity:
    """What a run is compared by."""
    return run.program, run.variant, run.problem.context, str(run.problem), machine_of(run)


def info_of_program(run: ProgramRun) -> dict[str, Any]:
    """What history keeps of the runs of a case, so that `history.records.historic_run` can read it again."""
    program, variant, context, problem, machine = identity_of_program(run)
    return {
        "kernel": program,
        "variant": variant,
        "context": context,
        "problem": problem,
        "device": machine,
        "seconds": list(run.seconds),
        "timing": run.timing,
        "command": list(run.command),
        "family": dict(run.asked),
        "digests": dict(run.digests),
        "baseline": run.baseline or None,
        "baseline_code": run.baseline_code,
        "baseline_seconds": list(run.baseline_seconds),
        "baseline_orders": [order for order in run.orders if order],
        "quantities": {name: quantity.value for name, quantity in run.quantities.items()},
        "accepted": False,
        "why_not": "its gates were not evaluated",
        "new_level": "",
        "keeps_code": False,
    }


def no_reference(run: ProgramRun, past: PastRuns) -> str:
    """Why the runs of a case cannot become a reference whatever their verdicts; empty where they can."""
    failure = next((one.failure or one.unreadable for one in run.runs if one.failure or one.unreadable), "")
    if failure:
        return f"failed: {failure}"
    return run.untimed or ("a single shot" if run.single_shot else past.not_clean)


def acceptance_of_program(run: ProgramRun, verdicts: Sequence[Verdict], past: PastRuns) -> Acceptance:
    """Whether the runs of a case become a reference for later ones.

    Their times are all that later ones are held against: what is slower stays out, as the code of a kernel does, or
    slowdowns that each are below the limit would add up.
    """
    found = replace(acceptance(verdicts, no_reference(run, past), paired=False), keeps_code=False)
    slower = next(filter(None, map(_slower, verdicts)), "")
    return Acceptance(False, slower) if found.accepted and slower and not found.new_level else found


def _slower(verdict: Verdict) -> str:
    """Why a run that did not fail would lower what later ones are held against; empty where it would not."""
    value, interval = verdict.measured.value, verdict.measured.interval
    if verdict.gate.name != "regression" or interval is None or not isinstance(value, (int, float)):
        return ""
    if interval.low > 1:
        return "slower than the accepted runs for certain, which stay the reference"
    is_open = verdict.status is Status.INCONCLUSIVE and not verdict.gate.limit.allows(value)
    return "not decided, and its times are beyond the limit" if is_open else ""


def regression_of_program(
    past: PastRuns, required: bool, run: ProgramRun, limit: Limit, measure_again: Callable[[], ProgramRun]
) -> Quantity:
    """The runs of a case against the times of accepted ones; relative to the baseline, where both had the same beside
    them. `required` says whether what cannot be known fails.
    """
    unknown = past.unknown(required)
    if unknown:
        return Quantity(None, reason=unknown)
    now = _now(run, past)
    found = against_times(now, past.is_saved, limit, lambda: _now(measure_again(), past))
    all_, held = (len(accepted_runs(now.run.device, some)) for some in (_alike(run, past), now.before))
    older = all_ - held
    if found.value is None or not older:
        return found
    since = f"{older} before that were slower, for certain, and do not count"
    return replace(found, reason="; ".join(filter(None, [found.reason, since])))


def since_gain(runs: Sequence[HistoricRun], device: str) -> Sequence[HistoricRun]:
    """The runs from the last accepted one on that was faster than all before it, for certain: a level."""
    accepted = accepted_runs(device, runs)
    for place in range(len(accepted) - 1, 0, -1):
        found = compare(accepted[place], accepted[:place])
        if found.interval is not None and found.interval.high < 1:
            return runs[next(at for at, one in enumerate(runs) if one is accepted[place]) :]
    return runs


def _alike(run: ProgramRun, past: PastRuns) -> list[HistoricRun]:
    """The stored runs of a case that were asked for the same and timed in the same way, oldest first."""
    before = past.runs(identity_of_program(run))
    return [one for one in before if one.timing == run.timing and not changed(one.family, run.asked)]


def _now(run: ProgramRun, past: PastRuns) -> Now:
    failure = next((one.failure or one.unreadable for one in run.runs if one.failure or one.unreadable), "")
    paired = len(run.baseline_seconds) >= FEWEST_ROUNDS
    now = HistoricRun(
        commit=past.commit,
        when=datetime.now(timezone.utc),
        device=machine_of(run),
        seconds=run.seconds,
        baseline_seconds=run.baseline_seconds if paired else (),
        baseline=run.baseline_code if paired else "",
        accepted=False,
        timing=run.timing,
        family=run.asked,
    )
    problem = run.untimed or failure
    if problem or len(run.seconds) < FEWEST_ROUNDS:
        return Now(now, problem=problem, nothing_yet=NOTHING_YET)
    alike = _alike(run, past)
    others = [one for one in past.runs(identity_of_program(run)) if one.accepted and one not in alike]
    return Now(
        now,
        since_gain(alike, now.device),
        _why_not(others[-1], run) if others else "",
        nothing_yet=NOTHING_YET,
    )


def _why_not(other: HistoricRun, run: ProgramRun) -> str:
    """What has changed since an accepted run that no time can be compared over."""
    since = f"since the accepted run of commit {other.short_commit}"
    if other.timing != run.timing:
        return f"{since} another time is taken: {run.timing}, then {other.timing}"
    return f"{since} it is asked for something else: {', '.join(changed(other.family, run.asked))}"
