"""What the runs of a program at one problem found, as plain data, and held against its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_greta.gates.evaluation import evaluate_runs
from pytest_greta.gates.model import Gate, Measurement, Quantity, Verdict
from pytest_greta.kernel import Problem
from pytest_greta.programs.execution import Execution


@dataclass(frozen=True)
class ProgramCase:
    """What one test is about: a variant of a program for a problem."""

    program: str
    variant: str
    problem: Problem
    is_named: bool = False
    """The test is about several programs: its name says which."""

    def __str__(self) -> str:
        return "-".join([*([self.program] if self.is_named else []), self.variant, self.problem.id])


@dataclass
class ProgramRun:
    """What was found of one case, as plain data."""

    program: str
    variant: str
    problem: Problem
    baseline: str = ""
    """The variant that it was run beside; empty where none."""
    command: tuple[str, ...] = ()
    on: str = ""
    """The node that it ran on; empty for this one."""
    quantities: dict[str, Quantity] = field(default_factory=dict)
    runs: list[Execution] = field(default_factory=list)
    """Every run of the variant."""
    seconds: list[float] = field(default_factory=list)
    """Of the runs that count, the time that speedup is about."""
    baseline_seconds: list[float] = field(default_factory=list)
    """Of the baseline, each paired with one of `seconds`."""
    orders: list[int] = field(default_factory=list)
    """+1 where the variant ran after the baseline, -1 where before, 0 where it ran alone."""
    resumed: int = 0
    """How many of the runs are an earlier session's."""
    untimed: str = ""
    """Why its times mean nothing, if so."""
    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the files that the command names."""
    asked: dict[str, str] = field(default_factory=dict)
    """What it was asked to do: its arguments and environment. Runs that were asked for something else are of another
    benchmark.
    """
    recipe: Mapping[str, str] = field(default_factory=dict)
    """How it is run and read: `recipe_of`."""
    timing: str = ""
    """Which time its seconds are."""
    baseline_code: str = ""
    """A digest of the baseline's command and files; empty where none ran beside it."""
    single_shot: bool = False

    def extend(self, more: ProgramRun) -> None:
        """Add runs of the same case that were made later."""
        self.runs += more.runs
        self.seconds += more.seconds
        self.baseline_seconds += more.baseline_seconds
        self.orders += more.orders

    def drop_baseline(self) -> None:
        """Let no run of the baseline count."""
        self.baseline_seconds, self.orders = [], [0] * len(self.orders)

    @property
    def exit_status(self) -> int | str:
        """What it exited with: of several runs, the first that is not 0."""
        return next((run.status for run in self.runs if run.status != 0), 0)

    @property
    def last(self) -> Execution:
        """The run that ended last."""
        return self.runs[-1]


@dataclass(frozen=True)
class ProgramResult:
    """A program at one problem, with its gates."""

    run: ProgramRun
    gates: Sequence[Gate]
    output: str
    """What the last run printed, and where it is cut."""
    notes: tuple[str, ...] = ()
    """What a reader of a failure needs besides the verdicts."""
    told: tuple[str, ...] = ()
    """What the summary tells although every gate may pass."""
    each: Sequence[Mapping[str, Quantity]] = ()
    """The quantities of each run by itself."""

    @property
    def seconds(self) -> Sequence[float]:
        """Of the runs that count."""
        return self.run.seconds

    @property
    def baseline(self) -> str:
        """The variant that it was run beside; empty where none."""
        return self.run.baseline

    @property
    def quantities(self) -> Mapping[str, Quantity]:
        """What was measured and read, by name."""
        return self.run.quantities

    @property
    def printed(self) -> str:
        """Beginning and end of what the last run printed."""
        return self.run.last.output

    def verdicts(self) -> list[Verdict]:
        """The verdict of every gate. What every run has to be (above a bound, equal) is asked of each."""
        whole, each = self._measurement(self.run.quantities), [self._measurement(one) for one in self.each]
        return [evaluate_runs(gate, whole, each) for gate in self.gates]

    def _measurement(self, quantities: Mapping[str, Quantity]) -> Measurement:
        run = self.run
        return Measurement(
            run.program, run.variant, quantities, problem=run.problem, device="program", untimed=run.untimed
        )
