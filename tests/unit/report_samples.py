"""Files of a campaign of attention on a GPU that nobody had: a report has everything in it, failures and gaps too."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_greta.gates.model import Interval, Quantity
from pytest_greta.records.model import Recorded, RecordedProblem, Session, Summary

CONTEXTS = (4096, 8192, 16384, 32768)
TARGETS = ("gfx942", "gfx90a", "gfx1100")
SPEEDUPS = {"baseline": 1.0, "v1": 1.8, "v3": 0.35, "v5": 80.0, "v6": 95.0}
DEVICE = "hip: AMD Instinct MI300X, gfx942, 304 CUs, HIP 7.15"
STATS = dict.fromkeys(("min", "max", "mean", "stddev", "median", "iqr", "q1", "q3", "ops", "total"), 1.0)
COMMIT = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"


def session(**changes: Any) -> Session:
    given: dict[str, Any] = {
        "greta": "0.1.0",
        "python": "3.11.7",
        "pytest": "9.2.0",
        "started": "2026-02-14T09:30:00+00:00",
        "seconds": 912.5,
        "options": {"--greta-ctx": "4096,8192,16384,32768"},
        "commit": {"id": COMMIT, "branch": "main", "dirty": False},
        "gates": {"file": "gates.yaml", "sha256": "ab" * 32},
        "device": {
            "kind": "hip",
            "name": "AMD Instinct MI300X",
            "target": "gfx942",
            "compute_units": 304,
            "driver": "6.14",
            "runtime": "HIP 7.15",
            "identity": DEVICE,
        },
        "not_measured": "",
        "targets": list(TARGETS),
        "exit_code": 1,
    }
    return Session(**{**given, **changes})


def verdict(gate: str, limit: str, value: Any, status: str, **more: Any) -> dict[str, Any]:
    found = {
        "gate": gate,
        "place": "gates.yaml:54",
        "line": 54,
        "limit": limit,
        "min": None,
        "max": None,
        "above": None,
        "equals": None,
        "outputs": [],
        "value": value,
        "interval": None,
        "unit": "",
        "measured": str(value),
        "status": status,
        "reason": "",
    }
    return {**found, **more}


def code(variant: str, target: str, kernel: str = "prefill", **values: int) -> Recorded:
    found = {"scratch_bytes": 0, "vgprs": 62, "agprs": 0, "sgprs": 40, "vgpr_spills": 0, "sgpr_spills": 0}
    found |= {"lds_bytes": 34944, "occupancy": 4, **values}
    status = "PASS" if found["vgprs"] <= 64 else "FAIL"
    return Recorded(
        "code",
        kernel,
        variant,
        {name: Quantity(value) for name, value in found.items()},
        test=f"tests/gates/test_prefill.py::test_resources[{variant}-{target}]",
        outcome="passed" if status == "PASS" else "failed",
        target=target,
        problem=RecordedProblem("4096", 4096),
        verdicts=[verdict("vgprs", "vgprs <= 64", found["vgprs"], status, max=64)],
    )


def run(variant: str, context: int, seconds: float, kernel: str = "prefill", **more: Any) -> Recorded:
    """A run that took so long beside a baseline of 23 s at 4096, whose work is quadratic."""
    around = Interval(seconds * 0.99, seconds * 1.01)
    beside = 22.768 * (context / 4096) ** 2
    speedup = beside / seconds if seconds > 0 else math.nan
    flops = 2.0 * context**2 * 4096 / 1e12
    quantities = {
        "prefill_seconds": Quantity(seconds, around, "median of 12"),
        "tokens_per_second": Quantity(context / seconds if seconds else None),
        "tflops": Quantity(flops / seconds if seconds else None),
        "flops_of_peak": Quantity(flops / seconds / 1307 if seconds else None),
        "gbytes_per_second": Quantity(context * 0.05 / seconds if seconds else None),
        "bytes_of_peak": Quantity(context * 0.05 / seconds / 5300 if seconds else None),
    }
    verdicts = []
    if variant != "baseline" and seconds > 0:
        ends = Interval(speedup * 0.97, speedup * 1.03)
        quantities["speedup"] = Quantity(speedup, ends)
        status = "PASS" if ends.low >= 1.2 else "FAIL"
        text = f"{speedup:.2f}x [{ends.low:.2f}, {ends.high:.2f}]"
        verdicts.append(verdict("speedup", "speedup >= 1.20", speedup, status, min=1.2, measured=text))
    given: dict[str, Any] = {
        "test": f"tests/gates/test_prefill.py::test_prefill[{variant}-{context}]",
        "outcome": "failed" if any(one["status"] == "FAIL" for one in verdicts) else "passed",
        "baseline": None if variant == "baseline" else "baseline",
        "problem": RecordedProblem(str(context), context),
        "device_kind": "hip",
        "seconds": [seconds] * 12,
        "timing": "held, caches cold",
        "telemetry": {
            "shader_clock_mhz": {"min": 1980.0, "median": 2090.0, "max": 2100.0},
            "max_shader_clock_mhz": 2100.0,
            "temperature_celsius": {"min": 55.0, "median": 62.0, "max": 71.0},
            "power_watts": {"min": 350.0, "median": 640.0, "max": 750.0},
            "vram_peak_bytes": 12 << 30,
            "power_limited_percent": 12.0,
            "throttled": "",
            "missing": "",
        },
        "verdicts": verdicts,
    }
    given = {"kind": "run", **given, **more}
    return Recorded(kernel=kernel, variant=variant, quantities=quantities, **given)


def campaign(kernel: str = "prefill") -> Summary:
    """Five variants, four contexts, three targets."""
    found = [
        code(variant, target, kernel, vgprs=62 + 2 * number)
        for number, variant in enumerate(SPEEDUPS)
        for target in TARGETS
    ]
    found += [
        run(variant, context, 22.768 * (context / 4096) ** 2 / speedup, kernel)
        for variant, speedup in SPEEDUPS.items()
        for context in CONTEXTS
    ]
    stopped = {
        "test": "tests/gates/test_prefill.py::test_prefill[v8-4096]",
        "kernel": kernel,
        "variant": "v8",
        "where": "4096",
        "status": "BLOCKED",
        "reason": "the device was lost: hipErrorNoDevice",
    }
    return Summary(session(), found, [stopped], notes=["the machine was busy"])


def history(folder: Path, runs: int = 50, variants: Sequence[str] = tuple(SPEEDUPS)) -> None:
    """Files of pytest-benchmark with runs of the campaign: each third not accepted, 4 % slower from the 30th on."""
    place = folder / "Linux-CPython-3.11-64bit"
    place.mkdir(parents=True)
    noise = random.Random(1)
    for number in range(1, runs + 1):
        level = (1.04 if number >= 30 else 1.0) * math.exp(noise.gauss(0, 0.002))
        entries = [
            {
                "name": f"test_prefill[{variant}-{context}]",
                "stats": STATS,
                "extra_info": _stored(variant, context, level, accepted=number % 3 != 0),
            }
            for variant in variants
            for context in CONTEXTS
        ]
        data = {
            "commit_info": {"id": f"{number:02x}" * 20, "dirty": False},
            "datetime": f"2026-01-{1 + number // 24:02}T{number % 24:02}:00:00+00:00",
            "benchmarks": entries,
        }
        (place / f"{number:04}_run.json").write_text(json.dumps(data))


def _stored(variant: str, context: int, level: float, accepted: bool) -> dict[str, Any]:
    seconds = level * 22.768 * (context / 4096) ** 2 / SPEEDUPS[variant]
    return {
        "kernel": "prefill",
        "variant": variant,
        "context": context,
        "problem": f"context={context}",
        "device": DEVICE,
        "seconds": [seconds, seconds * 1.001, seconds * 0.999],
        "baseline_seconds": [],
        "baseline_code": "",
        "accepted": accepted,
        "why_not": "" if accepted else "the working tree has uncommitted changes",
        "new_level": "",
    }


HOSTILE = (
    "<script>document.title='pwned'</script>",
    "\"><img src=x onerror=document.title='pwned'>",
    "</text></svg><script>document.title='pwned'</script>",
    "`| [x](javascript:alert(1)) | **b** @someone",
    "核 \U0001f680 ﷽",
    "$\\frac{x$ {{ 7 * 7 }} {% raw %} \x1b[31m\u202e",
)


def hostile() -> Iterator[Recorded]:
    """Measurements whose names mean something in HTML, SVG, Markdown, TeX or a template."""
    for name in HOSTILE:
        yield code(name, "gfx942", name, vgprs=99)
        for context in CONTEXTS[:2]:
            seconds = 10.0 * context / 4096
            yield run(name, context, seconds, HOSTILE[2], timing=name, untimed=name, notes=[name])


def write(folder: Path, *summaries: Summary) -> list[Path]:
    """The files of some summaries."""
    paths = [folder / f"summary-{number}.json" for number in range(len(summaries))]
    for path, summary in zip(paths, summaries, strict=True):
        path.write_text(summary.text(), encoding="utf-8")
    return paths
