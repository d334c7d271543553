"""What a variant takes as quantities: of all launches for all problems, and no more decoded than is asked for."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_greta.compiler import flow
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.codeobject import CodeObject, read_resources
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.resources import launch_notes, resource_quantities
from pytest_greta.gates.model import Quantity
from pytest_greta.kernel import Kernel, Launch, Problem, Variant

pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")

SOURCE = """\
#include <hip/hip_runtime.h>

extern "C" __global__ __launch_bounds__(256) void k(float* x) {
  extern __shared__ float tile[];
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = tile[0];
}

__device__ __attribute__((noinline)) int ways(int n) { return n < 2 ? n : ways(n - 1) + 3 * ways(n - 2); }
extern "C" __global__ __launch_bounds__(256) void recursive(int* x) { x[0] = ways(x[1]); }
extern "C" __global__ void unbounded(float* x) { x[threadIdx.x] *= 2; }
"""
KIB = 1024


class Family(Kernel):
    """Its dynamic LDS grows with the context up to 1000, and falls behind it; so do its blocks."""

    name = "family"
    variants = (
        Variant("one", "k.hip", "k"),
        Variant("two", "k.hip", "recursive"),
        Variant("three", "k.hip", "unbounded"),
    )

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        lds_bytes = 40 * KIB if problem.context == 1000 else KIB
        threads = 64 if problem.context > 1000 else 256
        return Launch((1, 1, 1), (threads, 1, 1), ("x",), lds_bytes)


FAMILY = Family()


@pytest.fixture(scope="module")
def code(code_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeObject]:
    source = tmp_path_factory.mktemp("resources") / "k.hip"
    source.write_text(SOURCE)
    compiler = Compiler(code_cache)
    yield compiler.compile(Job(source, "gfx942"))
    compiler.close()


def test_lds_and_occupancy_are_the_worst_of_all_problems(code: CodeObject) -> None:
    def found(*contexts: int) -> tuple[object, object]:
        problems = [Problem(context) for context in contexts]
        taken = resource_quantities(FAMILY, FAMILY.variants[0], code, problems)
        return taken["lds_bytes"].value, taken["occupancy"].value

    assert found(16) == (KIB, 8)
    assert found(1000) == (40 * KIB, 1)
    assert found(4096) == (KIB, 8)
    assert found(16, 1000, 4096) == (40 * KIB, 1)


def test_a_stack_without_bounds_leaves_scratch_unknown(code: CodeObject) -> None:
    assert code.kernels["recursive"].scratch_bytes is None
    taken = resource_quantities(FAMILY, FAMILY.variants[1], code, [Problem(16)])
    assert taken["scratch_bytes"] == Quantity(
        None,
        reason="the stack of recursive has no known size (.uses_dynamic_stack): it calls itself or through a pointer, "
        "or allocates on its stack",
    )
    assert resource_quantities(FAMILY, FAMILY.variants[0], code, [Problem(16)])["scratch_bytes"].value == 0


def test_nothing_is_decoded_that_no_gate_asks_for(code: CodeObject, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr(flow, "decoded", lambda code, _: decoded.append(code))
    kernels = read_resources(code.code)
    fresh = dataclasses.replace(code, kernels=kernels)
    taken = resource_quantities(FAMILY, FAMILY.variants[0], fresh, [Problem(16)], asked={"vgprs"})
    assert not {"mfma", "unwaited_barriers"} & set(taken)
    assert decoded == []
    for _ in range(2):
        assert "mfma" in resource_quantities(FAMILY, FAMILY.variants[0], fresh, [Problem(16)], asked={"mfma"})
    assert decoded == [kernels["k"].code]  # of what is launched, once


def test_small_blocks_of_code_for_large_ones_are_noted(code: CodeObject) -> None:
    one, two, three = FAMILY.variants
    assert launch_notes(FAMILY, one, code, [Problem(4096)]) == []
    assert launch_notes(FAMILY, two, code, [Problem(4096)]) == []
    for contexts, threads in (((4096,), 64), ((16, 4096), 256)):
        (note,) = launch_notes(FAMILY, three, code, [Problem(context) for context in contexts])
        assert note == (
            f"unbounded is compiled for blocks of up to 1024 threads and launched with at most {threads}: "
            f"__launch_bounds__({threads}) leaves each thread more registers"
        )


def test_a_large_block_is_not_noted(code: CodeObject) -> None:
    class Large(Family):
        def launch(self, problem: Problem, variant: Variant) -> Launch:
            return Launch((1, 1, 1), (512, 1, 1), ("x",))

    assert launch_notes(Large(), FAMILY.variants[2], code, [Problem(16)]) == []


def test_code_whose_end_nothing_says_is_not_said_to_be_free_of_faults(code: CodeObject) -> None:
    whole = code.kernels["k"]
    symbol = struct.pack("<QQ", whole.address, whole.code_bytes)
    endless = code.code.replace(
        symbol, struct.pack("<QQ", whole.address, 0)
    )  # as of some written in assembly
    taken = read_resources(endless)["k"]
    assert (taken.code_bytes, taken.matrix_instructions, taken.unwaited_barriers) == (None, None, None)
    found = resource_quantities(
        FAMILY, FAMILY.variants[0], CodeObject("gfx942", endless, {"k": taken}), [Problem(16)]
    )
    for gate in ("code_bytes", "mfma", "unwaited_barriers"):
        assert found[gate].value is None
        assert found[gate].reason == "no symbol of the code object says where the code of k ends"
