"""The format of summary.json as a JSON Schema: `python -m pytest_greta.records.schema` prints it.

`check.py` reads files by it, so that there is one description of the format.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from typing import Any

from pytest_greta.gates.model import Status

VERSION = 1
KINDS = ("code", "run", "artifact", "program")
STOPPED = (Status.NOT_MEASURED.value, Status.BLOCKED.value, Status.FAIL.value)
"""What a test can be that could not evaluate its gates."""
NOT_FINITE = ("NaN", "Infinity", "-Infinity")
"""Numbers that JSON has not, as texts in the place of a value."""

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_WHOLE = {"type": "integer"}
_FLAG = {"type": "boolean"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_MAYBE_NUMBER = {"type": ["number", "null"]}
_VALUE = {"type": ["number", "boolean", "string", "null"]}
_TEXTS = {"type": "array", "items": _TEXT}
_NUMBERS = {"type": "array", "items": _NUMBER}
_INTERVAL = {"type": ["array", "null"], "items": _MAYBE_NUMBER, "minItems": 2, "maxItems": 2}
_SIZES = {"type": "object", "additionalProperties": {"type": ["integer", "string"]}}
_ANYTHING = {"type": ["object", "null"]}


def _object(optional: dict[str, Any] | None = None, **required: Any) -> dict[str, Any]:
    """An object that has these keys, and may have those and others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def _header() -> dict[str, Any]:
    """What a session says of itself."""
    return {
        "greta": _TEXT,
        "python": _TEXT,
        "pytest": _TEXT,
        "started": {"type": "string", "format": "date-time"},
        "seconds": _NUMBER,
        "options": {"type": "object"},
        "commit": _or_null(_object(id=_TEXT, branch=_MAYBE_TEXT, dirty=_FLAG)),
        "gates": _object(file=_TEXT, sha256=_TEXT),
        "device": _or_null(_object(kind=_TEXT, identity=_TEXT)),
        "not_measured": _TEXT,
        "targets": _TEXTS,
        "exit_code": _WHOLE,
    }


def _quantity() -> dict[str, Any]:
    optional = {"reason": _TEXT, "excused": _FLAG}
    return _object(optional, value=_VALUE, unit=_TEXT, interval=_INTERVAL)


def _verdict() -> dict[str, Any]:
    over_contexts = "Of a quantity over contexts: how many times its smallest value the largest may be."
    return _object(
        {"max_ratio": {**_MAYBE_NUMBER, "description": over_contexts}},
        gate=_TEXT,
        place=_TEXT,
        line=_WHOLE,
        limit=_TEXT,
        min=_MAYBE_NUMBER,
        max=_MAYBE_NUMBER,
        above=_MAYBE_NUMBER,
        equals={"type": ["boolean", "number", "string", "null"]},
        outputs=_TEXTS,
        value=_VALUE,
        interval=_INTERVAL,
        unit=_TEXT,
        measured=_TEXT,
        status={"enum": [status.value for status in Status if status is not Status.BLOCKED]},
        reason=_TEXT,
    )


def _measurement() -> dict[str, Any]:
    optional = {
        "carries": {
            **_NUMBERS,
            "description": "What each launch did to the time of the next, as a log-ratio.",
        },
        "resolution": {**_NUMBER, "description": "What a coarse clock may do to a log-ratio."},
        "each": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": _quantity()},
            "description": "Of a program: the quantities of every run.",
        },
        "recipe": {
            "type": "object",
            "additionalProperties": _TEXT,
            "description": "Of a program: digests of its command, of its environment, of its baseline's and of what "
            "reads its output and errors; the names of its time and of what it processed.",
        },
        "source": {**_WHOLE, "description": "Of a merged file: which of `sources` it is of."},
    }
    problem = _object({"sizes": _SIZES}, id=_TEXT, context=_WHOLE, axes=_SIZES)
    return _object(
        optional,
        test=_TEXT,
        outcome=_TEXT,
        kind={"enum": list(KINDS)},
        kernel=_TEXT,
        variant=_TEXT,
        baseline=_MAYBE_TEXT,
        target=_MAYBE_TEXT,
        problem=_or_null(problem),
        device_kind=_MAYBE_TEXT,
        untimed=_TEXT,
        quantities={"type": "object", "additionalProperties": _quantity()},
        seconds={**_NUMBERS, "description": "Of the timed rounds, in their order."},
        baseline_seconds={
            **_NUMBERS,
            "description": "Of the baseline; the i-th is paired with the i-th of `seconds`.",
        },
        orders={
            "type": "array",
            "items": {"enum": [-1, 0, 1]},
            "description": "Of the pairs: 1 where the baseline was launched first, -1 last, 0 where nobody knows.",
        },
        timing=_TEXT,
        telemetry=_ANYTHING,
        digests=_object({"family": _TEXT}, code=_TEXT, source=_TEXT),
        verdicts={"type": "array", "items": _verdict()},
        notes=_TEXTS,
        recorded=_TEXT,
    )


def _stopped() -> dict[str, Any]:
    optional = {"source": _WHOLE}
    texts = dict.fromkeys(("test", "kernel", "variant", "where", "reason"), _TEXT)
    return _object(optional, **texts, status={"enum": list(STOPPED)})


def _due() -> dict[str, Any]:
    """Entries are kernel, place and condition; those of greta.lock what they are of, part, target, symbol and place."""
    entries, gone = (
        {"type": "array", "items": {**_TEXTS, "minItems": length, "maxItems": length}} for length in (3, 5)
    )
    return {
        **_or_null(
            _object(left=entries, evaluated=entries, gone=_or_null(gone), read=_TEXTS, required=_FLAG)
        ),
        "description": "Of a part of a session: what it leaves to the others.",
    }


@cache
def schema() -> dict[str, Any]:
    """The format of summary.json as a JSON Schema (draft 2020-12). Keys that it does not name are allowed."""
    cases = {"type": "array", "items": {"type": "array", "items": _TEXT, "minItems": 4, "maxItems": 4}}
    sources = {
        "type": "array",
        "items": _object(**_header()),
        "description": "The sessions of a merged file.",
    }
    whole = _object(
        {"sources": sources, "due": _due()},
        greta_summary={"const": VERSION},
        **_header(),
        measurements={"type": "array", "items": _measurement()},
        stopped={"type": "array", "items": _stopped()},
        unevaluated=_TEXTS,
        left_out={**cases, "description": "Kernel, variant, problem or target, and why."},
        lock=_TEXTS,
        notes=_TEXTS,
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "summary.json of pytest-greta",
        **whole,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
