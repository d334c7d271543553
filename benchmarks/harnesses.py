"""What other harnesses and greta say of the same kernels on the same GPU in one run, with Nsight Compute as the truth.

    python benchmarks/harnesses.py [--verdicts N]

Bias and spread of one launch, timed launches a second of wall time, with caches cold and warm: by greta, by Triton's
`do_bench` and `do_bench_cudagraph`, by CuPy's graphs in a process without PyTorch (whose presence costs a launch in a
graph 0.16 us on an H100), and by nvbench's method: a blocking kernel, the caches overwritten, a launch between two
events, and a wait for each. With `--verdicts`, N times each: greta against a kernel with 3 % more work, and against
itself, each held against a limit of 1 %, with the wall time of the whole measurement.

Needs an NVIDIA GPU under tests/hip_on_cuda, ncu, PyTorch, Triton and CuPy. Prints the tables of docs/measurements.md.
"""

from __future__ import annotations

import argparse
import csv
import functools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_greta.device import BoundLaunch, run_once
from pytest_greta.device.hip import open_hip
from pytest_greta.device.worker import Worker
from pytest_greta.gates.model import Limit, Status
from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant
from pytest_greta.measure.budget import SessionBudget
from pytest_greta.measure.correctness import Tolerance
from pytest_greta.measure.executable import BASELINE, Executable
from pytest_greta.measure.measurement import measure
from pytest_greta.measure.plan import Counterpart, Plan
from pytest_greta.measure.problem_data import DataStore

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.measure.run import Run

SOURCE = """
#include <hip/hip_runtime.h>
extern "C" __global__ __launch_bounds__(256) void axpy(float* y, const float* x, int n, int extra) {
  const int first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
  for (int i = first; i < n; i += step) y[i] = 2.0f * x[i] + 1.0f;
  for (int i = first; i < extra; i += step) y[i] = 2.0f * x[i] + 1.0f;
}
extern "C" __global__ __launch_bounds__(256) void spin(float* y, const float* x, int n, int extra) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  float a = x[i], b = a;
  for (int k = 0; k < n; ++k) a = a * 0.9999999f + 1e-7f;
  for (int k = 0; k < extra; ++k) b = b * 0.9999999f + 1e-7f;
  y[i] = b == 12345.0f ? b : a;
}
"""


@dataclass(frozen=True)
class Case:
    """One kernel at one size."""

    name: str
    entry: str
    n: int
    """Elements of axpy, steps of spin."""
    grid: int
    more: int
    """What makes it some 3 % slower: elements or steps."""

    @property
    def size(self) -> int:
        """Elements of input and output."""
        return self.n if self.entry == "axpy" else 256 * self.grid

    def launch(self, extra: int = 0) -> Launch:
        """Its launch."""
        return Launch((self.grid, 1, 1), (256, 1, 1), ("y", "x", np.int32(self.n), np.int32(extra)))


CASES = (
    Case("spin 3 us", "spin", 780, 132, 25),
    Case("axpy of 1 M", "axpy", 1_000_000, 1024, 90_000),
    Case("spin 30 us", "spin", 12_000, 132, 365),
    Case("spin 200 us", "spin", 87_000, 132, 2_620),
    Case("axpy of 64 M", "axpy", 64_000_000, 8192, 2_000_000),
    Case("spin 2.5 ms", "spin", 1_110_000, 132, 33_500),
)
DATA = DataStore()
PLACES = 6
"""So many allocations are the ratios of warm launches taken at, and so many measurements of greta's."""
VERDICTS = ("spin 3 us", "axpy of 1 M", "spin 30 us", "spin 200 us")


@dataclass(frozen=True)
class Reading:
    """What a harness says of a kernel."""

    groups: Sequence[Sequence[float]]
    """Seconds of launches, of each place in memory by themselves."""
    launches: int
    wall_seconds: float

    @property
    def median(self) -> float:
        """Median of the times of a launch."""
        return statistics.median(one for group in self.groups for one in group)

    def __str__(self) -> str:
        middles = [(group, statistics.median(group)) for group in self.groups]
        spread = 1.4826 * statistics.median(abs(s / middle - 1) for group, middle in middles for s in group)
        return f"{self.median * 1e6:.2f} us, {100 * spread:.2f} %, {self.launches / self.wall_seconds:.0f}/s"


# -- greta ----------------------------------------------------------------------------------------------------


class Family(Kernel):
    """A case as a family, whose variants do some more work."""

    variants = tuple(Variant(name, "harness.hip") for name in ("base", "same", "slower"))

    def __init__(self, case: Case) -> None:
        self.case = case
        self.name = case.name  # type: ignore[misc]

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Numbers from 0 to 1."""
        return {"x": rng.random(self.case.size, np.float32)}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """One for each of the input."""
        return {"y": Array((self.case.size,), np.float32)}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """Every element is one."""
        return (self.case.size,)

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        """More work for `slower`."""
        return self.case.launch(self.case.more if variant.name == "slower" else 0)

    def reference_all(self, problem: Problem, inputs: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """2 x + 1, or the fixed point that the steps tend to."""
        x = inputs["x"].astype(np.float64)
        if self.case.entry == "axpy":
            return {"y": 2 * x + 1}
        factor = float(np.float32(0.9999999))
        power = factor**self.case.n
        return {"y": power * x + 1e-7 * (1 - power) / (1 - factor)}


def greta(worker: Worker, case: Case, other: str, caches: str, seconds: float, rounds: int = 300) -> Run:
    """A measurement of `other` beside the base, as a gate makes it, held against a limit of 1 %."""
    family = Family(case)
    code = worker.compile(SOURCE, "harness.hip", ["-O3"], 60.0)
    problem = Problem(1)

    def executable(name: str) -> Executable:
        variant = family.variant(name)
        return Executable(
            name, case.entry, code, [family.launch(problem, variant)], {}, 60.0, variant=variant
        )

    tolerances = {"y": Tolerance(0.2)}
    plan = Plan(
        kernel=family,
        variant=family.variant(other),
        problem=problem,
        candidate=executable(other),
        tolerances=tolerances,
        counterparts={BASELINE: Counterpart(executable("base"), (Limit(min=1 / 1.01),), tolerances)},
        missing={},
        fewest_rounds=1,
        most_rounds=rounds,
        budget_seconds=seconds,
        single_shot=False,
        seed=1,
        caches=caches,
    )
    run = measure(worker, plan, lambda _: None, DATA, SessionBudget())
    if run.fault:
        raise run.fault
    return run


def by_greta(worker: Worker, case: Case, caches: str) -> Reading:
    """Times of the base, as one side of a measurement that ends when its budget does."""
    began = time.monotonic()
    run = greta(worker, case, "same", caches, 0.5)
    wall = time.monotonic() - began
    counts = [run.manner.counts.get(slot, 1) for slot in ("candidate", BASELINE)]
    groups: dict[tuple[str, tuple[int, ...]], list[float]] = {}
    for one, seconds in zip(run.rounds, run.baseline.seconds, strict=True):
        groups.setdefault((one.draw, one.places), []).append(seconds)
    return Reading([g for g in groups.values() if len(g) > 4], sum(counts) * len(run.seconds), wall)


# -- the others -----------------------------------------------------------------------------------------------


def others(case: Case, code: bytes) -> Iterator[tuple[str, Reading]]:
    """Triton's two harnesses, and nvbench's method, on PyTorch's stream, with the code that greta launches."""
    import cupy  # type: ignore[import-not-found]
    import torch
    from triton.testing import do_bench, do_bench_cudagraph  # type: ignore[import-not-found]

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(code)
        function = cupy.RawModule(path=file.name).get_function(case.entry)
    x, y = _arrays(cupy, case)

    def launch(extra: int = 0) -> None:
        with cupy.cuda.Stream.from_external(torch.cuda.current_stream()):
            function((case.grid,), (256,), (y, x, np.int32(case.n), np.int32(extra)))

    launch()
    began = time.monotonic()
    times = [one * 1e-3 for one in do_bench(launch, return_mode="all")]
    yield "do_bench", Reading([times], len(times), time.monotonic() - began)
    # At several addresses: of what lies in the L2 they decide on a few percent.
    base, slower, began = list[Sequence[float]](), list[Sequence[float]](), time.monotonic()
    for _ in range(PLACES):
        x, y = _arrays(cupy, case)
        for extra, groups in ((0, base), (case.more, slower)):
            replayed = do_bench_cudagraph(functools.partial(launch, extra), return_mode="all")
            groups.append([one * 1e-3 for one in replayed])
    wall_seconds = (time.monotonic() - began) / 2
    yield "graph replay", Reading(base, sum(map(len, base)), wall_seconds)
    yield "graph replay, slower", Reading(slower, sum(map(len, slower)), wall_seconds)
    yield "CuPy's graph replay", _replayed_apart(case, code)
    yield "nvbench's method, cold", _blocked(cupy, launch)


def _arrays(cupy: Any, case: Case) -> tuple[Any, Any]:
    """Input and output in memory of the runtime's own, as greta's are: a pool's addresses have other times."""

    def array() -> Any:
        address = cupy.cuda.runtime.malloc(4 * case.size)
        memory = cupy.cuda.UnownedMemory(address, 4 * case.size, None)
        return cupy.ndarray((case.size,), cupy.float32, cupy.cuda.MemoryPointer(memory, 0))

    x, y = array(), array()
    x[:] = cupy.random.random(case.size, cupy.float32)
    return x, y


REPLAYED = 1000
"""Launches in a graph of CuPy's."""


def _replayed_apart(case: Case, code: bytes) -> Reading:
    """What `replay` says, in a process of its own."""
    began = time.monotonic()
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(code)
        command = [sys.executable, __file__, "--replay", case.name, file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = [float(one) for one in done.stdout.split()]
    return Reading([seconds], REPLAYED * len(seconds), time.monotonic() - began)


def replay(case: Case, path: str) -> None:
    """Graphs of many launches, as `do_bench_cudagraph` replays them; prints the seconds of a launch in each."""
    import cupy

    function = cupy.RawModule(path=path).get_function(case.entry)
    x, y = _arrays(cupy, case)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        for _ in range(REPLAYED):
            function((case.grid,), (256,), (y, x, np.int32(case.n), np.int32(0)))
        graph = stream.end_capture()
        graph.launch(stream)
        events = [[cupy.cuda.Event() for _ in range(2)] for _ in range(10)]
        for start, stop in events:
            start.record(stream)
            graph.launch(stream)
            stop.record(stream)
        stream.synchronize()
    print(*(cupy.cuda.get_elapsed_time(*pair) * 1e-3 / REPLAYED for pair in events))


def _blocked(cupy: Any, launch: Callable[[], None]) -> Reading:
    """One sample a time: a blocking kernel, the caches overwritten, an event, a launch, an event."""
    import torch

    block = cupy.RawKernel(
        'extern "C" __global__ void block(const volatile int* go, int limit) '
        "{ for (int i = 0; i < limit && !*go; ++i); }",
        "block",
    )
    page = cupy.cuda.alloc_pinned_memory(4)
    go = np.frombuffer(page, np.int32, 1)
    cache = torch.empty(256 << 20, dtype=torch.int8, device="cuda")
    stream = torch.cuda.current_stream()
    seconds, began = [], time.monotonic()
    while time.monotonic() - began < 0.2:
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        go[0] = 0
        with cupy.cuda.Stream.from_external(stream):
            block((1,), (1,), (page.ptr, np.int32(100_000)))
        cache.zero_()
        events[0].record(stream)
        launch()
        events[1].record(stream)
        go[0] = 1
        events[1].synchronize()
        seconds.append(events[0].elapsed_time(events[1]) * 1e-3)
    return Reading([seconds], len(seconds), time.monotonic() - began)


# -- the truth ------------------------------------------------------------------------------------------------

TRUE_LAUNCHES = 21


def launch_all() -> None:
    """What Nsight Compute looks at: every case, so many times, then the slower ones."""
    device = open_hip()
    module = device.load(device.compile(SOURCE, "harness.hip", ["-O3"]))
    x, y = (device.allocate(4 * max(case.size for case in CASES)) for _ in range(2))
    device.fill(x, 0x3D, 0, x.size_bytes)
    for extra in (False, True):
        for case in CASES:
            launch = case.launch(case.more if extra else 0)
            args = ((y, 0), (x, 0), *launch.args[2:])
            bound = BoundLaunch(device.function(module, case.entry), launch.grid, launch.block, args)  # type: ignore[arg-type]
            for _ in range(TRUE_LAUNCHES):
                run_once(device, [bound])


def truth(cache_control: str) -> dict[tuple[str, bool], float]:
    """Median seconds by Nsight Compute, by case and whether it is the slower one."""
    command = ["ncu", "--clock-control", "none", "--cache-control", cache_control, "--csv", "--page", "raw"]
    command += ["--metrics", "gpu__time_duration.sum", "--kernel-name", "regex:^(axpy|spin)$"]
    done = subprocess.run(
        [*command, sys.executable, __file__, "--launch-all"], capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('"')]
    rows = list(csv.DictReader(lines))
    units = {"ns": 1e-9, "nsecond": 1e-9, "us": 1e-6, "usecond": 1e-6, "ms": 1e-3, "msecond": 1e-3}
    column = "gpu__time_duration.sum"
    scale = units[rows[0][column]]  # the first row holds the units
    values = [float(row[column].replace(",", "")) * scale for row in rows[1:]]
    keys = [(case.name, extra) for extra in (False, True) for case in CASES]
    parts = [values[i * TRUE_LAUNCHES : (i + 1) * TRUE_LAUNCHES] for i in range(len(keys))]
    return {key: statistics.median(part) for key, part in zip(keys, parts, strict=True)}


# -- tables ---------------------------------------------------------------------------------------------------


def readings(worker: Worker) -> Iterator[str]:
    """The table of bias, spread and speed."""
    try:
        cold, warm = truth("all"), truth("none")
    except (OSError, LookupError, ValueError) as error:
        print(f"ncu: not measured ({error!r})", flush=True)
        cold = warm = {}
    for case in CASES:
        found = {f"greta, {caches}": by_greta(worker, case, caches) for caches in ("cold", "warm")}
        code = worker.compile(SOURCE, "harness.hip", ["-O3"], 60.0)
        found |= dict(others(case, code))
        yield f"{case.name}: ncu cold {_us(cold, case)}, warm {_us(warm, case)}"
        slower = found.pop("graph replay, slower")
        both = zip(slower.groups, found["graph replay"].groups, strict=True)
        replayed = sorted(statistics.median(one) / statistics.median(other) for one, other in both)
        for name, one in found.items():
            true = (warm if "warm" in name or "graph" in name else cold).get((case.name, False))
            bias = "" if true is None else f", {100 * (one.median / true - 1):+.1f} % of ncu"
            yield f"  {name:<24} {one}{bias}"
        runs = [greta(worker, case, "slower", "warm", 0.5) for _ in range(PLACES)]
        told = sorted(1 / run.baseline.pairs.ratio for run in runs)
        ratio = cold and f"cold {cold[case.name, True] / cold[case.name, False]:.4f}, "
        ratio = ratio and ratio + f"warm {warm[case.name, True] / warm[case.name, False]:.4f}"
        ours = f"graph replay {_of_places(replayed)}; greta, warm {_of_places(told)}"
        yield f"  the slower one: ncu {ratio or 'not measured'}; {ours}"


def _of_places(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.4f} ({ratios[0]:.4f} to {ratios[-1]:.4f})"


def _us(found: Mapping[tuple[str, bool], float], case: Case) -> str:
    return f"{found[case.name, False] * 1e6:.2f} us" if found else "not measured"


def verdicts(worker: Worker, times: int) -> Iterator[str]:
    """How often 3 % are found, and none where there are none."""
    for case in (case for case in CASES if case.name in VERDICTS):
        for other in ("slower", "same"):
            walls, statuses, pairs = [], [], []
            for _ in range(times):
                began = time.monotonic()
                run = greta(worker, case, other, "auto", 0.5)
                walls.append(time.monotonic() - began)
                statuses.append(run.baseline.pairs.verdict(Limit(min=1 / 1.01))[0])
                pairs.append(run.baseline.pairs.blocks)
            counts = ", ".join(f"{statuses.count(s)} {s.value}" for s in Status if s in statuses)
            usual, most = statistics.median(walls), sorted(walls)[int(0.95 * len(walls))]
            what = f"{case.name}, {other}: {counts}; {statistics.median(pairs):.0f} pairs"
            yield f"{what}; wall {usual:.2f} s, 95 of 100 in {most:.2f} s ({run.manner})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verdicts", type=int, default=0, metavar="N")
    parser.add_argument("--launch-all", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--replay", nargs=2, metavar=("CASE", "CODE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.replay:
        name, path = options.replay
        replay(next(case for case in CASES if case.name == name), path)
        return
    if options.launch_all:
        launch_all()
        return
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker("hip", Path(folder))
        info = worker.info
        print(
            f"{info.identity}; clock {info.clock_seconds * 1e9:.0f} ns, empty kernel {info.empty_seconds * 1e6:.2f} us"
        )
        for line in (*readings(worker),):
            print(line, flush=True)
        if options.verdicts:
            for line in verdicts(worker, options.verdicts):
                print(line, flush=True)
        worker.close()


if __name__ == "__main__":
    main()
