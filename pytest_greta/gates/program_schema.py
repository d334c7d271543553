"""The programs of gates.yaml in its JSON Schema."""

from __future__ import annotations

from typing import Any

from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.program_reader import MOST_REPEATS, SOURCES
from pytest_greta.gates.programs import PROGRAM_GATES, VALUE_LIMITS
from pytest_greta.gates.schema_parts import an_object, by_name, gate_schema
from pytest_greta.gates.values import scopes_of

_TEXT = {"type": "string", "minLength": 1}
_TEMPLATE = {"type": ["string", "number", "boolean"]}
"""What stands there is taken as text."""
_COUNT = {"type": "integer", "minimum": 1}
_REPEATS = {**_COUNT, "maximum": MOST_REPEATS}


def program() -> dict[str, Any]:
    """What stands under the name of a program."""
    words = {"anyOf": [_TEMPLATE, {"type": "array", "items": _TEMPLATE, "minItems": 1}]}
    environment = by_name(_TEMPLATE)
    variant = an_object({"command": words, "environment": environment}, required=["command"])
    axes = {
        "type": "object",
        "properties": {"context": {"$ref": "#/$defs/contexts"}},
        "required": ["context"],
        "additionalProperties": {"$ref": "#/$defs/size"},
        "propertyNames": {"minLength": 1},
    }
    problem = {"anyOf": [_COUNT, axes]}
    contexts = {
        "type": "object",
        "propertyNames": {"pattern": "^0*[1-9][0-9]*$"},
        "additionalProperties": _REPEATS,
    }
    described = {
        "variants": (
            "Commands by variant, as lists of words.",
            by_name({"anyOf": [*words["anyOf"], variant]}),
        ),
        "contexts": ("Contexts to run.", {"$ref": "#/$defs/contexts"}),
        "problems": (
            "Problems to run: contexts, and combinations of a context with other axes.",
            {"anyOf": [*problem["anyOf"], {"type": "array", "items": problem, "minItems": 1}]},
        ),
        "baseline": ("Variant that speedups are measured against.", _TEXT),
        "repeats": (
            "Runs of each problem, or by context.",
            {"anyOf": [_REPEATS, {**contexts, "minProperties": 1}]},
        ),
        "environment": ("Environment variables besides those of pytest.", environment),
        "folder": ("Where it runs, from the folder of this file.", _TEMPLATE),
        "output": ("Where its quantities come from.", _output()),
        "errors": ("A regular expression: lines of the output that say that it failed.", _TEXT),
        "blocked": (
            "A regular expression: lines of a failed run that say that the machine is at fault.",
            _TEXT,
        ),
        "on": ("The node that it runs on: ssh://[user@]host[:port].", _TEXT),
        "model": ("A gguf file, whose context limit is checked before a run.", _TEMPLATE),
        "gates": (
            'Gates by variant; "*" stands for every variant.',
            by_name({"$ref": "#/$defs/program_gates"}, but_not=[*CATALOGUE, *PROGRAM_GATES]),
        ),
    }
    properties = {name: {"description": text, **value} for name, (text, value) in described.items()}
    return an_object(properties, required=["variants"])


def _output() -> dict[str, Any]:
    sources = {"json_marker": _TEXT, "json_lines": {"const": True}, "csv": _TEMPLATE, "regex": _TEXT}
    names = {"units": by_name(_TEXT), "time": _TEXT, "processed": _TEXT}
    return {**an_object({**sources, **names}), "oneOf": [{"required": [name]} for name in SOURCES]}


def program_gates() -> dict[str, Any]:
    """The gates of a variant of a program: those on what is measured of every program, and those on what it prints."""
    fixed = [gate.name for gate in PROGRAM_GATES.values() if not gate.limits]
    own = {gate.name: gate_schema(gate, scopes_of(gate)) for gate in PROGRAM_GATES.values() if gate.limits}
    printed = _value()
    return {**by_name(printed, but_not=fixed), "properties": own}


def _value() -> dict[str, Any]:
    """Limits of what a program prints: a number, a text or a bool. A number alone could be any limit."""
    anything, number = {"type": ["number", "string", "boolean"]}, {"type": "number", "minimum": 0}
    limits = {name: anything if name == "equals" else number for name in VALUE_LIMITS}
    limits["max_ratio_over_contexts"] = {"type": "number", "minimum": 1}
    one_limit = [{"required": [name]} for name in limits]
    reason = {**_TEXT, "description": "Why the limit does not hold yet."}
    expected = {
        "description": "A known failure of the limit, and its bound.",
        **an_object({**limits, "reason": reason}, required=["reason"]),
        "oneOf": one_limit,
    }
    scopes = {scope: {"$ref": f"#/$defs/{scope}"} for scope in ("contexts", "where")}
    entry = {**an_object({**limits, **scopes, "expect": expected}), "anyOf": one_limit}
    either = [{"type": ["string", "boolean"]}, entry]
    several = {"type": "array", "items": {"anyOf": either}, "minItems": 1}
    return {"description": "A quantity that the program prints.", "anyOf": [*either, several]}
