"""How a gate of the catalogue turns a measured quantity into a verdict. Pure: no clock, no I/O.

`evaluate` is the only place where a verdict is made.
"""

from __future__ import annotations

import enum
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_greta.catalogue import CATALOGUE, GateDef

EVERY_VARIANT = "*"
"""The name under `gates:` that stands for all variants of a kernel."""

BUILT_IN = "built-in"
"""The `file` of a gate that exists without any line in gates.yaml."""

DEFAULT_DEADLINE_SECONDS = 600.0

DRIFT = 4.0
"""How far a ratio taken from a single pair may be off, as a factor. The largest drift on record of one kernel
on one machine is 403.26 s against 114.265 s, a factor of 3.5. Such a value alone never passes a gate; it
fails one only where even this factor would not bring it inside the limit."""

SLACK = 1.25
"""How much better than its bound a known exception may be, as a factor, where the quantity differs from run to run.
Quantities that are counted allow for none."""

CPU_TIMES = "a cpu's times say nothing about a GPU's"
EMULATED_TIMES = "an emulated GPU's times say nothing about a GPU's"


class Status(enum.Enum):
    """What a gate found. Only PASS is a pass: what was not measured never counts as passed, and a known exception is
    shown as what it is.
    """

    PASS = "PASS"
    FAIL = "FAIL"
    EXPECTED_FAILURE = "EXPECTED FAILURE"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_MEASURED = "NOT MEASURED"


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
    context: int | None = None
    device: str | None = None
    """`hip` or `cpu`; None for a code object."""
    untimed: str = ""
    """Why the times of this run mean nothing, if so: an emulated GPU, tests that run side by side."""

    @property
    def where(self) -> str:
        """Where it was measured: the context of a run, the target of a code object."""
        return str(self.context) if self.context is not None else str(self.target)


@dataclass(frozen=True)
class Limit:
    """What a gate allows: `min` and `max` are inside, `above` is not; `equals` is for bools and text."""

    min: float | None = None
    max: float | None = None
    above: float | None = None
    equals: bool | str | None = None

    def allows(self, value: float) -> bool:
        """Whether a number is inside the limit."""
        return (
            (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
            and (self.above is None or value > self.above)
        )

    def excludes(self, interval: Interval) -> bool:
        """Whether an interval lies wholly outside the limit."""
        return (
            (self.min is not None and interval.high < self.min)
            or (self.max is not None and interval.low > self.max)
            or (self.above is not None and interval.high <= self.above)
        )


@dataclass(frozen=True)
class Expected:
    """A known exception from a limit: how far the value may lie outside of it, and why."""

    bound: Limit
    reason: str


@dataclass(frozen=True)
class Gate:
    """One limit on one quantity: an entry of gates.yaml, or a built-in gate (`file` "built-in", `line` 0).

    Empty `targets`, `contexts` and `devices` mean all of them.
    """

    name: str
    kernel: str
    variant: str
    """Name of the variant, or `*`."""
    limit: Limit
    targets: tuple[str, ...] = ()
    contexts: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()
    file: str = BUILT_IN
    line: int = 0
    expected: Expected | None = None
    """The value is known to be outside the limit; it must be so, within a bound."""
    accepted: str = ""
    """Why a failure of this gate is accepted in this session (`--greta-accept`)."""

    @property
    def place(self) -> str:
        """Where the gate is written: `gates.yaml:31`, or `built-in`."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def times_on(self, device: str) -> bool:
        """Whether a gate on speed is judged on a device kind: on a cpu only where it names the cpu."""
        return device != "cpu" or "cpu" in self.devices

    @property
    def text(self) -> str:
        """The gate as a condition: `speedup >= 1.20`."""
        return limit_text(CATALOGUE[self.name], self.limit)


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

    @property
    def columns(self) -> tuple[str, str, str, str, str]:
        """The verdict as cells of a table: place, variant and where, condition, value, status and reason."""
        found = measured_text(CATALOGUE[self.gate.name], self.measured, self.gate.limit)
        status = f"{self.status.value} ({self.reason})" if self.reason else self.status.value
        return self.gate.place, f"{self.variant} @ {self.where}", self.gate.text, found, status

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

    def line(self) -> str:
        """One line, complete in itself:

        `gates.yaml:31  v3 @ 8192  speedup >= 1.20   measured 0.93x [0.92, 0.94]   FAIL`
        """
        place, subject, condition, found, status = self.columns
        # A value that decides nothing was found, not measured: a cpu's speedup, for example.
        word = "found" if self.status is Status.NOT_MEASURED else "measured"
        return "   ".join(
            [f"{place}  {subject}  {condition}", *([f"{word} {found}"] if found else []), status]
        )


def built_in(kernel: str, variant: str, entry: str, max_error: float) -> list[Gate]:
    """The gates of every run, for one variant.

    `entry` is the name of the function asked for, `max_error` the largest error allowed where gates.yaml
    says nothing.
    """
    limits = {
        "no_fault": Limit(equals=True),
        "implementation": Limit(equals=entry),
        "complete": Limit(equals=True),
        "canaries": Limit(equals=True),
        "inputs_unchanged": Limit(equals=True),
        "max_error": Limit(max=max_error),
        "deterministic": Limit(equals=True),
        "prefill_seconds": Limit(above=0.0),
        "deadline_seconds": Limit(max=DEFAULT_DEADLINE_SECONDS),
    }
    return [Gate(name, kernel, variant, limit) for name, limit in limits.items()]


def built_in_for_code(kernel: str, variant: str, target: str) -> list[Gate]:
    """The gates of every code object for an AMD GPU; code of others (under HIP on CUDA) has none."""
    if not target.startswith("gfx"):
        return []
    return [Gate("unwaited_barriers", kernel, variant, Limit(max=0))]


def evaluate(gate: Gate, measurement: Measurement) -> Verdict:
    """The verdict of a gate that applies to this measurement. Never raises on what was measured."""
    quantity = measurement.quantities.get(gate.name, Quantity(None, reason="no value was reported"))
    status, reason = _judge(gate, quantity, measurement)
    if gate.expected and status in (Status.PASS, Status.FAIL):
        status, reason = _with_exception(gate, gate.expected, quantity, status, reason)
    if gate.accepted and status in (Status.FAIL, Status.INCONCLUSIVE) and _is_slower(gate, quantity):
        status, reason = Status.PASS, "; ".join(filter(None, [f"accepted: {gate.accepted}", reason]))
    return Verdict(gate, status, quantity, measurement.kernel, measurement.variant, measurement.where, reason)


def _with_exception(
    gate: Gate, expected: Expected, quantity: Quantity, status: Status, reason: str
) -> tuple[Status, str]:
    """PASS or FAIL of a gate with a known exception: is the value as bad as expected, worse, or better?"""
    definition, bound, value = CATALOGUE[gate.name], expected.bound, quantity.value
    if status is Status.PASS:
        return Status.FAIL, f"expected to fail ({expected.reason}), but it holds: delete its `expect`"
    if isinstance(value, (bool, str)) or value is None:
        known = value is not None and value == bound.equals
        return (Status.EXPECTED_FAILURE, expected.reason) if known else (status, reason)
    if not _finite(value) or (definition.positive and value <= 0):
        return status, reason
    interval = quantity.interval or Interval(value, value)
    allowed = bound.allows(interval.low), bound.allows(interval.high)
    if not any(allowed):
        worse = f"worse than the known exception, {limit_text(definition, bound)} ({expected.reason})"
        return Status.FAIL, "; ".join(filter(None, [worse, reason]))
    if not all(allowed):
        return Status.INCONCLUSIVE, f"the interval reaches across the known exception ({expected.reason})"
    slack = 1.0 if definition.integer else SLACK
    if (bound.max is not None and interval.high * slack < bound.max) or (
        bound.min is not None and interval.low > bound.min * slack
    ):
        return (
            Status.FAIL,
            f"better than its known exception ({expected.reason}): tighten or delete its `expect`",
        )
    return Status.EXPECTED_FAILURE, expected.reason


def _is_slower(gate: Gate, quantity: Quantity) -> bool:
    value = quantity.value
    return isinstance(value, (int, float)) and _finite(value) and not gate.limit.allows(value)


def _judge(gate: Gate, quantity: Quantity, measurement: Measurement) -> tuple[Status, str]:
    """Status and reason. What makes a measurement invalid comes before what makes it irrelevant."""
    definition, limit, value = CATALOGUE[gate.name], gate.limit, quantity.value
    if value is None:
        return Status.NOT_MEASURED, quantity.reason or "no value was reported"
    if definition.kind != "number":
        expected = bool if definition.kind == "bool" else str
        if not isinstance(value, expected):
            return Status.FAIL, f"expected a {definition.kind}, measured {value!r}"
        return (Status.PASS if value == limit.equals else Status.FAIL), quantity.reason
    if isinstance(value, (bool, str)) or not isinstance(value, numbers.Real):
        return Status.FAIL, f"expected a number, measured {value!r}"
    interval = quantity.interval
    if not _finite(value) or (interval and (math.isnan(interval.low) or math.isnan(interval.high))):
        return Status.FAIL, "not a finite number"
    if definition.positive and value <= 0:
        return Status.FAIL, "a value of 0 or less is no measurement"
    # That a time is above zero is no question of speed: it holds on every device.
    if definition.speed and limit.above is None:
        if measurement.untimed:
            return Status.NOT_MEASURED, measurement.untimed
        if measurement.device is not None and not gate.times_on(measurement.device):
            return Status.NOT_MEASURED, CPU_TIMES
    if interval is None and definition.noisy:
        if limit.excludes(Interval(value / DRIFT, value * DRIFT)):
            return Status.FAIL, quantity.reason
        return Status.INCONCLUSIVE, quantity.reason or "one value without an interval: too few rounds"
    if interval is None:
        return (Status.PASS if limit.allows(value) else Status.FAIL), quantity.reason
    if limit.excludes(interval):
        return Status.FAIL, quantity.reason
    if limit.allows(interval.low) and limit.allows(interval.high) and limit.allows(value):
        return Status.PASS, quantity.reason
    return Status.INCONCLUSIVE, quantity.reason or "the interval reaches across the limit"


def scaling(seconds: float, context: int, first_seconds: float, first_context: int) -> float:
    """Exponent p of time against context, log(t / t0) / log(context / context0), t0 at the smallest context.

    NaN (which fails every gate) where a time is not positive.
    Raises ValueError unless context > first_context > 0.
    """
    if not context > first_context > 0:
        raise ValueError(
            f"scaling needs two contexts, the smaller one first, not {first_context} and {context}"
        )
    if not (seconds > 0 and first_seconds > 0):
        return math.nan
    return math.log(seconds / first_seconds) / math.log(context / first_context)


def limit_text(definition: GateDef, limit: Limit) -> str:
    """A limit as a condition: `vgprs <= 96`, `1.20 <= speedup <= 3.00`, `deterministic is true`."""
    name = definition.name
    if limit.equals is not None:
        return f"{name} is {_text(definition, limit.equals)}"
    if limit.above is not None:
        return f"{name} > {_limit_number(definition, limit.above)}"
    low = "" if limit.min is None else _limit_number(definition, limit.min)
    high = "" if limit.max is None else _limit_number(definition, limit.max)
    if low and high:
        return f"{low} <= {name} <= {high}"
    return f"{name} >= {low}" if low else f"{name} <= {high}"


def measured_text(definition: GateDef, quantity: Quantity, limit: Limit) -> str:
    """A measured quantity with its interval: `0.93x [0.92, 0.94]`; empty where nothing was measured.

    A value on the wrong side of its limit never reads like the limit: 1.1996 against 1.20 keeps its digits.
    """
    value = quantity.value
    if value is None:
        return ""
    if isinstance(value, (bool, str)):
        return _text(definition, value)
    suffix = {"x": "x", "s": " s", "bytes": " B", "tokens/s": " tokens/s"}.get(definition.unit, "")
    interval = quantity.interval
    ends = "" if interval is None else f" [{', '.join(_near(definition, x, limit) for x in _ends(interval))}]"
    return f"{_near(definition, value, limit)}{suffix}{ends}"


def _ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


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


def _near(definition: GateDef, value: float, limit: Limit) -> str:
    """A value as text, with as many digits as it takes where rounding would show it as the limit it is not."""
    text = _text(definition, value)
    for bound in (limit.min, limit.max, limit.above):
        if bound is not None and bound != value and text == _text(definition, bound):
            texts = (f"{value:.{digits}g}" for digits in range(4, 18))
            return next((text for text in texts if float(text) != bound), str(value))
    return text
