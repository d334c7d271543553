"""What compiling and measuring give to a test: measurements with the gates that apply to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_greta.binaries.locked import HeldParts
from pytest_greta.gates.evaluation import evaluate_runs
from pytest_greta.gates.model import Gate, Measurement, Verdict
from pytest_greta.measure.executable import BASELINE

if TYPE_CHECKING:
    from pytest_greta.compiler.codeobject import CodeObject
    from pytest_greta.measure.run import Run


@dataclass(frozen=True)
class GatedMeasurement:
    """A measurement with the gates that apply to it."""

    measurement: Measurement
    gates: Sequence[Gate]
    code: str = ""
    """SHA-256 of the code object, of a measurement of code."""
    each: Sequence[Measurement] = ()
    """Of a program: its runs one by one."""

    def verdicts(self) -> list[Verdict]:
        """The verdict of every gate."""
        return list(self._verdicts)

    @cached_property
    def _verdicts(self) -> list[Verdict]:
        return [evaluate_runs(gate, self.measurement, self.each) for gate in self.gates]


@dataclass(frozen=True)
class Result:
    """Measurements with their gates."""

    measurements: Sequence[GatedMeasurement]

    def verdicts(self) -> list[Verdict]:
        """The verdict of every gate of every measurement."""
        return [verdict for gated in self.measurements for verdict in gated.verdicts()]


@dataclass(frozen=True)
class CodeResult(Result):
    """A variant compiled for one target."""

    code_object: CodeObject
    notes: tuple[str, ...] = ()
    """What a reader must know although every gate passes: told in the summary."""
    held: HeldParts = field(default_factory=HeldParts)
    """Its kernels, held against greta.lock."""

    def verdicts(self) -> list[Verdict]:
        """Those of gates.yaml and of greta.lock."""
        return [*super().verdicts(), *self.held.verdicts]


@dataclass(frozen=True)
class RunResult(Result):
    """A variant at one context on the device: its code there, and its run."""

    run: Run | None
    """None where the code already failed a gate, and was not launched."""
    hints: tuple[str, ...] = ()
    """What may be the cause of a failure."""
    of_code: tuple[str, ...] = ()
    """What a reader must know of its code although every gate may pass."""

    @property
    def seconds(self) -> tuple[float, ...]:
        """Device seconds of every timed launch; none where the code failed a gate and was not launched."""
        return tuple(self.run.seconds) if self.run else ()

    @property
    def baseline(self) -> str:
        """The variant that it was timed beside; empty where none."""
        beside = self.run.plan.counterparts.get(BASELINE) if self.run else None
        return beside.executable.name if beside else ""

    @property
    def told(self) -> tuple[str, ...]:
        """What a reader must know although every gate may pass: told in the summary."""
        run = self.run
        if run is None or not run.baseline.problem:
            return self.of_code
        plan = run.plan
        what = f"{plan.variant.name} @ {plan.problem.id}: the baseline {self.baseline} {run.baseline.problem}"
        return (*self.of_code, "; ".join(filter(None, [what, run.checked])))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of a failure needs besides the verdicts."""
        if self.run is None:
            return ("it was not launched",)
        seed = f"on {self.run.device.identity}; inputs drawn with --greta-seed={self.run.plan.seed}"
        return (*self.hints, seed)
