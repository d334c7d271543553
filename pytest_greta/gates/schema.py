"""The format of gates.yaml as a JSON Schema, for editors: `python -m pytest_greta.gates.schema` prints it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from pytest_greta.gates.catalogue import CATALOGUE, GateDef
from pytest_greta.gates.listing import DEVICES
from pytest_greta.gates.reader import CACHES, INCONCLUSIVE, OF_ARTIFACTS
from pytest_greta.gates.values import VERSION, scopes_of
from pytest_greta.sources import TARGET

_POSITIVE = {"type": "number", "exclusiveMinimum": 0}


def schema() -> dict[str, Any]:
    """The format of gates.yaml as a JSON Schema (draft 2020-12), for editors.

    It accepts every file that `load` accepts. What needs to compare two places of a file (a minimum above a
    maximum, a scope that is not listed, two entries for the same run) only `load` finds.
    """
    context = {"type": "integer", "minimum": 1}
    scopes: dict[str, dict[str, Any]] = {
        "targets": {"type": "string", "pattern": f"^{TARGET}$"},
        "contexts": context,
        "devices": {"enum": list(DEVICES)},
        "outputs": {"type": "string", "minLength": 1},
    }
    size = {"anyOf": [context, {"type": "string", "minLength": 1}]}
    definitions = {name: _some(item) for name, item in scopes.items()}
    definitions["size"] = _some(size)
    definitions["where"] = {
        "description": "Other axes of the problem, with the values for which this applies.",
        **_names({"$ref": "#/$defs/size"}, but_not=["context", "target", "device"]),
    }
    definitions["gates"] = _object(
        {d.name: _gate_schema(d, scopes_of(d)) for d in CATALOGUE.values() if d.limits}
    )
    definitions["artifact_gates"] = _object(
        {name: _gate_schema(CATALOGUE[name], ("targets",)) for name in OF_ARTIFACTS}
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gates.yaml of pytest-greta",
        **_object(
            {
                "version": {"const": VERSION},
                "targets": {
                    "description": "What code is generated for without a GPU.",
                    "$ref": "#/$defs/targets",
                },
                "peaks": {
                    "description": "What devices can do at best, by product name or target.",
                    **_names(_object({"tflops": _POSITIVE, "gbytes_per_second": _POSITIVE})),
                },
                "inconclusive": {
                    "description": "What a verdict that could not be reached means for its test.",
                    "enum": list(INCONCLUSIVE),
                },
                "kernels": _names(_object(_kernel(), required=["baseline"])),
                "artifacts": {
                    "description": "Files that were built elsewhere, and the gates of their kernels.",
                    **_names(_artifact()),
                },
            },
            required=["version"],
        ),
        "anyOf": [{"required": ["kernels"]}, {"required": ["artifacts"]}],
        "$defs": definitions,
    }


def _artifact() -> dict[str, Any]:
    """What stands under the name of an artifact."""
    files = _some({"type": "string", "minLength": 1})
    gates = {
        "description": 'Gates by pattern of names; "*" stands for every kernel.',
        **_names({"$ref": "#/$defs/artifact_gates"}, but_not=list(CATALOGUE)),
    }
    whole = _object(
        {
            "files": {"description": "Files or globs, relative to the folder of this file.", **files},
            "gates": gates,
        },
        required=["files"],
    )
    return {"anyOf": [*files["anyOf"], whole]}


def _kernel() -> dict[str, Any]:
    """What stands under the name of a kernel."""
    problem = {"anyOf": [{"type": "integer", "minimum": 1}, _problem()]}
    baseline = {"type": "string", "minLength": 1}
    narrowed = _object({"variant": baseline, "where": {"$ref": "#/$defs/where"}}, required=["variant"])
    either = {"anyOf": [baseline, narrowed]}
    return {
        "baseline": {
            "description": "Variant that speedups are measured against; of several, the first that can run a problem.",
            "anyOf": [*either["anyOf"], {"type": "array", "items": either, "minItems": 1}],
        },
        "contexts": {
            "description": "Contexts to run, by device.",
            **_object({device: {"$ref": "#/$defs/contexts"} for device in DEVICES}),
        },
        "problems": {
            "description": "Problems to run, by device: contexts, and combinations of a context with other axes.",
            **_object(
                {
                    device: {"anyOf": [*problem["anyOf"], {"type": "array", "items": problem, "minItems": 1}]}
                    for device in DEVICES
                }
            ),
        },
        "caches": {
            "description": "What caches hold before a launch that is timed.",
            "enum": list(CACHES),
        },
        "gates": {
            "description": 'Gates by variant; "*" stands for every variant.',
            **_names({"$ref": "#/$defs/gates"}, but_not=list(CATALOGUE)),
        },
    }


def _problem() -> dict[str, Any]:
    """A context, and other axes by name."""
    return {
        "type": "object",
        "properties": {"context": {"$ref": "#/$defs/contexts"}},
        "required": ["context"],
        "additionalProperties": {"$ref": "#/$defs/size"},
        "propertyNames": {"minLength": 1},
    }


def _gate_schema(definition: GateDef, narrowed_by: Sequence[str]) -> dict[str, Any]:
    limit: dict[str, Any] = {"type": "boolean"}
    if definition.kind == "text":
        limit = {"type": "string", "minLength": 1}
    elif definition.kind == "number":
        bound = "exclusiveMinimum" if definition.positive else "minimum"
        limit = {"type": "integer" if definition.integer else "number", bound: 0}
    limits = dict.fromkeys(definition.limits, limit)
    scopes = {scope: {"$ref": f"#/$defs/{scope}"} for scope in narrowed_by}
    one_limit = [{"required": [name]} for name in limits]
    reason = {"type": "string", "minLength": 1, "description": "Why the limit does not hold yet."}
    expected = {
        "description": "A known failure of the limit, and its bound.",
        **_object({**limits, "reason": reason}, required=["reason"]),
        "oneOf": one_limit,
    }
    entry = {**_object({**limits, **scopes, "expect": expected}), "anyOf": one_limit}
    if "atol" in limits:
        entry["properties"].pop("expect")
    alone = [] if "atol" in limits else [limit]  # what a bare number would mean, nothing says
    either = {"anyOf": [*alone, entry]}
    several = {"type": "array", "items": either, "minItems": 1}
    unit = f" [{definition.unit}]" if definition.unit else ""
    return {"description": definition.description + unit, "anyOf": [*alone, entry, several]}


def _object(properties: dict[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    fixed = {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}
    return {**fixed, "required": list(required)} if required else fixed


def _names(values: dict[str, Any], but_not: Sequence[str] = ()) -> dict[str, Any]:
    names: dict[str, Any] = {"minLength": 1}
    if but_not:
        names["not"] = {"enum": list(but_not)}
    return {"type": "object", "propertyNames": names, "additionalProperties": values, "minProperties": 1}


def _some(item: dict[str, Any]) -> dict[str, Any]:
    """One item, or a list of different ones."""
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}]}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
