"""One run of a program, as it is told to gates and kept in the journal; what follows from several. Pure."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from pytest_greta.errors import quote, suggestion
from pytest_greta.gates.model import Gate, Quantity
from pytest_greta.gates.programs import PROGRAM_GATES, SECONDS_IN, OutputSpec
from pytest_greta.programs.reading import Value
from pytest_greta.stats.shape import median_interval


@dataclass(frozen=True)
class Execution:
    """What one run of a program came to."""

    status: int | str
    """What it exited with, or the name of the signal that ended it."""
    wall_seconds: float
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    vram_bytes: int | None = None
    """Each None where nothing here can tell."""
    values: Mapping[str, Value] = field(default_factory=dict)
    """What was read of its output."""
    unreadable: str = ""
    """Why its output could not be read as stated."""
    error: str = ""
    """A line of its output that says that it failed."""
    left: tuple[str, ...] = ()
    """Processes that still ran when it had ended."""
    is_overdue: bool = False
    """It was killed at its deadline."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Digests of the files that its command names, but for those that it wrote."""
    output: str = ""
    """Beginning and end of what it printed."""
    errors: str = ""
    """The same of standard error."""
    vram_how: str = ""
    """Whose device memory it is, or why it is not known."""
    vram_course: tuple[tuple[float, int], ...] = ()
    """Seconds since it began, and bytes of device memory."""

    @property
    def failure(self) -> str:
        """Why nothing that it printed counts; empty where it does."""
        if self.is_overdue:
            return f"it was killed at its deadline, after {self.wall_seconds:.3g} s"
        if self.status != 0:
            what = f"exited with {self.status}" if isinstance(self.status, int) else f"died of {self.status}"
            return f"it {what}"
        return f"its output says that it failed: {self.error}" if self.error else ""

    def seconds(self, output: OutputSpec) -> float | None:
        """The time that speedup is about; None where it is not there."""
        if not output.time:
            return self.wall_seconds
        value = self.values.get(output.time)
        if isinstance(value, (bool, str)) or value is None:
            return None
        return value * SECONDS_IN[output.units[output.time]]

    def problem(self, output: OutputSpec, context: int) -> str:
        """Why it cannot be timed against: it failed, its time is none, or it did not do all that was asked."""
        seconds = self.seconds(output)
        if self.failure or self.unreadable:
            return self.failure or self.unreadable
        if seconds is None or not (seconds > 0 and math.isfinite(seconds)):
            stated = self.values.get(output.time)
            absent = "not in its output" if stated is None else f"no number: {_shown(stated)}"
            return f"its time is {seconds if seconds is not None else absent}"
        if output.processed and self.values.get(output.processed) != context:
            return f"it processed {self.values.get(output.processed, 'an unknown number of')} of {context} tokens"
        return ""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @staticmethod
    def of(data: Mapping[str, Any]) -> Execution:
        """From JSON. Raises KeyError or TypeError where it is another thing."""
        known = {one.name for one in fields(Execution)}
        kept = {k: v for k, v in data.items() if k in known}
        course = tuple((float(at), int(size)) for at, size in data.get("vram_course", ()))
        return Execution(**{**kept, "left": tuple(data["left"]), "vram_course": course})


def quantities_of(runs: Sequence[Execution], output: OutputSpec) -> dict[str, Quantity]:
    """What some runs of one variant for one problem say together: medians of numbers, with where they are.

    What a failed run says counts for nothing: its values are not measured.
    """
    found: dict[str, Quantity] = {}
    failure = next((run.failure for run in runs if run.failure), "")
    unreadable = next((run.unreadable for run in runs if run.unreadable and not run.failure), "")
    statuses = [run.status for run in runs]
    overdue = any(run.is_overdue for run in runs)
    broken = next((status for status in statuses if status != 0), 0)
    last_line = next((_last_line(run) for run in runs if run.status != 0), "")
    found["exit_status"] = _excused(failure) if overdue else Quantity(broken, reason=last_line)
    slowest = max(runs, key=lambda run: run.wall_seconds)
    killed = "the whole process tree was killed" if overdue else ""
    found["deadline_seconds"] = Quantity(slowest.wall_seconds, reason=killed, unit="s")
    error = next((run.error for run in runs if run.error), "")
    found["no_errors"] = Quantity(not error, reason=error)
    left = max((run.left for run in runs), key=len)
    told = f"still running when it had ended, and killed: {', '.join(left[:5])}" if left else ""
    found["left_processes"] = Quantity(len(left), reason=told)
    found["readable"] = _excused(failure) if failure else Quantity(not unreadable, reason=unreadable)
    stopped = failure or unreadable
    for name, values in _measured(runs).items():
        is_time = PROGRAM_GATES[name].speed  # how long it took to fail is no time of it
        one = _together(name, values, PROGRAM_GATES[name].unit, len(runs))
        found[name] = _excused(stopped) if stopped and is_time else one
    found["vram_bytes"] = replace(found["vram_bytes"], reason=_of_device_memory(found["vram_bytes"], runs))
    names = dict.fromkeys(name for run in runs for name in run.values)
    for name in names:
        if name not in PROGRAM_GATES:
            printed = [run.values.get(name) for run in runs]
            unit = output.units.get(name, "")
            found[name] = _excused(stopped) if stopped else _together(name, printed, unit, len(runs))
    times = [run.seconds(output) for run in runs]
    found["seconds"] = (
        _excused(stopped) if stopped else _together(output.time or "seconds", times, "s", len(runs))
    )
    no_number = next(
        (v for v in (run.values.get(output.time) for run in runs) if isinstance(v, (bool, str))), None
    )
    if no_number is not None and not stopped:
        told = f"{output.time}: {_shown(no_number)} is no number"
        found["seconds"] = Quantity(None, reason=told, unit="s")
    if output.processed:
        done = [run.values.get(output.processed) for run in runs]
        found["processed"] = (
            _excused(stopped) if stopped else _together(output.processed, done, "tokens", len(runs))
        )
    found |= _determinism(runs, [*names], stopped)
    return found


def _shown(value: Value) -> str:
    """A value as JSON has it: a text in quotes."""
    return json.dumps(value, ensure_ascii=False)


def add_missing(found: dict[str, Quantity], gates: Sequence[Gate]) -> None:
    """Add what gates ask for and a program did not print."""
    for gate in gates:
        if gate.name == "deterministic":
            for output in gate.outputs:
                if f"deterministic:{output}" not in found:
                    absent = missing(output, found)  # what is not there is not the same in every run
                    found[f"deterministic:{output}"] = replace(
                        absent, value=None if absent.excused else False
                    )
        elif gate.limit.ratio is not None and gate.name in found:
            found.setdefault(gate.quantity, Quantity(None, reason="it is of several contexts"))
        else:
            found.setdefault(gate.quantity, missing(gate.name, found))


def missing(name: str, known: Mapping[str, Quantity]) -> Quantity:
    """In the place of a quantity that a program did not print."""
    stopped = known["readable"] if known["readable"].value is not True else None
    if stopped is not None:
        return _excused(stopped.reason)
    return Quantity(None, reason=f"the output has no {quote(name)}; {suggestion(name, _there(known))}")


def _there(known: Mapping[str, Quantity]) -> list[str]:
    return [name for name, quantity in known.items() if quantity.value is not None and ":" not in name]


def _excused(reason: str) -> Quantity:
    """Not measured because of what another gate fails."""
    return Quantity(None, reason=reason, excused=True)


def _measured(runs: Sequence[Execution]) -> dict[str, list[float | None]]:
    return {
        "wall_seconds": [run.wall_seconds for run in runs],
        "cpu_seconds": [run.cpu_seconds for run in runs],
        "peak_bytes": [run.peak_bytes for run in runs],
        "vram_bytes": [run.vram_bytes for run in runs],
    }


def _of_device_memory(found: Quantity, runs: Sequence[Execution]) -> str:
    """Whose it is, or why it is not known."""
    told = next((run.vram_how for run in runs if run.vram_how), "")
    return told or found.reason if found.value is None else "; ".join(filter(None, [told, found.reason]))


def _together(name: str, values: Sequence[Value | None], unit: str, count: int) -> Quantity:
    """One value of several runs: of numbers the median; of memory the most; of all else the first."""
    if any(value is None for value in values):
        if name in PROGRAM_GATES and name != "seconds":
            return Quantity(None, reason="nothing here measures it", unit=unit)
        where = (
            f"run {[*values].index(None) + 1} of {count} did not print it"
            if count > 1
            else "it was not printed"
        )
        return Quantity(None, reason=f"{name}: {where}", unit=unit)
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < count or len(set(map(str, numbers))) == 1:
        return Quantity(values[0], unit=unit)
    if unit == "bytes":
        return Quantity(max(numbers), reason=f"the most of {count} runs", unit=unit)
    try:
        interval = median_interval([float(number) for number in numbers])
        return Quantity(statistics.median(numbers), interval, f"median of {count} runs", unit=unit)
    except OverflowError:  # an int beyond the range of a double
        return Quantity(math.inf, unit=unit)


def _determinism(runs: Sequence[Execution], names: Sequence[str], stopped: str) -> dict[str, Quantity]:
    """By output, whether all runs printed the same."""
    found: dict[str, Quantity] = {}
    for name in names:
        values = [run.values.get(name) for run in runs]
        told = f"{name}: {values[0]!r}, then {next((v for v in values if v != values[0]), None)!r}"
        same = all(value == values[0] for value in values)
        one = Quantity(same, reason="" if same else told)
        if stopped or len(runs) < 2:
            one = Quantity(None, reason=stopped or "one run alone: nothing to compare", excused=bool(stopped))
        found[f"deterministic:{name}"] = one
    return found


def _last_line(run: Execution) -> str:
    """What a failed program said last; of an error, if it said so."""
    lines = [line.strip() for line in (run.errors or run.output).splitlines() if line.strip()]
    named = [line for line in lines if "error" in line.lower()]
    return (named or lines)[-1][:300] if lines else ""
