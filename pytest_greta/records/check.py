"""JSON of others held against a schema: the few words of JSON Schema that greta's formats use, at the speed that ten
thousand measurements need (the library jsonschema takes some hundred times as long).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_greta.errors import ConfigError, printable, quote, shown, shown_path

MOST_BYTES = 256 << 20
"""Of a file of records: some hundred thousand measurements."""
MOST_PROBLEMS = 20
MOST = 1e300
"""No number is larger, so that sums and ratios of a few stay numbers."""

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
_WORDS = {"object": "an object", "array": "a list", "string": "a text", "boolean": "true or false", "null": "null",
          "integer": "a whole number", "number": "a number"}  # fmt: skip


def read_bytes(path: Path) -> bytes:
    """A file of records, bounded. Raises ConfigError."""
    shown = shown_path(path)
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{shown}: this is no regular file")
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{shown}: there is no such file (looked for {path.absolute()})") from None
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{shown}: cannot be read: {problem}") from None
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{shown}: larger than {MOST_BYTES} bytes, which no file of records needs")
    return content


def json_of(content: bytes, shown: str) -> Any:
    """The JSON in a file. Raises ConfigError, for NaN and infinities too, which are no JSON."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{shown}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigError(f"{shown}: nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{shown}: not JSON: {printable(str(error))}") from None


def problems(value: Any, schema: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """What is wrong with a value, a line each: where in the file, and what."""
    if "const" in schema or "enum" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        if not any(value == one and type(value) is type(one) for one in allowed):
            yield f"{where}: expected {' or '.join(map(json.dumps, allowed))}, found {shown(value)}"
        return
    kinds = schema.get("type", ())
    kinds = (kinds,) if isinstance(kinds, str) else kinds
    if kinds and not any(_is(value, kind) for kind in kinds):
        yield f"{where}: expected {' or '.join(_WORDS[kind] for kind in kinds)}, found {_found(value)}"
    elif isinstance(value, dict):
        yield from _of_object(value, schema, where)
    elif isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
            yield f"{where}: expected {schema['minItems']} items, found {len(value)}"
        items = schema.get("items")
        if items is not None:
            for number, item in enumerate(value):
                if _is_plainly(item, items):
                    continue
                yield from problems(item, items, f"{where}[{number}]")


def _of_object(value: dict[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where or 'the file'} has no {quote(name)}"
    for name, part in value.items():
        inner = known.get(name, others)
        if inner is not None and not _is_plainly(part, inner):
            yield from problems(part, inner, f"{where}.{name}" if where else name)


def _is_plainly(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is at first sight what a schema asks for: most are texts, numbers and nothing."""
    kind, stated = type(value), schema.get("type")
    if kind is float:
        return -MOST <= value <= MOST and (
            stated == "number" or (type(stated) is list and "number" in stated)
        )
    if value is None:
        return type(stated) is list and "null" in stated
    if stated is None:
        return kind in (int, str) and value in schema.get("enum", ())
    return (kind is str and stated == "string") or (kind is bool and stated == "boolean")


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, (int, float)) and kind in ("number", "integer"):
        whole = isinstance(value, int) or kind == "number"
        return whole and not isinstance(value, bool) and abs(value) <= MOST
    return isinstance(value, _TYPES[kind])


def _found(value: Any) -> str:
    return (
        _WORDS["object" if isinstance(value, dict) else "array"]
        if isinstance(value, (dict, list))
        else shown(value)
    )
