"""How a gate of the catalogue turns a measured quantity into a verdict. Pure: no clock, no I/O.

`evaluate` is the only place where a verdict is made.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pytest_greta.errors import printable
from pytest_greta.gates.catalogue import CATALOGUE, GateDef
from pytest_greta.kernel import Problem, Size

EVERY_VARIANT = "*"
"""The name under `gates:` that stands for all variants of a kernel."""

BUILT_IN = "built-in"
"""The `file` of a gate that exists without any line in gates.yaml."""

DEFAULT_DEADLINE_SECONDS = 600.0


class Status(enum.Enum):
    """What a gate found. Only PASS is a pass: what was not measured never counts as passed, and a known exception is
    shown as what it is.
    """

    PASS = "PASS"
    FAIL = "FAIL"
    EXPECTED_FAILURE = "EXPECTED FAILURE"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_MEASURED = "NOT MEASURED"
    BLOCKED = "BLOCKED"
    """Of a test, not of a gate: what it is about could not be run, for no fault of its own."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval, both ends included; an end may be infinite."""

    low: float
    high: float


@dataclass(frozen=True)
class Quantity:
    """One measured quantity, in the unit of its gate; `value` None says that it was not measured."""

    value: float | bool | str | None
    interval: Interval | None = None
    reason: str = ""
    """Why it was not measured, or a note on how it was."""
    excused: bool = False
    """Cannot be decided, which is nobody's fault: a new benchmark has no history, a new GPU unknown encodings."""
    unit: str = ""
    """Of what no catalogue has: the unit that gates.yaml states for what a program prints."""

    @property
    def is_exact(self) -> bool:
        """A ratio that is known without measuring: unchanged code is as fast as itself."""
        return self.interval is not None and self.interval.low == self.interval.high


@dataclass(frozen=True)
class Measurement:
    """What a compile (`target`) or a run (`context` and `device`) found: quantities by name of the gate."""

    kernel: str
    variant: str
    quantities: Mapping[str, Quantity]
    target: str | None = None
    """What the code object is for, for example `gfx942`; None for a run."""
    problem: Problem | None = None
    """What was run; of a code object, one of the problems that it is compiled for."""
    device: str | None = None
    """`hip`, `cpu` or `program`; None for a code object."""
    untimed: str = ""
    """Why the times of this run mean nothing, if so: an emulated GPU, tests that run side by side."""

    @cached_property
    def where(self) -> str:
        """Where it was measured: the problem of a run; the target of a code object, with the form it is for."""
        if self.target is None:
            return self.problem.id if self.problem else ""
        form = self.problem.form if self.problem else ""
        return f"{self.target} {form}" if form else self.target


@dataclass(frozen=True)
class Limit:
    """What a gate allows: `min` and `max` are inside, `above` is not; `equals` is for bools, text, and what
    programs print.
    """

    min: float | None = None
    max: float | None = None
    above: float | None = None
    equals: float | bool | str | None = None
    ratio: float | None = None
    """Of a program: the largest value of any context over the smallest, at most."""
    atol: float | None = None
    rtol: float | None = None
    """The tolerance whose share is limited, of the gate `allclose`."""

    def allows(self, value: float) -> bool:
        """Whether a number is inside the limit."""
        return (
            (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
            and (self.ratio is None or value <= self.ratio)
            and (self.above is None or value > self.above)
        )

    def excludes(self, interval: Interval) -> bool:
        """Whether an interval lies wholly outside the limit."""
        return (
            (self.min is not None and interval.high < self.min)
            or (self.max is not None and interval.low > self.max)
            or (self.ratio is not None and interval.low > self.ratio)
            or (self.above is not None and interval.high <= self.above)
        )


@dataclass(frozen=True)
class Peak:
    """What a device can do at best, as the gates file states it; None where it does not."""

    tflops: float | None = None
    gbytes_per_second: float | None = None
    file: str = "gates.yaml"
    """The gates file that was asked."""

    @property
    def is_stated(self) -> bool:
        """Whether the file states any."""
        return self.tflops is not None or self.gbytes_per_second is not None


@dataclass(frozen=True)
class Expected:
    """A known exception from a limit: how far the value may lie outside of it, and why."""

    bound: Limit
    reason: str


@dataclass(frozen=True)
class Gate:
    """One limit on one quantity: an entry of gates.yaml, or a built-in gate (`file` "built-in", `line` 0).

    Empty `targets`, `contexts`, `devices` and `where` mean all of them.
    """

    name: str
    kernel: str
    variant: str
    """Name of the variant, or `*`."""
    limit: Limit
    targets: tuple[str, ...] = ()
    contexts: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()
    where: Mapping[str, tuple[Size, ...]] = field(default_factory=dict)
    """Other axes of the problem, with the values for which it applies."""
    outputs: tuple[str, ...] = ()
    """Outputs of the kernel that it is for; empty for all."""
    file: str = BUILT_IN
    line: int = 0
    column: int = 0
    expected: Expected | None = None
    """The value is known to be outside the limit; it must be so, within a bound."""
    accepted: str = ""
    """Why a failure of this gate is accepted in this session (`--greta-accept`)."""
    own: GateDef | None = None
    """What it limits, of a program: that is in no catalogue."""

    @cached_property
    def definition(self) -> GateDef:
        """What it limits."""
        return self.own or CATALOGUE[self.name]

    @cached_property
    def is_check(self) -> bool:
        """It is built in, and says yes or no, or counts faults."""
        return not self.line and (self.definition.kind != "number" or self.definition.integer)

    @cached_property
    def quantity(self) -> str:
        """The name of what it is held against."""
        return self.name if self.limit.ratio is None else over_contexts(self.name)

    @cached_property
    def place(self) -> str:
        """Where the gate is written: `gates.yaml:31`, or `built-in`."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def times_on(self, device: str) -> bool:
        """Whether a gate on speed is judged on a device kind: on a cpu only where it names the cpu."""
        return device != "cpu" or "cpu" in self.devices

    @cached_property
    def text(self) -> str:
        """The gate as a condition: `speedup >= 1.20`."""
        return limit_text(self.definition, self.limit, self.outputs)

    @cached_property
    def plain(self) -> Mapping[str, Any]:
        """What it asks for, as JSON has it; made once for all that it is held against."""
        limit = self.limit
        return {
            "gate": self.name,
            "place": self.place,
            "line": self.line,
            "limit": self.text,
            "min": limit.min,
            "max": limit.max,
            "above": limit.above,
            "equals": limit.equals,
            "max_ratio": limit.ratio,
            "outputs": self.outputs,
            "unit": self.definition.unit,
        }


@dataclass(frozen=True)
class Verdict:
    """What a gate found in one measurement."""

    gate: Gate
    status: Status
    measured: Quantity
    kernel: str
    variant: str
    where: str
    """The context of a run (`8192`) or the target of a code object (`gfx942`)."""
    reason: str = ""

    @cached_property
    def found(self) -> str:
        """What was measured, as text."""
        return measured_text(self.gate.definition, self.measured, self.gate.limit)

    @property
    def columns(self) -> tuple[str, str, str, str, str]:
        """The verdict as cells of a table: place, variant and where, condition, value, status and reason."""
        status = f"{self.status.value} ({self.reason})" if self.reason else self.status.value
        return self.gate.place, f"{self.variant} @ {self.where}", self.gate.text, self.found, status

    @property
    def is_accepted_failure(self) -> bool:
        """It passes only because `--greta-accept` says so."""
        value = self.measured.value
        return bool(
            self.gate.accepted
            and self.status is Status.PASS
            and isinstance(value, (int, float))
            and not self.gate.limit.allows(value)
        )

    def line(self, is_named: bool = False) -> str:
        """One line, complete in itself, with the kernel's name where there are others:

        `gates.yaml:31  v3 @ 8192  speedup >= 1.20   measured 0.93x [0.92, 0.94]   FAIL`
        """
        place, what, condition, found, status = self.columns
        what = f"{self.kernel} {what}" if is_named else what
        # A value that decides nothing was found, not measured: a cpu's speedup, for example.
        word = "found" if self.status is Status.NOT_MEASURED else "measured"
        told = f"   {word} {found}" if found else ""
        return printable(f"{place}  {what}  {condition}{told}   {status}")


def over_contexts(name: str) -> str:
    """The name of the quantity that says how far another is from being the same at every context."""
    return f"{name} over contexts"


def limit_text(definition: GateDef, limit: Limit, outputs: Sequence[str] = ()) -> str:
    """A limit as a condition: `vgprs <= 96`, `1.20 <= speedup <= 3.00`, `max_error of index <= 0`."""
    name = definition.name + (f" of {', '.join(outputs)}" if outputs else "")
    if limit.atol is not None or limit.rtol is not None:
        return f"{name} within {limit.atol or 0:g} + {limit.rtol or 0:g} |reference|"
    if limit.equals is not None:
        return f"{name} is {_text(definition, limit.equals)}"
    if limit.ratio is not None:
        return f"{over_contexts(name)} <= {_limit_number(_as_ratio(definition), limit.ratio)}x"
    if limit.above is not None and limit.max is None:
        return f"{name} > {_limit_number(definition, limit.above)}"
    if limit.above is not None:
        return f"{_limit_number(definition, limit.above)} < {name} <= {_limit_number(definition, limit.max or 0.0)}"
    low = "" if limit.min is None else _limit_number(definition, limit.min)
    high = "" if limit.max is None else _limit_number(definition, limit.max)
    if low and high:
        return f"{low} <= {name} <= {high}"
    return f"{name} >= {low}" if low else f"{name} <= {high}"


_SUFFIXES = {
    "x": "x",
    "s": " s",
    "bytes": " B",
    "tokens/s": " tokens/s",
    "TFLOP/s": " TFLOP/s",
    "GB/s": " GB/s",
}
"""Units as they stand behind a value; others are not written."""


def measured_text(definition: GateDef, quantity: Quantity, limit: Limit) -> str:
    """A measured quantity with its interval: `0.93x [0.92, 0.94]`; empty where nothing was measured.

    A value on the wrong side of its limit never reads like the limit: 1.1996 against 1.20 keeps its digits.
    """
    value = quantity.value
    if value is None:
        return ""
    if isinstance(value, (bool, str)):
        return _text(definition, value)
    suffix = suffix_of(definition, limit)
    definition = definition if limit.ratio is None else _as_ratio(definition)
    stated = (limit.min, limit.max, limit.above, limit.ratio)
    bounds = [(bound, _text(definition, bound)) for bound in stated if bound is not None]
    ends = ", ".join(_near(definition, end, bounds) for end in _ends(quantity.interval))
    return f"{_near(definition, value, bounds)}{suffix}{f' [{ends}]' if ends else ''}"


def _as_ratio(definition: GateDef) -> GateDef:
    """What is compared over contexts is a ratio, written as a speedup is: `1.10x`."""
    return replace(definition, spec=CATALOGUE["speedup"].spec)


def suffix_of(definition: GateDef, limit: Limit | None = None) -> str:
    """What stands behind a value that is held against a limit: its unit, where that is written."""
    unit = "x" if limit is not None and limit.ratio is not None else definition.unit
    return _SUFFIXES.get(unit, f" {unit}" if definition.kind == "value" and unit else "")


def _ends(interval: Interval | None) -> tuple[float, ...]:
    return () if interval is None else (interval.low, interval.high)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond the range of a double
        return False


def _text(definition: GateDef, value: float | bool | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if value.isprintable() else repr(value)
    if not _finite(value):
        return "inf" if isinstance(value, int) else str(float(value))
    value = float(value)
    if definition.spec:
        return f"{value:{definition.spec}}"
    if value.is_integer():
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def _limit_number(definition: GateDef, value: float) -> str:
    text = _text(definition, value)
    return text if float(text) == value else repr(float(value))


def _near(definition: GateDef, value: float, bounds: Sequence[tuple[float, str]]) -> str:
    """A value as text, with as many digits as it takes where rounding would show it as the limit it is not. `bounds`
    are those of the limit, with their texts.
    """
    text = _text(definition, value)
    for bound, written in bounds:
        if bound != value and text == written:
            texts = (f"{value:.{digits}g}" for digits in range(4, 18))
            return next((text for text in texts if float(text) != bound), str(value))
    return text
