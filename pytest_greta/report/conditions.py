"""Devices, clocks, temperatures, throttling; what the sessions say of themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_greta.records.model import Recorded, Session, Summary
from pytest_greta.report.outcome import where_of
from pytest_greta.report.parts import Section, Table
from pytest_greta.report.subjects import measurements
from pytest_greta.report.words import NOT_MEASURED, number, plain

_COLUMNS = (
    "what",
    "problem",
    "#shader clock",
    "#highest clock",
    "#temperature",
    "#power",
    "#most VRAM",
    "#power limited",
    "throttled",
)


def conditions(summaries: Sequence[Summary]) -> Section:
    """The section on devices and on what they were like while they ran."""
    sessions = list(_sessions(summaries))
    devices = [
        [plain(name), number(value)]
        for device in _distinct(sessions)
        for name, value in device.items()
        if value not in ("", None, {}) and not isinstance(value, Mapping)
    ]
    tables = [Table.of("Devices, in their own words", ("property", "value"), devices)] if devices else []
    notes = [f"{NOT_MEASURED.capitalize()}: {plain(s.not_measured)}" for s in sessions if s.not_measured]
    known = [recorded for _, recorded in measurements(summaries) if recorded.telemetry]
    if known:
        caption = "Clocks, temperature and power during runs (least, median, most)"
        tables.append(Table.of(caption, _COLUMNS, map(_row, known), len(known)))
    else:
        notes.append(f"Clocks, temperature, power and throttling: {NOT_MEASURED}.")
    if not tables and not any(session.not_measured for session in sessions):
        notes.insert(0, "No device was opened.")
    return Section("device", "Device and its state", list(dict.fromkeys(notes)), tables=tables)


def how(summaries: Sequence[Summary]) -> Section:
    """The section on the sessions: versions, options, commit, gates; and all notes."""
    rows = []
    for session in _sessions(summaries):
        rows.append(
            [
                plain(session.started),
                number(session.seconds, "s"),
                str(session.exit_code),
                commit_of(session),
                f"{plain(session.gates.get('file', ''))} {plain(session.gates.get('sha256', ''))[:12]}".strip(),
                plain(" ".join(f"{name}={value}" for name, value in session.options.items())),
                f"greta {plain(session.greta)}, pytest {plain(session.pytest)}, Python {plain(session.python)}",
            ]
        )
    columns = ("started", "#took", "#exit code", "commit", "gates", "options", "versions")
    notes = [plain(note) for summary in summaries for note in summary.notes]
    notes += [plain(note) for _, recorded in measurements(summaries) for note in recorded.notes]
    return Section(
        "sessions", "Sessions", list(dict.fromkeys(notes)), tables=[Table.of("Sessions", columns, rows)]
    )


def commit_of(session: Session) -> str:
    """The commit of a session, in words."""
    if session.commit is None:
        return "no known commit"
    dirty = ", with uncommitted changes" if session.commit.get("dirty") else ""
    branch = f" ({plain(session.commit['branch'])})" if session.commit.get("branch") else ""
    return f"commit {plain(session.commit['id'])[:10]}{branch}{dirty}"


def _sessions(summaries: Sequence[Summary]) -> Iterator[Session]:
    for summary in summaries:
        yield from summary.sources or [summary.session]


def _distinct(sessions: Sequence[Session]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for session in sessions:
        if session.device is not None and session.device not in found:
            found.append(session.device)
    return found


def _row(recorded: Recorded) -> list[str]:
    what = f"{plain(recorded.kernel)} {plain(recorded.variant)}"
    return [what, where_of(recorded), *_telemetry(recorded.telemetry or {})]


def _telemetry(found: Mapping[str, Any]) -> list[str]:
    """The cells of one measurement. What the device does not say is not measured."""
    if found.get("missing"):
        return [*[NOT_MEASURED] * 6, plain(found["missing"])]
    power_limited = found.get("power_limited_percent")
    readings = [
        _range(found.get("shader_clock_mhz"), "MHz"),
        number(found.get("max_shader_clock_mhz"), _unit(found.get("max_shader_clock_mhz"), "MHz")),
        _range(found.get("temperature_celsius"), "°C"),
        _range(found.get("power_watts"), "W"),
        _gib(found.get("vram_peak_bytes")),
        number(power_limited, _unit(power_limited, "% of the time")),
    ]
    known = (
        "no" if {*readings[:4], readings[5]} != {NOT_MEASURED} else NOT_MEASURED
    )  # memory tells nothing of it
    return [*readings, plain(found.get("throttled") or known)]


def _unit(value: object, unit: str) -> str:
    return "" if value is None else unit


def _gib(size: object) -> str:
    return f"{size / (1 << 30):.4g} GiB" if isinstance(size, (int, float)) else number(size)


def _range(found: Any, unit: str) -> str:
    if not isinstance(found, Mapping):
        return NOT_MEASURED
    return f"{', '.join(number(found.get(end)) for end in ('min', 'median', 'max'))} {unit}"
