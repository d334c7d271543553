"""How a case is run and read, as gates.yaml says: what a record keeps of it, so that it is known again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_greta.gates.programs import OutputSpec, ProgramEntry
from pytest_greta.kernel import Problem
from pytest_greta.programs.journal import key_of
from pytest_greta.programs.place import invocation_of

_CODE = {
    "command": "its arguments",
    "environment": "its environment",
    "read": "where its output is read",
    "baseline": "the command of its baseline",
}
"""What makes it other code, with the words for it."""


def recipe_of(entry: ProgramEntry, variant: str, problem: Problem, baseline: str) -> dict[str, str]:
    """Digests of command and environment, filled in (of the `baseline` it runs beside as well, if any), of what reads
    its output and errors; the names of its time and of what says how much it processed.
    """
    output = entry.output
    found = {
        **_digests(entry, variant, problem),
        "read": key_of([output.kind, output.source])[:16],
        "errors": key_of([entry.errors])[:16],
        "time": _time(output),
        "processed": output.processed,
    }
    beside = [*_digests(entry, baseline, problem).values()] if baseline in entry.variants else []
    return {**found, "baseline": key_of(beside)[:16]} if beside else found


def _digests(entry: ProgramEntry, variant: str, problem: Problem) -> dict[str, str]:
    one = invocation_of(entry, variant, problem, Path(), serialize=False)
    return {
        "command": key_of([*one.words])[:16],
        "environment": key_of([one.asked()["environment"]])[:16],
    }


def _time(output: OutputSpec) -> str:
    return f"{output.time} in {output.units.get(output.time, 's')}" if output.time else "wall_seconds"


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What makes the code of a record another than today's, in words. What it does not say does not differ."""
    return [
        words for name, words in _CODE.items() if name in then and name in now and then[name] != now[name]
    ]


def no_longer(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """The quantities of a record that gates.yaml means something else by today, each with why."""
    found: dict[str, str] = {}
    for name, quantities in (
        ("time", ("seconds", "speedup", "regression", "scaling")),
        ("processed", ("processed",)),
        ("errors", ("no_errors",)),
    ):
        if name in then and then[name] != now[name]:
            stated = (
                "" if name == "errors" else f" {then[name] or 'none'}, gates.yaml says {now[name] or 'none'}"
            )
            reason = f"recorded with the {name}{stated}" if stated else "recorded with other `errors`"
            found |= dict.fromkeys(quantities, reason)
    return found
