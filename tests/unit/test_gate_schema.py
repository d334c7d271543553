"""The JSON Schema of gates.yaml, and that it and the loader agree on every file."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pytest_greta
from pytest_greta.errors import ConfigError
from pytest_greta.gates import file as gatefile
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.reader import OF_ARTIFACTS
from pytest_greta.gates.schema import schema

ROOT = Path(__file__).parents[2]
SCHEMA = schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one_and_the_file_holds_it() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    stored = (Path(pytest_greta.__file__).parent / "gates.schema.json").read_text(encoding="utf-8")
    assert stored == json.dumps(SCHEMA, indent=2) + "\n", (
        "python -m pytest_greta.gates.schema > pytest_greta/gates.schema.json"
    )


def test_the_module_prints_the_schema() -> None:
    command = [sys.executable, "-m", "pytest_greta.gates.schema"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert json.loads(printed) == SCHEMA


def test_the_file_of_this_project_is_valid() -> None:
    path = ROOT / "gates.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=pytest_greta/gates.schema.json\n")
    gatefile.load(path)
    VALIDATOR.validate(yaml.safe_load(text))


def test_every_gate_that_can_be_written_is_in_the_schema() -> None:
    assert list(SCHEMA["$defs"]["gates"]["properties"]) == [d.name for d in CATALOGUE.values() if d.limits]


STRUCTURAL = [
    "unknown key", "unknown gate", "unknown device", "unknown version", "expected", "is empty",
    "listed twice",
    "has no 'version: 1'", "has no 'baseline'", "has no 'kernels'", "has no 'variant'", "has no 'context'",
    "has no limit", "is not a target",
    "is a gate, not a variant", "cannot be changed",
    "has no 'files'", "is a gate, not a kernel", "is not for artifacts",
    "has no 'variants'", "has no 'command'", "output takes one of", "could be any limit",
]  # fmt: skip
"""Mistakes that a schema sees as well; the others compare two places of a file."""

contexts = st.sampled_from([512, 1024, 4096])
targets = st.sampled_from(["gfx942", "gfx90a", "gfx1100", "gfx942:xnack-"])
devices = st.sampled_from(["hip", "cpu"])
words = st.sampled_from(
    ["prefill", "baseline", "v3", "*", "hip", "gfx942", "max", "contexts", "vgprs", "yes", ""]
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 5000), st.floats(allow_nan=False, allow_infinity=False), words
)
junk = scalars | st.lists(scalars, max_size=2) | st.dictionaries(words, scalars, max_size=2)


def some(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One item, or a list of different ones."""
    return item | st.lists(item, min_size=1, max_size=2, unique=True)


def gate_values(name: str) -> st.SearchStrategy[Any]:
    """What may be written for a gate."""
    definition = CATALOGUE[name]
    value: st.SearchStrategy[Any] = st.booleans()
    if definition.kind == "text":
        value = st.sampled_from(["v3_q_lds", "flash_v2_naive"])
    elif definition.kind == "number":
        value = st.integers(1, 100) if definition.integer else st.floats(1e-6, 1e6)
    scopes = {"contexts": some(contexts), "devices": some(devices)}
    if definition.source == "code":
        scopes = {"targets": some(targets)}
    entry = st.fixed_dictionaries({definition.limits[-1]: value}, optional=scopes)
    return st.one_of(value, entry, st.lists(value | entry, min_size=1, max_size=2))


entries = st.sampled_from([d.name for d in CATALOGUE.values() if d.limits]).flatmap(
    lambda name: gate_values(name).map(lambda value: {name: value})
)
kernels = st.fixed_dictionaries(
    {
        "baseline": st.just("baseline"),
        "gates": st.dictionaries(st.sampled_from(["*", "v3"]), entries, min_size=1),
    },
    optional={"contexts": st.fixed_dictionaries({"hip": some(contexts), "cpu": some(contexts)})},
)
globs = some(st.sampled_from(["build/**/*.so", "k.hsaco"]))
artifact = st.fixed_dictionaries(
    {"files": globs},
    optional={
        "gates": st.dictionaries(
            st.sampled_from(["*", "gemm<*>", "/^gemm/"]),
            st.sampled_from(OF_ARTIFACTS).flatmap(lambda n: gate_values(n).map(lambda value: {n: value})),
            min_size=1,
        )
    },
)
variant = st.just(["bin/engine", "--ctx", "{context}", 8, True])
program_gates = st.fixed_dictionaries(
    {
        "prefill_s": st.fixed_dictionaries(
            {"min_exclusive": st.just(0)}, optional={"contexts": some(contexts)}
        )
    },
    optional={
        "attn_impl": st.sampled_from(["flash_v2_naive", True]),
        "tokens": st.just({"equals": "{context}"}),
        "model_load_s": st.just({"max_ratio_over_contexts": 1.1}),
        "left_processes": st.just(0),
        "deadline_seconds": gate_values("deadline_seconds"),
        "deterministic": st.just({"equals": True, "outputs": ["text"]}),
        "peak_bytes": st.just([{"max": 5, "where": {"batch": 1}}, 7]),
    },
)
program = st.fixed_dictionaries(
    {
        "variants": st.dictionaries(
            st.sampled_from(["v3", "v4"]), variant | st.fixed_dictionaries({"command": variant}), min_size=1
        )
    },
    optional={
        "contexts": some(contexts),
        "repeats": st.sampled_from([2, {"4096": 2}]),
        "environment": st.just({"GRETA_MAX_SEQ_LEN": "{context+2}"}),
        "output": st.sampled_from(
            [
                {"json_marker": "PERF_TIMING", "units": {"prefill_s": "s"}, "time": "prefill_s"},
                {"json_lines": True},
                {"csv": "stdout"},
                {"regex": "(?P<prefill_s>[0-9.]+)"},
            ]
        ),
        "on": st.just("ssh://node"),
        "model": st.just("tiny.gguf"),
        "folder": st.just("."),
        "errors": st.just("bad"),
        "gates": st.dictionaries(st.sampled_from(["*", "v3"]), program_gates, min_size=1),
    },
).map(copy.deepcopy)  # what is damaged must not be what the next file is made of
files = st.fixed_dictionaries(
    {"version": st.just(1), "kernels": st.fixed_dictionaries({"prefill": kernels})},
    optional={
        "targets": some(targets),
        "artifacts": st.dictionaries(st.sampled_from(["lib", "wheel"]), globs | artifact, min_size=1),
        "programs": st.dictionaries(st.sampled_from(["engine"]), program, min_size=1),
    },
)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every place of a file, as the dictionary or list it is in and its key or index."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else []
    return [place for key in keys for place in [(data, key), *places(data[key])]]


@st.composite
def damaged_files(draw: st.DrawFn) -> Any:
    """A file with one thing replaced, removed or added."""
    data = draw(files)
    holder, key = draw(st.sampled_from(places(data)))
    how = draw(st.sampled_from(["replace", "remove", "add"]))
    if how == "remove":
        del holder[key]
    elif how == "add" and isinstance(holder, dict):
        holder[draw(words)] = draw(junk)
    else:
        holder[key] = draw(junk)
    return data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=files | damaged_files())
@example(data={"version": 1, "targets": ["gfx942", "gfx942"], "kernels": {"k": {"baseline": "b"}}})
@example(data={"version": 1, "kernels": {"k": {"baseline": "b", "gates": {"vgprs": {"sgprs": 1}}}}})
@example(data={"version": 1, "kernels": {"k": {"baseline": "b", "gates": {"v": {"speedup": 0}}}}})
@example(data={"version": 1, "kernels": {"": {"baseline": "b"}}})
@example(data={"version": 1, "kernels": {"k": {"baseline": {}}}})
@example(data={"version": 1, "kernels": {"k": {"baseline": "b", "problems": {"hip": [{"heads": 4}]}}}})
@example(data={"version": 1, "artifacts": {"lib": "build/*.so"}})
@example(data={"version": 1, "artifacts": {"lib": {"files": "k.so", "gates": {"*": {"speedup": 1}}}}})
@example(data={"version": 1, "artifacts": {"lib": {"files": "k.so", "gates": {"vgprs": {"max": 1}}}}})
@example(
    data={"version": 1, "artifacts": {"lib": {"gates": {"*": {"vgprs": {"max": 1, "where": {"a": 1}}}}}}}
)
def test_loader_and_schema_agree_on_every_file(tmp_path: Path, data: Any) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    found: tuple[str, ...] = ()
    try:
        gatefile.load(path)
    except ConfigError as error:
        found = error.problems
    structural = [problem for problem in found for part in STRUCTURAL if part in problem]
    assert VALIDATOR.is_valid(data) is not bool(structural), found
