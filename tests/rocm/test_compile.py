"""Every variant of every family compiles with AMD's hiprtc, and what comes out holds the gates of gates.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pytest_greta.device
from pytest_greta.compiler.codeobject import read_resources
from pytest_greta.device.hip_own import OWN_KERNELS
from pytest_greta.device.hiprtc import compile_source
from pytest_greta.gates.model import Status
from pytest_greta.kernel import Kernel, Variant
from tests.rocm.build_all import build, gate_file, kernels, problems, verdicts

QUEUE = Path(pytest_greta.device.__file__).with_name("queue.hip")
CASES = [(kernel, variant) for kernel in kernels() for variant in kernel.variants]


@pytest.mark.parametrize(
    ("kernel", "variant"), [pytest.param(k, v, id=f"{k.name}-{v.name}") for k, v in CASES]
)
def test_a_variant_compiles_and_holds_its_gates(
    hiprtc: Any, target: str, kernel: Kernel, variant: Variant
) -> None:
    gates = gate_file()
    for group in problems(kernel, variant, gates):
        code = build(hiprtc, kernel, variant, group[0], target)
        assert variant.entry in code.kernels
        assert all(taken.code_bytes for taken in code.kernels.values())
        if target in gates.targets:  # no one has set limits for the others
            found = verdicts(kernel, variant, code, group, gates)
            assert {"scratch_bytes", "vgprs"} <= {verdict.gate.name for verdict in found}
            assert [verdict.line() for verdict in found if verdict.status is not Status.PASS] == []


def test_what_greta_queues_compiles_and_spills_nothing(hiprtc: Any, target: str) -> None:
    code = compile_source(hiprtc, QUEUE.read_text(), QUEUE.name, ["-O3", f"--offload-arch={target}"])
    found = read_resources(code).values()
    assert {taken.name for taken in found} == set(OWN_KERNELS)
    assert [taken for taken in found if taken.scratch_bytes or taken.vgpr_spills] == []
