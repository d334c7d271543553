"""Try every lie with many seeds, and count how often it is caught with its own line.

    python tests/faulty/lies/try_all.py --seeds 20

The last line says how many lies were caught in every one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))

from tests.plugin.conftest import CONFTEST, TESTS  # noqa: E402
from tests.plugin.test_lies import EXPECTED, GATES, conftest_of_lies, missed  # noqa: E402


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
        for seed in range(seeds):
            options = ("-k", "test_run", "--greta-rounds=8", f"--greta-seed={seed}")
            command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", *options]
            result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
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
