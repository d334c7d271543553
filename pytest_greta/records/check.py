"""JSON of others held against a schema: the few words of JSON Schema that greta's formats use, at the speed that ten
thousand measurements need (the library jsonschema takes some hundred times as long).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pytest_greta.errors import ConfigError, printable, quote, shown, shown_path

MOST_BYTES = 256 << 20
"""Of a file of records: some hundred thousand measurements."""
MOST_PROBLEMS = 20
MOST = 1e300
"""No number is larger, so that sums and ratios of a few stay numbers."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}
_NUMBERS = frozenset(_TYPES["number"])
_ANYTHING: Mapping[str, Any] = {}
_PLAIN = frozenset((str, bool, type(None), int, float))
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
    if not content or content.isspace():
        raise ConfigError(f"{shown}: the file is empty")
    return content


def json_of(content: bytes, shown: str) -> Any:
    """The JSON in a file. Raises ConfigError, for NaN and infinities too, which are no JSON, and where an object has a
    key twice.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number]))
            raise ConfigError(
                f"{shown}: {quote(twice)} is there twice in one object: nobody could say which counts"
            )
        return found

    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=refuse, object_pairs_hook=unique)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{shown}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ConfigError(f"{shown}: nested too deeply") from None
    except ValueError as error:
        raise ConfigError(f"{shown}: not JSON: {printable(str(error))}") from None


Test = Callable[[Sequence[Any]], bool]


def problems(value: Any, schema: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """What is wrong with a value, a line each: where in the file, and what. It is looked for only where the test of the
    schema says no.
    """
    if fits(schema)([value]):
        return
    if "const" in schema or "enum" in schema:
        allowed = schema.get("enum", [schema.get("const")])
        yield f"{where}: expected {' or '.join(map(json.dumps, allowed))}, found {shown(value)}"
    elif not _made({"type": schema["type"]})([value]):
        kinds = (schema["type"],) if isinstance(schema["type"], str) else schema["type"]
        yield f"{where}: expected {' or '.join(_WORDS[kind] for kind in kinds)}, found {_found(value)}"
    elif isinstance(value, dict):
        yield from _of_object(value, schema, where)
    else:
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
            yield f"{where}: expected {schema['minItems']} items, found {len(value)}"
        for number, item in enumerate(value if "items" in schema else ()):
            yield from problems(item, schema["items"], f"{where}[{number}]")


def _of_object(value: dict[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", _ANYTHING)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where or 'the file'} has no {quote(name)}"
    for name, part in value.items():
        yield from problems(part, known.get(name, others), f"{where}.{name}" if where else name)


def fits(schema: Mapping[str, Any]) -> Test:
    """The test whether all of several values are what a schema asks for, made once. They are looked at together, and so
    are the parts of the same name of all of them: files hold hundreds of thousands of values.
    """
    if id(schema) not in _tests:
        _tests[id(schema)] = schema, _made(schema)
    return _tests[id(schema)][1]


_tests: dict[int, tuple[Mapping[str, Any], Test]] = {}
"""By the identity of a schema, which is kept for as long."""


def _made(schema: Mapping[str, Any]) -> Test:
    if "const" in schema or "enum" in schema:
        allowed = frozenset((type(one), one) for one in schema.get("enum", [schema.get("const")]))
        return lambda values: (
            _PLAIN.issuperset(map(type, values))
            and allowed.issuperset(zip(map(type, values), values, strict=True))
        )
    stated = schema.get("type", list(_TYPES))
    kinds = frozenset([stated] if isinstance(stated, str) else stated)
    types = frozenset(one for kind in kinds for one in _TYPES[kind])
    of_objects = _object_test(schema) if "object" in kinds else None
    of_lists = _list_test(schema) if "array" in kinds else None

    def test(values: Sequence[Any]) -> bool:
        found = set(map(type, values))
        if not found <= types:
            return False
        if not found.isdisjoint(_NUMBERS):
            numbers = values if found <= _NUMBERS else [one for one in values if type(one) in _NUMBERS]
            if min(numbers) < -MOST or max(numbers) > MOST:
                return False
        if of_objects and dict in found and not of_objects([one for one in values if type(one) is dict]):
            return False
        return not (of_lists and list in found) or of_lists([one for one in values if type(one) is list])

    return test


def _object_test(schema: Mapping[str, Any]) -> Test | None:
    """None where any object will do."""
    if not {"properties", "required", "additionalProperties"} & schema.keys():
        return None
    known = {name: fits(part) for name, part in schema.get("properties", {}).items()}
    required = frozenset(schema.get("required", ()))
    others = fits(schema["additionalProperties"]) if "additionalProperties" in schema else None

    def test(values: Sequence[dict[str, Any]]) -> bool:
        for name in known.keys() | required:
            parts = [one[name] for one in values if name in one]
            if name in required and len(parts) < len(values):
                return False
            if name in known and not known[name](parts):
                return False
        return others is None or others([
            part for one in values for name, part in one.items() if name not in known
        ])  # fmt: skip

    return test


def _list_test(schema: Mapping[str, Any]) -> Test | None:
    """None where any list will do."""
    if "items" not in schema:
        return None
    fewest, most, items = schema.get("minItems", 0), schema.get("maxItems", math.inf), fits(schema["items"])

    def test(values: Sequence[list[Any]]) -> bool:
        lengths = [len(one) for one in values]
        return fewest <= min(lengths) and max(lengths) <= most and items([*chain.from_iterable(values)])

    return test


def _found(value: Any) -> str:
    return (
        _WORDS["object" if isinstance(value, dict) else "array"]
        if isinstance(value, (dict, list))
        else shown(value)
    )
