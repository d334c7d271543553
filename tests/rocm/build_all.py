"""Every variant of this repository's kernels, through hiprtc as the hip device calls it, and what comes out."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from pytest_greta.compiler.builder import hiprtc_options
from pytest_greta.compiler.codeobject import CodeObject, read_resources
from pytest_greta.compiler.resources import resource_quantities
from pytest_greta.contract import refusal
from pytest_greta.device.hiprtc import compile_source
from pytest_greta.gates.file import GateFile, load
from pytest_greta.gates.model import Measurement, Verdict
from pytest_greta.kernel import Kernel, Problem, Variant
from pytest_greta.problems import problems_for, sharing_code
from pytest_greta.results import GatedMeasurement
from tests.rocm.names import ROOT

TARGETS = ("gfx942", "gfx90a", "gfx1100", "gfx1201")


def kernels() -> list[Kernel]:
    """The families that the repository's conftest.py registers."""
    spec = importlib.util.spec_from_file_location("greta_rocm_conftest", ROOT / "conftest.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: list[Kernel] = module.pytest_greta_kernels()
    return found


def gate_file() -> GateFile:
    """The repository's gates."""
    return load(ROOT / "gates.yaml")


def problems(kernel: Kernel, variant: Variant, gates: GateFile) -> list[list[Problem]]:
    """The problems of gates.yaml that a variant runs on a GPU, in groups that share their code."""
    listed = problems_for(kernel, gates.kernels[kernel.name], "hip", "hip", None, {})
    return sharing_code(kernel, variant, [p for p in listed if not refusal(kernel, p, variant)])


def build(hiprtc: Any, kernel: Kernel, variant: Variant, problem: Problem, target: str) -> CodeObject:
    """A variant as the hip device would compile it on a GPU of that target."""
    source = kernel.source_path(variant)
    options = [f"--offload-arch={target}", *hiprtc_options(kernel, variant, problem)]
    code = compile_source(hiprtc, source.read_text(), source.name, options)
    return CodeObject(target, code, read_resources(code))


def verdicts(
    kernel: Kernel, variant: Variant, code: CodeObject, group: Sequence[Problem], gates: GateFile
) -> list[Verdict]:
    """The verdicts of all gates of gates.yaml on the code of a group of problems."""
    found = resource_quantities(kernel, variant, code, group)
    applying = gates.gates_for(kernel.name, variant.name, target=code.target, problems=group)
    measurement = Measurement(kernel.name, variant.name, found, target=code.target, problem=group[0])
    return GatedMeasurement(measurement, applying).verdicts()
