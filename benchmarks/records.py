"""How long a session takes that gates recorded measurements, and how much memory.

    python -m benchmarks.records --count 10000 --sessions 10

Writes a project with a kernel of 100 variants, and a summary.json with `count` runs, each of 30 pairs, a quarter of
which fail their gate; gates them with `--greta-replay`, by the limits of then and by another (whose pairs have to be
judged again), and reads and merges the file alone.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
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

VARIANTS = 100
PAIRS = 30
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
"""
TESTS = "def test_run(greta_run):\n    greta_run.check()\n"
CHECKS = ("no_fault", "complete", "canaries", "inputs_unchanged", "deterministic")


def run(rng: random.Random, variant: int, context: int) -> Recorded:
    """A run, a quarter of which are slower than the baseline."""
    ratio = 0.8 if rng.random() < 0.25 else 1.3
    others = [1e-6 * context * rng.lognormvariate(0, 0.01) for _ in range(PAIRS)]
    seconds = [other / ratio * rng.lognormvariate(0, 0.01) for other in others]
    orders = [order for _ in range(PAIRS // 2) for order in rng.choice(((1, -1), (-1, 1)))]
    middle = sorted(seconds)[PAIRS // 2]
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


def write(folder: Path, count: int, sessions: int) -> Path:
    """A project with that many recorded runs, of so many sessions: each test has a record of each."""
    contexts = [64 * (1 + number) for number in range(count // VARIANTS // sessions)]
    (folder / "conftest.py").write_text(CONFTEST % VARIANTS)
    (folder / "gates.yaml").write_text(GATES % ", ".join(map(str, contexts)))
    (folder / "test_many.py").write_text(TESTS)
    (folder / "many.hip").write_text("")
    rng = random.Random(1)
    device = {"kind": "hip", "name": "AMD Instinct MI300X", "target": "gfx942", "identity": "hip: MI300X"}
    session = Session(
        *("0.1.0", "3.11.7", "9.2.0", "2026-11-26T01:00:00+00:00", 1.0, {}, None),
        *({"file": "gates.yaml", "sha256": ""}, device, "", ["gfx942"], 0),
    )
    sources = [replace(session, started=f"2026-11-{1 + day:02}T01:00:00+00:00") for day in range(sessions)]
    cases = [
        (variant, context, day)
        for variant in range(VARIANTS)
        for context in contexts
        for day in range(sessions)
    ]
    runs = [replace(run(rng, variant, context), source=day) for variant, context, day in cases]
    path = folder / "summary.json"
    path.write_text(Summary(session, runs, sources=sources).text())
    return path


def replay(folder: Path, limit: float) -> None:
    """Gate the records of a project, and say what it took."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--greta-replay", "summary.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    took, peak = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    last = done.stdout.strip().splitlines()[-1]
    cpu = peak.ru_utime + peak.ru_stime
    megabytes = peak.ru_maxrss / 1024
    print(
        f"replayed, speedup >= {limit}: {took:.1f} s ({cpu:.1f} s of CPU so far), {megabytes:.0f} MB; {last}"
    )


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
        path = write(folder, count, options.sessions)
        print(
            f"{count} runs of {PAIRS} pairs, {options.sessions} of each test: {path.stat().st_size / 1e6:.1f} MB"
        )
        for limit in (LIMIT, 1.1) if count <= 1000 else (LIMIT,):
            gates = folder / "gates.yaml"
            gates.write_text(gates.read_text().replace(f"speedup: {LIMIT}", f"speedup: {limit}"))
            replay(folder, limit)
        began = time.monotonic()
        summary = load(path)
        print(f"read: {time.monotonic() - began:.1f} s")
        began = time.monotonic()
        merge([summary])
        print(f"merged: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
