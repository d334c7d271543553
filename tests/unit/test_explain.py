"""`explain`: the reference of a gate in the terminal, from the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_greta.__main__ import main
from pytest_greta.gates import file as gatefile
from pytest_greta.gates.catalogue import CATALOGUE, GateDef
from pytest_greta.gates.programs import PROGRAM_GATES
from pytest_greta.gates.values import scopes_of


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["explain", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", CATALOGUE)
def test_all_that_the_catalogue_says_is_told_within_80_columns(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = explained(capsys, name)
    assert max(map(len, printed.splitlines())) <= 80
    text, one = " ".join(printed.split()), CATALOGUE[name]
    for part in (one.name, one.unit, one.description, one.example, *one.limits):
        assert part in text
    if one.limits:
        assert ", ".join(scopes_of(one)) in text
    else:
        assert "cannot be changed" in text


def test_a_gate_of_the_device_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "on the cpu device only where" in explained(capsys, "speedup")
    assert "on the cpu device" not in explained(capsys, "max_error")


def test_gates_of_programs_are_told_beside_those_of_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    both = explained(capsys, "deterministic", "peak_bytes")
    assert (
        both.index("deterministic\n") < both.index("deterministic of a program") < both.index("peak_bytes of")
    )


@pytest.mark.parametrize("one", [d for d in PROGRAM_GATES.values() if d.limits], ids=lambda one: one.name)
def test_the_example_of_a_gate_of_programs_loads(tmp_path: Path, one: GateDef) -> None:
    path = tmp_path / "gates.yaml"
    program = (
        "{variants: {v: [x], w: [x]}, baseline: w, contexts: [4096, 8192, 16384], output: {json_marker: M}"
    )
    path.write_text(f"version: 1\nprograms:\n  p: {program}, gates: {{v: {{{one.example}}}}}}}\n")
    (found,) = gatefile.load(path).programs.values()
    assert {gate.name for gate in found.gates} == {one.name}


def test_without_a_name_there_is_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = explained(capsys).splitlines()
    assert max(map(len, lines)) <= 80
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == [*CATALOGUE, *PROGRAM_GATES]


def test_unknown_names_are_told_after_those_that_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["greta"])
    assert main(["explain", "vpgrs", "vgprs", "nonsense", "speedup"]) == 2
    printed = capsys.readouterr()
    assert printed.out == explained(capsys, "vgprs", "speedup")
    assert printed.err == (
        "error: unknown gate 'vpgrs'; did you mean 'vgprs'? (greta explain lists all)\n"
        "error: unknown gate 'nonsense' (greta explain lists all)\n"
    )
