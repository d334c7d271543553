"""How much of the gate suite's wall time its launches take.

    python -m benchmarks.gate_suite --greta-ctx=4096,8192 --greta-device=hip

Runs `pytest tests/gates` with these arguments twice, each in a process of its own: the first compiles what is not
there, the second is told. Launches are those of the code under test and of what it is timed beside: those that count,
and all of them, with those that verify and warm up. What greta launches itself (flushes, digests, holds) is not one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_greta.device.worker import Worker
from pytest_greta.measure import measurement

if TYPE_CHECKING:
    from pytest_greta.device.protocol import Launched, Step
    from pytest_greta.measure.run import Run

UNWATCHED = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
"""What is watched was imported before."""
ARGUMENTS = ("-p", "benchmark", "-p", "greta", "-p", "no:cacheprovider", "-q", "tests/gates", *UNWATCHED)


class Seconds:
    """Of the device, in launches; added up while the suite runs."""

    def __init__(self) -> None:
        self.all = self.counted = 0.0

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Add up from here on."""
        run, measure = Worker.run, measurement.measure

        def watched_run(
            worker: Worker, steps: Sequence[Step], deadlines_seconds: Sequence[float], held: bool
        ) -> Iterator[Launched]:
            for step, launched in zip(steps, run(worker, steps, deadlines_seconds, held), strict=True):
                self.all += launched.seconds * (step.count + step.untimed)
                yield launched

        def watched_measure(*arguments: Any) -> Run:
            found = measure(*arguments)
            counts = found.manner.counts
            self.counted += sum(found.seconds) * counts.get("candidate", 1)
            for slot in found.plan.counterparts:
                self.counted += sum(found.paired(slot).seconds) * counts.get(slot, 1)
            return found

        monkeypatch.setattr(Worker, "run", watched_run)
        monkeypatch.setattr(measurement, "measure", watched_measure)


def main() -> None:
    """Run twice, and print the line of the second run."""
    arguments = sys.argv[1:]
    if "--watched" not in arguments:
        for _ in range(2):
            command = [sys.executable, "-m", "benchmarks.gate_suite", *arguments, "--watched"]
            printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        print("\n".join(printed.splitlines()[-2:]))
        return
    arguments.remove("--watched")
    seconds, began = Seconds(), time.monotonic()
    with pytest.MonkeyPatch.context() as monkeypatch:
        seconds.watch(monkeypatch)
        pytest.main([*ARGUMENTS, *arguments])
    wall = time.monotonic() - began
    print(
        f"{wall:.1f} s, {seconds.all:.1f} s of them in launches ({seconds.all / wall:.0%}), "
        f"{seconds.counted:.1f} s in those that count ({seconds.counted / wall:.0%})"
    )


if __name__ == "__main__":
    main()
