"""Every row of an output is held against something that was verified."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_greta.kernel import Array, Kernel, Problem
from pytest_greta.measure.correctness import Tolerance
from pytest_greta.measure.problem_data import DataStore, Wanted
from pytest_greta.measure.reference import Reference, references_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADS, CONTEXT = 64, 512
LIMITS = {"y": Tolerance(1e-4), "n": Tolerance(0.0)}
ODD = (37, 301)


class Doubling(Kernel):
    name = "doubling"
    computed = 0

    def outputs(self, problem: Problem) -> dict[str, Array]:
        shape = (HEADS, problem.context)
        return {"y": Array((*shape, 2), np.float32), "n": Array(shape, np.int64)}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        return HEADS, problem.context

    def reference(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
    ) -> dict[str, NDArray[np.generic]]:
        self.computed += 1
        return {"y": 2 * inputs["x"][row].astype(np.float64), "n": np.asarray(row[1] + (1 << 60))}


class AllAtOnce(Doubling):
    def reference_all(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, NDArray[np.generic]]:
        return {"y": 2 * inputs["x"].astype(np.float64), "n": right(inputs["x"])["n"]}


def drawn() -> NDArray[np.float32]:
    x: NDArray[np.float32] = np.random.default_rng(5).random((HEADS, CONTEXT, 2), np.float32) + np.float32(
        0.5
    )
    return x


def right(x: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
    numbers = np.broadcast_to(np.arange(CONTEXT, dtype=np.int64) + (1 << 60), (HEADS, CONTEXT))
    return {"y": (2 * x.astype(np.float64)).astype(np.float32), "n": numbers.copy()}


def reference(kernel: Kernel, seed: int = 0) -> Reference:
    """One that does not know the odd row: it would be no test otherwise."""
    problem, inputs = Problem(CONTEXT), {"x": drawn()}
    made = references_of(
        kernel, problem, {"first": inputs}, kernel.outputs(problem), np.random.default_rng(seed)
    )
    made["first"].rows.pop(ODD, None)
    return made["first"]


def test_right_outputs_are_right_and_the_share_is_told() -> None:
    one = reference(Doubling())
    assert all(not e.problem(LIMITS[n]) for n, e in one.errors(right(drawn()), LIMITS).items())
    assert one.checked == f"{len(one.rows)} of 32768 rows checked"
    assert 64 <= len(one.rows) <= 110


def test_one_wrong_row_is_found_beside_a_verified_output() -> None:
    one, wrong = reference(Doubling()), right(drawn())
    wrong["y"][ODD][1] *= np.float32(1.001)
    assert not one.errors(wrong, LIMITS)["y"].problem(LIMITS["y"])
    one.verify("baseline", "good", right(drawn()), LIMITS)
    found = one.errors(wrong, LIMITS)["y"]
    assert found.row == f"'y' at row {list(ODD)}"
    assert found.of_row == pytest.approx(1e-3, rel=0.6)
    assert not one.wrong
    assert (
        one.checked
        == f"all 32768 rows checked against the baseline good, {len(one.rows)} of them against float64"
    )


def test_one_whole_number_that_is_off_by_one_is_found() -> None:
    one, wrong = reference(Doubling()), right(drawn())
    wrong["n"][ODD] += 1
    one.verify("baseline", "good", right(drawn()), LIMITS)
    assert one.errors(wrong, LIMITS)["n"].of_row == np.inf


def test_where_the_verified_output_is_the_wrong_one_it_is_named_and_not_the_other() -> None:
    one, wrong = reference(Doubling()), right(drawn())
    wrong["y"][ODD] += np.float32(1)
    one.verify("baseline", "bad", wrong, LIMITS)
    assert all(not e.problem(LIMITS[n]) for n, e in one.errors(right(drawn()), LIMITS).items())
    assert one.wrong.startswith("its error is ")
    assert f"'y' at row {list(ODD)}, over 1.00e-04" in one.wrong


def test_many_wrong_rows_of_the_verified_output_hide_no_wrong_one_of_the_other() -> None:
    one, bad, wrong = reference(Doubling()), right(drawn()), right(drawn())
    bad["y"][20, 100:180] = -1000
    wrong["y"][ODD] += np.float32(0.5)
    one.verify("baseline", "bad", bad, LIMITS)
    assert one.errors(wrong, LIMITS)["y"].row == f"'y' at row {list(ODD)}"
    assert one.wrong


def test_a_loose_limit_of_the_verified_output_loosens_nothing_of_the_other() -> None:
    one, wrong = reference(Doubling()), right(drawn())
    wrong["y"][ODD] *= np.float32(1.15)
    one.verify("baseline", "loose", right(drawn()), {**LIMITS, "y": Tolerance(0.2)})
    assert one.errors(wrong, LIMITS)["y"].problem(LIMITS["y"])


def test_a_wrong_nan_does_not_hide_behind_those_of_the_reference() -> None:
    class Masked(Doubling):
        def reference(
            self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
        ) -> dict[str, NDArray[np.generic]]:
            found = super().reference(problem, inputs, row)
            return {**found, "y": np.full(2, np.nan) if row[0] == 0 else found["y"]}

    one, wrong = reference(Masked()), right(drawn())
    wrong["y"][0] = np.nan
    assert not one.errors(wrong, LIMITS)["y"].problem(LIMITS["y"])
    wrong["y"][ODD] = np.nan
    assert one.errors(wrong, LIMITS)["y"].row == f"'y' at row {list(ODD)}"


def test_what_is_no_longer_taken_for_right_is_told() -> None:
    one = reference(Doubling())
    one.verify("baseline", "good", right(drawn()), LIMITS)
    assert not one.is_partial
    one.forget("accepted")
    assert not one.is_partial
    one.forget("baseline")
    assert one.is_partial
    assert one.checked == f"{len(one.rows)} of 32768 rows checked"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_looked_at_wherever_it_is(value: float) -> None:
    one, wrong = reference(Doubling()), right(drawn())
    wrong["y"][ODD][0] = value
    found = one.errors(wrong, LIMITS)["y"]
    assert (found.of_row, found.row) == (np.inf, f"'y' at row {list(ODD)}")


def test_few_rows_are_computed_where_all_are_wrong() -> None:
    kernel = Doubling()
    one = reference(kernel)
    one.verify("baseline", "good", right(drawn()), LIMITS)
    before = kernel.computed
    assert one.errors({**right(drawn()), "y": np.zeros_like(right(drawn())["y"])}, LIMITS)["y"].of_row == 1
    assert kernel.computed - before <= 32


def test_with_time_all_rows_are_computed() -> None:
    one = reference(Doubling())
    one.rows |= one.further_rows(60.0, threading.Event())
    assert one.checked == "32768 of 32768 rows checked"


def test_nobody_waits_for_rows_when_a_measurement_has_ended() -> None:
    one, stop = reference(Doubling()), threading.Event()
    stop.set()
    assert len(one.further_rows(60.0, stop)) <= 1


def test_a_reference_of_the_whole_output_needs_no_rows() -> None:
    kernel = AllAtOnce()
    one, wrong = reference(kernel), right(drawn())
    wrong["y"][ODD] += np.float32(1)
    assert one.errors(wrong, LIMITS)["y"].row == f"'y' at row {list(ODD)}"
    assert (kernel.computed, one.checked) == (0, "all 98304 elements checked")


class Scratch(Doubling):
    """Keeps the row that it computes in itself."""

    row: tuple[int, ...] = ()

    def reference(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
    ) -> dict[str, NDArray[np.generic]]:
        self.row = row
        time.sleep(0.0002)
        return super().reference(problem, inputs, self.row)


def test_rows_of_two_threads_are_computed_one_at_a_time() -> None:
    made, x = reference(Scratch()), drawn()
    outputs = right(x)
    outputs["y"][:, :200, 0] = np.nan  # what no reference was computed for yet is looked at, and found wrong
    wanted = {row: 2 * x[row].astype(np.float64) for row in np.ndindex(HEADS, CONTEXT)}
    further: dict[tuple[int, ...], Mapping[str, NDArray[np.generic]]] = {}
    thread = threading.Thread(target=lambda: further.update(made.further_rows(0.3, threading.Event())))
    thread.start()
    made.errors(outputs, LIMITS)
    thread.join()
    computed = {**made.rows, **further}
    assert [row for row, arrays in computed.items() if not np.array_equal(arrays["y"], wanted[row])] == []


class Drawn(AllAtOnce):
    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        return {"x": rng.random((HEADS, problem.context, 2), np.float32)}


def test_references_count_for_what_a_session_keeps() -> None:
    """An output may be far larger than all inputs."""
    store, kernel = DataStore(most_bytes=1 << 20), Drawn()
    data = store.of(Wanted(kernel, Problem(CONTEXT), 1), lambda _: None)
    inputs = data.size_bytes
    data.references()
    whole = 2 * HEADS * CONTEXT * (2 * 8 + 8)
    assert inputs == 2 * HEADS * CONTEXT * 2 * 4
    assert data.size_bytes == inputs + whole
    store.of(Wanted(kernel, Problem(8), 1), lambda _: None)
    assert store.of(Wanted(kernel, Problem(CONTEXT), 1), lambda _: None) is not data
    store.close()
