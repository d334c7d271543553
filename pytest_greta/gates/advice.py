"""What to do next about a verdict, as data: for each gate that fails, and for each reason why one was not decided.

`--greta-explain` tells it. Every page that is named here is one of docs/, with a heading of that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from pytest_greta.gates.model import Status


@dataclass(frozen=True)
class Advice:
    """What to do, in a sentence or two, and the page that says more."""

    text: str
    page: str


_CATALOGUE = "docs/gates.md#the-catalogue"
_OUTPUTS = "docs/checks.md#outputs"
_MEMORY = "docs/checks.md#memory"
_BUILT_IN = "docs/gates.md#built-into-every-run"
_SOURCES = "docs/writing-kernels.md"
_LOCK_FILE = "greta.lock"

_REGISTERS = Advice(
    "hold less at once, or launch smaller blocks and say so with __launch_bounds__; "
    "`python -m pytest_greta inspect --diff OLD NEW` shows what a change of the source did",
    _CATALOGUE,
)
_SPILLS = Advice(
    "registers did not fit: name the block that is launched with __launch_bounds__, unroll less, or hold less at once",
    _CATALOGUE,
)
_RATE = Advice(
    "its own time is outside of the limit: look at the roofline of --greta-report=DIR. A limit on `speedup` holds on "
    "any machine, since the baseline is measured beside it",
    "docs/report.md#what-it-shows",
)
_REPEAT = "repeat the same inputs with the --greta-seed=N that the failure names"

FAILED: Mapping[str, Advice] = {
    "scratch_bytes": _SPILLS,
    "vgpr_spills": _SPILLS,
    "sgpr_spills": _SPILLS,
    "vgprs": _REGISTERS,
    "agprs": _REGISTERS,
    "sgprs": _REGISTERS,
    "lds_bytes": Advice("make tiles smaller, or let arrays in LDS share their memory", _CATALOGUE),
    "occupancy": Advice(
        "whichever of VGPRs, LDS and block size is short limits it: gate these to see which one moved",
        _CATALOGUE,
    ),
    "code_bytes": Advice("unroll less, or instantiate fewer forms of a template", _CATALOGUE),
    "unwaited_barriers": Advice(
        "the compiler left out a wait that the source asks for: move the barrier, or add the wait by hand",
        "docs/barriers.md",
    ),
    "mfma": Advice(
        "the main loop lost its matrix instructions: look for a type or a layout that has none", _CATALOGUE
    ),
    "locked": Advice(
        "`python -m pytest_greta inspect --diff OLD NEW` shows what moved; `pytest --greta-lock` records what is meant",
        "docs/binaries.md#hold-it-gates-and-a-lock-file",
    ),
    "launchable": Advice(
        "make `launch` of the kernel pass what the code takes: the reason names argument, block or LDS",
        "docs/writing-kernels.md#what-the-methods-say",
    ),
    "prefill_seconds": _RATE,
    "seconds": _RATE,
    "tflops": _RATE,
    "gbytes_per_second": _RATE,
    "flops_of_peak": _RATE,
    "bytes_of_peak": _RATE,
    "tokens_per_second": _RATE,
    "speedup": Advice(
        "run it alone, with --greta-variant and --greta-ctx; more --greta-budget moves no FAIL. "
        "--greta-calibrate=20 tells how far this gate can be trusted on this device",
        "docs/verdicts.md#on-your-machine---greta-calibraten",
    ),
    "regression": Advice(
        "the reason names what it is held against. If the change is meant: --greta-accept=REASON --benchmark-autosave "
        "makes this run the new reference",
        "docs/gates.md#against-history",
    ),
    "scaling": Advice(
        "the time grows otherwise with the context than the limit allows: --greta-report=DIR draws it over all of them",
        "docs/verdicts.md#a-time-a-rate-an-exponent",
    ),
    "max_error": Advice(f"{_REPEAT}, and look at the row that the reason names", _OUTPUTS),
    "allclose": Advice(f"{_REPEAT}, and look at the element that the reason names", _OUTPUTS),
    "deterministic": Advice(
        f"{_REPEAT}: a race, or an order of additions that changes. `deterministic: false` in gates.yaml waives it",
        _OUTPUTS,
    ),
    "deadline_seconds": Advice(
        "--greta-serialize finds the kernel that hangs; a longer --greta-deadline=SECONDS lets a slow one end",
        _BUILT_IN,
    ),
    "implementation": Advice(
        "another function ran than `entry` of the variant names: mend either", _BUILT_IN
    ),
    "vram_bytes": Advice("make workspaces smaller, or give the device to this run alone", _CATALOGUE),
    "impossible": Advice(
        "no such device is that fast: look for work that is left out, then at `flops`, `bytes_moved` and `peaks`",
        "docs/gates.md#peaks",
    ),
    "no_fault": Advice(
        "--greta-serialize finds the kernel that faults; what the worker printed stands with the test",
        _BUILT_IN,
    ),
    "complete": Advice(
        f"{_REPEAT}: blocks or the last elements write nothing; look at grid and bounds", _OUTPUTS
    ),
    "canaries": Advice("an index runs past an output: look at the bounds of its last block", _MEMORY),
    "inputs_unchanged": Advice("the kernel writes into its inputs: give it a workspace", _MEMORY),
}
"""Of each gate of the catalogue, what to do where it fails."""

_OF_PROGRAM = Advice(
    "the program's own output stands with the test; run its command by hand with what gates.yaml gives it",
    "docs/programs.md#what-is-gated",
)

_BY_REASON: Mapping[Status, tuple[tuple[str, Advice], ...]] = {
    Status.FAIL: (
        (
            "`expect`",
            Advice(
                "the known exception is none any more: tighten or delete its `expect`",
                "docs/gates.md#known-exceptions",
            ),
        ),
        (
            "worse than the known exception",
            Advice("mend it, or widen the bound of `expect` with a reason", "docs/gates.md#known-exceptions"),
        ),
        (
            "0 or less is no measurement",
            Advice("nothing was launched, or it did nothing: look at `launch` of the kernel", _BUILT_IN),
        ),
        (
            r" does not compile for .*error: .*'(hip|rocm|rocwmma|cooperative_groups|__|atomic|cg::)",
            Advice(
                "the header of HIP that is used without ROCm may lack that name: the page has what it lacks; with ROCm "
                "installed its own is used",
                "docs/hip-header.md#missing",
            ),
        ),
        (
            " does not compile for gfx",
            Advice(
                "mend the first error: what the compiler says stands with the test; --greta-target=GFX compiles for "
                "that target alone",
                _SOURCES,
            ),
        ),
        (
            " does not compile for ",
            Advice("mend the first error: what the compiler says stands with the test", _SOURCES),
        ),
        (
            r"worker process died of SIG(SEGV|BUS|ILL|FPE)",
            Advice(
                "the kernel's process ended as any other would: look at its bounds, its pointers and its divisors; "
                "what the worker printed stands with the test",
                _BUILT_IN,
            ),
        ),
    ),
    Status.INCONCLUSIVE: (
        (
            "with this history",
            Advice(
                "more accepted runs (--benchmark-autosave on clean commits) tell smaller differences",
                "docs/verdicts.md#against-the-past-regression",
            ),
        ),
    ),
    Status.NOT_MEASURED: (
        (
            "a cpu's times say nothing",
            Advice(
                "run it on a machine with an AMD GPU, where --greta-require=hip makes sure that it is measured; "
                "`devices: cpu` gates the cpu's own time",
                "docs/gates.md#speed-on-a-cpu",
            ),
        ),
        (
            "an emulated GPU's times",
            Advice("run it on a GPU: an emulator's times mean nothing", "docs/gates.md#speed-on-a-cpu"),
        ),
        (
            "pytest-xdist",
            Advice("run this test without -n", "docs/devices.md#a-device-for-each-process"),
        ),
        (
            "--greta-serialize",
            Advice("leave out --greta-serialize, once what it looked for is found", "docs/timing.md"),
        ),
        ("single shot", Advice("leave out --greta-single-shot", "docs/timing.md#how-long-it-takes")),
        (
            "accepted run",
            Advice(
                "commit, and run with --benchmark-autosave: the next run is held against that one. Until then "
                "--greta-require does not fail it",
                "docs/gates.md#against-history",
            ),
        ),
        (
            "longer context",
            Advice("give two contexts: --greta-ctx=4096,8192", "docs/verdicts.md#a-time-a-rate-an-exponent"),
        ),
        (
            "the run ended early",
            Advice("mend what failed before it in the same test; this is measured then", _BUILT_IN),
        ),
        (
            "not written cannot be compared",
            Advice("mend what failed before it in the same test; this is measured then", _BUILT_IN),
        ),
        (
            "--greta-lock records",
            Advice("`pytest --greta-lock` records it", "docs/binaries.md#hold-it-gates-and-a-lock-file"),
        ),
        (
            "fetch-depth",
            Advice("check out the whole history: `fetch-depth: 0`", "docs/ci.md#on-an-amd-gpu"),
        ),
        (
            "the record does not say",
            Advice("measure it again with --greta-summary of today", "docs/records.md#replay"),
        ),
    ),
}
"""What a reason calls for, of the first pattern that is found in it."""

_STATUS: Mapping[Status, Advice] = {
    Status.FAIL: Advice(
        "the message says what is wrong: mend it, then run what failed alone with `pytest --lf`",
        "docs/writing-kernels.md",
    ),
    Status.INCONCLUSIVE: Advice(
        "more rounds: leave out --greta-rounds and --greta-single-shot, raise --greta-budget=SECONDS (and "
        "--greta-session-budget, where it is given), keep the device to this run. `inconclusive: fail` or `warn` in "
        "gates.yaml says whether a test fails for it",
        "docs/verdicts.md#in-one-run-speedup",
    ),
    Status.NOT_MEASURED: Advice(
        "the reason says what is missing; where that is a device, a library or a tool, `python -m pytest_greta doctor` "
        "names the command that brings it",
        "docs/gates.md#verdicts",
    ),
    Status.BLOCKED: Advice(
        "bring back what the reason names; finished runs are kept, and --greta-resume goes on from there",
        "docs/programs.md#what-is-blocked-and-going-on",
    ),
}


def advice(gate: str, status: Status, reason: str, place: str = "") -> Advice:
    """What to do about a verdict that is neither a pass nor expected. `gate` is empty where a test was stopped; `place`
    is the line of its limit.
    """
    for told, found in _BY_REASON.get(status, ()):
        if re.search(told, reason):
            return found
    if status is Status.FAIL and PurePath(place.partition(":")[0]).name == _LOCK_FILE:
        return FAILED["locked"]
    if status is Status.FAIL and gate:
        return FAILED.get(gate, _OF_PROGRAM)
    return _STATUS[status]
