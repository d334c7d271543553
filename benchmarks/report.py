"""What a report costs: `python benchmarks/report.py`.

- five variants, four contexts, three targets, 50 runs of history for each: bytes of the page, seconds to make it, and
  to open it in a headless Chromium, where one is there;
- 10,000 measurements: seconds to read, to report, and memory at most.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pytest_greta.__main__ import main as command
from pytest_greta.records.model import Summary
from tests.unit import browser as browsers
from tests.unit import report_samples as samples
from tests.unit.browser import Browser

MANY = 10_000


def opening_seconds(page: Path, rounds: int) -> float | None:
    """Median seconds from asking for a page to its load event; None without a browser."""
    path = browsers.executable()
    if path is None:
        return None
    found = []
    with Browser(path) as browser:
        for _ in range(rounds):
            begin = time.perf_counter()
            browser.open(page, 1600)
            found.append(time.perf_counter() - begin)
    return statistics.median(found)


def campaign(folder: Path, rounds: int) -> None:
    """The campaign of the tests."""
    samples.history(folder / "history")
    (path,) = samples.write(folder, samples.campaign())
    begin = time.perf_counter()
    command(["report", str(path), "-o", str(folder), "--history", str(folder / "history")])
    made = time.perf_counter() - begin
    page = folder / "report.html"
    opened = opening_seconds(page, rounds)
    print(f"campaign: report.html {page.stat().st_size} bytes, made in {made:.2f} s")
    print(f"opened in {opened:.2f} s" if opened is not None else "not opened: no browser here")


def many(folder: Path) -> None:
    """So many measurements in one file, in a process of its own."""
    runs = [
        samples.run(f"v{place % 100}", 512 * (1 + place // 100), 20.0 + place % 7) for place in range(MANY)
    ]
    (path,) = samples.write(folder, Summary(samples.session(), runs))
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "pytest_greta", "report", path, "-o", folder], check=True)
    seconds = time.perf_counter() - begin
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    size = (folder / "report.html").stat().st_size
    print(f"{MANY} measurements: {size} bytes, {seconds:.1f} s in all, at most {memory:.0f} MB")


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often the page is opened [10]")
    options = parser.parse_args()
    for part in (lambda folder: campaign(folder, options.rounds), many):
        with tempfile.TemporaryDirectory() as name:
            part(Path(name))


if __name__ == "__main__":
    main()
