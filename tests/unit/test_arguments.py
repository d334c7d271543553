"""Arguments by value: held against what the code object states, packed for a launch, kept in history."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_greta.compiler.arguments import argument_problem
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.codeobject import CodeObject, KernelArgument
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.resources import resource_quantities
from pytest_greta.device.hip_queue import ARG_SLOT_BYTES, pack
from pytest_greta.gates.model import Quantity
from pytest_greta.kernel import Array, Kernel, Launch, Problem, Value, Variant
from pytest_greta.measure.executable import Executable, code_info, executable_of, is_same

SOURCE = """\
#include <hip/hip_runtime.h>
struct Params { char kind; int n; float scale; };
extern "C" __global__ __launch_bounds__(64) void k(const float* x, Params p, float4 v, bool on, double d, float* y) {
  y[threadIdx.x] = on ? x[threadIdx.x] * p.scale + v.x + v.w + p.kind + (float)d : p.n;
}
"""
PARAMS = np.dtype([("kind", "i1"), ("n", "i4"), ("scale", "f4")], align=True)
PACKED = np.dtype([("kind", "i1"), ("n", "i4"), ("scale", "f4")])
STRUCT, VECTOR = np.array((1, 2, 3.0), PARAMS)[()], np.arange(4, dtype=np.float32)
ALIGN = "np.dtype(..., align=True) pads a struct as C does"
RIGHT: tuple[str | Value, ...] = ("x", STRUCT, VECTOR, np.bool_(True), np.float64(1), "y")


@pytest.fixture(scope="module", params=["gfx942", "gfx1100"])
def code(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, code_cache: Path
) -> CodeObject:
    pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
    path = tmp_path_factory.mktemp("arguments") / "k.hip"
    path.write_text(SOURCE)
    compiler = Compiler(code_cache, 1)
    made = compiler.compile(Job(path, request.param))
    compiler.close()
    return made


def test_the_code_object_states_its_arguments(code: CodeObject) -> None:
    found = code.kernels["k"].arguments
    assert found == (
        KernelArgument(0, 8, "global_buffer"),
        KernelArgument(8, 12, "by_value"),
        KernelArgument(32, 16, "by_value"),
        KernelArgument(48, 1, "by_value"),
        KernelArgument(56, 8, "by_value"),
        KernelArgument(64, 8, "global_buffer"),
    )


def problem_with(code: CodeObject, args: tuple[Any, ...]) -> str:
    """What is wrong with launching the kernel with these."""
    takes = code.kernels["k"].arguments
    assert takes is not None
    return argument_problem(args, takes)


def changed(number: int, argument: object) -> tuple[Any, ...]:
    """The right arguments with another one in place of the one of this number, from 1."""
    return (*RIGHT[: number - 1], argument, *RIGHT[number:])


def test_what_fits_has_no_problem(code: CodeObject) -> None:
    assert problem_with(code, RIGHT) == ""
    assert problem_with(code, changed(2, np.void(bytes(12)))) == ""
    assert problem_with(code, changed(3, np.arange(2, dtype=np.float64))) == ""


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (RIGHT[:-1], "argument 6 is missing, a pointer; 5 are passed, the kernel takes 6"),
        (RIGHT[:4], "argument 5 is missing, a value of 8 bytes; 4 are passed, the kernel takes 6"),
        ((*RIGHT, np.int32(7)), "argument 7 is int32 7; 7 are passed, the kernel takes 6"),
        ((*RIGHT, "z"), "argument 7 is the array 'z'; 7 are passed, the kernel takes 6"),
        (
            changed(5, np.float32(1)),
            "argument 5 is float32 1.0 of 4 bytes; the kernel takes a value of 8 bytes",
        ),
        (changed(5, "y"), "argument 5 is the array 'y', a pointer; the kernel takes a value of 8 bytes"),
        (
            changed(1, np.uint64(64)),
            "argument 1 is uint64 64; the kernel takes a pointer: pass the name of an array",
        ),
        (
            changed(3, VECTOR[:3]),
            "argument 3 is float32 [0. 1. 2.] of 12 bytes; the kernel takes a value of 16 bytes",
        ),
        (
            changed(2, np.array((1, 2, 3.0), PACKED)[()]),
            f"argument 2 is void72 (1, 2, 3.) of 9 bytes; the kernel takes a value of 12 bytes: {ALIGN}",
        ),
        (changed(5, 1), "argument 5 is 1 of type int; pass a numpy scalar such as np.int32(1)"),
    ],
)
def test_what_differs_is_named(code: CodeObject, args: tuple[Any, ...], problem: str) -> None:
    # numpy 2.3 shows the last member as 3.0
    assert problem_with(code, args).replace("3.0)", "3.)") == problem


def test_it_is_one_line_that_names_the_kernel(code: CodeObject) -> None:
    class Family(Kernel):
        name = "family"
        variants = (Variant("one", "k.hip", "k"),)

        def launch(self, problem: Problem, variant: Variant) -> Launch:
            return Launch((1, 1, 1), (64, 1, 1), changed(5, np.float32(1)))

    family = Family()
    assert resource_quantities(family, family.variants[0], code, [Problem(64)])["launchable"] == Quantity(
        False, reason="k: argument 5 is float32 1.0 of 4 bytes; the kernel takes a value of 8 bytes"
    )


@pytest.mark.parametrize(
    ("threads", "lds_bytes", "problem"),
    [
        (64, 0, ""),
        (2048, 0, "k: launched with 2048 threads a block, compiled for at most 64 (__launch_bounds__)"),
        (64, 65537, "k: a block takes 65537 bytes of LDS, where {target} gives it 65536"),
    ],
)
def test_a_block_that_no_device_could_run_is_not_launchable(
    code: CodeObject, threads: int, lds_bytes: int, problem: str
) -> None:
    class Family(Kernel):
        name = "family"
        variants = (Variant("one", "k.hip", "k"),)

        def launch(self, problem: Problem, variant: Variant) -> Launch:
            return Launch((1, 1, 1), (threads, 1, 1), RIGHT, lds_bytes)

    family = Family()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_greta.contract._MAX_BLOCK_THREADS", 4096)
        found = resource_quantities(family, family.variants[0], code, [Problem(64)])
    assert found["launchable"] == Quantity(not problem, reason=problem.format(target=code.target))


def test_values_are_packed_by_their_bytes_each_at_an_aligned_address() -> None:
    given: list[Value] = [STRUCT, np.bool_(True), VECTOR[::-1], np.float64(1), np.void(bytes(range(40)))]
    pointers, _storage = pack(given)
    for address, value in zip(pointers, given, strict=True):
        assert address % ARG_SLOT_BYTES == 0
        assert ctypes.string_at(address, value.nbytes) == value.tobytes()


def executable(*args: str | Value) -> Executable:
    """Code that is launched with these."""
    return Executable("v", "k", b"code", [Launch((1, 1, 1), (64, 1, 1), args)], {}, 60.0)


def test_history_keeps_values_by_their_bytes() -> None:
    buffers = {name: Array((64,), np.float32) for name in "xy"}
    info = json.loads(json.dumps(code_info(executable(*RIGHT), buffers)))
    again = executable_of(info, b"code", "v", 60.0)
    args = again.launches[0].args
    values = [arg for arg in args if not isinstance(arg, str)]
    assert [value.nbytes for value in values] == [12, 16, 1, 8]
    assert values[1].tobytes() == VECTOR.tobytes()
    assert np.frombuffer(values[0].tobytes(), PARAMS)[0] == STRUCT
    assert code_info(again, buffers) == info
    assert is_same(info, executable(*RIGHT))
    assert not is_same(info, executable(*changed(3, VECTOR + 1)))


def test_what_lies_between_the_members_of_a_struct_makes_no_other_code() -> None:
    kinds = [PARAMS, np.dtype([("a", "i1"), ("b", PARAMS, (2,)), ("c", "f8")], align=True)]
    for dtype in kinds:
        clean, dirty = np.zeros(1, dtype), np.frombuffer(bytearray(b"\xff" * dtype.itemsize), dtype)
        for name in dtype.names or ():
            if dtype[name].subdtype is None:
                dirty[name] = clean[name]
            else:
                for member in PARAMS.names or ():
                    dirty[name][member] = 0
        assert clean.tobytes() != dirty.tobytes()
        assert is_same(code_info(executable(clean[0]), {}), executable(dirty[0]))
        assert is_same(code_info(executable(clean), {}), executable(dirty))


@pytest.mark.parametrize("kept", [["bytes", ""], ["bytes", "0"], ["bytes", "00" * 5000], ["bytes", 3]])
def test_values_in_a_history_edited_by_hand_are_refused(kept: list[Any]) -> None:
    info = code_info(executable(np.int32(1)), {})
    info["launches"][0]["args"] = [kept]
    with pytest.raises(ValueError, match="no description of code"):
        executable_of(info, b"code", "v", 60.0)
