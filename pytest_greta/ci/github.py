"""GitHub Actions: workflow commands that annotate lines, and the summary of a job.

Sources: GitHub Docs, "Workflow commands for GitHub Actions"; actions/toolkit, `command.ts` (escapes) and
"Problem Matchers" (limits).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_greta.ci.marks import Spot

MOST = 10
"""Errors of one step that GitHub shows; it drops the others without a word."""
_MOST_LINES = 20
"""Of one annotation."""
MOST_SUMMARY_BYTES = 1 << 20
"""Of all that a step appends to the summary of its job. More of it, and GitHub shows none."""
SUMMARY = "GITHUB_STEP_SUMMARY"


def is_here(environment: Mapping[str, str]) -> bool:
    """Whether this runs in a step of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def commands(spots: Sequence[Spot]) -> list[str]:
    """An `::error` for each place, in their order; where there are more than GitHub shows, the last says how many."""
    if len(spots) <= MOST:
        return list(map(_command, spots))
    left = spots[MOST - 1 :]
    gates = sum(len(spot.marks) for spot in left)
    more = f"{gates} more at {len(left)} places: see the table of the log, or the report"
    return [*map(_command, spots[: MOST - 1]), f"::error title=greta::{escaped(more)}"]


def _command(spot: Spot) -> str:
    named = ", ".join(spot.gates[:3]) + (", ..." if len(spot.gates) > 3 else "")
    texts = list(dict.fromkeys(mark.text for mark in spot.marks))
    lines = (
        texts if len(texts) <= _MOST_LINES else [*texts[:_MOST_LINES], f"and {len(texts) - _MOST_LINES} more"]
    )
    where = {"file": spot.file, "line": spot.line, "col": spot.column}
    given = [f"{key}={escaped_property(str(value))}" for key, value in where.items() if value]
    given.append(f"title={escaped_property(f'greta: {named}')}")
    return f"::error {','.join(given)}::{escaped(chr(10).join(lines))}"


def escaped(text: str) -> str:
    """The message of a command: it stands on one line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escaped_property(text: str) -> str:
    """A value among the properties of a command."""
    return escaped(text).replace(":", "%3A").replace(",", "%2C")


def append_summary(path: Path, tables: Path) -> str:
    """Append Markdown to the summary of the job. Gives why not, where it cannot be; empty where it is there."""
    try:
        text = tables.read_bytes()
        size = path.stat().st_size if path.exists() else 0
        if size + len(text) + 1 > MOST_SUMMARY_BYTES:
            return f"{tables.name} is larger than a job's summary may be: it is among the files of the report alone"
        with path.open("ab") as file:
            file.write(text + b"\n")
    except OSError as error:
        return f"the summary of the job cannot be written: {error.strerror or error}"
    return ""
