"""summary.json: what is written is read again, and what is no such file is refused with file, place and reason."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import pytest_greta
from pytest_greta.errors import ConfigError
from pytest_greta.records.check import problems
from pytest_greta.records.model import load
from pytest_greta.records.schema import schema
from tests.fuzz.summaries import undamaged


def plain() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(undamaged().text())
    return data


def refused(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [problem.removeprefix(str(path)) for problem in caught.value.problems]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text(undamaged().text())
    read = load(path)
    assert read.text() == undamaged().text()
    _, run, later = read.measurements
    assert run.quantities["speedup"].interval is not None
    assert run.quantities["speedup"].interval.high == math.inf
    error = run.quantities["max_error"].value
    assert isinstance(error, float)
    assert math.isnan(error)
    assert read.session_of(later) == read.sources[0]
    assert later.name == "prefill v3 @ 8192"


def test_the_schema_is_shipped_and_a_schema() -> None:
    shipped = json.loads((Path(pytest_greta.__file__).parent / "summary.schema.json").read_text())
    assert shipped == schema()
    jsonschema.Draft202012Validator.check_schema(shipped)
    jsonschema.validate(plain(), shipped)


def _set(*keys: Any, value: Any = None) -> Callable[[dict[str, Any]], None]:
    """What sets one value in a file, or takes a key out of it where there is none."""

    def change(data: Any) -> None:
        for key in keys[:-1]:
            data = data[key]
        if value is None:
            del data[keys[-1]]
        else:
            data[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_set("greta_summary"), ": no summary.json of greta: it has no 'greta_summary'"),
        (_set("greta_summary", value=2), ": unknown version 2; this greta reads version 1"),
        (_set("greta_summary", value=True), ": unknown version True; this greta reads version 1"),
        (_set("commit", "id"), ": commit has no 'id'"),
        (_set("started", value="yesterday"), ": started: 'yesterday' is no time with a zone"),
        (_set("measurements", 0, "kind", value="x"),
         ': measurements[0].kind: expected "code" or "run" or "artifact" or "program", found \'x\''),
        (_set("measurements", 1, "seconds", 0, value="1"),
         ": measurements[1].seconds[0]: expected a number, found '1'"),
        (_set("measurements", 1, "seconds", 0, value=10**301),
         f": measurements[1].seconds[0]: expected a number, found 1{'0' * 116}..."),
        (_set("measurements", 1, "orders", value=[1, 1, 1]), ": measurements[1]: more pairs than timed rounds"),
        (_set("measurements", 1, "quantities", "speedup", "interval", value=[3, 2]),
         ": measurements[1].quantities.speedup: the interval [3, 2] ends before it begins"),
        (_set("measurements", 2, "quantities", "prefill_seconds", "value", value=0.5),
         ": measurements[2].quantities.prefill_seconds: 0.5 s contradicts its own rounds, which took 4 s"),
        (_set("measurements", 1, "quantities", "speedup", "value", value=4.5),
         ": measurements[1].quantities.speedup: 4.5x contradicts its own pairs, which say 1.90909x to 2x"),
        (_set("measurements", 2, "source", value=1), ": measurements[2].source: there is no such session in sources"),
        (_set("sources", value=[]), ": measurements[2].source: there is no such session in sources"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_told_with_its_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], line: str
) -> None:
    data = plain()
    change(data)
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(data))
    assert refused(path) == [line]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", ": the file is empty"),
        (b" \n", ": the file is empty"),
        (
            b'{"a": {"b": 1, "c": 2, "b": 1}}',
            ": 'b' is there twice in one object: nobody could say which counts",
        ),
        (b'{"greta_summary": NaN}', ": not JSON: NaN is no JSON"),
        (b'{"greta_summary": 1,\n "started', ":2:2: not JSON: Unterminated string starting at"),
        (b"\xff", ": not UTF-8: invalid start byte at byte 0"),
        (b"[" * 100_000, ": nested too deeply"),
        (b"[1]", ": no summary.json of greta: it has no 'greta_summary'"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert refused(path) == [line]


def test_a_file_that_is_not_there_or_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    assert refused(path) == [f": there is no such file (looked for {path})"]
    path.mkdir()
    assert refused(path) == [": this is no regular file"]


VALUES: tuple[Any, ...] = (
    1,
    1.5,
    True,
    None,
    "x",
    [],
    {},
    [1, None],
    [1, 2, 3],
    {"a": "x"},
    {"a": 1},
    {"b": 1, "a": "y"},
)


@pytest.mark.parametrize(
    "part", [{"type": "number"}, {"type": ["integer", "null"]}, {"enum": [1, None]}, {"const": 1},
             {"type": "array", "items": {"type": ["number", "null"]}, "minItems": 2, "maxItems": 2},
             {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}},
             {"type": "object", "properties": {"b": {"type": "number"}}, "additionalProperties": {"type": "string"}}]
)  # fmt: skip
def test_the_words_of_a_schema_mean_what_jsonschema_says(part: dict[str, Any]) -> None:
    several = {"type": "array", "items": part}
    for value, other in itertools.product(VALUES, VALUES):
        says = [jsonschema.Draft202012Validator(part).is_valid(one) for one in (value, other)]
        assert [not list(problems(one, part, "x")) for one in (value, other)] == says
        assert [line[:4] for line in problems([value, other], several, "x")] == [
            f"x[{number}]" for number, fits in enumerate(says) if not fits
        ]  # fmt: skip
