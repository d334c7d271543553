"""What greta costs where it does nothing, and what its cheap steps cost: `python benchmarks/overhead.py`.

- a pytest session that uses no greta, with the plugin and with `-p no:greta`, interleaved in random order;
- the same code object compiled again from a warm cache;
- one gate evaluated;
- shifts found in a history of 100 and of 800 runs.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.gates.evaluation import evaluate
from pytest_greta.gates.model import Gate, Limit, Measurement, Quantity
from pytest_greta.stats.runs import find_steps

REPOSITORY = Path(__file__).resolve().parents[1]


def session_seconds(folder: Path, *options: str) -> float:
    """Wall seconds of a pytest session with one trivial test."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - begin


def unused_plugin(rounds: int) -> tuple[float, float, float]:
    """Median seconds with and without the plugin, and the median of the paired differences."""
    with_plugin, without, differences = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        session_seconds(folder)
        for _ in range(rounds):
            both = {}
            for option in random.sample(["", "no:greta"], 2):
                both[option] = session_seconds(folder, *(["-p", option] if option else []))
            with_plugin.append(both[""])
            without.append(both["no:greta"])
            differences.append(both[""] - both["no:greta"])
    return statistics.median(with_plugin), statistics.median(without), statistics.median(differences)


def warm_compile_seconds(rounds: int) -> float:
    """Median seconds to get a code object that the cache holds, in a new session."""
    job = Job(REPOSITORY / "kernels/prefill/v3_q_lds.hip", "gfx942")
    found = []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(rounds + 1):
            compiler = Compiler(Path(name))
            begin = time.perf_counter()
            compiler.compile(job)
            found.append(time.perf_counter() - begin)
            compiler.close()
    return statistics.median(found[1:])


def gate_seconds(rounds: int) -> float:
    """Mean seconds to evaluate one gate."""
    gate = Gate("vgprs", "prefill", "v3", Limit(max=64))
    measurement = Measurement("prefill", "v3", {"vgprs": Quantity(62)}, target="gfx942")
    begin = time.perf_counter()
    for _ in range(rounds):
        evaluate(gate, measurement)
    return (time.perf_counter() - begin) / rounds


def step_seconds(runs: int, rounds: int) -> float:
    """Median seconds to look for shifts in a history of so many runs."""
    levels = np.random.default_rng(1).normal(0, 0.01, runs).tolist()
    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        find_steps(levels)
        found.append(time.perf_counter() - begin)
    return statistics.median(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="sessions of each kind [%(default)s]")
    rounds = parser.parse_args().rounds
    with_plugin, without, difference = unused_plugin(rounds)
    print(f"session without greta tests, plugin installed   {1e3 * with_plugin:8.1f} ms")
    print(f"the same with -p no:greta                       {1e3 * without:8.1f} ms")
    print(f"median of the differences of {rounds:3d} pairs          {1e3 * difference:8.1f} ms")
    print(f"code object from a warm cache                   {1e3 * warm_compile_seconds(rounds):8.2f} ms")
    print(f"one gate evaluated                              {1e6 * gate_seconds(10000):8.2f} us")
    for runs in (100, 800):
        seconds = step_seconds(runs, rounds)
        print(f"shifts in a history of {runs} runs                  {1e3 * seconds:8.1f} ms")


if __name__ == "__main__":
    main()
