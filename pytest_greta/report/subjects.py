"""Measurements of some files as what a report is about: kernels on devices, with series over their contexts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_greta.gates.model import Quantity
from pytest_greta.records.model import Recorded, Summary
from pytest_greta.report.parts import MOST_ROWS
from pytest_greta.report.words import as_number, plain

TIMES = ("prefill_seconds", "seconds", "wall_seconds")
"""What the time of a run is: the first that it has."""

ENDINGS = ("exit_status", "deadline_seconds", "readable", "no_errors")
"""The gates that say that a run of a program failed as a whole."""

FEWEST_RUNS = 50
"""Of a kernel on a device, however many of those there are: what a report has of each at least."""
STATUSES = ("PASS", "EXPECTED FAILURE", "NOT MEASURED", "BLOCKED", "INCONCLUSIVE", "FAIL")
"""From the best to the worst."""


@dataclass(frozen=True)
class Timed:
    """A run or a program at one problem."""

    recorded: Recorded
    series: str
    """The variant, with the axes of the problem but the context."""

    @property
    def context(self) -> int:
        """Tokens that were asked for."""
        assert self.recorded.problem is not None
        return self.recorded.problem.context

    @property
    def problem(self) -> str:
        """As it is called."""
        assert self.recorded.problem is not None
        return plain(self.recorded.problem.id)

    def get(self, name: str) -> Quantity | None:
        """A quantity; None where the record has none of that name."""
        return self.recorded.quantities.get(name)

    @cached_property
    def stated(self) -> Quantity | None:
        """What the record gives as its time; None where there is none, as of a program of which a run failed."""
        known = (found for name in TIMES if (found := self.get(name)) is not None)
        if self.recorded.kind == "program":
            found = next(known, None)  # how long a run lasted that failed is no time of it
            return found if found is not None and found.value is not None and not self.has_failed else None
        return next((one for one in known if one.value is not None), None)

    @property
    def has_failed(self) -> bool:
        """Whether a run of a program failed as a whole: what it took says nothing."""
        ended = self.get("exit_status")
        known = ended is not None and ended.value is not None and ended.value != 0
        return known or any(self.statuses.get(name) == "FAIL" for name in ENDINGS)

    @cached_property
    def time(self) -> Quantity | None:
        """Seconds of one prefill, or of one run of a program; None where none was measured, or none above zero."""
        seconds = as_number(self.stated)
        return self.stated if seconds is not None and seconds > 0 else None

    @property
    def tokens_per_second(self) -> Quantity | None:
        """As measured; of a program the tokens that it processed, else the context, over its time."""
        found = self.get("tokens_per_second")
        if self.recorded.kind != "program":
            return found
        seconds = as_number(self.time)
        if seconds is None or found is not None:
            return found if seconds is not None else None
        tokens = as_number(self.get("processed"))
        return Quantity((self.context if tokens is None else tokens) / seconds)

    @property
    def is_compared(self) -> bool:
        """Whether there is a ratio to a baseline, or a gate that asks for one."""
        return as_number(self.get("speedup")) is not None or "speedup" in self.statuses

    @cached_property
    def statuses(self) -> Mapping[str, str]:
        """The status of its gates, by name; of several of one name the worst."""
        found: dict[str, str] = {}
        for verdict in self.recorded.verdicts:
            gate, status = str(verdict["gate"]), str(verdict["status"])
            found[gate] = max(found.get(gate, "PASS"), status, key=STATUSES.index)
        return found


@dataclass(frozen=True)
class Subject:
    """Runs of one kernel, or of one program, on one device: what can be compared."""

    kernel: str
    device: str
    runs: Sequence[Timed]
    """By series, then by context: the first, so that tables have all that charts show."""
    count: int
    """How many there are."""

    @property
    def by_series(self) -> dict[str, list[Timed]]:
        """The runs of each series, by context."""
        found: dict[str, list[Timed]] = {}
        for run in self.runs:
            found.setdefault(run.series, []).append(run)
        return found

    @property
    def contexts(self) -> list[int]:
        """All contexts, ascending."""
        return sorted({run.context for run in self.runs})


def measurements(summaries: Sequence[Summary]) -> Iterator[tuple[Summary, Recorded]]:
    """All measurements, each with its file."""
    for summary in summaries:
        for recorded in summary.measurements:
            yield summary, recorded


def device_of(summary: Summary, recorded: Recorded) -> str:
    """Where something ran: the identity of the device, or where it was recorded."""
    device = summary.session_of(recorded).device
    return plain(recorded.recorded).removesuffix(":") or plain((device or {}).get("identity") or "")


def subjects(summaries: Sequence[Summary]) -> list[Subject]:
    """What was run, by kernel and device; the baseline's series first, then by name."""
    groups: dict[tuple[str, str], list[Recorded]] = {}
    for summary, recorded in measurements(summaries):
        if recorded.kind in ("run", "program") and recorded.problem is not None:
            key = plain(recorded.kernel), device_of(summary, recorded)
            groups.setdefault(key, []).append(recorded)
    most = max(FEWEST_RUNS, MOST_ROWS // max(1, len(groups)))
    return [
        Subject(kernel, device, _runs(some)[:most], len(some)) for (kernel, device), some in groups.items()
    ]


def _runs(some: Sequence[Recorded]) -> list[Timed]:
    baselines = {one.baseline for one in some}
    runs = [Timed(one, _series(one)) for one in some]
    return sorted(
        runs, key=lambda run: (run.recorded.variant not in baselines, run.series, run.context, run.problem)
    )


def _series(recorded: Recorded) -> str:
    assert recorded.problem is not None
    axes = (f"{name} {size}" for name, size in recorded.problem.axes.items() if name != "context")
    return plain(", ".join([recorded.variant, *axes]))
