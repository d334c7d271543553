"""The gate suite on one GPU and on two, and equal code on both at once: what a second device is worth, and costs.

    python benchmarks/two_devices.py [--kind cpu] [--contexts N,...] [--select NAMES] [--verdicts N] [--seconds N]

Prints the ratio of wall times, verdicts that changed, what differs in the form of the two histories, and how many of N
gates on equal code failed. Each step is printed as it ends; what fails is told, and the next step goes on. Under
tests/hip_on_cuda: `benchmarks/hip_on_cuda.sh WHEELS -- benchmarks/two_devices.py`, with those of pytest-xdist too.
Takes about four minutes on two H100s. With `--kind cpu` two halves of the cores stand for the devices.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[1]
GOAL = 0.6
EQUAL_SECONDS = 70.0
"""Are kept for the gates on equal code."""
STATUSES = re.compile(r"   (PASS|FAIL|INCONCLUSIVE|NOT MEASURED|EXPECTED FAILURE|BLOCKED)\b")

EQUAL_KERNEL = """
import numpy as np
from pytest_greta import Array, Kernel, Launch, Variant


class Equal(Kernel):
    name = "equal"
    variants = tuple(Variant(name, "equal.hip", "spin") for name in ("base", "same", "twin"))

    def inputs(self, problem, rng):
        return {"x": rng.random(256 * 64, np.float32)}

    def outputs(self, problem):
        return {"y": Array((256 * 64,), np.float32)}

    def rows(self, problem):
        return (256 * 64,)

    def launch(self, problem, variant):
        return Launch((64, 1, 1), (256, 1, 1), ("y", "x", np.int32(problem.context)))

    def reference_all(self, problem, inputs):
        factor, n = float(np.float32(0.9999999)), problem.context
        return {"y": factor**n * inputs["x"].astype(np.float64) + 1e-7 * (1 - factor**n) / (1 - factor)}


def pytest_greta_kernels():
    return [Equal()]
"""
EQUAL_SOURCE = """
#include <hip/hip_runtime.h>
extern "C" __global__ __launch_bounds__(256) void spin(float* y, const float* x, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  float a = x[i];
  for (int k = 0; k < n; ++k) a = a * 0.9999999f + 1e-7f;
  y[i] = a;
}
"""
EQUAL_GATES = """
version: 1
targets: [gfx942]
kernels:
  equal:
    baseline: base
    contexts: {{{kind}: [{contexts}]}}
    gates:
      "*":
        max_error: 0.2
        speedup: {{min: 0.9901, devices: [{kind}]}}
"""
EQUAL_TEST = "def test_equal(greta_run):\n    greta_run.check()\n"


class Session:
    """Where it all happens, and how long it may take."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.kind, self.work = options.kind, work
        self.ends = time.monotonic() + options.seconds
        self.reserved_seconds = 0.0
        """Of that, for what comes later."""
        self.env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "GRETA_LOCKS": str(work / "locks")}
        if self.kind == "cpu":
            self.env["GRETA_CPU_SHARES"] = "2"

    def pytest(self, name: str, folder: Path, *arguments: str) -> float:
        """Run pytest; gives wall seconds. What it prints at the end is shown where it did not end well."""
        plugins = ["-p", "benchmark", "-p", "greta", "-p", "xdist"]
        cache = ["-o", f"cache_dir={self.work / 'cache'}", "--import-mode=importlib"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            *plugins,
            *cache,
            "-q",
            "--tb=short",
            f"--greta-device={self.kind}",
        ]
        began, left = time.monotonic(), max(5.0, self.ends - self.reserved_seconds - time.monotonic())
        log = self.work / f"{name}.log"
        with log.open("w") as file:
            done = subprocess.run(
                [*command, *arguments],
                cwd=folder,
                env=self.env,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=left,
                check=False,
            )
        seconds = time.monotonic() - began
        lines = log.read_text().splitlines()
        say(f"{name}: {seconds:.1f} s, exit code {done.returncode}: {lines[-1] if lines else ''}")
        if done.returncode not in (0, 1):
            for line in lines[-30:]:
                say(f"    {line}")
        for line in lines:
            if line.startswith(("device ", "note: ", "greta: ")):
                say(f"    {line[:200]}")
        return seconds


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def verdicts_of(path: Path) -> dict[str, dict[str, str]]:
    """The status of every gate, by test, of a JUnit file."""
    found: dict[str, dict[str, str]] = {}
    for case in ET.parse(path).getroot().iter("testcase"):
        gates = found.setdefault(f"{case.get('classname')}::{case.get('name')}", {})
        for one in case.iter("property"):
            status = STATUSES.search(one.get("value", ""))
            gates[one.get("name", "")] = status[1] if status else ""
        gates["outcome"] = next(
            (child.tag for child in case if child.tag in ("failure", "skipped", "error")), "passed"
        )
    return found


def changed(one: Mapping[str, Mapping[str, str]], two: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Verdicts that differ, a line each; but for `regression`: only the second session has a past."""
    lines = [f"{test} ran in one session alone" for test in sorted(one.keys() ^ two.keys())]
    for test in sorted(one.keys() & two.keys()):
        for gate in sorted(one[test].keys() | two[test].keys()):
            before, after = one[test].get(gate, "-"), two[test].get(gate, "-")
            if before != after and gate != "greta regression":
                lines.append(f"{test} {gate}: {before}, then {after}")
    return lines


def form(value: Any) -> Any:
    """What a value is made of, without what it says."""
    if isinstance(value, dict):
        return {name: form(part) for name, part in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(form(part)) for part in value})
    return (
        "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__
    )


FREE = {
    "extra_info.quantities",
    "extra_info.verdicts",
    "extra_info.accepted_seconds",
    "extra_info.accepted_orders",
}
"""What follows from having a past, or from the order of tests."""


def differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> list[str]:
    """What differs in the form of two stored sessions, a line each."""
    lines = []
    names = [[entry["fullname"] for entry in stored["benchmarks"]] for stored in (one, two)]
    if names[0] != names[1]:
        lines.append(f"entries: {len(names[0])} and {len(names[1])}, or in another order")
    if list(one) != list(two) or form(one["machine_info"]) != form(two["machine_info"]):
        lines.append("the head of the file")
    for first, second in zip(one["benchmarks"], two["benchmarks"], strict=False):
        parts = {
            name: (first.get(name), second.get(name)) for name in (*first, *second) if name != "extra_info"
        }
        infos = first["extra_info"], second["extra_info"]
        parts |= {
            f"extra_info.{name}": (infos[0].get(name), infos[1].get(name)) for name in (*infos[0], *infos[1])
        }
        if list(infos[0]) != list(infos[1]):
            lines.append(f"{first['name']}: extra_info has other names, or another order")
        lines += [
            f"{first['name']}: {name}: {form(a)} and {form(b)}"[:300]
            for name, (a, b) in parts.items()
            if name not in FREE and form(a) != form(b)
        ]
    return lines


def suite(session: Session, contexts: str, select: str) -> None:
    """The gate suite on one device, then on two."""
    session.reserved_seconds = EQUAL_SECONDS
    work, one, two = session.work, session.work / "one-history", session.work / "two-history"
    tests = ["tests/gates", f"--greta-ctx={contexts}", "-k", select]
    given = [*tests, "--benchmark-autosave", "--benchmark-save-data"]
    step("compiling", lambda: session.pytest("compiling", ROOT, *tests, "-n2", "--greta-single-shot"))
    first = session.pytest(
        "one device",
        ROOT,
        *given,
        "--greta-devices=0",
        f"--benchmark-storage={one}",
        f"--junitxml={work / 'one.xml'}",
    )
    shutil.copytree(one, two)
    both = ["-n2", "--greta-devices=0,1", f"--benchmark-storage={two}", f"--junitxml={work / 'two.xml'}"]
    second = session.pytest("two devices", ROOT, *given, *both)
    met = "met" if second / first <= GOAL else "NOT met"
    say(f"RATIO of wall times: {second / first:.3f} (goal {GOAL}: {met})")
    verdicts = verdicts_of(work / "one.xml"), verdicts_of(work / "two.xml")
    lines = changed(*verdicts)
    counts = [Counter(s for gates in found.values() for s in gates.values()) for found in verdicts]
    say(
        f"VERDICTS changed: {len(lines)} of {sum(map(len, verdicts[0].values()))}; {dict(counts[0])}, {dict(counts[1])}"
    )
    for line in lines[:20]:
        say(f"    {line}")
    files = [sorted(folder.glob("*/*.json")) for folder in (one, two)]
    say(f"HISTORY: {len(files[0])} file, then {len(files[1])}")
    lines = differing(*(json.loads(stored[-1].read_text()) for stored in files))
    say(f"HISTORY differs in form: {len(lines)}")
    for line in lines[:20]:
        say(f"    {line}")


def equal(session: Session, count: int) -> None:
    """Gates on equal code, on both devices at once."""
    session.reserved_seconds = 0.0
    folder = session.work / "equal"
    folder.mkdir()
    contexts = [12000 + 10 * i for i in range((count + 1) // 2)]
    listed = ", ".join(map(str, contexts))
    (folder / "conftest.py").write_text(EQUAL_KERNEL)
    (folder / "equal.hip").write_text(EQUAL_SOURCE)
    (folder / "test_equal.py").write_text(EQUAL_TEST)
    (folder / "gates.yaml").write_text(EQUAL_GATES.format(contexts=listed, kind=session.kind))
    (folder / "pytest.ini").write_text("[pytest]\n")
    junit = session.work / "equal.xml"
    given = ["--greta-variant=same,twin", "--greta-budget=5", f"--junitxml={junit}"]
    session.pytest("equal code", folder, "-n2", "--greta-devices=0,1", *given)
    gates = [found["greta speedup"] for found in verdicts_of(junit).values() if "greta speedup" in found]
    say(f"EQUAL CODE: {len(gates)} verdicts on speedup: {dict(Counter(gates))} (FAIL expected: 0)")


def step(name: str, action: Callable[[], object]) -> None:
    """Do it; what goes wrong is told, and ends nothing else."""
    try:
        action()
    except subprocess.TimeoutExpired:
        say(f"{name}: cut off, the time is up")
    except Exception:
        say(f"{name}: failed\n{traceback.format_exc()}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=("hip", "cpu"), default="hip")
    parser.add_argument("--contexts", default="4096,8192")
    parser.add_argument("--select", default="test", metavar="NAMES", help="of the gate suite, as pytest's -k")
    parser.add_argument("--verdicts", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=280, help="for all of it")
    parser.add_argument("--keep", type=Path, help="a folder for logs, histories and JUnit files")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(options, Path(folder))
        step("the gate suite", lambda: suite(session, options.contexts, options.select))
        step("equal code", lambda: equal(session, options.verdicts))
        if options.keep:
            ignored = shutil.ignore_patterns("cache", "locks")
            shutil.copytree(folder, options.keep, dirs_exist_ok=True, ignore=ignored)


if __name__ == "__main__":
    main()
