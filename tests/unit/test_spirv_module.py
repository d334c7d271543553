"""Threads that end before a barrier are found in the code for the cpu device, and told of where a run failed."""

from __future__ import annotations

import pytest

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.entries import constants_in
from pytest_greta.compiler.spirv_module import ends_before_barrier, entry_points
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.errors import CompileError
from pytest_greta.kernel import Launch, Variant
from pytest_greta.measure.executable import Executable
from pytest_greta.runner import _barrier_hints

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

# By name: what stands around a barrier, and whether some threads of a block may miss it.
BODIES = {
    "early": (
        "if (i >= n) return; t[threadIdx.x] = x[i]; __syncthreads(); x[i] = t[63 - threadIdx.x];",
        True,
    ),
    "nested": (
        "if (i > 3) { if (x[i] > 0 || i > n) return; } t[i] = 1; __syncthreads(); x[i] = t[i ^ 1];",
        True,
    ),
    "all_reach": (
        "if (i < n) t[threadIdx.x] = x[i]; __syncthreads(); if (i < n) x[i] = t[63 - threadIdx.x];",
        False,
    ),
    "whole_block": ("if (blockIdx.x >= n) return; t[threadIdx.x] = 1; __syncthreads(); x[i] = t[n];", False),
    "no_barrier": ("if (i < n) x[i] = 2;", False),
    "reduction": (
        "for (int s = 32; s > 0; s >>= 1) { if (i < s) t[i] += t[i + s]; __syncthreads(); }",
        False,
    ),
}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    source = tmp_path_factory.mktemp("barriers") / "k.hip"
    kernels = "".join(
        f'extern "C" __global__ void {name}(float* x, int n) {{ __shared__ float t[64];'
        f" int i = blockIdx.x * 64 + threadIdx.x; x[i] += weights[n & 3]; {body} }}\n"
        for name, (body, _) in BODIES.items()
    )
    source.write_text(f"#include <hip/hip_runtime.h>\n__constant__ float weights[4];\n{kernels}")
    return run_compiler(find_toolchain(CPU_TARGET), Job(source, CPU_TARGET))[0]


@pytest.mark.parametrize("name", BODIES)
def test_threads_that_end_before_a_barrier_are_found(code: bytes, name: str) -> None:
    assert name in entry_points(code)
    assert ends_before_barrier(code, name) == BODIES[name][1]


def test_other_code_has_none(code: bytes) -> None:
    assert not ends_before_barrier(b"\x7fELF" + bytes(100), "early")
    assert not ends_before_barrier(code[: len(code) // 2 * 4 // 4], "no such kernel")


def test_a_failing_run_says_so(code: bytes) -> None:
    launches = [Launch((1, 1, 1), (64, 1, 1), (), entry=entry) for entry in ("early", "all_reach")]
    executable = Executable("v1", "early", code, launches, {}, 1.0)
    (hint,) = _barrier_hints(Variant("v1", "k.hip", "early"), executable)
    assert hint.startswith("k.hip: threads of early may return before a __syncthreads()")
    assert "nothing against the kernel on a GPU" in hint


def test_constants_are_held_against_the_code(code: bytes) -> None:
    assert constants_in(code, "k.hip", {"weights": bytes(16)}) == {"weights": bytes(16)}
    with pytest.raises(CompileError, match=r"^k.hip: weights holds 16 bytes, and constants gives 12$"):
        constants_in(code, "k.hip", {"weights": bytes(12)})
    with pytest.raises(
        CompileError,
        match=r"has no __constant__ variable 'weigths'; .*did you mean weights\?\. One that is static or .*extern",
    ):
        constants_in(code, "k.hip", {"weigths": bytes(16)})
    assert constants_in(b"// PTX", "k.hip", {"any": b""}) == {"any": b""}
