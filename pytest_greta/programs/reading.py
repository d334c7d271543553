"""The output of a program to quantities: JSON behind a marker, JSON lines, CSV, groups of a regular expression."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from pytest_greta.errors import quote
from pytest_greta.gates.programs import OutputSpec
from pytest_greta.programs.written import MOST_BYTES, Before, not_written

Value = float | bool | str
"""What one quantity is."""
MOST_NAMES = 10_000
"""Of the quantities of one run."""
MOST_CHARACTERS = 200
"""Of a text; of a longer one the beginning is kept, and its digest in the place of the rest."""


class Reading(Protocol):
    """Reads quantities from lines as they come."""

    def look(self, lines: bytes, number: int) -> None:
        """Look at some lines; `number` is that of the first."""

    def result(self) -> tuple[dict[str, Value], str]:
        """What was found, and what is wrong with it: one line, empty where nothing is."""


def reading_of(output: OutputSpec) -> Reading:
    """What reads such an output. A CSV file is read by `read_csv`, when the program has ended."""
    if output.kind == "json_marker":
        return JsonMarker(output.source)
    if output.kind == "json_lines":
        return JsonLines()
    if output.kind == "regex":
        return Groups(output.source)
    return CsvLines() if output.kind == "csv" and output.source == "stdout" else Nothing()


class Nothing:
    """Reads nothing."""

    def look(self, lines: bytes, number: int) -> None:
        """Nothing is looked for."""

    def result(self) -> tuple[dict[str, Value], str]:
        """Nothing was found, and nothing is wrong."""
        return {}, ""


class JsonMarker:
    """JSON behind a marker, on one line that is there once."""

    def __init__(self, marker: str) -> None:
        self._marker, self._text = marker, marker.encode()
        self._found: list[tuple[int, bytes]] = []

    def look(self, lines: bytes, number: int) -> None:
        """Look for the marker."""
        at = self._next(lines, 0)
        while at >= 0 and len(self._found) < 2:
            end = lines.find(b"\n", at)
            end = len(lines) if end < 0 else end
            self._found.append((number + lines.count(b"\n", 0, at), lines[at + len(self._text) : end]))
            at = self._next(lines, end)

    def _next(self, lines: bytes, begin: int) -> int:
        """Where the marker is as a whole word; -1 where it is not."""
        at = lines.find(self._text, begin)
        while at >= 0:
            end = at + len(self._text)
            is_part = _are_one_word(lines[at - 1 : at], self._text[:1]) or _are_one_word(
                self._text[-1:], lines[end : end + 1]
            )
            if not is_part:
                break
            at = lines.find(self._text, end)
        return at

    def result(self) -> tuple[dict[str, Value], str]:
        """The quantities of the one line."""
        if not self._found:
            return {}, f"no line of the output has {self._marker}"
        if len(self._found) > 1:
            first, second = (str(number) for number, _ in self._found)
            return (
                {},
                f"{self._marker} is there twice, in line {first} and in line {second}: which one counts?",
            )
        number, text = self._found[0]
        found, problem = from_json(text)
        return found, f"line {number}, behind {self._marker}: {problem}" if problem else ""


def _are_one_word(one: bytes, next_one: bytes) -> bool:
    """Whether two characters that stand side by side are of one word."""
    return re.fullmatch(rb"\w\w", one + next_one) is not None


class JsonLines:
    """Lines that are JSON objects; of a name that is there several times, the last counts."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._problem = ""
        self._any = False

    def look(self, lines: bytes, number: int) -> None:
        """Read those that begin like an object."""
        for offset, line in enumerate(lines.splitlines()):
            if line.lstrip().startswith(b"{"):
                found, problem = from_json(line)
                self._any = True
                self._values.update(found)
                if len(self._values) > MOST_NAMES:
                    self._values, problem = {}, f"more than {MOST_NAMES} names"
                self._problem = self._problem or (f"line {number + offset}: {problem}" if problem else "")

    def result(self) -> tuple[dict[str, Value], str]:
        """All quantities."""
        return self._values, self._problem or ("" if self._any else "no line of the output is a JSON object")


class Groups:
    """The named groups of a regular expression, each of which is found in one line."""

    def __init__(self, expression: str) -> None:
        self._expression = re.compile(expression)
        self._values: dict[str, Value] = {}
        self._lines: dict[str, int] = {}
        self._problem = ""

    def look(self, lines: bytes, number: int) -> None:
        """Look for the expression in each line."""
        for offset, line in enumerate(lines.decode(errors="replace").splitlines()):
            for match in self._expression.finditer(line):
                for name, text in match.groupdict().items():
                    if text is None:
                        continue
                    first = self._lines.setdefault(name, number + offset)
                    if name in self._values:
                        twice = f"in line {first} and in line {number + offset}: which one counts?"
                        self._problem = self._problem or f"{name} is there twice, {twice}"
                    self._values[name] = _value(text)

    def result(self) -> tuple[dict[str, Value], str]:
        """All groups."""
        missing = [name for name in self._expression.groupindex if name not in self._values]
        if missing and not self._problem:
            return self._values, f"no line of the output has {', '.join(missing)}"
        return self._values, self._problem


class CsvLines:
    """CSV on standard output, from a line of names on; the last row counts."""

    def __init__(self) -> None:
        self._first, self._last = b"", b""
        self._rows = 0

    def look(self, lines: bytes, number: int) -> None:
        """Keep the first line and the last."""
        for line in lines.splitlines():
            if line.strip():
                self._first, self._last = self._first or line, line
                self._rows += 1

    def result(self) -> tuple[dict[str, Value], str]:
        """The last row."""
        if self._rows < 2:
            return {}, "the output has no row of CSV below one of names"
        return _row([line.decode(errors="replace") for line in (self._first, self._last)])


def read_csv(before: Before) -> tuple[dict[str, Value], str]:
    """The last row of a CSV file, and what is wrong with it. `before` is what it was when the program began."""
    path = before.path
    try:
        why = not_written(before)
        if why:
            return {}, f"{path} was not written by this run: {why}"
        size = path.stat().st_size
        if size > MOST_BYTES:
            return {}, f"{path} has {size} bytes, more than {MOST_BYTES}"
        lines = [
            line
            for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
            if line.strip()
        ]
    except OSError as error:
        return {}, f"{path} cannot be read: {error.strerror or error}"
    return _row([lines[0], lines[-1]]) if len(lines) > 1 else ({}, f"{path} has no row below one of names")


def _row(lines: list[str]) -> tuple[dict[str, Value], str]:
    names, values = csv.reader(lines)
    if len(names) != len(values):
        return {}, f"the row of CSV has {len(values)} fields, and there are {len(names)} names"
    return {
        name.strip(): _value(value) for name, value in zip(names, values, strict=True) if value.strip()
    }, ""


def from_json(text: bytes) -> tuple[dict[str, Value], str]:
    """The quantities of a JSON object, those of objects in it with a point: `timings.prefill_s`."""
    try:
        data = json.loads(text.decode(errors="replace"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        return {}, f"not valid JSON: {error}" if isinstance(error, ValueError) else "nested too deeply"
    if not isinstance(data, dict):
        return {}, "not a JSON object"
    return dict(_flat(data, "")), ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = (
        next((name for name in names if names.count(name) > 1), None)
        if len(set(names)) < len(names)
        else None
    )
    if twice is not None:
        raise ValueError(f"the name {quote(twice)} is there twice")
    return dict(pairs)


def _flat(data: Mapping[str, Any], before: str) -> list[tuple[str, Value]]:
    found: list[tuple[str, Value]] = []
    for name, value in data.items():
        if isinstance(value, dict):
            found += _flat(value, f"{before}{name}.")
        elif isinstance(value, (bool, int, float, str)):
            found.append((before + name, _kept(value)))
    return found


def _kept(value: Value) -> Value:
    """A value as it is kept: a whole number beyond the range of a double is infinite, as one with an exponent is."""
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        return math.copysign(math.inf, 1 if value > 0 else -1)
    return value


def shortened(text: str) -> str:
    """A text that can be shown and kept, and is equal to another only if the whole of both is."""
    if len(text) <= MOST_CHARACTERS:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[:MOST_CHARACTERS]}... ({len(text)} characters, SHA-256 {digest})"


def _value(text: str) -> Value:
    """A number where a text reads like one."""
    stripped = text.strip()
    if re.fullmatch(r"[-+]?\d{1,300}", stripped):
        return int(stripped)
    try:
        number = float(stripped)
    except ValueError:
        return shortened(stripped)
    is_said = math.isfinite(number) or stripped.lower().strip("+-") in ("inf", "infinity", "nan")
    return number if is_said else shortened(stripped)  # a number beyond the range of a double is not infinite
