"""What the JSON Schema of gates.yaml is put together from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_greta.gates.catalogue import GateDef


def gate_schema(definition: GateDef, narrowed_by: Sequence[str]) -> dict[str, Any]:
    """What may be written for a gate: a limit, an entry, a list of them."""
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
        **an_object({**limits, "reason": reason}, required=["reason"]),
        "oneOf": one_limit,
    }
    entry = {**an_object({**limits, **scopes, "expect": expected}), "anyOf": one_limit}
    if "atol" in limits:
        entry["properties"].pop("expect")
    alone = [] if "atol" in limits else [limit]  # what a bare number would mean, nothing says
    either = {"anyOf": [*alone, entry]}
    several = {"type": "array", "items": either, "minItems": 1}
    unit = f" [{definition.unit}]" if definition.unit else ""
    return {"description": definition.description + unit, "anyOf": [*alone, entry, several]}


def an_object(properties: dict[str, Any], required: Sequence[str] = ()) -> dict[str, Any]:
    """A mapping with fixed keys."""
    fixed = {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}
    return {**fixed, "required": list(required)} if required else fixed


def by_name(values: dict[str, Any], but_not: Sequence[str] = ()) -> dict[str, Any]:
    """A mapping whose keys are names of the user."""
    names: dict[str, Any] = {"minLength": 1}
    if but_not:
        names["not"] = {"enum": list(but_not)}
    return {"type": "object", "propertyNames": names, "additionalProperties": values, "minProperties": 1}


def some(item: dict[str, Any]) -> dict[str, Any]:
    """One item, or a list of different ones."""
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}]}
