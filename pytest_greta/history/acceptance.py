"""What verdicts mean for a test, and for history: which fail it, what a run is held against, what may become a
reference. No clock and no I/O: what was stored comes from `benchmark.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_greta.gates.model import Gate, Status, Verdict
from pytest_greta.history.records import PastRuns

if TYPE_CHECKING:
    from pytest_greta.measure.run import Run


@dataclass(frozen=True)
class Acceptance:
    """Whether a run becomes a reference."""

    accepted: bool
    why_not: str = ""
    new_level: str = ""
    """The reason of `--greta-accept`, where it made the run a reference."""
    keeps_code: bool = False
    """Whether its code is what later code is timed against: only where it is faster than that before it, for certain,
    or accepted on purpose. Slowdowns that each are below the limit would add up otherwise.
    """


def no_reference(run: Run, untimed: str, past: PastRuns) -> str:
    """Why a run cannot become a reference whatever its verdicts; empty where it can."""
    if run.fault:
        return "failed: a device fault"
    if untimed:
        return untimed
    if run.plan.single_shot:
        return "a single shot"
    return past.not_clean


def with_acceptance(gate: Gate, reason: str) -> Gate:
    """The gate `regression` where its failure is accepted on purpose; any other as it is."""
    return replace(gate, accepted=reason) if gate.name == "regression" else gate


def acceptance(verdicts: Sequence[Verdict], cannot: str, paired: bool) -> Acceptance:
    """Whether a run becomes a reference, from its verdicts and `no_reference`.

    `paired` says that it was timed against the code of an accepted run. What is undecided does not keep its times out:
    a history of runs that happened to look fast would know too little of the spread between runs, and cry wolf.
    """
    failed = [verdict.gate.name for verdict in verdicts if verdict.status is Status.FAIL]
    if "regression" in failed:
        return Acceptance(False, "regressed")
    if failed:
        return Acceptance(False, f"failed: {', '.join(dict.fromkeys(failed))}")
    if cannot:
        return Acceptance(False, cannot)
    new_level = next((v.gate.accepted for v in verdicts if v.is_accepted_failure), "")
    undecided = any(
        v.status is Status.INCONCLUSIVE or (v.status is Status.NOT_MEASURED and not v.measured.excused)
        for v in verdicts
        if v.gate.name == "regression"
    )
    faster = bool(new_level) or not paired or any(_is_faster(v) for v in verdicts)
    return Acceptance(True, new_level=new_level, keeps_code=faster and not undecided)


def _is_faster(verdict: Verdict) -> bool:
    interval = verdict.measured.interval
    return verdict.gate.name == "regression" and interval is not None and interval.high < 1
