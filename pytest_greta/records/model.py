"""A session and its measurements as data, and as the plain values of summary.json. Read a file with `load`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any

from pytest_greta.errors import ConfigError, printable, shown_path
from pytest_greta.gates.model import Interval, Quantity
from pytest_greta.kernel import Size
from pytest_greta.records.check import MOST, MOST_PROBLEMS, json_of, problems, read_bytes
from pytest_greta.records.contradictions import contradictions
from pytest_greta.records.due import Due, due_of
from pytest_greta.records.schema import NOT_FINITE, VERSION, schema

HEADER = "greta_summary"
"""The key by which a file is known; its value is the version of the format."""


@dataclass(frozen=True)
class Session:
    """What a session says of itself; of a merged file, what all its sessions agree about."""

    greta: str
    python: str
    pytest: str
    started: str
    """ISO 8601, with a zone."""
    seconds: float
    options: Mapping[str, Any]
    """Those that were given, by their names."""
    commit: Mapping[str, Any] | None
    """`id`, `branch` and `dirty`; None outside of a repository."""
    gates: Mapping[str, str]
    """`file` and `sha256`."""
    device: Mapping[str, Any] | None
    """What the device says of itself, with its `identity`; None where nothing was run."""
    not_measured: str
    """Why there is no device."""
    targets: Sequence[str]
    exit_code: int

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class RecordedProblem:
    """The problem of a run, or one that code is compiled for."""

    id: str
    context: int
    axes: Mapping[str, Size] = field(default_factory=dict)
    sizes: Mapping[str, Size] | None = None
    """All sizes but the context; None where the record does not say."""
    is_by_id: bool = False
    """Whether its id is all that is known of its axes."""


@dataclass(frozen=True)
class Recorded:
    """One measurement, as it was recorded."""

    kind: str
    """One of `KINDS`."""
    kernel: str
    variant: str
    quantities: Mapping[str, Quantity]
    test: str = ""
    outcome: str = ""
    baseline: str | None = None
    """The variant that it was timed beside."""
    target: str | None = None
    problem: RecordedProblem | None = None
    device_kind: str | None = None
    untimed: str = ""
    units: Mapping[str, str] = field(default_factory=dict)
    """Of quantities, by name."""
    seconds: Sequence[float] = ()
    baseline_seconds: Sequence[float] = ()
    orders: Sequence[int] = ()
    carries: Sequence[float] = ()
    resolution: float = 0.0
    timing: str = ""
    telemetry: Mapping[str, Any] | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of `code` and `source`, and a digest of the `family`; empty where not known."""
    recipe: Mapping[str, str] = field(default_factory=dict)
    """Of a program: how it is run and read, as gates.yaml said."""
    verdicts: Sequence[Mapping[str, Any]] = ()
    """As they were when it was measured, with the gates of then."""
    notes: Sequence[str] = ()
    each: Sequence[Mapping[str, Quantity]] = ()
    """Of a program: the quantities of every run."""
    recorded: str = ""
    """Where it was measured, if elsewhere."""
    source: int | None = None
    """Which of the sessions of a merged file it is of."""

    @property
    def name(self) -> str:
        """As messages call it: `prefill v3 @ 4096`."""
        where = self.target or (self.problem.id if self.problem else "")
        if self.target and self.problem and self.kind == "code":
            where = f"{self.target} {'-'.join(f'{k}{v}' for k, v in self.problem.axes.items())}".strip()
        return f"{self.kernel} {self.variant} @ {where}".removesuffix(" @ ")

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {
            k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items() if k != "units"
        }
        found["quantities"] = quantities_plain(self.quantities, self.units)
        found["each"] = [quantities_plain(one, self.units) for one in self.each]
        if self.problem:
            stated = vars(self.problem)
            found["problem"] = {n: v for n, v in stated.items() if v is not None and n != "is_by_id"}
        found["digests"] = {"code": "", "source": "", **self.digests}
        for name, nothing in (
            ("carries", ()),
            ("each", ()),
            ("recipe", {}),
            ("resolution", 0.0),
            ("source", None),
        ):
            if found[name] in (nothing, []):
                del found[name]
        return found


@dataclass(frozen=True)
class Summary:
    """A file of records."""

    session: Session
    measurements: Sequence[Recorded] = ()
    stopped: Sequence[Mapping[str, Any]] = ()
    """Tests that could not evaluate their gates, with `status` and `reason`."""
    unevaluated: Sequence[str] = ()
    left_out: Sequence[Sequence[str]] = ()
    lock: Sequence[str] = ()
    notes: Sequence[str] = ()
    sources: Sequence[Session] = ()
    """The sessions of a merged file; empty where there was one."""
    due: Due | None = None
    """What a part of a session leaves to the others; None of a whole one."""

    def session_of(self, recorded: Recorded) -> Session:
        """The session that a measurement is of."""
        return self.session if recorded.source is None else self.sources[recorded.source]

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = {HEADER: VERSION, **self.session.plain()}
        if self.sources:
            found["sources"] = [session.plain() for session in self.sources]
        found["measurements"] = [one.plain() for one in self.measurements]
        found["stopped"] = [dict(one) for one in self.stopped]
        found |= {name: list(getattr(self, name)) for name in ("unevaluated", "left_out", "lock", "notes")}
        if self.due:
            found["due"] = self.due.plain()
        return found

    def text(self) -> str:
        """The file: the same for the same, a line for each measurement."""
        plain = self.plain()
        lines = []
        for name, value in plain.items():
            if name in ("measurements", "stopped", "sources") and value:
                items = ",\n  ".join(_dumps(item) for item in value)
                lines.append(f"{_dumps(name)}: [\n  {items}\n ]")
            else:
                lines.append(f"{_dumps(name)}: {_dumps(value)}")
        return "{\n " + ",\n ".join(lines) + "\n}\n"


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, default=list)


# -- quantities ------------------------------------------------------------------------------------------


def quantities_plain(quantities: Mapping[str, Quantity], units: Mapping[str, str]) -> dict[str, Any]:
    """Quantities for JSON, by name."""
    found = {}
    for name, quantity in quantities.items():
        one = {
            "value": value_plain(quantity.value),
            "unit": units.get(name, ""),
            "interval": interval_plain(quantity.interval),
            "reason": quantity.reason,
        }
        found[name] = {**one, "excused": True} if quantity.excused else one
    return found


def value_plain(value: Any) -> float | bool | str | None:
    """A value for JSON, which has neither NaN nor infinities: those are texts."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if not isinstance(value, float) and isinstance(
        value, Integral
    ):  # asked of an abstract class, which takes long
        return int(value)
    number = float(value)
    if abs(number) <= MOST:
        return number
    return NOT_FINITE[0] if math.isnan(number) else NOT_FINITE[1 if number > 0 else 2]


def interval_plain(interval: Interval | None) -> list[float | None] | None:
    """An interval for JSON; an end that is not finite is null."""
    if interval is None:
        return None
    return [float(end) if abs(end) <= MOST else None for end in (interval.low, interval.high)]


_HELD = Quantity(True)


def _quantity(plain: Mapping[str, Any]) -> Quantity:
    value, interval = plain["value"], plain["interval"]
    if value is True and not (interval or plain.get("reason") or plain.get("excused")):
        return _HELD  # most of all quantities
    if isinstance(value, str) and value in NOT_FINITE:
        value = float(value)
    found = None
    if interval is not None:
        low, high = interval
        found = Interval(-math.inf if low is None else low, math.inf if high is None else high)
    return Quantity(value, found, plain.get("reason", ""), plain.get("excused", False))


# -- reading ---------------------------------------------------------------------------------------------


def load(path: Path) -> Summary:
    """Read a summary.json. Raises ConfigError with what is wrong with it, a line each: file, where in it, what."""
    shown = shown_path(path)
    return summary_of(json_of(read_bytes(path), shown), shown)


def tried(path: Path) -> Summary | list[str]:
    """What `load` reads, or what is wrong with the file."""
    try:
        return load(path)
    except ConfigError as error:
        return list(error.problems)


def summary_of(data: Any, shown: str) -> Summary:
    """The records in JSON. Raises ConfigError where it is another version, damaged, or nothing of greta's."""
    if not isinstance(data, dict) or HEADER not in data:
        raise ConfigError(f"{shown}: no summary.json of greta: it has no {HEADER!r}")
    if data[HEADER] != VERSION or isinstance(data[HEADER], bool):
        raise ConfigError(
            f"{shown}: unknown version {data[HEADER]!r:.40}; this greta reads version {VERSION}"
        )
    _refuse(shown, problems(data, schema()))
    sources = [_session(one) for one in data.get("sources", ())]
    _refuse(shown, contradictions(data, len(sources)))
    return Summary(
        session=_session(data),
        measurements=[recorded_of(one) for one in data["measurements"]],
        stopped=data["stopped"],
        sources=sources,
        due=due_of(data["due"]) if data.get("due") else None,
        **{name: data[name] for name in ("unevaluated", "left_out", "lock", "notes")},
    )


def _refuse(shown: str, found: Iterable[str]) -> None:
    told = list(islice(found, MOST_PROBLEMS))
    if told:
        raise ConfigError(*(f"{shown}: {printable(problem)}" for problem in told))


def _session(plain: Mapping[str, Any]) -> Session:
    return Session(**{name: plain[name] for name in Session.__dataclass_fields__})


_AS_THEY_ARE = Recorded.__dataclass_fields__.keys() - {"problem", "quantities", "each", "units"}


def recorded_of(plain: Mapping[str, Any]) -> Recorded:
    """A measurement from what `Recorded.plain` makes of it."""
    problem = plain["problem"]
    return Recorded(
        problem=RecordedProblem(problem["id"], problem["context"], problem["axes"], problem.get("sizes"))
        if problem
        else None,
        quantities={name: _quantity(one) for name, one in plain["quantities"].items()},
        each=[{name: _quantity(one) for name, one in run.items()} for run in plain.get("each", ())],
        units={name: one["unit"] for name, one in plain["quantities"].items()},
        **{name: plain[name] for name in _AS_THEY_ARE if name in plain},
    )
