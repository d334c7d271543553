"""Tables for docs/measurements.md from runs that pytest-benchmark stored.

    pytest --greta-device=hip --benchmark-json=one.json
    python benchmarks/measurements.py one.json [two.json ...]

From one file: seconds, speedup with its interval and scaling, by kernel, variant and context. From several, also
the spread of their medians: how far two runs on the same machine lie apart.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_greta.gates.evaluation import scaling
from pytest_greta.stats import shape as stats

Key = tuple[str, str, int]


def entries(path: Path) -> dict[Key, dict[str, Any]]:
    """Greta's entries of one file, by kernel, variant and context."""
    stored = json.loads(path.read_text())["benchmarks"]
    found = [entry for entry in stored if "kernel" in entry["extra_info"]]
    return {
        (e["extra_info"]["kernel"], e["extra_info"]["variant"], e["extra_info"]["context"]): e for e in found
    }


def table(run: dict[Key, dict[str, Any]]) -> Iterator[str]:
    """One row a variant and context."""
    yield "| kernel | variant | context | median | min to max | rounds | speedup | scaling | largest error |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for (kernel, variant, context), entry in run.items():
        seconds, info = entry["stats"]["data"], entry["extra_info"]
        median = statistics.median(seconds)
        smallest = min(c for k, v, c in run if (k, v) == (kernel, variant))
        first = statistics.median(run[kernel, variant, smallest]["stats"]["data"])
        exponent = f"{scaling(median, context, first, smallest):.2f}" if context > smallest else ""
        span = f"{1e3 * min(seconds):.3f} to {1e3 * max(seconds):.3f} ms"
        error = info["quantities"]["max_error"]
        yield (
            f"| {kernel} | {variant} | {context} | {1e3 * median:.3f} ms | {span} | {len(seconds)} "
            f"| {speedup(info, seconds)} | {exponent} | {error:.1e} |"
        )


def speedup(info: dict[str, Any], seconds: Sequence[float]) -> str:
    """Speedup over the baseline with its interval; empty for the baseline."""
    if not info["baseline_seconds"]:
        return ""
    paired = info["baseline_seconds"]
    ratio, interval = stats.speedup(paired, seconds[: len(paired)])
    return f"{ratio:.2f}x" + (f" [{interval.low:.2f}, {interval.high:.2f}]" if interval else "")


def spread(runs: Sequence[dict[Key, dict[str, Any]]]) -> Iterator[str]:
    """How far the medians of several runs lie apart, for what all of them measured."""
    yield "| kernel | variant | context | medians | spread |"
    yield "|---|---|---|---|---|"
    for kernel, variant, context in sorted(set.intersection(*(set(run) for run in runs))):
        medians = [statistics.median(run[kernel, variant, context]["stats"]["data"]) for run in runs]
        apart = max(medians) / min(medians) - 1
        shown = ", ".join(f"{1e3 * median:.3f} ms" for median in medians)
        yield f"| {kernel} | {variant} | {context} | {shown} | {100 * apart:.2f} % |"


def main() -> None:
    """Print the tables."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    runs = [entries(Path(name)) for name in sys.argv[1:]]
    for entry in list(runs[0].values())[:1]:
        print(f"Device: {entry['extra_info']['device']}; driver {entry['extra_info']['driver']}.\n")
    print("\n".join(table(runs[0])))
    if len(runs) > 1:
        print()
        print("\n".join(spread(runs)))


if __name__ == "__main__":
    main()
