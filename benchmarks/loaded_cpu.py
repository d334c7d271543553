"""Gates on the cpu device of a loaded machine: false alarms on equal code, and 10 % more work found within seconds.

    python -m benchmarks.loaded_cpu [--gates N] [--budget SECONDS] [--load visits|always|none] [--all-cores] [CASE...]

N gates `speedup >= 0.99` on a variant against itself with some 10 % more work (a further launch of a part of its grid,
or more elements), and twice as many on equal code. Each is a whole measurement with its checks; starting the worker and
compiling are apart. The load is the neighbour of busy.py, who comes and goes, or one who keeps every core busy always.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.busy import come_and_go, load_a_core
from kernels.prefill.prefill import Prefill
from kernels.softmax.softmax import Softmax
from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.toolchain import CPU_TARGET, find_toolchain
from pytest_greta.device.worker import Worker
from pytest_greta.gates.model import Limit, Status
from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant
from pytest_greta.measure.budget import SessionBudget
from pytest_greta.measure.correctness import Tolerance
from pytest_greta.measure.executable import BASELINE, Executable
from pytest_greta.measure.measurement import measure
from pytest_greta.measure.plan import Counterpart, Plan
from pytest_greta.measure.problem_data import DataStore
from pytest_greta.measure.run import Run
from pytest_greta.stats.pairs import MOST_BLOCKS

LIMIT = Limit(min=0.99)
SOURCE = """
#include <hip/hip_runtime.h>
extern "C" __global__ __launch_bounds__(256) void add(
    const float* x, const float* y, float* out, int n) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  const float sum = x[i] + y[i];
  if (i < n) out[i] = sum;
  if (i >= n && sum == 12345.0f) out[0] = sum;
}
"""


class Add(Kernel):
    """The sum of two vectors; with a larger grid further elements are read and added."""

    name = "add"
    variants = (Variant("add", "add.hip", "add"),)

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, Any]:
        """Two vectors of fp32, of which the first `context` are summed."""
        count = problem.context * 5 // 4
        return {name: rng.standard_normal(count, np.float32) for name in ("x", "y")}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """One."""
        return {"out": Array((problem.context,), np.float32)}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """Every element is one."""
        return (problem.context,)

    def reference_all(self, problem: Problem, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """In float64."""
        return {"out": (inputs["x"].astype(np.float64) + inputs["y"])[: problem.context]}

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        """A thread an element."""
        n = problem.context
        return Launch((n // 256, 1, 1), (256, 1, 1), ("x", "y", "out", np.int32(n)))


@dataclass(frozen=True)
class Case:
    """A kernel at a size at which somebody may gate it on a CPU."""

    kernel: Kernel
    variant: str
    context: int
    more: int
    """What makes it some 10 % slower: rows or blocks of a further launch, or further blocks."""

    def launches(self, is_slower: bool) -> list[Launch]:
        """Of its variant, with more work or without."""
        problem = self.kernel.problem(self.context, "cpu")
        launch = self.kernel.launch(problem, self.kernel.variant(self.variant))
        assert isinstance(launch, Launch)
        if not is_slower:
            return [launch]
        args, more = launch.args, np.int32(self.more)
        if self.kernel.name == "add":
            return [replace(launch, grid=(launch.grid[0] + self.more, 1, 1))]
        if self.kernel.name == "softmax":
            args = (*args[:-2], more, args[-1])
        return [launch, replace(launch, grid=(self.more, 1, 1), args=args)]


CASES = {
    "softmax": Case(Softmax(), "wave", 512, 23),
    "add": Case(Add(), "add", 1 << 18, 190),
    "prefill": Case(Prefill(), "v3", 512, 5),
}


def code_of(case: Case, folder: Path) -> bytes:
    """Its SPIR-V."""
    variant, source = case.kernel.variant(case.variant), folder / "add.hip"
    source.write_text(SOURCE)
    path = source if isinstance(case.kernel, Add) else case.kernel.source_path(variant)
    problem = case.kernel.problem(case.context, "cpu")
    defines = tuple((name, str(value)) for name, value in case.kernel.defines(problem, variant).items())
    code, _ = run_compiler(find_toolchain(CPU_TARGET), Job(path, CPU_TARGET, defines))
    return code


def gate(worker: Worker, store: DataStore, case: Case, code: bytes, is_slower: bool, args: Any) -> Run:
    """One gate, measured as a test does."""
    kernel, variant = case.kernel, case.kernel.variant(case.variant)
    problem = kernel.problem(case.context, "cpu")
    tolerances = {name: Tolerance(1e-2) for name in kernel.outputs(problem)}

    def executable(launches: Sequence[Launch]) -> Executable:
        return Executable(variant.name, variant.entry, code, launches, {}, 60.0, variant=variant)

    baseline = Counterpart(executable(case.launches(False)), (LIMIT,), tolerances)
    plan = Plan(
        kernel=kernel,
        variant=variant,
        problem=problem,
        candidate=executable(case.launches(is_slower)),
        tolerances=tolerances,
        counterparts={BASELINE: baseline},
        missing={},
        fewest_rounds=1,
        most_rounds=MOST_BLOCKS,
        budget_seconds=args.budget,
        single_shot=False,
        seed=1,
        caches=args.caches,
        one_core=not args.all_cores,
    )
    run = measure(worker, plan, lambda _: None, store, SessionBudget())
    if run.fault:
        raise run.fault
    return run


@contextmanager
def neighbour(kind: str) -> Iterator[None]:
    """Others on every core meanwhile: by turns (`visits`), `always`, or `none`."""
    processes = []
    if kind == "visits":
        processes = [multiprocessing.Process(target=come_and_go, args=(1,))]
    elif kind == "always":
        count = os.cpu_count() or 1
        processes = [multiprocessing.Process(target=load_a_core, args=(math.inf,)) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()


def line(name: str, runs: Sequence[Run], walls: Sequence[float], loads: Sequence[float]) -> str:
    """A row of the table."""
    tests = [run.baseline.pairs for run in runs]
    statuses = [test.verdict(LIMIT)[0] for test in tests]
    spreads = []
    for test in tests:
        middle = statistics.median(test.log_ratios)
        spreads.append(1.4826 * statistics.median(abs(x - middle) for x in test.log_ratios))
    counts = ", ".join(f"{statuses.count(one)} {one.name}" for one in Status if one in statuses)
    launch = statistics.median(statistics.median(run.baseline.seconds) for run in runs)
    ratio = statistics.median(test.ratio for test in tests)
    last = sorted(walls)[math.ceil(0.95 * len(walls)) - 1]
    pairs = statistics.median(test.blocks for test in tests)
    return (
        f"| {name} | {runs[0].manner} | {launch * 1e3:.3g} ms | {1 / ratio - 1:+.1%} | {counts} of {len(runs)} | "
        f"{statistics.median(walls):.2f} s, {last:.2f} s | {pairs:g} | {statistics.median(spreads):.1%} | "
        f"{statistics.median(loads):.1f} |"
    )


def main() -> None:
    """Print the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (all)")
    parser.add_argument("--gates", type=int, default=100)
    parser.add_argument("--budget", type=float, default=2.5, help="of timed rounds, in seconds")
    parser.add_argument("--load", default="visits", choices=("visits", "always", "none"))
    parser.add_argument("--caches", default="auto", choices=("auto", "cold", "warm"))
    parser.add_argument("--all-cores", action="store_true", help="as where a gate asks for a time")
    args = parser.parse_args()
    print(
        "| gate | timed | launch | more | verdicts | wall: median, 95 of 100 | pairs | spread | load average |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, neighbour(args.load):
        worker, store = Worker("cpu", Path(folder)), DataStore()
        for name in args.cases or CASES:
            code = code_of(CASES[name], Path(folder))
            for is_slower in (True, False):
                runs, walls, loads = [], [], []
                gate(worker, store, CASES[name], code, is_slower, args)  # which builds what is kept then
                for _ in range(args.gates * (1 if is_slower else 2)):
                    began = time.monotonic()
                    runs.append(gate(worker, store, CASES[name], code, is_slower, args))
                    walls.append(time.monotonic() - began)
                    loads.append(os.getloadavg()[0])
                print(line(f"{name} @ {CASES[name].context}", runs, walls, loads), flush=True)
        worker.close()
        store.close()


if __name__ == "__main__":
    main()
