"""What a record says against itself: a file that was damaged, or changed by hand. Pure."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import truediv
from typing import Any

from pytest_greta.errors import shown
from pytest_greta.gates.listing import DEVICES
from pytest_greta.kernel import Problem
from pytest_greta.records.schema import NOT_FINITE
from pytest_greta.stats.shape import centre

_MEDIAN = re.compile(r"median of (\d{1,9})")
CLOSE = 1e-6
"""How far from what it is made of a number may be, relative to it: files hold all digits."""


def _of_a_program(one: Mapping[str, Any]) -> Iterator[str]:
    """What a record of a program says against itself: where in it, and what."""
    times, each = [*one["seconds"], *one["baseline_seconds"]], one.get("each", ())
    if times and min(times) <= 0:
        yield f": a round took {min(times):g} s"
    of_runs = [_number(run.get("seconds")) for run in each]
    known = [value for value in of_runs if value is not None]
    rounds = known if each and len(known) == len(of_runs) else one["seconds"]
    seconds = _number(one["quantities"].get("seconds"))
    if rounds and seconds is not None and not math.isclose(seconds, statistics.median(rounds), rel_tol=CLOSE):
        took = statistics.median(rounds)
        yield f".quantities.seconds: {seconds:g} s contradicts its own rounds, which took {took:g} s"
    for number, (of_run, of_round) in enumerate(zip(of_runs, one["seconds"], strict=False)):
        if of_run is not None and not math.isclose(of_run, of_round, rel_tol=CLOSE):
            yield f".each[{number}].seconds: {of_run:g} s contradicts its own round, which took {of_round:g} s"
    yield from _of_each(one["quantities"], each)
    speedup = one["quantities"].get("speedup")
    if speedup and speedup["interval"] and not any(one["orders"]):
        yield ".quantities.speedup: it has an interval, and no pairs that this could be of"
    for name, quantity in one["quantities"].items():
        value, (low, high) = _number(quantity), quantity["interval"] or (None, None)
        if value is not None and not (
            (-math.inf if low is None else low) <= value <= (math.inf if high is None else high)
        ):
            yield f".quantities.{name}: {value:g} is outside of its own interval"


def _number(quantity: Mapping[str, Any] | None) -> float | None:
    value = quantity["value"] if quantity else None
    return None if isinstance(value, (bool, str)) else value


def contradictions(data: Mapping[str, Any], sources: int) -> Iterable[str]:
    """What the schema cannot say, a line each. `sources` is how many sessions there are."""
    for where, session in [
        ("", data),
        *((f"sources[{i}].", s) for i, s in enumerate(data.get("sources", ()))),
    ]:
        if not _is_time(session["started"]):
            yield f"{where}started: {session['started']!r} is no time with a zone"
    for number, one in enumerate(data["measurements"]):
        where = f"measurements[{number}]"
        if "source" in one and not 0 <= one["source"] < sources:
            yield f"{where}.source: there is no such session in sources"
        if one["kind"] == "run" and (one["device_kind"] not in DEVICES or one["problem"] is None):
            yield f"{where}: a run needs a problem, and device_kind {' or '.join(DEVICES)}"
        if one["kind"] == "program":
            yield from (where + told for told in _of_a_program(one))
        yield from (where + told for told in (*_of_problem(one), *_of_pairs(one), *_of_rounds(one)))
        if one["kind"] == "code" and not one["target"]:
            yield f"{where}: code needs a target"
        if max(len(one["baseline_seconds"]), len(one["orders"])) > len(one["seconds"]):
            yield f"{where}: more pairs than timed rounds"
        for some in (one["quantities"], *one.get("each", ())):
            yield from (f"{where}.quantities.{name}: {told}" for name, told in _of_intervals(some))


def _of_intervals(quantities: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The quantities whose interval ends before it begins, by name."""
    for name, quantity in quantities.items():
        low, high = quantity["interval"] or (None, None)
        if low is not None and high is not None and low > high:
            yield name, f"the interval {[low, high]} ends before it begins"


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _of_problem(one: Mapping[str, Any]) -> Iterator[str]:
    """What the context and axes of a problem say against its id."""
    problem = one["problem"]
    if problem:
        context, axes = problem["context"], problem["axes"]
        ids = (Problem(context, {}, axes, spelled).id for spelled in (False, True))
        if problem["id"] not in ids:
            own = Problem(context, {}, axes).id
            yield f".problem.id: {problem['id']!r:.60} contradicts its own context and axes, which are {own!r:.60}"


def _of_pairs(one: Mapping[str, Any]) -> Iterator[str]:
    """What the pairs of a run say against its speedup: it is one of theirs, of programs their centre (those that were
    run again for `regression` apart, whose speedup is of the first).
    """
    quantity = one["quantities"].get("speedup")
    value = _number(quantity)
    count = min(len(one[name]) for name in ("seconds", "baseline_seconds", "orders"))
    seconds, others = one["seconds"][:count], one["baseline_seconds"][:count]
    if quantity is None or value is None or not count or min(*seconds, *others) <= 0:
        return
    ratios = [*map(truediv, others, seconds)]
    low, high = min(ratios), max(ratios)
    if one["kind"] == "program" and "regression" not in one["quantities"]:
        logs = [math.log(ratio) for ratio in ratios]
        couples = [(a + b) / 2 for a, b in zip(logs[0::2], logs[1::2], strict=False)] or logs
        low = high = math.exp(centre(couples))
    ends = [end for end in quantity["interval"] or () if end is not None]
    if low * (1 - CLOSE) <= value <= high * (1 + CLOSE) or any(_is_close(value, end) for end in ends):
        return
    told = f"{low:g}x" if low == high else f"{low:g}x to {high:g}x"
    yield f".quantities.speedup: {value:g}x contradicts its own pairs, which say {told}"


def _of_rounds(one: Mapping[str, Any]) -> Iterator[str]:
    """What the rounds of a kernel's run say against its time: their median, of the first where it ran a second time."""
    rounds = one["seconds"] if one["kind"] == "run" else ()
    for name in ("prefill_seconds", "seconds") if rounds and min(rounds) > 0 else ():
        quantity = one["quantities"].get(name)
        value = _number(quantity)
        if quantity is None or value is None:
            continue
        stated = _MEDIAN.fullmatch(quantity.get("reason", ""))
        took = statistics.median(rounds[: max(1, int(stated[1]))] if stated else rounds)
        if not _is_close(value, took):
            yield f".quantities.{name}: {value:g} s contradicts its own rounds, which took {took:g} s"


def _of_each(whole: Mapping[str, Any], each: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the runs of a program, one by one, say against what they are said to come to together."""
    for name, quantity in whole.items():
        value = quantity["value"]
        same = name.partition(":")[2] if name.startswith("deterministic:") else ""
        values = [run[same or name]["value"] for run in each if (same or name) in run]
        if value is None or not values or len(values) < len(each) or {None, *NOT_FINITE} & {*values}:
            continue
        if same:
            if len(values) > 1 and value is not all(one == values[0] for one in values):
                yield f".quantities.{name}: {shown(value)} contradicts its own runs"
        elif not _comes_to(name, quantity, values):
            yield f".quantities.{name}: {shown(value)} contradicts its own runs, which say {shown(values)}"


def _comes_to(name: str, quantity: Mapping[str, Any], values: Sequence[Any]) -> bool:
    """Whether runs with these values come to such a quantity."""
    value = quantity["value"]
    if all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (value, *values)):
        if str(quantity.get("reason", "")).startswith("median of"):
            return _is_close(value, statistics.median(values))
        return min(values) <= value <= max(values) or any(_is_close(value, one) for one in values)
    if name in ("no_errors", "readable"):
        return bool(value is all(values))
    texts = [str(one).lower() if isinstance(one, bool) else str(one) for one in values]
    return value in values or value == ", ".join(dict.fromkeys(texts))


def _is_close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=CLOSE)
