"""How long a session takes that gates recorded measurements and reports on them, and how much memory.

    python -m benchmarks.records --count 10000 --sessions 10

Writes a project with a kernel of 80 variants and a program of 20, and a summary.json with `count` runs: of the kernel,
each of 30 pairs (a quarter of its tests fail), and of the program, each three times. Gates them with
`--greta-replay` and `--greta-report`, a few as well by other limits than those of then (whose pairs have to be judged
again), and the same number of tests that do nothing, which is what pytest itself takes; reads and merges the file.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from pytest_greta.gates.evaluation import evaluate
from pytest_greta.gates.model import Gate, Interval, Limit, Measurement, Quantity
from pytest_greta.records.making import verdict_plain
from pytest_greta.records.merge import merge
from pytest_greta.records.model import Recorded, RecordedProblem, Session, Summary, load

VARIANTS, PROGRAM_VARIANTS = 80, 20
PAIRS = 30
ENGINE_RUNS = 3
LIMIT = 1.0

CONFTEST = """\
from pytest_greta import Array, Kernel, Variant


class Many(Kernel):
    name = "many"
    variants = [Variant(f"v{i}", "many.hip", "many") for i in range(%d)]

    def outputs(self, problem):
        return {"y": Array((problem.context,), "float32")}

    def rows(self, problem):
        return (problem.context,)


def pytest_greta_kernels():
    return [Many()]
"""
GATES = """\
version: 1
targets: [gfx942]
kernels:
  many:
    baseline: v0
    contexts: {hip: [%s]}
    gates:
      "*": {speedup: 1.0, deadline_seconds: 60, scaling: 2.2}
programs:
  engine:
    variants: {%s}
    contexts: [%s]
    output: {json_marker: PERF_TIMING, units: {prefill_s: s}, time: prefill_s, processed: tokens}
    gates:
      "*": {attn_impl: flash, prefill_s: {max: 1}, scaling: 2.2, peak_bytes: 1000000000}
"""
TESTS = """\
def test_run(greta_run):
    greta_run.check()


def test_engine(greta_program):
    greta_program.check()
"""
NOTHING = """\
import pytest


@pytest.mark.parametrize("number", range(%d))
def test_nothing(number):
    pass
"""
CHECKS = ("no_fault", "complete", "canaries", "inputs_unchanged", "deterministic")


def run(rng: random.Random, variant: int, context: int) -> Recorded:
    """A run; those of a quarter of the tests are slower than the baseline."""
    ratio = 0.8 if (7 * variant + context // 64) % 4 == 0 else 1.3
    others = [1e-6 * context * rng.lognormvariate(0, 0.01) for _ in range(PAIRS)]
    seconds = [other / ratio * rng.lognormvariate(0, 0.01) for other in others]
    orders = [order for _ in range(PAIRS // 2) for order in rng.choice(((1, -1), (-1, 1)))]
    middle = statistics.median(seconds)
    quantities = {name: Quantity(True) for name in CHECKS}
    quantities |= {
        "prefill_seconds": Quantity(middle, Interval(min(seconds), max(seconds)), f"median of {PAIRS}"),
        "deadline_seconds": Quantity(0.1),
        "implementation": Quantity("many"),
        "max_error": Quantity(1e-6),
    }
    is_baseline = variant == 0
    verdicts = []
    if not is_baseline:
        at = ratio * 0.98, ratio * 1.02
        quantities["speedup"] = Quantity(ratio, Interval(*at))
        limit = Limit(min=LIMIT)
        gate = Gate("speedup", "many", "*", limit)
        verdicts = [
            verdict_plain(evaluate(gate, Measurement("many", f"v{variant}", quantities, device="hip")))
        ]
    return Recorded(
        "run",
        "many",
        f"v{variant}",
        quantities,
        test=f"test_many.py::test_run[v{variant}-{context}]",
        baseline=None if is_baseline else "v0",
        problem=RecordedProblem(str(context), context, {}, {}),
        device_kind="hip",
        seconds=seconds,
        baseline_seconds=[] if is_baseline else others,
        orders=[] if is_baseline else orders,
        verdicts=verdicts,
    )


def engine(rng: random.Random, variant: int, context: int) -> Recorded:
    """Runs of a program, as it printed and as they were measured."""
    each: list[dict[str, Quantity]] = []
    for _ in range(ENGINE_RUNS):
        seconds = 1e-5 * context * rng.lognormvariate(0, 0.01)
        each.append({
            **{name: Quantity(True) for name in ("readable", "no_errors")},
            **{name: Quantity(0) for name in ("exit_status", "left_processes")},
            **{name: Quantity(seconds) for name in ("seconds", "prefill_s", "cpu_seconds", "wall_seconds")},
            "deadline_seconds": Quantity(seconds),
            "peak_bytes": Quantity(rng.randrange(100_000_000, 200_000_000)),
            "attn_impl": Quantity("flash"),
            "processed": Quantity(context),
            "tokens": Quantity(context),
        })  # fmt: skip
    middle = sorted(each, key=lambda one: float(str(one["seconds"].value)))[ENGINE_RUNS // 2]
    return Recorded(
        "program",
        "engine",
        f"e{variant}",
        middle,
        test=f"test_many.py::test_engine[e{variant}-{context}]",
        problem=RecordedProblem(str(context), context, {}, {}),
        device_kind="program",
        units={"prefill_s": "s", "seconds": "s", "peak_bytes": "bytes"},
        seconds=[float(str(one["seconds"].value)) for one in each],
        orders=[0] * ENGINE_RUNS,
        each=each,
    )


def write(folder: Path, count: int, sessions: int) -> None:
    """A project with that many recorded runs, of so many sessions: each test has a record of each."""
    contexts = [64 * (1 + number) for number in range(count // (VARIANTS + PROGRAM_VARIANTS) // sessions)]
    listed = ", ".join(map(str, contexts))
    (folder / "conftest.py").write_text(CONFTEST % VARIANTS)
    commands = ", ".join(f"e{variant}: [./engine]" for variant in range(PROGRAM_VARIANTS))
    (folder / "gates.yaml").write_text(GATES % (listed, commands, listed))
    (folder / "test_many.py").write_text(TESTS)
    (folder / "nothing").mkdir()
    (folder / "nothing" / "test_nothing.py").write_text(
        NOTHING % (len(contexts) * (VARIANTS + PROGRAM_VARIANTS))
    )
    (folder / "many.hip").write_text("")
    rng = random.Random(1)
    device = {"kind": "hip", "name": "AMD Instinct MI300X", "target": "gfx942", "identity": "hip: MI300X"}
    session = Session(
        *("0.1.0", "3.11.7", "9.2.0", "2026-11-26T01:00:00+00:00", 1.0, {}, None),
        *({"file": "gates.yaml", "sha256": ""}, device, "", ["gfx942"], 0),
    )
    sources = [replace(session, started=f"2026-11-{1 + day:02}T01:00:00+00:00") for day in range(sessions)]
    runs = [
        replace(make(rng, variant, context), source=day)
        for make, variants in ((run, VARIANTS), (engine, PROGRAM_VARIANTS))
        for variant in range(variants)
        for context in contexts
        for day in range(sessions)
    ]
    (folder / "summary.json").write_text(Summary(session, runs, sources=sources).text())


def session(what: str, folder: Path, *options: str) -> None:
    """Run pytest in a folder, and say what it took."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # nobody's sessions compile greta anew
    began, load = time.monotonic(), os.getloadavg()[0]
    with open(folder / "output.txt", "w+") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env=environment)
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        output.seek(0)
        last = output.read().strip().splitlines()[-1]
    took, cpu = time.monotonic() - began, usage.ru_utime + usage.ru_stime
    print(
        f"{what}: {took:.1f} s, {cpu:.1f} s of processor time, {usage.ru_maxrss / 1024:.0f} MB "
        f"(load before {load:.1f}); {last}"
    )


def loop_seconds() -> float:
    """Processor time of a fixed piece of work: what the machine is like now."""
    began = time.process_time()
    for _ in range(20_000_000):
        pass
    return time.process_time() - began


def main() -> None:
    """Write, replay, read and merge; say what each took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--sessions", type=int, default=10, help="at most 30")
    options = parser.parse_args()
    count = options.count
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept)
        # In a process of its own: what this one has held at most counts as its children's.
        writing = multiprocessing.get_context("spawn").Process(
            target=write, args=(folder, count, options.sessions)
        )
        writing.start()
        writing.join()
        path = folder / "summary.json"
        print(f"{count} runs, {options.sessions} of each test: {path.stat().st_size / 1e6:.1f} MB")
        print(f"20 million turns of an empty loop: {loop_seconds():.2f} s")
        session("as many empty tests", folder / "nothing", "--rootdir=.", "-c", os.devnull)
        replaying = "--greta-replay=summary.json", "test_many.py"
        session("replayed and gated", folder, *replaying)
        session("and reported", folder, *replaying, "--greta-report=report")
        gates = folder / "gates.yaml"
        gates.write_text(gates.read_text().replace(f"speedup: {LIMIT}", "speedup: 1.1"))
        some = " or ".join(f"v{variant}-" for variant in range(1, 9))
        session("a tenth of the kernel by another limit", folder, *replaying, "-k", some)
        began = time.process_time()
        summary = load(path)
        print(f"read: {time.process_time() - began:.1f} s")
        began = time.process_time()
        merge([summary])
        print(f"merged: {time.process_time() - began:.1f} s")


if __name__ == "__main__":
    main()
