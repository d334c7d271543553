"""Run a command beside a neighbour that loads every core from time to time: are verdicts wrong on a busy machine?

    python benchmarks/busy.py pytest tests/gates/test_softmax.py --greta-calibrate=200 --greta-budget=3

The neighbour comes for 1 to 10 seconds and stays away for 1 to 15, at random. Exits with the command's status.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import time


def load_a_core(until: float) -> None:
    """Keep one core busy until a time of the monotonic clock."""
    while time.monotonic() < until:
        pass


def come_and_go(seed: int) -> None:
    """Load all cores at random times, for ever."""
    draw = random.Random(seed)
    while True:
        time.sleep(draw.uniform(1, 15))
        until = time.monotonic() + draw.uniform(1, 10)
        busy = [
            multiprocessing.Process(target=load_a_core, args=(until,)) for _ in range(os.cpu_count() or 1)
        ]
        for process in busy:
            process.start()
        for process in busy:
            process.join()


def main() -> int:
    """Run the command of the arguments beside the neighbour."""
    if not sys.argv[1:]:
        sys.exit(__doc__)
    neighbour = multiprocessing.Process(target=come_and_go, args=(1,))
    neighbour.start()
    try:
        return subprocess.run(sys.argv[1:], check=False).returncode
    finally:
        neighbour.terminate()


if __name__ == "__main__":
    sys.exit(main())
