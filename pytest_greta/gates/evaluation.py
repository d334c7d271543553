"""How a gate turns a measured quantity into a verdict. Pure: no clock, no I/O.

`evaluate` is the only place where a verdict is made.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_greta.gates.model import (
    DEFAULT_DEADLINE_SECONDS,
    Expected,
    Gate,
    Interval,
    Limit,
    Measurement,
    Quantity,
    Status,
    Verdict,
    _finite,
    limit_text,
)
from pytest_greta.gates.scopes import specificity

DRIFT = 4.0
"""How far a ratio taken from a single pair may be off, as a factor. The largest drift on record of one kernel
on one machine is 403.26 s against 114.265 s, a factor of 3.5. Such a value alone never passes a gate; it
fails one only where even this factor would not bring it inside the limit."""


SLACK = 1.25
"""How much better than its bound a known exception may be, as a factor, where the quantity differs from run to run.
Quantities that are counted allow for none."""


CPU_TIMES = "a cpu's times say nothing about a GPU's"


EMULATED_TIMES = "an emulated GPU's times say nothing about a GPU's"


def built_in(kernel: str, variant: str, entry: str) -> list[Gate]:
    """The gates of every run, for one variant, but for `max_error`: see `for_outputs`.

    `entry` is the name of the function asked for.
    """
    limits = {
        "no_fault": Limit(equals=True),
        "implementation": Limit(equals=entry),
        "complete": Limit(equals=True),
        "canaries": Limit(equals=True),
        "inputs_unchanged": Limit(equals=True),
        "deterministic": Limit(equals=True),
        "prefill_seconds": Limit(above=0.0),
        "deadline_seconds": Limit(max=DEFAULT_DEADLINE_SECONDS),
    }
    return [Gate(name, kernel, variant, limit) for name, limit in limits.items()]


def for_outputs(
    kernel: str, variant: str, written: Sequence[Gate], defaults: Mapping[str, float | None]
) -> list[Gate]:
    """The gates on errors, each for the outputs that it is for: of those that apply, the most specific one.

    `defaults` holds the outputs with the largest error allowed where nothing is written; None for whole numbers, which
    are exact unless an entry names them.
    """
    chosen: list[tuple[Gate, list[str]]] = []
    for output, default in defaults.items():
        for name in ("max_error", "allclose"):
            entries = [
                gate
                for gate in written
                if gate.name == name
                and (output in gate.outputs or (not gate.outputs and default is not None))
            ]
            if not entries and name == "allclose":
                continue
            gate = max(
                entries, key=specificity, default=Gate(name, kernel, variant, Limit(max=default or 0.0))
            )
            same = next((outputs for other, outputs in chosen if other == gate), None)
            if same is None:
                chosen.append((gate, [output]))
            else:
                same.append(output)
    return [
        replace(gate, outputs=() if len(outputs) == len(defaults) else tuple(outputs))
        for gate, outputs in chosen
    ]


def built_in_for_peak(kernel: str, variant: str) -> Gate:
    """The gate of every run of a kernel whose work is known, on a device whose peaks are."""
    return Gate("impossible", kernel, variant, Limit(equals=False))


def built_in_for_code(kernel: str, variant: str, target: str) -> list[Gate]:
    """The gates of every code object for an AMD GPU; code of others (under HIP on CUDA) has none."""
    if not target.startswith("gfx"):
        return []
    return [
        Gate("launchable", kernel, variant, Limit(equals=True)),
        Gate("unwaited_barriers", kernel, variant, Limit(max=0)),
    ]


def evaluate(gate: Gate, measurement: Measurement) -> Verdict:
    """The verdict of a gate that applies to this measurement. Never raises on what was measured."""
    quantity = _quantity(gate, measurement.quantities)
    status, reason = _judge(gate, quantity, measurement)
    if gate.expected and status in (Status.PASS, Status.FAIL):
        status, reason = _with_exception(gate, gate.expected, quantity, status, reason)
    if gate.accepted and status in (Status.FAIL, Status.INCONCLUSIVE) and _is_slower(gate, quantity):
        status, reason = Status.PASS, "; ".join(filter(None, [f"accepted: {gate.accepted}", reason]))
    return Verdict(gate, status, quantity, measurement.kernel, measurement.variant, measurement.where, reason)


def evaluate_runs(gate: Gate, whole: Measurement, each: Sequence[Measurement]) -> Verdict:
    """The verdict of a gate on several runs of a program: what every run has to be (above a bound, equal) is asked of
    each, where they are known one by one. Where all are, it shows what they came to together, as other gates do.
    """
    if not each or not gate.definition.reported or (gate.limit.above is None and gate.limit.equals is None):
        return evaluate(gate, whole)
    found = [evaluate(gate, one) for one in each]
    failed = next((one for one in found if one.status is not Status.PASS), None)
    together = _quantity(gate, whole.quantities)
    if failed is not None or together.value is None:
        return failed or found[0]
    return replace(found[0], measured=together)


def unmatched(gate: Gate, where: str, reason: str) -> Verdict:
    """The verdict of a gate that is for nothing that there is: it never passes."""
    return Verdict(gate, Status.FAIL, Quantity(None), gate.kernel, gate.variant, where, reason)


_NOT_REPORTED = Quantity(None, reason="no value was reported")


def _quantity(gate: Gate, quantities: Mapping[str, Quantity]) -> Quantity:
    """What a gate is held against: of outputs that it names, the worst."""
    whole = quantities.get(gate.quantity, _NOT_REPORTED)
    if not gate.outputs:
        return whole
    named = [quantities.get(f"{gate.name}:{output}", whole) for output in gate.outputs]
    return next((one for one in named if one.value is None), max(named, key=_badness))


def _badness(quantity: Quantity) -> float:
    value = quantity.value
    if isinstance(value, bool):  # the gates that can be set for outputs ask for true
        return float(not value)
    return value if isinstance(value, (int, float)) and _finite(value) else math.inf


def _with_exception(
    gate: Gate, expected: Expected, quantity: Quantity, status: Status, reason: str
) -> tuple[Status, str]:
    """PASS or FAIL of a gate with a known exception: is the value as bad as expected, worse, or better?"""
    definition, bound, value = gate.definition, expected.bound, quantity.value
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


def _is_equal(value: float | bool | str, expected: float | bool | str) -> bool:
    """Whether a program printed what was asked for; a text of digits stands for the number."""
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(expected, str) and not isinstance(value, str):
        try:
            expected = float(expected)
        except ValueError:
            return False
    return value == expected


def _other_kind(value: float | bool | str, expected: float | bool | str) -> str:
    """What is told of a value that reads like what was asked for, and is of another kind."""
    if isinstance(value, str) and not isinstance(expected, (bool, str)) and _reads_like_a_number(value):
        return f"it is the text {value!r}, and no number"
    if isinstance(value, bool) and not isinstance(expected, bool):
        return f"it is {str(value).lower()}, and no {'text' if isinstance(expected, str) else 'number'}"
    return ""


def _reads_like_a_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_slower(gate: Gate, quantity: Quantity) -> bool:
    value = quantity.value
    return isinstance(value, (int, float)) and _finite(value) and not gate.limit.allows(value)


def _judge(gate: Gate, quantity: Quantity, measurement: Measurement) -> tuple[Status, str]:
    """Status and reason. What makes a measurement invalid comes before what makes it irrelevant."""
    definition, limit, value = gate.definition, gate.limit, quantity.value
    if value is None:
        missing = Status.FAIL if definition.reported and not quantity.excused else Status.NOT_MEASURED
        return missing, quantity.reason or _NOT_REPORTED.reason
    if definition.kind == "value" and limit.equals is not None:
        if _is_equal(value, limit.equals):
            return Status.PASS, quantity.reason
        return Status.FAIL, "; ".join(filter(None, [_other_kind(value, limit.equals), quantity.reason]))
    if definition.kind not in ("number", "value"):
        expected = bool if definition.kind == "bool" else str
        if not isinstance(value, expected):
            return Status.FAIL, f"expected a {definition.kind}, measured {value!r}"
        return (Status.PASS if value == limit.equals else Status.FAIL), quantity.reason
    if isinstance(value, (bool, str)) or not isinstance(value, (float, int, numbers.Real)):
        return Status.FAIL, f"expected a number, measured {value!r}"
    interval = quantity.interval
    if not _finite(value) or (interval and (math.isnan(interval.low) or math.isnan(interval.high))):
        exact = gate.name == "max_error" and limit.max == 0 and value == math.inf
        what = "not equal to the reference" if exact else "not a finite number"
        return Status.FAIL, "; ".join(filter(None, [what, quantity.reason]))
    if definition.positive and value <= 0:
        return Status.FAIL, "a value of 0 or less is no measurement"
    # That a time is above zero is no question of speed: it holds on every device.
    if definition.speed and (limit.above is None or limit.max is not None):
        if measurement.untimed:
            return Status.NOT_MEASURED, measurement.untimed
        if measurement.device is not None and not gate.times_on(measurement.device):
            return Status.NOT_MEASURED, CPU_TIMES
    if interval is None and definition.noisy:
        if limit.excludes(Interval(value / DRIFT, value * DRIFT)):
            told = [part for part in quantity.reason.split("; ") if part and not part.endswith(" too few")]
            few = "pair" if gate.name == "speedup" else "value"
            far = f"more than {DRIFT:g} times away from its limit, which one {few} decides"
            return Status.FAIL, "; ".join([far, *told])
        return Status.INCONCLUSIVE, quantity.reason or "one value without an interval: too few rounds"
    if interval is None:
        return (Status.PASS if limit.allows(value) else Status.FAIL), quantity.reason
    if limit.excludes(interval):
        return Status.FAIL, quantity.reason
    if limit.allows(interval.low) and limit.allows(interval.high) and limit.allows(value):
        return Status.PASS, quantity.reason
    across = "the interval reaches across the limit"
    if definition.noisy:  # its reason says why it is undecided
        return Status.INCONCLUSIVE, quantity.reason or across
    return Status.INCONCLUSIVE, "; ".join(filter(None, [quantity.reason, across]))


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


def scaling_interval(
    seconds: Interval | None, context: int, first: Interval | None, first_context: int
) -> Interval | None:
    """Where the exponent of `scaling` is, from where its two times are; None where that is not known of both."""
    if seconds is None or first is None:
        return None
    return Interval(
        scaling(seconds.low, context, first.high, first_context),
        scaling(seconds.high, context, first.low, first_context),
    )
