"""The catalogue of gates: what can be limited, in which unit, and which direction is better.

It is data: the loader of gates.yaml, its JSON Schema and the reference in docs/gates.md all follow from `CATALOGUE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class GateDef:
    """One gate of the catalogue: what its quantity means and how its limit is written."""

    name: str
    unit: str
    source: Literal["code", "run", "program"]
    """Read from the code object (no device needed), measured in a run, or of a whole program."""
    kind: Literal["number", "bool", "text", "value"]
    """`value`: whatever a program prints, a number, a text or a bool."""
    better: Literal["lower", "higher", ""]
    """The direction of a number, and so the meaning of a bare number in gates.yaml."""
    description: str
    limits: tuple[str, ...] = ("min", "max")
    """The limits gates.yaml may set; empty for a gate that is built in and cannot be changed."""
    integer: bool = False
    positive: bool = False
    """A value of 0 or less is no measurement and fails, whatever the limit; a limit of 0 makes no sense."""
    speed: bool = False
    """Depends on how fast the device is: not measured on a cpu unless the gate asks for it by name."""
    noisy: bool = False
    """Needs an interval: one value alone does not pass."""
    fixed: bool = False
    """The built-in gate of this name stays, whatever gates.yaml says; a limit there is added to it."""
    per_output: bool = False
    """Can be set for single outputs of the kernel, by their names."""
    relative: bool = False
    """Compares with the baseline: has no meaning for the baseline itself."""
    most: float | None = None
    """No value is above this, so no minimum can be."""
    reported: bool = False
    """A program has to print it: one that is not there fails."""
    spec: str = ""
    """Format specification of a value; empty takes a general one."""
    example: str = ""
    """A line of gates.yaml; empty for a gate that cannot be changed."""


def _code(
    name: str, unit: str, better: Literal["lower", "higher"], description: str, example: str
) -> GateDef:
    return GateDef(name, unit, "code", "number", better, description, integer=True, example=example)


# fmt: off
CATALOGUE: Mapping[str, GateDef] = {definition.name: definition for definition in (
    _code("scratch_bytes", "bytes", "lower", "Scratch memory of one thread: registers that did not fit.",
          example="scratch_bytes: 0"),
    _code("vgprs", "registers", "lower", "Vector registers of one thread, as the code object states them.",
          example="vgprs: {max: 96, targets: gfx942}"),
    _code("agprs", "registers", "lower", "Accumulation vector registers of one thread (CDNA only).",
          example="agprs: 0"),
    _code("sgprs", "registers", "lower", "Scalar registers of one wavefront.",
          example="sgprs: 100"),
    _code("vgpr_spills", "registers", "lower", "Vector registers spilled, to scratch or to other registers.",
          example="vgpr_spills: 0"),
    _code("sgpr_spills", "registers", "lower", "Scalar registers spilled, to scratch or vector registers.",
          example="sgpr_spills: 0"),
    _code("lds_bytes", "bytes", "lower", "LDS of one block: static, and the dynamic LDS of its launch.",
          example="lds_bytes: 65536"),
    _code("occupancy", "waves per SIMD", "higher",
          "Wavefronts on one SIMD when as many whole blocks are resident as fit; 0 where none does.",
          example="occupancy: 4"),
    _code("code_bytes", "bytes", "lower", "Machine code of the kernel.",
          example="code_bytes: 16384"),
    _code("unwaited_barriers", "barriers", "lower",
          "Barriers that a wavefront can reach while its own writes to LDS are under way: a race in the machine code. "
          "At most 0 is built in.",
          example='unwaited_barriers: {max: 0, expect: {max: 1, reason: "one wavefront reads what it wrote"}}'),
    _code("mfma", "instructions", "higher", "Matrix instructions in the main loop: MFMA, WMMA and their sparse forms.",
          example="mfma: 32"),
    GateDef("locked", "", "code", "bool", "",
            "No kernel takes more than greta.lock has recorded. Built in where there is a lock file.", limits=()),
    GateDef("launchable", "", "code", "bool", "",
            "Launches fit the code: count, kind, size of arguments, constants, threads and LDS of a block. Built in.",
            limits=()),
    GateDef("prefill_seconds", "s", "run", "number", "lower",
            "Device time of one prefill, by device events. Above zero is built in.",
            positive=True, speed=True, fixed=True,
            example="prefill_seconds: {max: 30, contexts: 4096, devices: hip}"),
    GateDef("seconds", "s", "run", "number", "lower",
            "The same time, for kernels that prefill nothing.", positive=True, speed=True,
            example="seconds: {max: 0.002, contexts: 4096, devices: hip}"),
    GateDef("tflops", "TFLOP/s", "run", "number", "higher",
            "Floating-point operations that the problem needs (`flops` of the kernel), over device time.",
            positive=True, speed=True,
            example="tflops: {min: 300, contexts: 32768}"),
    GateDef("gbytes_per_second", "GB/s", "run", "number", "higher",
            "Bytes that the problem must move (`bytes_moved` of the kernel), over device time.",
            positive=True, speed=True,
            example="gbytes_per_second: 3000"),
    GateDef("flops_of_peak", "of the peak", "run", "number", "higher",
            "`tflops` as a fraction of the peak that gates.yaml states for the device.",
            positive=True, speed=True, most=1.0,
            example="flops_of_peak: 0.4"),
    GateDef("bytes_of_peak", "of the peak", "run", "number", "higher",
            "`gbytes_per_second` as a fraction of the peak that gates.yaml states for the device.",
            positive=True, speed=True, most=1.0,
            example="bytes_of_peak: 0.7"),
    GateDef("tokens_per_second", "tokens/s", "run", "number", "higher",
            "Tokens processed in one second of device time.", positive=True, speed=True,
            example="tokens_per_second: {min: 180, contexts: 4096}"),
    GateDef("speedup", "x", "run", "number", "higher",
            "Time of the baseline divided by the time of the variant, from interleaved pairs of one run.",
            positive=True, speed=True, noisy=True, relative=True, spec=".2f",
            example="speedup: {min: 1.20, contexts: [4096, 8192]}"),
    GateDef("regression", "x", "run", "number", "lower",
            "Time now over that of the accepted runs before: of this kernel, variant, context, problem and device.",
            limits=("min", "max"), positive=True, speed=True, noisy=True, spec=".3f",
            example="regression: {max: 1.05, min: 0.8, contexts: 8192}"),
    GateDef("scaling", "exponent", "run", "number", "lower",
            "Exponent of the time against the context, from the smallest context of the same run: "
            "linear work gives 1, quadratic work 2.", speed=True, spec=".2f",
            example="scaling: 2.2"),
    GateDef("max_error", "error", "run", "number", "lower",
            "Largest error of a row against the float64 reference, relative to the row's largest value. Whole numbers "
            "are exact where no entry names their output.",
            limits=("max",), per_output=True, spec=".2e",
            example="max_error: [2.0e-3, {max: 0.5, outputs: rank}]"),
    GateDef("allclose", "of the tolerance", "run", "number", "lower",
            "Every element lies within atol + rtol * abs(reference) of the float64 reference: the largest share of "
            "that.",
            limits=("atol", "rtol"), per_output=True, spec=".3g",
            example="allclose: {atol: 1.0e-5, rtol: 1.0e-3}"),
    GateDef("deterministic", "", "run", "bool", "",
            "Equal inputs give bitwise equal outputs. `false` waives the gate.", limits=("equals",),
            example="deterministic: false"),
    GateDef("deadline_seconds", "s", "run", "number", "lower",
            "Wall time of one request to the device; at the limit its process is killed.",
            limits=("max",), positive=True,
            example="deadline_seconds: [600, {max: 1800, contexts: 16384}]"),
    GateDef("implementation", "", "run", "text", "",
            "Name of the function that ran, as the runtime gives it. The one asked for is built in.",
            limits=("equals",), fixed=True,
            example="implementation: v3_q_lds"),
    GateDef("vram_bytes", "bytes", "run", "number", "lower",
            "Device memory in use while the buffers of a run are there (inputs twice, each for the candidate, the "
            "baseline and the accepted code), by all processes.",
            limits=("max",), integer=True,
            example="vram_bytes: 137438953472"),
    GateDef("impossible", "", "run", "bool", "",
            "Faster than the peaks that gates.yaml states for the device allow. Built in where they are stated.",
            limits=(), fixed=True),
    GateDef("no_fault", "", "run", "bool", "",
            "Every launch ended, without a device error, a crash or a kill. Built in.", limits=(), fixed=True),
    GateDef("complete", "", "run", "bool", "",
            "Every element of every output was written; not asked of outputs with an initial value. Built in.",
            limits=(), fixed=True),
    GateDef("canaries", "", "run", "bool", "",
            "Nothing was written outside the outputs. Built in.", limits=(), fixed=True),
    GateDef("inputs_unchanged", "", "run", "bool", "",
            "The inputs were not modified. Built in.", limits=(), fixed=True),
)}
# fmt: on
