"""docs/gates.md says what the code does: its files load, its table is the catalogue, its messages exist."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from pytest_greta.__main__ import main
from pytest_greta.errors import ConfigError
from pytest_greta.gates import file as gatefile
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.evaluation import built_in, for_outputs
from pytest_greta.gates.model import BUILT_IN
from pytest_greta.gates.schema import schema
from pytest_greta.kernel import Kernel, Variant

DOC = (Path(__file__).parents[2] / "docs" / "gates.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", DOC, flags=re.MULTILINE | re.DOTALL)
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in DOC.partition("| gate |")[2].partition("\n\n")[0].splitlines()[2:]
]


def test_the_doc_has_examples() -> None:
    assert len(BLOCKS) == 8


@pytest.mark.parametrize("text", BLOCKS)
def test_every_file_in_the_doc_loads_and_fits_the_schema(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(text, encoding="utf-8")
    found = gatefile.load(path)
    assert found.kernels or found.artifacts or found.programs
    jsonschema.Draft202012Validator(schema()).validate(yaml.safe_load(text))


def test_the_table_is_what_explain_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--markdown"]) == 0
    assert capsys.readouterr().out in DOC
    assert [row[0].strip("`") for row in ROWS] == list(CATALOGUE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`"))
def test_the_example_of_a_gate_loads(tmp_path: Path, row: list[str]) -> None:
    name, example = row[0].strip("`"), row[5]
    if not CATALOGUE[name].limits:
        assert example == "cannot be changed"
        return
    path = tmp_path / "gates.yaml"
    body = f"version: 1\nkernels: {{k: {{baseline: b, gates: {{v: {{ {example.strip('`')} }}}}}}}}"
    path.write_text(body, encoding="utf-8")
    assert {gate.name for gate in gatefile.load(path).kernels["k"].gates} == {name}


def test_the_built_in_gates_are_named() -> None:
    section = DOC.partition("### Built into every run")[2].partition("##")[0]
    gates = [*built_in("prefill", "v3", "v3_q_lds"), *for_outputs("prefill", "v3", [], {"out": 1e-3})]
    assert {gate.place for gate in gates} == {BUILT_IN}
    assert {gate.name for gate in gates if f"`{gate.name}" in section} == {gate.name for gate in gates}
    fixed, _, _ = section.partition("cannot be switched off")
    assert {name for name in CATALOGUE if f"`{name}" in fixed} == {
        d.name for d in CATALOGUE.values() if d.fixed
    }


def test_the_speed_gates_are_named() -> None:
    section = DOC.partition("### Speed on a cpu")[2].partition("say how fast")[0]
    assert set(re.findall(r"`(\w+)`", section)) == {d.name for d in CATALOGUE.values() if d.speed}


class Softmax(Kernel):
    name = "softmax"
    variants = (Variant("naive", "naive.hip", "naive"),)
    sizes = {"rows": 1, "dtype": "a"}  # noqa: RUF012


HEAD = """\
version: 1
targets: gfx942
kernels:
  softmax:
    baseline: naive
    contexts: {hip: 512}
    gates:
"""
PROGRAMS = """\
version: 1
kernels: {k: {baseline: b}}
artifacts: {a: k.so}
programs:
  k: {contexts: 1, problems: 1, output: {}, on: node}
  a: {variants: {v: {environment: {"0": 1}}}, baseline: w, gates: {x: {speeds: true, readable: true}}}
  p:
    variants: {v: engine --ctx, w: [engine, "{contxt}", "{", "{dtype+1}", "{context*2}", "{heads}"]}
    problems: [{context: 1, dtype: a}, {context: 2, dtype: b, heads: 4}]
    output: {regex: ".", time: t}
    gates:
      v: {speedup: 2, deterministic: true, t: [4, {min: 1, min_exclusive: 2}, {equals: 1, max: 2}]}
  q:
    variants: {v: x}
    output: {regex: "(?P<a>.)", processed: b}
    gates: {"*": {c: "x", a: {min_exclusive: 3, max: 2}}}
  r: {variants: {v: x}, on: "ssh://node", model: m.gguf, output: {csv: a.csv}}
"""
MISTAKEN = [
    PROGRAMS.encode(),
    b"\xff",
    b"#" * 300_000,
    b"",
    b"*: 1",
    b"a\x07",
    b"[" * 1_000,
    b"{}",
    b"version: 2\nkernels: {}\nkernels: 1\ntarget: 1",
    b"version: 1\ntargets: [942, x, gfx942, gfx942]\nkernels: {k: {contexts: {gpu: 1, hip: []}}}",
    HEAD.encode()
    + b"""
      "*": {vpgrs: 1, agprs: {targets: gfx942}, sgprs: {min: 2, max: 1}, lds_bytes: {max: 1, contexts: 512}}
      vgprs: 1
      naive: {speedup: 1, complete: true, vgprs: {max: 1, targets: gfx90a}, sgprs: [1, 2]}
      x: {scaling: {max: 2, contexts: 77}, max_error: {max: 2, devices: cpu}, deterministic: yes, <<: {a: 1}}
      y: !!set {sgprs: 08}
""",
    (
        b"version: 1\ntargets: gfx942\nkernels: {softmax: {baseline: naive, gates: {naive: {vgprs: ["
        b"{max: 2, targets: gfx942, expect: {reason: r}}, {max: 2, expect: {max: 1, reason: r}}]}}}}"
    ),
    (
        b"version: 1\ntargets: gfx942\nkernels: {softmax: {baseline: naive, gates: {naive: {vgprs: ["
        b"{max: 2, targets: gfx942}, {max: 2, expect: {max: 3, reason: r}}]}}}}"
    ),
    b"version: 1\nkernels: {softmx: {baseline: a}, softmax: {baseline: b, gates: {c: {vgprs: 1}}}}",
    HEAD.encode() + b"      '*': {vgprs: {max: 1, where: {}}, agprs: {max: 1, where: {context: 4}}}\n",
    (
        b"version: 1\nkernels: {softmax: {baseline: naive, contexts: {hip: 1}, "
        b"problems: {hip: [{rows: 4}, {context: 1}, 1]}}}"
    ),
    b"version: 1\nkernels: {softmax: {baseline: naive, problems: {hip: [{context: 1, rowz: 4}]}}}",
    (
        b"version: 1\nkernels: {softmax: {baseline: naive, "
        b"problems: {hip: [{context: 1, rows: a}, {context: 1, dtype: 4}]}}}"
    ),
    (
        b"version: 1\nkernels: {softmax: {baseline: naive, "
        b"problems: {hip: [{context: 1, rows: 4}, {context: 1, dtype: b}]}, "
        b"gates: {'*': {vgprs: {max: 1, where: {rows: 9}}, sgprs: {max: 1, where: {rows: 4, dtype: b}}}}}}"
    ),
    b"version: 1\nkernels: {softmax: {baseline: naive, gates: {'*': {flops_of_peak: 40}}}}",
    b"version: 1\nartifacts: {a: {gates: {vgprs: 1, /(/: {vgprs: 1}, '*': {speedup: 2, vgpr: 1}}}, softmax: a.so}",
    b"version: 1\nkernels: {softmax: {baseline: naive}}\nartifacts: {softmax: a.so}",
    (
        b"version: 1\nkernels: {softmax: {baseline: naive, problems: {hip: {context: ["
        + ",".join(map(str, range(1, 10_002))).encode()
        + b"]}}, gates: {'*': {vgprs: ["
        + b"1," * 501
        + b"]}}}}"
    ),
    (
        b"version: 1\nkernels: {a: {baseline: a, gates: {b: {vgprs: &a {max: 1, where: {rows: ["
        + b"1," * 400
        + b"]}}}, "
        + b", ".join(b"b%d: {vgprs: *a}" % n for n in range(300))
        + b"}}}"
    ),
]
"""Files that between them have every mistake there is a message for."""


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        gatefile.load(path).check([Softmax()])
    return caught.value.problems


def test_the_messages_of_the_doc_are_those_of_the_code(tmp_path: Path) -> None:
    table = DOC.partition("## Mistakes")[2].partition("## In an editor")[0]
    cells = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    documented = {message: re.escape(message).replace(r"\.\.\.", ".+") for message in messages}
    (tmp_path / "loop").symlink_to("loop")
    found = [*problems(tmp_path / "none"), *problems(tmp_path), *problems(tmp_path / "loop")]
    for content in MISTAKEN:
        (tmp_path / "gates.yaml").write_bytes(content)
        found += problems(tmp_path / "gates.yaml")
    assert [m for m, pattern in documented.items() if not any(re.search(pattern, f) for f in found)] == []
    assert [f for f in found if not any(re.search(pattern, f) for pattern in documented.values())] == []


def test_the_readmes_failing_gates_stand_where_it_says() -> None:
    root = Path(__file__).parents[2]
    lines = (root / "gates.yaml").read_text(encoding="utf-8").splitlines()
    shown = re.findall(
        r"^gates\.yaml:(\d+)  (?:prefill )?v3 +(?:@ \w+ +)?(\w+)",
        (root / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert len(shown) >= 8
    for number, gate in shown:  # the line of a limit in a list comes after that of its gate
        assert any(f"{gate}:" in line for line in lines[int(number) - 2 : int(number)]), (number, gate)
