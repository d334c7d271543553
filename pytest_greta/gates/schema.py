"""The format of gates.yaml as a JSON Schema, for editors: `python -m pytest_greta.gates.schema` prints it."""

from __future__ import annotations

import json
import sys
from typing import Any

from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.listing import DEVICES
from pytest_greta.gates.program_schema import program, program_gates
from pytest_greta.gates.reader import CACHES, INCONCLUSIVE, OF_ARTIFACTS
from pytest_greta.gates.schema_parts import an_object, by_name, gate_schema, some
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
    definitions = {name: some(item) for name, item in scopes.items()}
    definitions["size"] = some(size)
    definitions["where"] = {
        "description": "Other axes of the problem, with the values for which this applies.",
        **by_name({"$ref": "#/$defs/size"}, but_not=["context", "target", "device"]),
    }
    definitions["gates"] = an_object(
        {d.name: gate_schema(d, scopes_of(d)) for d in CATALOGUE.values() if d.limits}
    )
    definitions["artifact_gates"] = an_object(
        {name: gate_schema(CATALOGUE[name], ("targets",)) for name in OF_ARTIFACTS}
    )
    definitions["program_gates"] = program_gates()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gates.yaml of pytest-greta",
        **an_object(
            {
                "version": {"const": VERSION},
                "targets": {
                    "description": "What code is generated for without a GPU.",
                    "$ref": "#/$defs/targets",
                },
                "peaks": {
                    "description": "What devices can do at best, by product name or target.",
                    **by_name(an_object({"tflops": _POSITIVE, "gbytes_per_second": _POSITIVE})),
                },
                "inconclusive": {
                    "description": "What a verdict that could not be reached means for its test.",
                    "enum": list(INCONCLUSIVE),
                },
                "kernels": by_name(an_object(_kernel(), required=["baseline"])),
                "artifacts": {
                    "description": "Files that were built elsewhere, and the gates of their kernels.",
                    **by_name(_artifact()),
                },
                "programs": {
                    "description": "Whole programs, and the gates of their runs.",
                    **by_name(program()),
                },
            },
            required=["version"],
        ),
        "anyOf": [{"required": [one]} for one in ("kernels", "artifacts", "programs")],
        "$defs": definitions,
    }


def _artifact() -> dict[str, Any]:
    """What stands under the name of an artifact."""
    files = some({"type": "string", "minLength": 1})
    gates = {
        "description": 'Gates by pattern of names; "*" stands for every kernel.',
        **by_name({"$ref": "#/$defs/artifact_gates"}, but_not=list(CATALOGUE)),
    }
    whole = an_object(
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
    narrowed = an_object({"variant": baseline, "where": {"$ref": "#/$defs/where"}}, required=["variant"])
    either = {"anyOf": [baseline, narrowed]}
    return {
        "baseline": {
            "description": "Variant that speedups are measured against; of several, the first that can run a problem.",
            "anyOf": [*either["anyOf"], {"type": "array", "items": either, "minItems": 1}],
        },
        "contexts": {
            "description": "Contexts to run, by device.",
            **an_object({device: {"$ref": "#/$defs/contexts"} for device in DEVICES}),
        },
        "problems": {
            "description": "Problems to run, by device: contexts, and combinations of a context with other axes.",
            **an_object(
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
            **by_name({"$ref": "#/$defs/gates"}, but_not=list(CATALOGUE)),
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


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
