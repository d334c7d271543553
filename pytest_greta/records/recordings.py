"""The records that a session gates in place of measuring: which of them are of a kernel, a variant and a problem."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_greta.device import DeviceInfo
from pytest_greta.errors import ConfigError
from pytest_greta.records.model import Recorded, Session, Summary

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel, Problem, Variant


@dataclass(frozen=True)
class Found:
    """A record, with where it is from."""

    recorded: Recorded
    session: Session
    file: str
    """As messages show it."""
    signer: str = ""

    @cached_property
    def where(self) -> str:
        """Where it was measured and when, in words."""
        device = (self.session.device or {}).get("identity") or self.recorded.recorded
        commit = self.session.commit
        parts = [f"on {device}" if device and self.recorded.device_kind else "", self.session.started]
        if commit:
            parts.append(
                f"commit {str(commit['id'])[:12]}" + (" with uncommitted changes" if commit["dirty"] else "")
            )
        parts.append(f"signed by {self.signer}" if self.signer else "")
        return f"recorded in {self.file}: {', '.join(filter(None, parts))}"

    @property
    def is_told(self) -> bool:
        """Whether anything is known of when and on what it was measured."""
        return not self.where.endswith(": ")

    @property
    def device(self) -> DeviceInfo:
        """Its device, as far as the record says."""
        return device_info(self.session.device or {}, self.recorded.device_kind or "hip")

    @property
    def of(self) -> tuple[str, int | None]:
        """Its session: its file, and which of those that it was merged from. Only times of one can be compared."""
        return self.file, self.recorded.source


def device_info(stated: Mapping[str, Any], kind: str) -> DeviceInfo:
    """What a device says of itself, from what a record keeps of that."""
    plain: dict[str, Any] = {"kind": kind}
    for name, default in _STATED.items():
        value = stated.get(name, default)
        plain[name] = value if isinstance(default, bool) or isinstance(value, type(default)) else default
    return DeviceInfo(**plain)


_DEFAULTS: Mapping[str, str | int | bool] = {"str": "", "int": 0, "bool": False}
_STATED = {
    one.name: _DEFAULTS[str(one.type)]
    for one in fields(DeviceInfo)
    if one.name != "kind" and str(one.type) in _DEFAULTS
}
"""What a device says of itself, and what stands for that where a record does not say."""


@dataclass
class Recordings:
    """Files of records, read."""

    files: Mapping[str, Summary]
    signers: Mapping[str, str] = field(default_factory=dict)
    """Who has signed them, where that was asked for."""
    _runs: dict[tuple[str, str, int], list[Found]] = field(default_factory=dict)
    _codes: dict[tuple[str, str], list[Found]] = field(default_factory=dict)
    _programs: dict[tuple[str, str], list[Found]] = field(default_factory=dict)
    _beside: dict[tuple[str, str, str, int | None], list[Found]] = field(default_factory=dict)
    """Those of a program's variant by their session, too."""

    def __post_init__(self) -> None:
        for found in self.all():
            one = found.recorded
            if one.kind == "code":
                self._codes.setdefault((one.kernel, one.variant), []).append(found)
            elif one.kind == "program" and one.problem:
                self._programs.setdefault((one.kernel, one.variant), []).append(found)
                self._beside.setdefault((one.kernel, one.variant, *found.of), []).append(found)
            elif one.kind == "run" and one.problem:
                self._runs.setdefault((one.kernel, one.variant, one.problem.context), []).append(found)

    def all(self) -> Iterator[Found]:
        """Every record."""
        for file, summary in self.files.items():
            for one in summary.measurements:
                yield Found(one, summary.session_of(one), file, self.signers.get(file, ""))

    @property
    def names(self) -> str:
        """The files, for messages."""
        return ", ".join(self.files)

    @property
    def unfinished(self) -> list[str]:
        """Sessions that ended before all of their tests had run, or none of them knows, in words."""
        return [
            f"the session of {file} was {_ENDED.get(one.exit_code, 'ended')} (exit code {one.exit_code}): "
            "not all of its tests have run"
            for file, summary in self.files.items()
            for one in summary.sources or [summary.session]
            if one.exit_code not in _WHOLE
        ]

    @property
    def kinds(self) -> list[str]:
        """The kinds of device that runs were recorded on, `hip` first."""
        kinds = {found.recorded.device_kind for several in self._runs.values() for found in several}
        return sorted((kind for kind in kinds if kind), reverse=True)

    @cached_property
    def devices(self) -> list[Mapping[str, Any]]:
        """What the devices say of themselves, each once."""
        sessions = [one for summary in self.files.values() for one in summary.sources or [summary.session]]
        return list({str(one.device["identity"]): one.device for one in sessions if one.device}.values())

    def runs(self, kernel: Kernel, variant: Variant, problem: Problem, kind: str) -> list[Found]:
        """The records of a variant's run for a problem on a kind of device."""
        several = self._runs.get((kernel.name, variant.name, problem.context), [])
        return [
            found
            for found in several
            if found.recorded.device_kind in (kind, None)
            and _is_problem(found.recorded, kernel, problem, kind)
        ]

    def programs(self, program: str, variant: str, problem: Problem) -> list[Found]:
        """The records of a variant of a program at a problem."""
        several = self._programs.get((program, variant), [])
        return [
            found for found in several if found.recorded.problem and found.recorded.problem.id == problem.id
        ]

    def shorter(self, program: Found) -> dict[int, Found]:
        """The records of the same variant of a program at shorter contexts, in the same session, by context."""
        mine, stated = program.recorded, program.recorded.problem
        return {
            found.recorded.problem.context: found
            for found in self._beside.get((mine.kernel, mine.variant, *program.of), [])
            if stated
            and found.recorded.problem
            and found.recorded.problem.context < stated.context
            and found.recorded.problem.axes == stated.axes
        }

    def codes(self, kernel: str, variant: str, target: str) -> list[Found]:
        """The records of a variant's code for a target."""
        return [found for found in self._codes.get((kernel, variant), []) if found.recorded.target == target]

    def beside(self, run: Found) -> list[Found]:
        """The code that a run launched, as its test recorded it."""
        one = run.recorded
        several = self._codes.get((one.kernel, one.variant), []) if one.test else []
        return [found for found in several if found.recorded.test == one.test and found.of == run.of]

    def recorded_for(self, kernel: str, variant: str) -> list[str]:
        """What there are records of, of a variant: contexts and targets, for messages."""
        found = [
            found for key, several in self._runs.items() if key[:2] == (kernel, variant) for found in several
        ]
        found += [
            found for key, some in self._programs.items() if key[:2] == (kernel, variant) for found in some
        ]
        runs = [one.recorded.problem.id for one in found if one.recorded.problem]
        codes = [str(one.recorded.target) for one in self._codes.get((kernel, variant), [])]
        return list(dict.fromkeys([*runs, *codes]))

    def stopped(self, kernel: str, variant: str, where: str) -> list[tuple[str, str, str]]:
        """File, status and reason, where a test could not evaluate its gates when it was recorded."""
        return [
            (file, row["status"], row["reason"])
            for file, summary in self.files.items()
            for row in summary.stopped
            if (row["kernel"], row["variant"], row["where"]) == (kernel, variant, where)
        ]


_WHOLE = (0, 1, 5)
"""Exit codes of sessions that ran all of their tests: passed, failed, none there."""
_ENDED = {2: "interrupted", 3: "ended by an error of its own", 4: "called wrongly"}

MANY = 1000
"""Measurements of which there are so many that looking for garbage among them takes longer than judging them."""
RARELY = 50_000, 20, 20
"""How many objects are made between two looks for garbage (gc.set_threshold), where there are many measurements: what
tests leave behind is kept for the report, and hardly ever garbage.
"""


def kept(read: Callable[[], Recordings]) -> Recordings:
    """What is read, for as long as the session lasts. None of it is garbage: Python's collector, which would look
    through all of it again and again, waits meanwhile, and leaves many records alone from then on.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        found = read()
        leave_alone(found)
        return found
    finally:
        if was_enabled:
            gc.enable()


def leave_alone(recordings: Recordings) -> None:
    """Let Python's collector pass over all that there is, and look rarely, where there are many records."""
    if sum(len(summary.measurements) for summary in recordings.files.values()) >= MANY:
        gc.freeze()
        gc.set_threshold(*RARELY)


def _is_problem(recorded: Recorded, kernel: Kernel, problem: Problem, kind: str) -> bool:
    """Whether a record of a context is of a problem: by all its sizes, or by those that it names."""
    stated = recorded.problem
    if stated is None:
        return False
    if stated.is_by_id:
        return stated.id == problem.id
    if stated.sizes is not None:
        return dict(stated.sizes) == dict(problem.sizes)
    try:
        return kernel.problem(stated.context, kind, stated.axes) == problem
    except ConfigError:  # an axis of another type
        return False


def apart(several: Sequence[Found]) -> str:
    """What to say of times of one variant and problem on one device that are too far apart to be compared."""
    times: dict[str, list[tuple[float, int]]] = {}
    for number, found in enumerate(several):
        name = "seconds" if found.recorded.kind == "program" else "prefill_seconds"
        value = found.recorded.quantities.get(name)
        if value and isinstance(value.value, (int, float)) and value.value > 0:
            device = str((found.session.device or {}).get("identity"))
            times.setdefault(device, []).append((value.value, number))
    for some in times.values():
        (low, first), (high, last) = min(some), max(some)
        if high / low >= APART:
            return _apart(low, several[first], high, several[last])
    return ""


def _apart(low: float, first: Found, high: float, last: Found) -> str:
    return (
        f"{first.recorded.name} took {low:.6g} s in {first.file} and {high:.6g} s in {last.file}, "
        f"{high / low:.2f}x apart: a speedup means something only "
        "beside the baseline of its own run"
    )


APART = 1.25
"""Two medians of one variant that are further apart are told; no run drifts so far that is worth comparing."""
