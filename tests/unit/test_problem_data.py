"""What all measurements of a problem share."""

from __future__ import annotations

import gc
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_greta.errors import KernelMistake
from pytest_greta.kernel import Array, Kernel, Launch, Problem
from pytest_greta.measure.correctness import Tolerance
from pytest_greta.measure.executable import Executable
from pytest_greta.measure.problem_data import DataStore, ProblemData, Wanted
from pytest_greta.measure.verification import Verification


class Counting(Kernel):
    """y = x, and how often anything was asked."""

    name = "counting"
    variants = ()

    def __init__(self) -> None:
        self.drawn = self.computed = 0

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, Any]:
        self.drawn += 1
        return {"x": rng.random((8, problem.context))}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        return {"y": Array((8, problem.context), np.float64)}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        return (8,)

    def reference(self, problem: Problem, inputs: Mapping[str, Any], row: tuple[int, ...]) -> dict[str, Any]:
        self.computed += 1
        return {"y": inputs["x"][row]}


@pytest.fixture
def kernel() -> Counting:
    return Counting()


def data_of(store: DataStore, kernel: Kernel, context: int, seed: int = 1) -> ProblemData:
    return store.of(Wanted(kernel, Problem(context), seed), lambda _: None)


def test_inputs_are_drawn_once_a_problem(kernel: Counting) -> None:
    store = DataStore()
    first, again = data_of(store, kernel, 64), data_of(store, kernel, 64)
    assert again is first
    assert kernel.drawn == 2  # two draws
    data_of(store, kernel, 128)
    data_of(store, kernel, 64, seed=2)
    assert kernel.drawn == 6
    store.close()


def test_references_are_computed_once_and_what_is_verified_is_of_one_measurement(kernel: Counting) -> None:
    store = DataStore()
    data = data_of(store, kernel, 64)
    one = data.references()["first"]
    computed = kernel.computed
    one.verify("baseline", "base", {"y": np.zeros((8, 64))}, {})
    other = data.references()["first"]
    assert kernel.computed == computed
    assert other.verified is None
    assert other.rows is one.rows
    store.close()


class Stumbling(Counting):
    """It raises at one row, the first time that it is asked for it."""

    def __init__(self, row: int) -> None:
        super().__init__()
        self.row = row

    def rows(self, problem: Problem) -> tuple[int, ...]:
        return (64,)

    def outputs(self, problem: Problem) -> dict[str, Array]:
        return {"y": Array((64, problem.context), np.float64)}

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, Any]:
        return {"x": np.zeros((64, problem.context))}

    def reference(self, problem: Problem, inputs: Mapping[str, Any], row: tuple[int, ...]) -> dict[str, Any]:
        if row == (self.row,):
            self.row = -1
            raise ZeroDivisionError("no such row")
        return super().reference(problem, inputs, row)


def test_what_a_reference_raises_for_one_row_is_told_to_all_that_come_later() -> None:
    store, cause = DataStore(most_bytes=0), "kernel 'counting', reference(): ZeroDivisionError: no such row"
    covering = Stumbling(0)  # the first row is always among those that cover an output
    for _ in range(2):
        with pytest.raises(KernelMistake, match=re.escape(cause)):
            data_of(store, covering, 4).references()
    later = Stumbling(-1)
    one = data_of(store, later, 8).references()["second"]
    later.row = next(row for row in range(64) if (row,) not in one.rows)
    with pytest.raises(KernelMistake, match=re.escape(cause)):
        one.further_rows(60.0, threading.Event())  # while another measurement is timed
    data_of(store, later, 16).references()  # another problem, for which this one is not kept
    with pytest.raises(KernelMistake, match=re.escape(cause)):
        data_of(store, later, 8).references()
    store.close()


def test_what_was_used_last_is_kept_within_its_bytes(kernel: Counting) -> None:
    size = 2 * 8 * 64 * 8
    store = DataStore(most_bytes=2 * size)
    for context in (64, 32, 64, 16):
        data_of(store, kernel, context)
    assert kernel.drawn == 6
    data_of(store, kernel, 64)
    assert kernel.drawn == 6
    data_of(store, kernel, 1000)  # larger than all of it: kept as long as it is used
    data_of(store, kernel, 1000)
    assert kernel.drawn == 8
    data_of(store, kernel, 64)
    assert kernel.drawn == 10
    store.close()


def test_many_small_problems_do_not_use_up_file_descriptors(kernel: Counting) -> None:
    gc.collect()  # what earlier tests left behind has descriptors too
    store = DataStore()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for context in range(1, 200):
        data_of(store, kernel, context)
    assert len(list(Path("/proc/self/fd").iterdir())) - before <= 2 * 100
    data_of(store, kernel, 199)
    assert kernel.drawn == 2 * 199  # those used last are kept
    store.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_outputs_that_were_right_are_known_as_long_as_nothing_more_is(kernel: Counting) -> None:
    store = DataStore()
    data = data_of(store, kernel, 64)
    tolerances = {"y": Tolerance(0.0)}
    executable = Executable("base", "base", b"code", [Launch((1, 1, 1), (1, 1, 1), ())], {}, 1.0)

    def check(factor: float) -> Verification:
        made = Verification(kernel.outputs(Problem(64)), data.references(), tolerances)
        for draw, drawn in data.shared.items():
            outputs = {"y": drawn.arrays["x"].astype(np.float64) * factor}
            made.see(draw, 0xFF, b"digest", outputs)
            made.judge(draw, outputs)
        return made

    empty = data.size_bytes if data.references() else 0
    data.remember(executable, check(1.0))
    right = data.right(executable, tolerances)
    assert {one.digest for one in right.values()} == {b"digest"}
    assert set(right) == {"first", "second"}
    assert data.size_bytes == empty + 2 * 8 * 64 * 8
    assert data.right(executable, {"y": Tolerance(1.0)}) == {}
    assert data.right(replace(executable, code=b"other"), tolerances) == {}
    assert data.right(replace(executable, constants={"c": b"1"}), tolerances) == {}
    del data.references()["first"].rows[0,]  # as if it had not been known then
    assert set(data.right(executable, tolerances)) == {"second"}
    data.remember(executable, check(1.1))
    assert data.right(executable, tolerances) == {}
    data.remember(executable, check(1.0))
    data.remember(executable, None)
    assert data.right(executable, tolerances) == {}
    store.close()


class Partial(Counting):
    """The same, with rows enough to take a while."""

    def rows(self, problem: Problem) -> tuple[int, ...]:
        return (8, problem.context)

    def outputs(self, problem: Problem) -> dict[str, Array]:
        return {"y": Array((8, problem.context, 1), np.float64)}

    def reference(self, problem: Problem, inputs: Mapping[str, Any], row: tuple[int, ...]) -> dict[str, Any]:
        self.computed += 1
        return {"y": inputs["x"][row][np.newaxis]}


def made_ahead(store: DataStore, wanted: list[Wanted]) -> None:
    """Wait until all of them are made, as far as the store makes them."""
    store.foresee(wanted)
    until = time.monotonic() + 30
    while store._ahead.pending and time.monotonic() < until:
        time.sleep(0.001)


def test_what_is_foreseen_is_drawn_once_and_its_rows_are_computed() -> None:
    kernel, store = Partial(), DataStore()
    wanted = Wanted(kernel, Problem(256), 1, is_alone=True)
    made_ahead(store, [wanted, wanted])
    drawn, computed = kernel.drawn, kernel.computed
    assert (drawn, computed) == (2, 2 * 8 * 256)  # both draws, every row of each
    told: list[str] = []
    data = store.of(wanted, told.append)
    assert told == ["drawing inputs"]
    assert data.has_further_rows("first")
    assert not data.references()["first"].is_partial
    assert (kernel.drawn, kernel.computed) == (drawn, computed)
    alone = DataStore()
    itself = alone.of(wanted, lambda _: None)
    assert np.array_equal(itself.shared["first"].arrays["x"], data.shared["first"].arrays["x"])
    store.close()
    alone.close()


def test_a_problem_with_a_baseline_has_no_further_rows_ahead() -> None:
    kernel, store = Partial(), DataStore()
    wanted = Wanted(kernel, Problem(512), 1)
    made_ahead(store, [wanted])
    assert kernel.drawn == 2
    assert 0 < kernel.computed < 2 * 8 * 512
    assert not store.of(wanted, lambda _: None).has_further_rows("first")
    store.close()


def test_memory_ends_what_is_made_ahead_and_what_is_not_asked_for_is_let_go(kernel: Counting) -> None:
    store = DataStore(most_bytes=8 * 64 * 8)
    made_ahead(store, [Wanted(kernel, Problem(64), 1)])
    made_ahead(store, [Wanted(kernel, Problem(64), 1), Wanted(kernel, Problem(32), 1)])
    assert kernel.drawn == 2
    store.close()


class Unwilling(Counting):
    """Has no inputs."""

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, Any]:
        self.drawn += 1
        raise ValueError(f"no inputs for {problem.context}")


def test_what_raises_ahead_raises_where_it_is_asked_for() -> None:
    kernel, store = Unwilling(), DataStore()
    wanted = Wanted(kernel, Problem(64), 1)
    made_ahead(store, [wanted])
    assert kernel.drawn == 1
    with pytest.raises(KernelMistake, match="no inputs for 64"):
        store.of(wanted, lambda _: None)
    store.close()
