"""What one measurement measures: the candidate, what it is timed beside, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_greta.measure.executable import ACCEPTED, Executable

if TYPE_CHECKING:
    from pytest_greta.gates.model import Limit, Peak
    from pytest_greta.kernel import Kernel, Problem, Variant
    from pytest_greta.measure.reference import Tolerances


@dataclass(frozen=True)
class Counterpart:
    """What the candidate is timed beside, in pairs."""

    executable: Executable
    limits: tuple[Limit, ...]
    """What the ratio will be held against. Rounds go on until all are decided; without any they ask for no rounds."""
    tolerances: Tolerances
    """With larger errors its times mean nothing: the limits of its own gates."""
    judged: tuple[Limit, ...] = ()
    """What the ratio will be held against where `limits` ask for no rounds: a number of rounds was given."""


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    kernel: Kernel
    variant: Variant
    problem: Problem
    candidate: Executable
    tolerances: Tolerances
    """What errors the gates let pass."""
    counterparts: Mapping[str, Counterpart]
    """By slot: `BASELINE`, and the code of the last accepted run as `ACCEPTED`."""
    missing: Mapping[str, str]
    """Why a counterpart is not there, by slot."""
    fewest_rounds: int
    """So many are timed within the budget, also where all limits are decided earlier."""
    most_rounds: int
    """Timed launches of the candidate, each paired with one of every counterpart."""
    budget_seconds: float
    """No round is begun after so much time, except the first."""
    single_shot: bool
    """One launch and no more: it is verified and timed, and nothing is compared."""
    seed: int
    unchanged_since: str = ""
    """The commit of the last accepted run, where its code and launches are the candidate's, byte for byte."""
    peak: Peak | None = None
    """What the device can do at best, where gates.yaml says."""
    caches: str = ""
    """What caches hold before a launch that is timed: `cold`, `warm`, or `auto`: cold, where one launch is long enough
    for the clock. Empty where times do not count: then nothing is done for them."""
    one_core: bool = False
    """Whether short launches may be timed on one core of a CPU: what is asked for are ratios alone."""


def without_accepted(plan: Plan, problem: str) -> Plan:
    """The plan without the accepted code, which cannot be timed against."""
    name = f"the accepted {plan.counterparts[ACCEPTED].executable.name}"
    kept = {slot: other for slot, other in plan.counterparts.items() if slot != ACCEPTED}
    return replace(plan, counterparts=kept, missing={**plan.missing, ACCEPTED: f"{name} {problem}"})
