"""One program of gates.yaml: its commands, where its quantities come from, and which gates are for a run. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pytest_greta.gates.catalogue import CATALOGUE, GateDef
from pytest_greta.gates.listing import ProblemEntry
from pytest_greta.gates.model import DEFAULT_DEADLINE_SECONDS, EVERY_VARIANT, Gate, Limit
from pytest_greta.gates.nodes import Position
from pytest_greta.gates.scopes import is_there, specificity
from pytest_greta.gates.templates import fill
from pytest_greta.kernel import Problem, Size

SECONDS_IN = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
"""The units that a time may have."""
VALUE_LIMITS = ("min", "max", "min_exclusive", "equals", "max_ratio_over_contexts")
"""The limits of what a program prints."""


def _number(
    name: str, unit: str, description: str, example: str, integer: bool = False, speed: bool = False
) -> GateDef:
    return GateDef(
        *(name, unit, "program", "number", "lower", description),
        integer=integer,
        positive=speed,
        speed=speed,
        example=example,
    )


def _shared(name: str, description: str, **changes: object) -> GateDef:
    """A gate that kernels have too."""
    return replace(CATALOGUE[name], source="program", description=description, **changes)  # type: ignore[arg-type]


# fmt: off
PROGRAM_GATES: Mapping[str, GateDef] = {definition.name: definition for definition in (
    GateDef("exit_status", "", "program", "value", "",
            "What the program ended with: 0, another number, or the name of a signal. 0 is built in.",
            limits=(), reported=True),
    _shared("deadline_seconds",
            "Wall time of one run; at the limit its whole process tree is killed. 600 is built in."),
    GateDef("readable", "", "program", "bool", "",
            "The output was read as `output` says: once, and whole. Built in.", limits=()),
    GateDef("no_errors", "", "program", "bool", "",
            "No line of the output says that it failed, whatever its exit status says. Built in; `errors` says which "
            "lines do.", limits=()),
    _number("left_processes", "processes",
            "Processes of the program that still ran when it had ended; they are killed. 0 is built in.",
            "left_processes: 2", integer=True),
    GateDef("processed", "tokens", "program", "value", "",
            "Tokens that the program says it processed (`processed` names them): the context. Built in.",
            limits=(), reported=True),
    GateDef("seconds", "s", "program", "number", "lower",
            "The time that `time` names, else the wall time. Above 0 is built in.",
            positive=True, speed=True, fixed=True, reported=True, example="seconds: {max: 30, contexts: 4096}"),
    _number("wall_seconds", "s", "Wall time of one run.", "wall_seconds: 60", speed=True),
    _number("cpu_seconds", "s", "CPU time of the program and of its children that ended.", "cpu_seconds: 240",
            speed=True),
    _number("peak_bytes", "bytes", "Most memory that the process tree held at once (resident; sampled).",
            "peak_bytes: 8589934592", integer=True),
    _number("vram_bytes", "bytes", "Most device memory that its processes held at once (sampled).",
            "vram_bytes: 137438953472", integer=True),
    _shared("speedup", "Time of the baseline over that of the variant, from interleaved pairs of runs."),
    _shared("regression",
            "Time now over that of the accepted runs before: of this program, variant, problem and machine."),
    _shared("scaling", "Exponent of `seconds` against the context, from the smallest context of this session."),
    _shared("deterministic", "The outputs that it names are the same in every run.",
            limits=("equals",), per_output=True, example="deterministic: {equals: true, outputs: [text]}"),
)}
# fmt: on
"""What is measured of every program, beside what it prints."""


@dataclass(frozen=True)
class Command:
    """What a variant of a program is: words, of which the first is the program."""

    words: tuple[str, ...]
    """Templates."""
    position: Position
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of this variant, in the place of the program's; templates."""


@dataclass(frozen=True)
class OutputSpec:
    """Where the quantities of a program come from."""

    kind: str = ""
    """`json_marker`, `json_lines`, `csv` or `regex`; empty where nothing is read."""
    source: str = ""
    """The marker, the file (or `stdout`), the expression."""
    units: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    """The quantity that speedup is about; empty for the wall time."""
    processed: str = ""
    """The quantity that says how many tokens were processed; empty where none does."""


@dataclass(frozen=True)
class ProgramEntry:
    """One program of gates.yaml."""

    name: str
    position: Position
    variants: Mapping[str, Command]
    problems: tuple[ProblemEntry, ...]
    output: OutputSpec
    gates: tuple[Gate, ...]
    baseline: str = ""
    """The variant that speedups are measured against; empty where there is none."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Templates."""
    folder: str = ""
    """Where it runs, from the folder of the gates file; a template."""
    repeats: Mapping[int, int] = field(default_factory=dict)
    """Runs by context; the key 0 holds those of every other context."""
    errors: str = ""
    """An expression: lines that say that it failed. Empty for those of HIP's runtime and of Python."""
    blocked: str = ""
    """An expression: lines of a failed run that say that the machine, and not the program, is at fault."""
    on: str = ""
    """`ssh://[user@]host[:port]`; empty for this machine."""
    model: str = ""
    """A gguf file, whose context limit is checked before the run; a template."""

    def values(self, variant: str, problem: Problem) -> dict[str, Size]:
        """What templates stand for."""
        return {**problem.sizes, "context": problem.context, "variant": variant}

    def gates_for(self, variant: str, problem: Problem) -> list[Gate]:
        """The gates of the runs of a variant for a problem: built in, and the most specific entries of the file."""
        own = {gate.quantity for gate in self.gates if gate.variant == variant}
        best: dict[tuple[str, tuple[str, ...]], Gate] = {}
        for gate in self.gates:
            applies = (
                (gate.variant == variant or (gate.variant == EVERY_VARIANT and gate.quantity not in own))
                and not (gate.definition.relative and variant == self.baseline)
                and (not gate.contexts or problem.context in gate.contexts)
                and is_there(gate.where, problem)
            )
            key = gate.quantity, gate.outputs
            if applies and (key not in best or specificity(gate) > specificity(best[key])):
                best[key] = gate
        names = {gate.quantity for gate in best.values()}
        kept = [g for g in self._built_in(variant, problem) if g.name not in names or g.definition.fixed]
        values = self.values(variant, problem)
        return [*kept, *(_filled(gate, values) for gate in best.values() if gate.limit.equals is not False)]

    def _built_in(self, variant: str, problem: Problem) -> list[Gate]:
        limits = {
            "exit_status": Limit(equals=0),
            "deadline_seconds": Limit(max=DEFAULT_DEADLINE_SECONDS),
            "left_processes": Limit(max=0),
            "no_errors": Limit(equals=True),
            "readable": Limit(equals=True),
            "processed": Limit(equals=problem.context),
            "seconds": Limit(above=0.0),
        }
        if not self.output.kind:
            del limits["readable"]
        if not self.output.processed:
            del limits["processed"]
        return [
            Gate(name, self.name, variant, limit, own=PROGRAM_GATES[name]) for name, limit in limits.items()
        ]


def value_gate(name: str, unit: str) -> GateDef:
    """What limits a quantity that a program prints."""
    speed = unit in SECONDS_IN or unit.endswith("/s")
    return GateDef(name, unit, "program", "value", "", "", limits=VALUE_LIMITS, speed=speed, reported=True)


def _filled(gate: Gate, values: Mapping[str, Size]) -> Gate:
    """A gate whose `equals` may be a template."""
    if not isinstance(gate.limit.equals, str) or gate.definition.kind != "value":
        return gate
    return replace(gate, limit=replace(gate.limit, equals=fill(gate.limit.equals, values)))
