"""What a stored entry is grouped by: `pytest-benchmark compare --group-by=param:greta_problem` ends in an error
where one entry lacks it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_greta.compiler.cache import write_whole

PROBLEM = "greta_problem"


def with_problem(params: Mapping[str, Any] | None, info: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an entry of greta's, with the problem that `extra_info` names where they lack one: entries of
    0.1.0 have the context in its place, those of programs the whole case.
    """
    params = params or {}
    problem = params.get("greta_context", str(info["problem"]).removeprefix("context="))
    return {**params, PROBLEM: str(params.get(PROBLEM, problem))}


def complete_stored(folder: Path) -> None:
    """Give entries that were stored before what later ones have. One that cannot be read or written stays as it is."""
    for file in folder.glob("*/[0-9][0-9][0-9][0-9]_*.json"):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            _complete(file)


def _complete(file: Path) -> None:
    """Raises OSError, and ValueError, TypeError, KeyError or AttributeError for what is damaged."""
    text = file.read_bytes()
    if text.count(b'"greta_problem": ') >= text.count(
        b'"baseline_code": '
    ):  # which each entry of greta's has once
        return
    stored = json.loads(text)
    lacking = [one for one in stored["benchmarks"] if _is_lacking(one)]
    for one in lacking:
        one["params"] = with_problem(one["params"], one["extra_info"])
    if lacking:
        write_whole(file, json.dumps(stored, indent=4).encode())


def _is_lacking(entry: Mapping[str, Any]) -> bool:
    info = entry["extra_info"]
    return "baseline_code" in info and "problem" in info and PROBLEM not in (entry["params"] or {})
