"""What an author's code does besides answering: it ends the process, skips, writes into what it is given, or answers in
memory that it fills again. It is one line or does nothing, and never changes what is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_greta import contract, contract_arrays, contract_family
from pytest_greta.errors import KernelMistake, SkippedByKernel
from pytest_greta.kernel import Array, Kernel, Problem
from tests.unit.test_contract import ASKED, OUTPUT, PROBLEM, Good, family

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).relative_to(Path.cwd())
ONE = Good.variants[0]


def changed(**methods: Callable[..., Any]) -> Kernel:
    """The good family with other methods."""
    return type("Changed", (Good,), methods)()  # type: ignore[no-any-return]


def raising(error: BaseException) -> Callable[..., Any]:
    def method(*_: Any) -> Any:
        raise error

    return method


@pytest.mark.parametrize("method", ASKED)
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (SystemExit(), "SystemExit"),
        (GeneratorExit(), "GeneratorExit"),
        (pytest.fail.Exception("no"), "Failed: no"),
        (pytest.exit.Exception("enough"), "Exit: enough"),
    ],
)
def test_what_ends_a_process_is_one_line(method: str, error: BaseException, words: str) -> None:
    with pytest.raises(KernelMistake) as caught:
        ASKED[method](changed(**{method: raising(error)}))
    line = raising.__code__.co_firstlineno + 2
    assert str(caught.value) == f"kernel 'good', {method}(): {words} (class Changed, {HERE}:{line})"


@pytest.mark.parametrize("method", ASKED)
def test_ctrl_c_ends_the_session(method: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        ASKED[method](changed(**{method: raising(KeyboardInterrupt())}))


@pytest.mark.parametrize("method", ASKED)
def test_skipping_is_told_with_its_reason(method: str) -> None:
    with pytest.raises(SkippedByKernel, match="not today"):
        ASKED[method](changed(**{method: raising(pytest.skip.Exception("not today"))}))


def test_an_exception_that_cannot_be_written_out_is_named() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise SystemExit

    with pytest.raises(KernelMistake, match=r"^kernel 'good', tokens\(\): Odd \(class Changed, "):
        contract.tokens(changed(tokens=raising(Odd())), PROBLEM)


def test_an_attribute_that_raises_is_a_mistake_of_registration() -> None:
    kernel = changed(variants=property(raising(SystemExit(1))))  # type: ignore[arg-type]
    (told,) = contract_family.registration_problems([kernel])
    assert told.startswith(f"kernel Changed: SystemExit: 1 ({HERE}:")


# -- what is written ---------------------------------------------------------------------------------------


def test_decode_cannot_write_into_an_output() -> None:
    def decode(_: Kernel, __: str, values: NDArray[Any]) -> Any:
        values[...] = 0
        return values.astype(float)

    output = np.arange(4, dtype=np.int8)
    with pytest.raises(KernelMistake) as caught:
        contract.decode(changed(decode=decode), "y", output)
    line = decode.__code__.co_firstlineno + 1
    assert str(caught.value) == (
        f"kernel 'good', decode(): ValueError: assignment destination is read-only (class Changed, {HERE}:{line}); "
        "an array that a method is given cannot be written to: make a new one"
    )
    assert output.tolist() == [0, 1, 2, 3]
    output[0] = 7  # of greta's own it can be written to


def test_a_method_that_changes_what_it_is_given_changes_nothing() -> None:
    def method(_: Kernel, problem: Problem, *rest: Any) -> Any:
        problem.sizes["rows"] = 99  # type: ignore[index]
        given: Any = rest[-1] if isinstance(rest[-1], dict) else rest[0]
        given["x"] = given.pop("x") * 2
        return {} if len(rest) == 2 and rest[0] is ONE else {"y": np.zeros(8 if len(rest) == 2 else (2, 8))}

    kernel = changed(reference=method, reference_all=method, variant_inputs=method)
    inputs: Mapping[str, NDArray[Any]] = {"x": np.ones(3)}
    contract.reference(kernel, PROBLEM, inputs, (0,), OUTPUT)
    contract_arrays.reference_all(kernel, PROBLEM, inputs, OUTPUT)
    contract_arrays.variant_inputs(kernel, PROBLEM, ONE, inputs)
    assert {name: array.tolist() for name, array in inputs.items()} == {"x": [1, 1, 1]}
    assert PROBLEM.sizes == {"rows": 2}


def test_memory_that_a_method_fills_again_keeps_what_was_answered() -> None:
    memory, calls = np.zeros((2, 8)), iter(range(1, 9))

    def fill(*_: Any) -> Any:
        memory[...] = next(calls)
        return memory

    kernel = changed(decode=fill, reference_all=lambda *_: {"y": fill()})
    decoded = [contract.decode(kernel, "y", np.zeros((2, 8), np.int8)) for _ in range(2)]
    assert [int(array[0, 0]) for array in decoded] == [1, 2]
    whole = [contract_arrays.reference_all(kernel, PROBLEM, {}, OUTPUT) for _ in range(2)]
    assert [int(arrays["y"][0, 0]) for arrays in whole if arrays] == [3, 4]


def test_what_is_not_decoded_is_not_copied() -> None:
    output = np.arange(4, dtype=np.int8)
    assert contract.decode(family(), "y", output) is output


# -- whole numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["reference", "reference_all"])
def test_large_whole_numbers_are_given_as_such(method: str) -> None:
    outputs = {"y": Array((2, 8), np.int64)}
    shape = (8,) if method == "reference" else (2, 8)

    def ask(values: object, **others: Any) -> Any:
        kernel = family(**{method: {"y": values}, **others})
        if method == "reference":
            return contract.reference(kernel, PROBLEM, {}, (0,), outputs)
        return contract_arrays.reference_all(kernel, PROBLEM, {}, outputs)

    with pytest.raises(KernelMistake) as caught:
        ask(np.full(shape, 2.0**53))
    assert str(caught.value) == (
        f"kernel 'good', {method}(): 'y' is given as float64, which rounds whole numbers beyond 2^53; give it as int64"
    )
    ask(np.full(shape, 2**60))
    ask(np.full(shape, 2.0**53 - 1))
    ask(np.full(shape, np.inf))
    ask(np.full(shape, 2.0**60), decode=np.zeros(3))  # what it stands for are reals
