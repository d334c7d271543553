"""What a kernel family must hold to: every mistake is one line that names kernel, method and value."""

# ruff: noqa: E501  -- the messages stand in tables, one line each

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_greta import contract, contract_arrays, contract_family
from pytest_greta.errors import KernelMistake
from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

PROBLEM = Problem(8, {"rows": 2})
OUTPUT = {"y": Array((2, 8), np.float32)}


class Good(Kernel):
    name = "good"
    variants = (Variant("one", "one.hip", "one"),)
    folder = Path(__file__).parent

    def rows(self, problem: Problem) -> tuple[int, ...]:
        return (2,)

    def outputs(self, problem: Problem) -> dict[str, Array]:
        return OUTPUT


def family(**attributes: Any) -> Kernel:
    """The good family with something else in it."""
    changed = {k: (lambda *_, _v=v: _v) if k in METHODS else v for k, v in attributes.items()}
    return type("Changed", (Good,), changed)()  # type: ignore[no-any-return]


CODE = (Variant("one", Path(__file__).name, "one"),)


def with_define(value: Any) -> Kernel:
    return family(variants=[Variant("a", "x.hip", "x", defines={"A": value})])


METHODS = (
    "inputs",
    "outputs",
    "rows",
    "reference",
    "reference_all",
    "variant_inputs",
    "launch",
    "workspaces",
    "tokens",
    "flops",
    "bytes_moved",
    "decode",
    "refuses",
    "defines",
    "constants",
)


@pytest.mark.parametrize(
    ("registered", "problem"),
    [
        (Good, "returns instances of pytest_greta.Kernel, not the class Good"),
        ("text", "not 'text'"),
        (family(name=3), "name is 3, not a text"),
        (family(variants=()), "variants is (), not a list or tuple of at least one Variant"),
        (family(variants=(v for v in Good.variants)), "not a list or tuple"),
        (family(variants=["one"]), "variants has 'one', which is no Variant"),
        (
            family(variants=[Variant("a", "x.hip", "x"), Variant("a", "x.hip", "x")]),
            "variant 'a' is there twice",
        ),
        (family(variants=[Variant("a", "x.hip", None)]), "entry is None, not a text"),  # type: ignore[arg-type]
        (family(variants=[Variant("a", "gone.hip", "x")]), "there is no source"),
        (family(variants=[Variant("a", "x.hip", "x", max_context=0)]), "max_context is 0"),
        (family(variants=[Variant("a", "x.hip", "x", defines={"A B": 1})]), "no macro"),
        (
            family(variants=[Variant("a", "x.hip", "x", flags="-O2")]),
            "variant 'a': flags is '-O2', not a list of texts",
        ),
        (family(flags=["-O2", 3]), "kernel 'good': flags is ['-O2', 3], not a list of texts"),
        (family(flags=["x.hip"]), "'x.hip', which is no flag of a compiler: it does not begin with '-'"),
        (
            family(flags=["-I../x"]),
            "flags has '-I../x', which cannot be set here: name the folder in include",
        ),
        (family(include="../common"), "include is '../common', not a list of folders"),
        (
            family(variants=[Variant("a", "x.hip", "x", include=["../gone"])]),
            f"variant 'a': include has '../gone': there is no folder {Path(__file__).parent.parent / 'gone'}",
        ),
        (family(include=["gone"]), "kernel 'good': include has 'gone': there is no folder"),
        (family(variants=[Variant("a", entry="x")]), "variant 'a': there is neither a source nor code"),
        (
            family(variants=[Variant("a", "x.hip", "x", code="x.hsaco")]),
            "variant 'a': there are both source 'x.hip' and code 'x.hsaco': leave one out",
        ),
        (family(variants=[Variant("a", code="gone.hsaco", entry="x")]), "variant 'a': there is no code "),
        (family(variants=[Variant("a", code=3, entry="x")]), "code is 3, not a text"),  # type: ignore[arg-type]
        (
            family(variants=[Variant("a", code=Path(__file__).name, entry="x", flags=["-O1"])]),
            "variant 'a': flags cannot be given with code, which is compiled already",
        ),
        (family(sizes=None), "sizes is None"),
        (family(sizes={"rows": 0}), "sizes is {'rows': 0}"),
        (family(sizes={"a=b": 1}), "sizes has 'a=b': an axis is called by letters, digits and _"),
        (
            family(sizes={"context": 1}),
            "sizes has 'context': an axis is called by letters, digits and _, not context",
        ),
        (family(cpu_sizes={"rows": 1}), "cpu_sizes has 'rows', which sizes has not"),
        (
            family(sizes={"rows": 1}, cpu_sizes={"rows": "one"}),
            "'rows' is 1 in sizes and 'one' in cpu_sizes: both are numbers, or both texts",
        ),
        (family(name="a\nb"), "name is 'a\\nb', not a text of one line"),
        (
            family(variants=[Variant("a", "x.hip")]),
            "variant 'a': it has no entry: the name of its __global__ function",
        ),
        (family(targets=["gfx9 42"]), "kernel 'good': targets has 'gfx9 42'; a target reads like gfx942"),
        (
            family(variants=[Variant("a", Path(__file__).name, "x", targets=["spirv64"])]),
            "variant 'a': targets has 'spirv64'; a target reads like gfx942",
        ),
        (family(targets="gfx942"), "targets is 'gfx942', not a list of targets"),
        (family(max_error=10**400), "not a number of 0 or more"),
        *(
            (with_define(value), f"defines has 'A': {value!r}, and C++ has no such value")
            for value in (True, None, 1.5)
        ),
    ],
)
def test_a_family_that_cannot_be_registered(registered: Any, problem: str) -> None:
    assert any(problem in line for line in contract_family.registration_problems([registered]))


@pytest.mark.parametrize(
    "flag",
    [
        *("-o", "-ofile", "-x", "-c", "-S", "-E", "-emit-llvm", "--offload-arch=gfx942", "--offload=spirv64"),
        *(
            "--cuda-device-only",
            "-MD",
            "-save-temps",
            "-",
            "-target",
            "-include",
            "--include=x.h",
            "--include",
        ),
        *("--include-directory=x", "--include-directory", "-cxx-isystem", "-Fx", "-isysroot", "--sysroot=x"),
        *(
            "-resource-dir=x",
            "-nostdinc",
            "--compile",
            "--assemble",
            "--analyze",
            "--preprocess",
            "--precompile",
        ),
        *("--version", "--help", "--language=c", "--write-dependencies", "-emit-obj", "-print-targets"),
    ],
)
def test_flags_that_greta_sets_itself_are_named(flag: str) -> None:
    lines = list(contract_family.registration_problems([family(flags=[flag])]))
    assert any(
        line.startswith(f"kernel 'good': flags has {flag!r}, which cannot be set here: ") for line in lines
    )


def test_what_clang_itself_is_told_to_build_is_named_too() -> None:
    (line,) = contract_family.registration_problems([family(flags=["-Xclang", "-emit-pch"], variants=CODE)])
    assert "flags has '-emit-pch', which cannot be set here: greta sets what is built" in line


def test_flags_and_folders_that_can_be_registered() -> None:
    flags = (
        "-ffast-math",
        "-O2",
        "-std=c++20",
        "-mllvm",
        "-openmp-opt-disable",
        "-D",
        "X=1",
        "-mcumode",
        "-g",
    )
    variant = Variant(
        "a", Path(__file__).name, "x", flags=flags, include=["../faulty", Path(__file__).parent]
    )
    kernel = family(variants=[variant], flags=["-O1"], include=["../devices"])
    assert list(contract_family.registration_problems([kernel])) == []
    assert kernel.flags_of(variant) == ("-O1", *flags)
    tests = Path(__file__).resolve().parents[1]
    assert kernel.include_of(variant) == (tests / "devices", tests / "faulty", tests / "unit")


def test_two_families_of_one_name_are_told_apart() -> None:
    assert "kernel 'good' is registered twice" in list(
        contract_family.registration_problems([Good(), Good()])
    )


def ask_inputs(kernel: Kernel) -> Any:
    return contract.inputs(kernel, PROBLEM, np.random.default_rng(0))


def ask_outputs(kernel: Kernel) -> Any:
    return contract.outputs(kernel, PROBLEM)


def ask_origins(kernel: Kernel) -> Any:
    return contract_arrays.check_origins(
        kernel, "outputs", ask_outputs(kernel), {"x": Array((2, 8), np.float32)}
    )


def ask_work(kernel: Kernel) -> Any:
    return contract.work(kernel, PROBLEM)


def ask_errors(kernel: Kernel) -> Any:
    return contract.max_errors(kernel, PROBLEM)


def ask_refusal(kernel: Kernel) -> Any:
    return contract.refusal(kernel, PROBLEM, Good.variants[0])


def ask_defines(kernel: Kernel) -> Any:
    return contract.defines(kernel, PROBLEM, Good.variants[0])


def ask_launches(kernel: Kernel) -> Any:
    made = contract.launches(kernel, PROBLEM, Good.variants[0])
    contract.check_arguments(kernel, made, ["x", "y"])
    return made


def ask_reference(kernel: Kernel) -> Any:
    return contract.reference(kernel, PROBLEM, {}, (0,), OUTPUT)


def ask_all(kernel: Kernel) -> Any:
    return contract_arrays.reference_all(kernel, PROBLEM, {}, OUTPUT)


def ask_derived(kernel: Kernel) -> Any:
    return contract_arrays.variant_inputs(kernel, PROBLEM, Good.variants[0], {})


def ask_constants(kernel: Kernel) -> Any:
    return contract_arrays.constants(kernel, PROBLEM, Good.variants[0])


def ask_tokens(kernel: Kernel) -> Any:
    return contract.tokens(kernel, PROBLEM)


def launch(**changes: Any) -> Launch:
    """A launch with something else in it."""
    return Launch(**{"grid": (1, 1, 1), "block": (64, 1, 1), "args": ("x", "y", np.int32(8)), **changes})


ROW = np.zeros(8)


@pytest.mark.parametrize(
    ("ask", "attributes", "problem"),
    [
        (ask_inputs, {"inputs": None}, "inputs(): it gives NoneType, not a dict by name"),
        (ask_inputs, {"inputs": {"x": [1, 2]}}, "'x' is a list, not a numpy array"),
        (ask_inputs, {"inputs": {3: ROW}}, "3 is no name"),
        (ask_inputs, {"inputs": {"x": ROW.astype(">f4")}}, "'x' has dtype >f4"),
        (ask_inputs, {"inputs": {"x": ROW.astype(object)}}, "'x' has dtype object"),
        (ask_inputs, {"inputs": {"x": ROW.astype(np.complex64)}}, "'x' has dtype complex64"),
        (ask_outputs, {"outputs": {}}, "outputs(): there are none"),
        (ask_outputs, {"outputs": {"y": (2, 8)}}, "'y' is a tuple, not an Array(shape, dtype)"),
        (ask_outputs, {"outputs": {"y": Array((2, 0), "f4")}}, "'y' has shape (2, 0)"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "gone")}},
         "'y' has dtype 'gone', which neither numpy nor ml_dtypes knows; there is bool, int8, uint8, "),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "bf16")}}, "ml_dtypes knows; did you mean 'bfloat16'?"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "fp16")}}, "ml_dtypes knows; did you mean 'float16'?"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "fp8_e4m3")}}, "did you mean 'float8_e4m3fn'?"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "u1", 300)}}, "'y' starts with 300, which uint8 cannot hold"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "i4", 0.5)}}, "'y' starts with 0.5, which int32 cannot hold"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "f2", 1e6)}}, "'y' starts with 1000000.0, which float16"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "i4", float("nan"))}}, "'y' starts with nan, which int32"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "f4", [0])}}, "'y' starts with [0], which float32"),  # type: ignore[arg-type]
        (ask_origins, {"outputs": {"y": Array((2, 8), "f4", "z")}}, "outputs(): 'y' starts from 'z'; the inputs are x"),
        (ask_origins, {"outputs": {"y": Array((2, 8), "f2", "x")}},
         "'y' is float16 [2, 8] and starts from 'x', which is float32 [2, 8]"),
        (ask_outputs, {"rows": ()}, "rows(): () names no axis; an output of one number has the shape (1,)"),
        (ask_outputs, {"rows": (8,)}, "rows(): (8,) are not the leading axes of output 'y', whose shape is (2, 8)"),
        (ask_reference, {"reference": {}}, "it gives [], where the outputs are ['y']"),
        (ask_reference, {"reference": {"z": ROW}}, "it gives ['z'], where the outputs are ['y']"),
        (ask_reference, {"reference": {"y": np.float64(1)}}, "'y' has shape (), where a row of the output has (8,)"),
        (ask_reference, {"reference": {"y": ROW + 1j}}, "'y' is of dtype complex128, not of real numbers"),
        (ask_all, {"reference_all": {}}, "reference_all(): it gives [], where the outputs are ['y']"),
        (ask_all, {"reference_all": ROW}, "reference_all(): it gives ndarray, not a dict by name"),
        (ask_all, {"reference_all": {"y": ROW}}, "'y' has shape (8,), where the output has (2, 8)"),
        (ask_all, {"reference_all": {"y": np.zeros((2, 8), object)}}, "'y' is of dtype object, not of real numbers"),
        (ask_derived, {"variant_inputs": None}, "variant_inputs(): it gives NoneType, not a dict by name"),
        (ask_derived, {"variant_inputs": {"x": [1]}}, "variant_inputs(): 'x' is a list, not a numpy array"),
        (ask_derived, {"variant_inputs": {"x": ROW.astype(">f4")}}, "variant_inputs(): 'x' has dtype >f4"),
        (ask_constants, {"constants": {3: ROW}}, "3 is no name of a variable; expected a text such as 'weights'"),
        (ask_constants, {"constants": {"c": [1]}}, "'c' is a list, not a numpy array or scalar"),
        (ask_constants, {"constants": {"c": np.array([ROW, None], object)}}, "'c' holds Python objects; give it a dtype"),
        (ask_tokens, {"tokens": "many"}, "tokens(): 'many' is no number above 0"),
        (ask_tokens, {"tokens": True}, "tokens(): True is no number above 0"),
        (ask_tokens, {"tokens": 10**400}, "is no number above 0 that a double holds"),
        (ask_work, {"flops": 10**400}, "is no number of 0 or more that a double holds"),
        (ask_work, {"bytes_moved": -1}, "bytes_moved(): -1 is no number of 0 or more"),
        (ask_outputs, {"outputs": [1]}, "outputs(): it gives list, not a dict by name"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "float33")}}, "'y' has dtype 'float33', which neither numpy nor ml_dtypes knows"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "f,,4")}}, "'y' has dtype 'f,,4', which neither numpy nor ml_dtypes knows"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "f4", 10**400)}}, ", which float32 cannot hold"),
        (ask_outputs, {"outputs": {"y": Array((2, 8), "i8", 10**400)}}, ", which int64 cannot hold"),
        (ask_all, {"reference_all": {"y": [[1], [1, 2]]}}, "reference_all(): 'y' is no array of numbers: "),
        (ask_errors, {"decode": np.zeros(5)}, "decode(): it makes shape (5,) of 3 elements of 'y'; expected an array of"),
        (ask_errors, {"decode": [1, 2, 3]}, "decode(): it makes [1, 2, 3] of 3 elements of 'y'"),
        (ask_errors, {"decode": np.zeros(3, complex)}, "decode(): it makes 'y' an array of dtype complex128"),
        (ask_errors, {"decode": np.zeros(3, "U1")}, "decode(): it makes 'y' an array of dtype <U1"),
        (ask_derived, {"variant_inputs": {"y": ROW}}, "variant_inputs(): 'y' is the name of one of the outputs already"),
        (ask_refusal, {"refuses": None}, "refuses(): it gives None, not a text"),
        (ask_defines, {"defines": None}, "defines(): defines is None, not a mapping"),
        (ask_defines, {"defines": {"A B": 1}}, "defines(): defines has 'A B': 1, which is no macro"),
        (ask_defines, {"defines": {"A": True}}, "defines(): defines has 'A': True, and C++ has no such value; write 1 or 0"),
        (ask_launches, {"launch": launch(args=(3.0,))}, "is 3.0 of type float; pass a numpy scalar such as np.float32(3.0)"),
        (ask_launches, {"launch": launch(args=(True,))}, "pass a numpy scalar such as np.bool_(True)"),
        (ask_launches, {"launch": launch(args=([1.0, 2.0],))}, "pass a vector as np.array([1.0, 2.0], np.float32)"),
        (ask_launches, {"launch": launch(args=(None,))}, "None of type NoneType; pass the name of an array, or a numpy"),
        (
            ask_launches,
            {"launch": launch(args=(np.array((1, 2), "i4,f4"),))},
            "argument 1 is a struct in an array without axes; take it out of it: array[()]",
        ),
        (ask_tokens, {"tokens": float("nan")}, "tokens(): nan is no number above 0"),
        (ask_launches, {"launch": []}, "it gives [], not a Launch or a list of at least one"),
        (ask_launches, {"launch": None}, "it gives None"),
        (ask_launches, {"launch": launch(grid=(1, 1))}, "grid is (1, 1), not three whole numbers above 0"),
        (ask_launches, {"launch": launch(grid=(0, 1, 1))}, "grid is (0, 1, 1)"),
        (ask_launches, {"launch": launch(block=(2048, 1, 1))}, "a block of 2048 threads; a GPU takes 1024"),
        (ask_launches, {"launch": launch(grid=(1 << 30, 1, 1))}, "2^32 threads or more on an axis"),
        (ask_launches, {"launch": launch(dynamic_lds_bytes=-1)}, "dynamic_lds_bytes is -1"),
        (ask_launches, {"launch": launch(entry="")}, "entry is ''"),
        (ask_launches, {"launch": launch(args=("x", "yy"))}, "argument 2 is 'yy'; there is x, y"),
        (ask_launches, {"launch": launch(args=("x", 8))}, "argument 2 is 8 of type int; pass a numpy scalar"),
        (ask_launches, {"launch": launch(args=(np.zeros((2, 2), "f4"),))}, "an array of shape (2, 2) and 16 bytes"),
        (ask_launches, {"launch": launch(args=(np.zeros(65, "f4"),))}, "by value goes one axis of at most 256 bytes"),
        (ask_launches, {"launch": launch(args=(np.zeros(4, ">f4"),))}, "argument 1 is of dtype >f4; a kernel takes"),
        (ask_launches, {"launch": launch(args=(np.complex64(1),))}, "argument 1 is of dtype complex64; a kernel takes"),
        (ask_launches, {"launch": launch(args=(np.void(bytes(5000)),))}, "argument 1 is a struct of 5000 bytes"),
        (ask_launches, {"launch": launch(args=(np.zeros((), "i4,O")[()],))}, "argument 1 is of dtype [('f0', '<i4')"),
    ],
)  # fmt: skip
def test_what_a_method_must_not_return(
    ask: Callable[[Kernel], Any], attributes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(KernelMistake) as caught:
        ask(family(**attributes))
    assert problem in str(caught.value)
    assert str(caught.value).startswith("kernel 'good', ")


def test_what_is_right_passes_through() -> None:
    assert ask_outputs(Good()) == OUTPUT
    assert ask_launches(family(launch=launch())) == [launch()]
    assert ask_launches(family(launch=[launch(), launch(entry="two")])) == [launch(), launch(entry="two")]
    struct = np.zeros((), [("n", "i4"), ("x", "f4", (3,)), ("of", [("it", "f8")])])[()]
    contract.check_arguments(Good(), [launch(args=(struct, np.zeros(4, "f4"), np.void(b"1234")))], ["x"])
    assert ask_reference(family(reference={"y": ROW}))["y"].tolist() == ROW.tolist()
    assert ask_all(Good()) is None
    assert ask_derived(Good()) == {}
    assert ask_all(family(reference_all={"y": [[1] * 8, [2] * 8]}))["y"].sum() == 24
    assert ask_tokens(family(tokens=8)) == 8.0
    for dtype, initial in [
        ("f2", 0.1),
        ("f4", float("-inf")),
        ("u8", 2**64 - 1),
        ("?", 1),
        ("f4", np.int64(3)),
    ]:
        started = {"y": Array((2, 8), dtype, initial)}
        assert ask_outputs(family(outputs=started)) == started
    ask_origins(family(outputs={"y": Array((2, 8), "f4", "x")}))


def test_names_are_told_apart() -> None:
    with pytest.raises(
        KernelMistake, match="workspaces\\(\\): 'y' is the name of one of the outputs already"
    ):
        contract.check_names(Good(), inputs=["x"], outputs=["y"], workspaces=["y"])


# -- what the methods raise ------------------------------------------------------------------------------


def raising(*_: Any) -> Any:
    return 1 / 0


ASKED = {
    "inputs": ask_inputs,
    "outputs": ask_outputs,
    "rows": ask_outputs,
    "reference": ask_reference,
    "reference_all": ask_all,
    "variant_inputs": ask_derived,
    "launch": ask_launches,
    "tokens": ask_tokens,
    "flops": ask_work,
    "decode": ask_errors,
    "refuses": ask_refusal,
    "defines": ask_defines,
}


@pytest.mark.parametrize("method", ASKED)
def test_what_a_method_raises_is_one_line_that_says_where(method: str) -> None:
    kernel = type("Changed", (Good,), {method: raising})()
    with pytest.raises(KernelMistake) as caught:
        ASKED[method](kernel)
    line = raising.__code__.co_firstlineno + 1
    place = f"(class Changed, {Path(__file__).relative_to(Path.cwd())}:{line})"
    assert str(caught.value) == f"kernel 'good', {method}(): ZeroDivisionError: division by zero {place}"


def test_a_method_that_is_not_there_is_named() -> None:
    class Bare(Kernel):
        name = "bare"
        variants = Good.variants

    for ask, words in (
        (ask_inputs, "kernel 'bare' has no inputs()"),
        (ask_reference, "kernel 'bare' has no reference() and no reference_all()"),
    ):
        with pytest.raises(KernelMistake) as caught:
            ask(Bare())
        assert str(caught.value) == words
    assert contract.work(Bare(), PROBLEM) == {}


def test_an_axis_that_there_is_not_is_named() -> None:
    for ask in (PROBLEM.__getitem__, PROBLEM.text):
        with pytest.raises(KeyError) as caught:
            ask("rwos")
        assert str(caught.value) == "'rwos' is no axis of this problem; did you mean 'rows'?"


# -- what authors may do ---------------------------------------------------------------------------------


def test_numbers_of_numpy_are_numbers() -> None:
    assert contract.tokens(family(tokens=np.int64(4)), PROBLEM) == 4.0
    assert contract.work(family(flops=np.float32(4), bytes_moved=np.int16(2)), PROBLEM) == {
        "flops": 4.0,
        "bytes_moved": 2.0,
    }


def test_definitions_of_a_variant_stay_under_those_of_the_family() -> None:
    variant = Variant("one", "one.hip", "one", defines={"TILE": 64, "FAST": 0})
    given = contract.defines(family(defines={"TILE": np.int64(32), "ROWS": 2}), PROBLEM, variant)
    assert given == (("FAST", "0"), ("ROWS", "2"), ("TILE", "32"))
    assert contract.defines(Good(), PROBLEM, variant) == (("FAST", "0"), ("TILE", "64"))


def test_what_crosses_to_another_process_is_of_no_class_of_the_authors() -> None:
    class Own(Launch):
        pass

    class OwnArray(Array):
        pass

    own = Own((1, 1, 1), (64, 1, 1), ["x"], 8, "one")  # type: ignore[arg-type]
    (made,) = contract.launches(family(launch=own), PROBLEM, Good.variants[0])
    assert (type(made), made) == (Launch, Launch((1, 1, 1), (64, 1, 1), ("x",), 8, "one"))
    outputs = contract.outputs(family(outputs={"y": OwnArray((2, 8), "f4", 0)}), PROBLEM)
    assert (type(outputs["y"]), outputs["y"]) == (Array, Array((2, 8), "f4", 0))
