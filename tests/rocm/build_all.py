"""Every variant of this repository's kernels, through hiprtc as the hip device calls it, and what comes out."""

from __future__ import annotations

import importlib.util
from typing import Any

from pytest_greta.build import hiprtc_options, resource_quantities
from pytest_greta.codeobject import CodeObject, read_resources
from pytest_greta.devices.hip import compile_source
from pytest_greta.gatefile import GateFile, load
from pytest_greta.gates import Measurement, Quantity, Verdict
from pytest_greta.kernel import Kernel, Variant
from pytest_greta.results import Subject
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


def build(hiprtc: Any, kernel: Kernel, variant: Variant, target: str) -> CodeObject:
    """A variant as the hip device would compile it on a GPU of that target."""
    source = kernel.source_path(variant)
    options = [f"--offload-arch={target}", *hiprtc_options(kernel, variant)]
    code = compile_source(hiprtc, source.read_text(), source.name, options)
    return CodeObject(target, code, read_resources(code))


def quantities(kernel: Kernel, variant: Variant, code: CodeObject, gates: GateFile) -> dict[str, Quantity]:
    """What the code takes when it is launched at the smallest context of gates.yaml."""
    return resource_quantities(kernel, variant, code, min(gates.kernels[kernel.name].contexts["hip"]))


def verdicts(kernel: Kernel, variant: Variant, code: CodeObject, gates: GateFile) -> list[Verdict]:
    """The verdicts of all gates of gates.yaml on the code."""
    found = quantities(kernel, variant, code, gates)
    applying = gates.gates_for(kernel.name, variant.name, target=code.target)
    return Subject(Measurement(kernel.name, variant.name, found, target=code.target), applying).verdicts()
