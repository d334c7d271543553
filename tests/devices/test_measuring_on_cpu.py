"""A measurement on the cpu device, as a test makes it: in which order and at which places launches run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.device.worker import Worker
from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant
from pytest_greta.measure.budget import SessionBudget
from pytest_greta.measure.buffers import Buffers
from pytest_greta.measure.correctness import Tolerance
from pytest_greta.measure.executable import BASELINE, CANDIDATE, Executable
from pytest_greta.measure.measurement import measure
from pytest_greta.measure.plan import Counterpart, Plan
from pytest_greta.measure.problem_data import DataStore
from pytest_greta.measure.run import Run
from pytest_greta.measure.timing import _EXCHANGE_SECONDS

SOURCE = """
#include <hip/hip_runtime.h>
extern "C" __global__ __launch_bounds__(64) void twice(const float* x, float* y, int n) {
  const int i = blockIdx.x * 64 + threadIdx.x;
  if (i < n) y[i] = 2.0f * x[i];
}
extern "C" __global__ __launch_bounds__(64) void thrice(const float* x, float* y, int n) {
  const int i = blockIdx.x * 64 + threadIdx.x;
  if (i < n) y[i] = 3.0f * x[i];
}
"""
COUNT = 4096


class Twice(Kernel):
    """y = 2 x."""

    name = "twice"
    variants = (Variant("base", "twice.hip", "twice"), Variant("same", "twice.hip", "twice"))

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, Any]:
        return {"x": rng.standard_normal(COUNT, np.float32)}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        return {"y": Array((COUNT,), np.float32)}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        return (COUNT,)

    def reference_all(self, problem: Problem, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"y": 2 * inputs["x"].astype(np.float64)}


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("twice")
    path = folder / "twice.hip"
    path.write_text(SOURCE)
    made, _ = run_compiler(find_toolchain(CPU_TARGET), Job(path, CPU_TARGET))
    return made


@pytest.fixture
def worker(code_cache: Path) -> Iterator[Worker]:
    opened = Worker("cpu", code_cache)
    yield opened
    opened.close()


@pytest.fixture
def as_gpu(worker: Worker) -> Worker:
    """The same device, taken for a GPU by all that makes a difference between a host and a GPU."""
    worker.info = replace(worker.info, kind="hip")
    return worker


def measured(
    worker: Worker,
    code: bytes,
    rounds: int,
    caches: str,
    store: DataStore | None = None,
    entry: str = "twice",
) -> Run:
    """The variant `same` beside `base`, for so many rounds; `entry` is the function of `base`."""
    kernel, problem = Twice(), Problem(COUNT)
    launch = Launch((COUNT // 64, 1, 1), (64, 1, 1), ("x", "y", np.int32(COUNT)))

    def executable(variant: Variant, entry: str) -> Executable:
        return Executable(variant.name, entry, code, [launch], {}, 60.0, variant=variant)

    base, same = kernel.variants
    tolerances = {"y": Tolerance(0.0)}
    plan = Plan(
        kernel=kernel,
        variant=same,
        problem=problem,
        candidate=executable(same, "twice"),
        tolerances=tolerances,
        counterparts={BASELINE: Counterpart(executable(base, entry), (), tolerances)},
        missing={},
        fewest_rounds=rounds,
        most_rounds=rounds,
        budget_seconds=30.0,
        single_shot=False,
        seed=1,
        caches=caches,
    )
    with_data = store or DataStore()
    run = measure(worker, plan, lambda _: None, with_data, SessionBudget())
    if store is None:
        with_data.close()
    assert run.fault is None
    return run


def test_rounds_come_in_couples_of_opposite_order_and_places_go_with_the_order(
    worker: Worker, code: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_EXCHANGE_SECONDS, "cpu", 1.0)  # however busy the machine
    run = measured(worker, code, 20, "warm")
    assert len(run.seconds) == len(run.baseline.seconds) == len(run.rounds) == 20
    couples = list(zip(run.rounds[0::2], run.rounds[1::2], strict=True))
    assert all(list(one.order) == list(other.order)[::-1] for one, other in couples)
    assert all((one.draw, one.poison) == (other.draw, other.poison) for one, other in couples)
    assert [one.draw for one, _ in couples] == ["first", "second"] * 5
    assert {tuple(one.order) for one, _ in couples} == {(CANDIDATE, BASELINE), (BASELINE, CANDIDATE)}
    # places are those of (candidate, baseline): what is launched first has the first
    assert {(one.order[0], one.places) for one in run.rounds} == {(CANDIDATE, (0, 1)), (BASELINE, (1, 0))}
    assert [
        1 if order == BASELINE else -1 for order in (one.order[0] for one in run.rounds)
    ] == run.baseline.pairs.orders


def test_where_times_do_not_count_nothing_moves_and_all_comes_in_batches(worker: Worker, code: bytes) -> None:
    run = measured(worker, code, 20, "")
    assert {one.places for one in run.rounds} == {(0, 1)}
    assert (run.manner.name, run.warm_up) == ("as they come", "")
    assert run.quantities["deterministic"].reason == "21 launches"


def test_each_draw_meets_both_poisons(worker: Worker, code: bytes) -> None:
    run = measured(worker, code, 8, "cold")
    met = {(one.draw, one.poison) for one in run.rounds}
    assert met == set(itertools.product(("first", "second"), (0xFF, 0x7F)))
    assert run.quantities["complete"].value is True
    assert run.quantities["max_error"].value == 0.0


def test_a_baseline_that_was_right_is_read_once_a_session(
    worker: Worker, code: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    outputs = Buffers.outputs

    def counted(buffers: Buffers, slot: str) -> dict[str, Any]:
        read.append(slot)
        return outputs(buffers, slot)

    monkeypatch.setattr(Buffers, "outputs", counted)
    store = DataStore()
    for _ in range(2):
        run = measured(worker, code, 8, "cold", store)
        assert run.quantities["max_error"].value == 0.0
        assert len(run.baseline.seconds) == 8
    assert read.count(BASELINE) == 2  # on each draw of inputs
    assert read.count(CANDIDATE) == 4
    assert BASELINE not in read[4:]
    # Other launches of the same code are another thing: nothing is known of what they write.
    run = measured(worker, code, 8, "cold", store, "thrice")
    assert "its error is" in run.baseline.problem
    store.close()


def test_on_a_gpu_couples_take_copies_of_the_code(as_gpu: Worker, code: bytes) -> None:
    run = measured(as_gpu, code, 40, "cold")
    taken = [one.copies for one in run.rounds[6:]]
    assert all(set(one) == {CANDIDATE, BASELINE} for one in taken)
    assert len({tuple(one.values()) for one in taken}) > 3
    assert run.quantities["max_error"].value == 0.0
    assert run.quantities["deterministic"].value is True


def test_a_counterpart_that_is_judged_beside_the_device_is_dropped(as_gpu: Worker, code: bytes) -> None:
    run = measured(as_gpu, code, 8, "cold", entry="thrice")
    assert "is wrong: its error is" in run.baseline.problem
    assert run.quantities["max_error"].value == 0.0
    assert len(run.seconds) == 8
