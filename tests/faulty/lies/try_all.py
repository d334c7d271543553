"""Try every lie with many seeds, and count how often it is caught with its own line.

    python -m tests.faulty.lies.try_all --seeds 20

The last line says how many lies were caught in every one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.plugin.conftest import CONFTEST, SITECUSTOMIZE, TESTS
from tests.plugin.test_lies import EXPECTED, GATES, conftest_of_lies, missed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    seeds: int = parser.parse_args().seeds
    caught: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conftest.py").write_text(conftest_of_lies(CONFTEST))
        (folder / "gates.yaml").write_text(GATES)
        (folder / "test_lies.py").write_text(TESTS)
        (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        for seed in range(seeds):
            options = ("-k", "test_run", "--greta-rounds=8", f"--greta-seed={seed}")
            command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", *options]
            result = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            wrong = missed(result.stdout)
            caught.update(set(EXPECTED) - set(wrong))
            for lie, said in wrong.items():
                print(f"seed {seed}: {lie}: {said.strip()}", flush=True)
            print(f"seed {seed}: {len(EXPECTED) - len(wrong)} of {len(EXPECTED)} caught", flush=True)
    print(
        f"caught with every one of {seeds} seeds: {sum(n == seeds for n in caught.values())} of {len(EXPECTED)}"
    )


if __name__ == "__main__":
    main()
