"""What greta left in the files of others, as records: JSON of pytest-benchmark, JUnit XML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from xml.parsers import expat

from pytest_greta.errors import ConfigError, printable
from pytest_greta.gates.catalogue import CATALOGUE, GateDef
from pytest_greta.gates.listing import DEVICES
from pytest_greta.gates.model import Interval, Quantity, suffix_of
from pytest_greta.history.records import historic_run
from pytest_greta.records.check import MOST_PROBLEMS
from pytest_greta.records.model import Recorded, RecordedProblem, Session, Summary

_FROM_TIMES = (
    *("prefill_seconds", "seconds", "tokens_per_second", "speedup", "tflops", "gbytes_per_second"),
    *("flops_of_peak", "bytes_of_peak", "impossible"),
)
"""What the times of a run say, which pytest-benchmark keeps; of the rest it keeps values, not their intervals."""


def _session(started: str, python: str, commit: Mapping[str, Any] | None, device: str) -> Session:
    kind, _, rest = device.partition(": ")
    name, *parts = rest.split(", ")
    stated = {"kind": kind, "name": name, "target": parts[0] if parts else "", "identity": device}
    return Session(
        greta="",
        python=python,
        pytest="",
        started=started,
        seconds=0.0,
        options={},
        commit=commit,
        gates={"file": "", "sha256": ""},
        device=stated if device else None,
        not_measured="",
        targets=[],
        exit_code=0,
    )


def _kind(device: str) -> str:
    """The kind in the identity of a device. Raises ValueError."""
    kind = device.partition(":")[0]
    if kind not in DEVICES:
        raise ValueError(f"device {device!r:.60} is none of {', '.join(DEVICES)}")
    return kind


_Found = list[tuple[Session, Recorded]]
"""Measurements, each with its session."""


def _gathered(parts: Iterable[_Found | str], nothing: str) -> Summary:
    """One file of its parts, which may be of several devices. Raises ConfigError with what is wrong with parts, or that
    there is `nothing`.
    """
    parts = list(parts)
    problems = [part for part in parts if isinstance(part, str)]
    found = [one for part in parts if not isinstance(part, str) for one in part]
    if problems or not found:
        raise ConfigError(*(problems[:MOST_PROBLEMS] or [nothing]))
    sessions = list({repr(session): session for session, _ in found}.values())
    index = {repr(session): number for number, session in enumerate(sessions)}
    measurements = [replace(recorded, source=index[repr(session)]) for session, recorded in found]
    return Summary(sessions[0], measurements, sources=sessions)


# -- pytest-benchmark ------------------------------------------------------------------------------------


def of_benchmark(data: Mapping[str, Any], shown: str) -> Summary:
    """The runs of greta that pytest-benchmark has stored. Raises ConfigError."""
    entries = data["benchmarks"]
    read = [_entry(data, entry) for entry in (entries if isinstance(entries, list) else [])]
    is_of_programs = isinstance(entries, list) and any(map(_is_of_a_program, entries))
    return _gathered(
        [
            one if isinstance(one, list) else f"{shown}: benchmarks[{n}] is damaged: {one}"
            for n, one in enumerate(read)
        ],
        f"{shown}: {OF_PROGRAMS if is_of_programs else 'none of its benchmarks is a run of greta'}",
    )


OF_PROGRAMS = (
    "it holds runs of programs alone, and not what they printed: replay their summary.json (--greta-summary)"
)


def _is_of_a_program(entry: Any) -> bool:
    info = entry.get("extra_info") if isinstance(entry, Mapping) else None
    return isinstance(info, Mapping) and str(info.get("device", "")).startswith("program on ")


def _entry(data: Mapping[str, Any], entry: Any) -> _Found | str:
    """What is in an entry, or what is wrong with it."""
    try:
        return list(_of_entry(data, entry))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return printable(str(error) if type(error) is ValueError else repr(error))[:200]


def _of_entry(data: Mapping[str, Any], entry: Mapping[str, Any]) -> Iterator[tuple[Session, Recorded]]:
    """A run, and the code that it is of. Raises ValueError and its kin."""
    info, commit = entry["extra_info"], data.get("commit_info") or {}
    read = historic_run(info, str(commit.get("id") or ""), str(data["datetime"]))
    if read is None or _is_of_a_program(entry):
        return
    (kernel, variant, context, problem, device), run = read
    known = {"id": run.commit, "branch": str(commit.get("branch") or ""), "dirty": bool(commit.get("dirty"))}
    is_known = run.commit not in ("", "unversioned", "unknown")
    python = str((data.get("machine_info") or {}).get("python_version") or "")
    session = _session(run.when.isoformat(), python, known if is_known else None, device)
    seconds, paired = (
        [float(one) for one in info["seconds"]],
        [float(one) for one in info["baseline_seconds"]],
    )
    orders = [int(order) for order in info.get("baseline_orders") or ()]
    if not set(orders) <= {-1, 0, 1} or len(orders) > min(len(paired), len(seconds)):
        raise ValueError("more orders than pairs")
    quantities = {
        str(name): Quantity(value, reason="its interval was not stored" if name == "regression" else "")
        for name, value in (info.get("quantities") or {}).items()
        if name not in _FROM_TIMES and isinstance(value, (bool, int, float, str))
    }
    sizes = {
        name: int(text) if text.isdecimal() else text for name, text in re.findall(r"(\w+)=(\S*)", problem)
    }
    sizes.pop("context", None)
    digests = {"code": str((info.get("code") or {}).get("sha256") or "")}
    yield (
        session,
        Recorded(
            "run",
            kernel,
            variant,
            quantities,
            test=str(entry.get("fullname") or ""),
            baseline=str(info["baseline"]) if info.get("baseline") else None,
            problem=RecordedProblem(str(context), context, {}, sizes),
            device_kind=_kind(device),
            units=_units(quantities),
            seconds=seconds,
            baseline_seconds=paired,
            orders=orders,
            timing=run.timing,
            digests=digests,
        ),
    )
    for target, taken in (info.get("resources") or {}).items():
        values = {
            str(name): Quantity(value)
            for name, value in taken.items()
            if isinstance(value, (int, type(None)))
        }
        yield session, Recorded("code", kernel, variant, values, target=str(target), units=_units(values))


def _units(quantities: Mapping[str, Quantity]) -> dict[str, str]:
    return {name: CATALOGUE[name].unit for name in quantities if name in CATALOGUE}


# -- JUnit -----------------------------------------------------------------------------------------------


_EVERY_PROGRAM = "greta exit_status"
"""The property that tests of programs have, and none of kernels."""


def junit(content: bytes, shown: str) -> Summary:
    """The verdicts in the properties of JUnit, as what was measured: rounded as they are shown, and without the times
    of single rounds. Raises ConfigError, also for a document type, whose entities could be anything.
    """
    cases = _cases(content, shown)
    read = [_case(*case) for case in cases]
    is_of_programs = any(_EVERY_PROGRAM in dict(properties) for _, _, properties in cases)
    return _gathered(
        [one if isinstance(one, list) else f"{shown}: {one}" for one in read],
        f"{shown}: {OF_PROGRAMS if is_of_programs else 'no testcase has properties of greta'}",
    )


def _case(started: str, case: str, properties: list[tuple[str, str]]) -> _Found | str:
    """What is in a test case, or what is wrong with it."""
    try:
        return list(_of_case(started, case, properties))
    except ValueError as error:
        return printable(f"testcase {case}: {error}")


_Case = tuple[str, str, list[tuple[str, str]]]
"""When its suite began, its name, and its properties."""


def _cases(content: bytes, shown: str) -> list[_Case]:
    cases: list[_Case] = []
    started, within = "", False

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal started, within
        if tag == "testsuite":
            started = attributes.get("timestamp", "")
        elif tag == "testcase":
            within = True
            cases.append((started, f"{attributes.get('classname', '')}::{attributes.get('name', '')}", []))
        elif tag == "property" and within:
            cases[-1][2].append((attributes.get("name", ""), attributes.get("value", "")))

    def end(tag: str) -> None:
        nonlocal within
        within = within and tag != "testcase"

    def refuse(*_: object) -> None:
        raise ConfigError(f"{shown}: it has a document type, which no JUnit file needs")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        where = f"{shown}:{error.lineno}:{error.offset + 1}"
        raise ConfigError(f"{where}: not XML: {expat.ErrorString(error.code)}") from None
    return cases


def _of_case(
    started: str, case: str, properties: list[tuple[str, str]]
) -> Iterator[tuple[Session, Recorded]]:
    """The measurements of one test: of code by target, of a run. Raises ValueError."""
    ours = [(name.removeprefix("greta "), value) for name, value in properties if name.startswith("greta ")]
    said = {name: value for name, value in ours if name in ("kernel", "device", "baseline")}
    if not ours or _EVERY_PROGRAM in dict(properties):
        return
    if not {"kernel", "device"} <= said.keys():
        raise ValueError(
            "it does not say of which kernel and device: another version of greta has written it"
        )
    session = _session(started, "", None, said["device"])
    groups: dict[tuple[bool, str, str], dict[str, Quantity]] = {}
    for name, line in ours:
        if name not in CATALOGUE:
            continue
        variant, where, quantity = _of_line(CATALOGUE[name], line)
        groups.setdefault((CATALOGUE[name].source == "code", variant, where), {})[name] = quantity
    for (is_code, variant, where), quantities in groups.items():
        context = re.match(r"\d+", where)
        if not (is_code or context):
            raise ValueError(f"{where!r} is no problem: it begins with no context")
        problem = None if is_code or not context else RecordedProblem(where, int(context[0]), is_by_id=True)
        recorded = Recorded(
            "code" if is_code else "run",
            said["kernel"],
            variant,
            quantities,
            test=case,
            baseline=None if is_code else said.get("baseline"),
            target=where.partition(" ")[0] if is_code else None,
            problem=problem,
            device_kind=None if is_code else _kind(said["device"]),
            units=_units(quantities),
        )
        yield session, recorded


_LINE = re.compile(
    r"\S.*?  (?P<variant>\S.*?) @ (?P<where>\S.*?)  (?P<gate>\S.*?)"
    r"(?:   (?:measured|found) (?P<value>\S.*?))?   (?P<status>[A-Z ]+?)(?: \((?P<reason>.*)\))?"
)


def _of_line(definition: GateDef, line: str) -> tuple[str, str, Quantity]:
    """The line of a verdict: variant, problem or target, and what was measured. Raises ValueError."""
    read = _LINE.fullmatch(line)
    if read is None:
        raise ValueError(f"{line!r:.120} is no verdict")
    reason = read["reason"] or ""
    text, status = read["value"], read["status"]
    if text is None:
        return read["variant"], read["where"], Quantity(None, reason=reason or status)
    if definition.kind == "text":
        return read["variant"], read["where"], Quantity(text)
    if definition.kind == "bool":
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return read["variant"], read["where"], Quantity(text == "true")
    value, _, ends = text.partition(" [")
    number = _number(value.removesuffix(suffix_of(definition)), definition)
    interval = None
    if ends:
        low, high = (_number(end, definition) for end in ends.removesuffix("]").split(", "))
        interval = Interval(low, high)
    return read["variant"], read["where"], Quantity(number, interval)


def _number(text: str, definition: GateDef) -> float:
    number = float(text)
    return int(number) if definition.integer and math.isfinite(number) and number.is_integer() else number
