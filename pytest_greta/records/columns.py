"""CSV and JSON that others wrote, as records: by a mapping of columns."""

from __future__ import annotations

import csv
import fnmatch
import io
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_greta.errors import ConfigError, printable, quote, shown, suggestion
from pytest_greta.gates.catalogue import GateDef
from pytest_greta.gates.model import Quantity
from pytest_greta.kernel import Problem
from pytest_greta.records.check import MOST, MOST_PROBLEMS, json_of
from pytest_greta.records.mapping import PROGRAM, Cell, Columns, definition_of
from pytest_greta.records.model import Recorded, RecordedProblem, Session, Summary
from pytest_greta.stats.shape import median_interval

MOST_ROWS = 1_000_000
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class _Wrong(ValueError):
    """A cell that does not hold what it should."""


@dataclass
class _Rows:
    """What rows of one measurement say."""

    quantities: dict[str, list[Any]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    each: list[dict[str, Quantity]] = field(default_factory=list)
    """Row by row, of a program."""


def summary_of_rows(content: bytes, name: str, columns: Columns) -> Summary:
    """The records in a file. Raises ConfigError with what is wrong with its rows. `name` is the file as messages show
    it.

    Rows of the same kernel, variant, problem and target are one measurement: their times are its rounds, and of
    anything else the worst counts.
    """
    found: dict[tuple[Any, ...], _Rows] = {}
    headers: dict[str, dict[str, None]] = {"device_name": {}, "commit": {}, "started": {}}
    problems: list[str] = []
    missing, there = dict(_named(columns)), dict[str, None]()
    for place, row in _rows(content, name, columns):
        there |= dict.fromkeys(map(str, row)) if len(there) < MOST_PROBLEMS else {}
        for what in [what for what, column in missing.items() if _has(row, column)]:
            del missing[what]
        try:
            key = _key(row, columns)
            if key is None:
                continue
            _add(found.setdefault(key, _Rows()), row, columns)
            for header, texts in headers.items():
                if header in columns.cells:
                    texts[_text(row, columns.cells[header], header)] = None
        except _Wrong as error:
            problems.append(f"{place}: {printable(str(error))}")
            if len(problems) == MOST_PROBLEMS:
                break
    for what, column in missing.items() if there and not problems else ():
        problems.append(f"{name}: no row has column {quote(column)} for {what}; {suggestion(column, there)}")
    if not (found or problems):
        problems.append(f"{name}: no row of it is of a kernel and a variant that the mapping names")
    if problems:
        raise ConfigError(*problems)
    said = {header: ", ".join(filter(None, texts)) for header, texts in headers.items()}
    recorded = [_recorded(key, rows, columns) for key, rows in found.items()]
    return Summary(_session(said, columns), recorded)


def _named(columns: Columns) -> Iterator[tuple[str, str]]:
    """The columns that a mapping names, by what they are for."""
    for what, cell in {**columns.cells, **columns.axes, **columns.quantities}.items():
        if cell.column and not cell.otherwise:
            yield what, cell.column
        if cell.minus:
            yield f"the start of {what}", cell.minus


def _has(row: Mapping[str, Any], column: str) -> bool:
    return column in row or _inside(row, column) is not None


def _session(said: Mapping[str, str], columns: Columns) -> Session:
    device, commit = said["device_name"], said["commit"]
    return Session(
        greta="",
        python="",
        pytest="",
        started=said["started"].partition(", ")[0],
        seconds=0.0,
        options={},
        commit={"id": commit, "branch": "", "dirty": False} if commit else None,
        gates={"file": "", "sha256": ""},
        device={"kind": columns.device, "name": device, "identity": f"{columns.device}: {device}"}
        if device
        else None,
        not_measured="",
        targets=[],
        exit_code=0,
    )


# -- rows ------------------------------------------------------------------------------------------------


def _rows(content: bytes, name: str, columns: Columns) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every row with its place. Raises ConfigError."""
    text = content.lstrip(b"\xef\xbb\xbf").lstrip()
    rows = _json_rows(content, name, columns) if text[:1] in (b"{", b"[") else _csv_rows(content, name)
    for number, (place, row) in enumerate(rows):
        if number == MOST_ROWS:
            raise ConfigError(f"{name}: more than {MOST_ROWS} rows")
        if not isinstance(row, Mapping):
            raise ConfigError(f"{place}: expected an object with columns, found {shown(row)}")
        yield place, row


def _csv_rows(content: bytes, name: str) -> Iterator[tuple[str, Any]]:
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(reader, [])
        twice = sorted({column for column in header if header.count(column) > 1})
        if twice:
            raise ConfigError(f"{name}:1: column {quote(twice[0])} is there twice")
        for row in reader:
            if row and len(row) != len(header):
                raise ConfigError(
                    f"{name}:{reader.line_num}: {len(row)} cells, and the header has {len(header)}"
                )
            if row:
                yield f"{name}:{reader.line_num}", dict(zip(header, row, strict=True))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8: {error.reason} at byte {error.start}") from None
    except csv.Error as error:
        raise ConfigError(f"{name}: not CSV: {error}") from None


def _json_rows(content: bytes, name: str, columns: Columns) -> Iterator[tuple[str, Any]]:
    """The rows of a list, of one object, or of a file with an object a line."""
    lines = [line for line in content.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].lstrip()[:1] == b"{" and lines[0].rstrip()[-1:] == b"}":
        for number, line in enumerate(content.splitlines(), 1):
            if line.strip():
                yield f"{name}:{number}", json_of(line, f"{name}, line {number}")
        return
    data = json_of(content, name)
    if columns.rows:
        data = _inside(data, columns.rows)
        if data is None:
            raise ConfigError(
                f"{name}: there is no {columns.rows!r}, where the mapping says that the rows are"
            )
    for number, row in enumerate(data if isinstance(data, list) else [data]):
        yield f"{name}[{number}]", row


def _inside(data: Any, path: str) -> Any:
    """What a name means: that key, or a path of keys."""
    if isinstance(data, Mapping) and path in data:
        return data[path]
    for part in path.split("."):
        data = data.get(part) if isinstance(data, Mapping) else None
    return data


# -- cells -----------------------------------------------------------------------------------------------


def _cell(row: Mapping[str, Any], cell: Cell, what: str) -> Any:
    """The value of a cell; None where it is empty. Raises _Wrong."""
    if not cell.column:
        return cell.constant
    value = _inside(row, cell.column)
    if value is None and cell.otherwise:
        value = _inside(row, cell.otherwise)
    if value == "":
        return None
    if cell.names:
        text = _plain(value)
        return next((to for name, to in cell.names.items() if fnmatch.fnmatchcase(text, name)), None)
    if cell.minus:
        return _number(value, what) - _number(_inside(row, cell.minus), what)
    return value


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(row: Mapping[str, Any], cell: Cell, what: str) -> str:
    value = _cell(row, cell, what)
    if isinstance(value, (Mapping, list)):
        raise _Wrong(f"{what}: expected a text, found {shown(value)}")
    return "" if value is None else _plain(value)


def _number(value: Any, what: str) -> float:
    is_text = isinstance(value, str) and value.isascii() and "_" not in value  # `1_8` is a name, and not 18
    try:
        number = (
            float(value)
            if is_text or (isinstance(value, (int, float)) and not isinstance(value, bool))
            else None
        )
    except (ValueError, OverflowError):
        number = None
    if number is None or (math.isfinite(number) and abs(number) > MOST):
        raise _Wrong(f"{what}: expected a number, found {shown(value)}")
    return number


def _whole(text: str, what: str) -> int:
    number = _number(text, what)
    if not (math.isfinite(number) and number == int(number)):
        raise _Wrong(f"{what}: expected a whole number, found {shown(text)}")
    return int(number)


def _key(row: Mapping[str, Any], columns: Columns) -> tuple[Any, ...] | None:
    """What a row is of: kernel, variant, context, axes, target. None for one of something else. Raises _Wrong."""
    cells = columns.cells
    kernel, variant = (_text(row, cells[name], name) for name in ("kernel", "variant"))
    target = _text(row, cells["target"], "target") if "target" in cells else ""
    context = _text(row, cells["context"], "context") if "context" in cells else ""
    if not (kernel and variant) or _is_of_something_else(row, columns.nothing_in):
        return None
    axes = [(name, _text(row, cell, name)) for name, cell in columns.axes.items()]
    number = _whole(context, "context") if context else 0
    if number < 1 and not target:
        return None  # of a row that has no context: generating tokens, for example
    return kernel, variant, number, tuple(one for one in axes if one[1]), target


def _is_of_something_else(row: Mapping[str, Any], column: str) -> bool:
    """Whether a column that should hold nothing holds something: tokens that were generated, behind a prompt."""
    return bool(column) and str(_inside(row, column) or "0").strip() not in ("0", "0.0")


def _add(rows: _Rows, row: Mapping[str, Any], columns: Columns) -> None:
    """Add what a row says. Raises _Wrong."""
    said: dict[str, list[Any]] = {}
    for name, cell in columns.quantities.items():
        value, definition = _cell(row, cell, name), definition_of(name, columns.device)
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        said[name] = [_value(one, definition, cell) for one in values]
        rows.quantities.setdefault(name, []).extend(said[name])
        if name == ("seconds" if columns.device == PROGRAM else "prefill_seconds"):
            rows.seconds = rows.quantities[name]
    for number in range(max(map(len, said.values()), default=1)):  # runs: what is said once is of all of them
        of_run = {name: values[number if len(values) > 1 else 0] for name, values in said.items()
                  if len(values) == 1 or number < len(values)}  # fmt: skip
        rows.each.append({name: Quantity(value) for name, value in of_run.items()})


def _value(value: Any, definition: GateDef, cell: Cell) -> float | bool | str:
    if definition.kind == "text":
        return _plain(value)
    if definition.kind == "value":
        return _own(value)
    if definition.kind == "bool":
        truth = _TRUTHS.get(_plain(value).lower())
        if truth is None:
            raise _Wrong(f"{definition.name}: expected true or false, found {shown(value)}")
        return truth
    return _number(value, definition.name) * cell.factor


def _own(value: Any) -> float | bool | str:
    """What a program has printed: a number where it reads like one."""
    try:
        number = _number(value, "value")
    except _Wrong:
        return value if isinstance(value, bool) else _plain(value)
    return int(number) if math.isfinite(number) and number.is_integer() else number


# -- records ---------------------------------------------------------------------------------------------


def _recorded(key: tuple[Any, ...], rows: _Rows, columns: Columns) -> Recorded:
    kernel, variant, context, axes, target = key
    sizes = {name: int(text) if text.isdecimal() else text for name, text in axes}
    cells = columns.quantities
    definitions = {name: definition_of(name, columns.device) for name in rows.quantities}
    quantities = {name: _quantity(values, definitions[name]) for name, values in rows.quantities.items()}
    is_program = columns.device == PROGRAM
    seconds = [one for one in rows.seconds if math.isfinite(one)]
    id_ = Problem(context, sizes, sizes).id
    return Recorded(
        "code" if target else PROGRAM if is_program else "run",
        kernel,
        variant,
        quantities,
        target=target or None,
        problem=RecordedProblem(id_, context, sizes) if context and not target else None,
        device_kind=None if target else columns.device,
        units={name: definition.unit or cells[name].unit for name, definition in definitions.items()},
        each=rows.each if is_program else (),
        seconds=seconds if len(seconds) == len(rows.seconds) else [],
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _quantity(values: Sequence[Any], definition: GateDef) -> Quantity:
    """One quantity of several rows: times as the rounds of a run, of anything else the worst."""
    if definition.kind == "text" or (definition.kind == "value" and not all(map(_is_number, values))):
        return Quantity(values[0] if len(set(values)) == 1 else ", ".join(dict.fromkeys(map(_plain, values))))
    if definition.kind == "bool":
        return Quantity(all(values) if definition.name != "impossible" else any(values))
    if not all(map(math.isfinite, values)):
        return Quantity(next(one for one in values if not math.isfinite(one)))
    if definition.unit == "s" and definition.speed:
        interval = median_interval(values) if min(values) > 0 else None
        worst = statistics.median(values) if min(values) > 0 else min(values)
        return Quantity(worst, interval, f"median of {len(values)}" if len(values) > 1 else "")
    if definition.kind == "value":
        return Quantity(values[0] if len(set(values)) == 1 else statistics.median(values))
    worst = min(values) if definition.better == "higher" else max(values)
    return Quantity(int(worst) if definition.integer and worst == int(worst) else worst)
