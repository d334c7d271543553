"""Which problems and baselines a gates.yaml lists, from its nodes, with what is wrong with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_greta.gates.nodes import Node, Position, position, quote, scalar, suggestion
from pytest_greta.gates.values import Values
from pytest_greta.kernel import RESERVED, Size

DEVICES = ("hip", "cpu")
MOST_PROBLEMS = 10_000
"""Of one kernel on one device: each of its variants has a test of every one."""


@dataclass(frozen=True)
class ProblemEntry:
    """One problem of gates.yaml: a context, and other axes by name."""

    context: int
    axes: Mapping[str, Size] = field(default_factory=dict)

    def __str__(self) -> str:
        return ", ".join(
            [f"context {self.context}", *(f"{name} {value}" for name, value in self.axes.items())]
        )


@dataclass(frozen=True)
class BaselineEntry:
    """A variant that speedups are measured against, and where: everywhere, or for some values of other axes."""

    variant: str
    position: Position
    where: Mapping[str, tuple[Size, ...]] = field(default_factory=dict)


class Listing(Values):
    """Reads what a kernel is run for, and against."""

    def __init__(self) -> None:
        super().__init__()
        self.axes: dict[str, Position] = {}
        """The axes besides the context that the kernel at hand names, and where it does so first."""

    def baselines(self, node: Node) -> tuple[BaselineEntry, ...]:
        """The name of a variant, or a list of such names and of `{variant: NAME, where: {...}}`."""
        found: list[BaselineEntry] = []
        for item in self.items(node, "baseline"):
            name, where = "", {}
            if item.id == "mapping":
                keys = self.keys(item, "baseline", ("variant", "where"), required=("variant",))
                if "variant" in keys:
                    name = self.text(keys["variant"], "variant", "the name of a variant")
                if "where" in keys:
                    where = self.where(keys["where"], "a baseline", ())
            else:
                name = self.text(item, "baseline", "the name of a variant")
            if name and any(one.variant == name and one.where == where for one in found):
                self.problem(item, f"baseline: {quote(name)} is there twice")
            found.append(BaselineEntry(name, position(item), where))
        return tuple(found)

    def problems_by_device(self, keys: Mapping[str, Node]) -> dict[str, tuple[ProblemEntry, ...]]:
        """What stands under `problems` and, in short, under `contexts`."""
        found: dict[str, tuple[ProblemEntry, ...]] = {}
        for key in ("contexts", "problems"):
            if key not in keys:
                continue
            for device, (device_key, listed) in self.names(keys[key], key).items():
                if device not in DEVICES:
                    self.problem(device_key, f"unknown device {quote(device)}; {suggestion(device, DEVICES)}")
                if device in found:
                    self.problem(
                        device_key, f"device {quote(device)} has contexts and problems; write problems alone"
                    )
                if key == "contexts":
                    found[device] = tuple(ProblemEntry(context) for context in self.context_list(listed))
                else:
                    found[device] = self.problem_list(listed)
        return found

    def problem_list(self, node: Node) -> tuple[ProblemEntry, ...]:
        """Numbers, which are contexts, and mappings with a context and other axes: all their combinations."""
        found: dict[tuple[int, tuple[tuple[str, Size], ...]], ProblemEntry] = {}
        for item in self.items(node, "problems"):
            if item.id == "mapping":
                named = self.names(item, "problem")
                contexts = self.context_list(named["context"][1]) if "context" in named else ()
                if "context" not in named:
                    self.problem(item, "problem has no 'context'")
                axes = {n: self.sizes(n, k, v) for n, (k, v) in named.items() if n != "context"}
            else:
                contexts, axes = self.context_list(item), {}
            count = len(found) + math.prod(map(len, axes.values())) * len(contexts)
            if count > MOST_PROBLEMS:
                self.problem(
                    item, f"problems: {count} of them; a kernel has at most {MOST_PROBLEMS} for a device"
                )
                break
            twins = []
            for values in itertools.product(*axes.values()):
                for context in contexts:
                    one = ProblemEntry(context, dict(zip(axes, values, strict=True)))
                    twin = (context, tuple(sorted(one.axes.items())))
                    twins += [one] if twin in found else []
                    found[twin] = one
            if twins:
                more = f", and {len(twins) - 1} more of this entry are" if len(twins) > 1 else ""
                self.problem(item, f"problem: {twins[0]} is there twice{more}")
        return tuple(found.values())

    def where(self, node: Node, what: str, beside: Sequence[str]) -> dict[str, tuple[Size, ...]]:
        """Other axes of a problem than the context, each with the values for which `what` applies. `beside` it stand
        keys for what is no axis.
        """
        named = self.names(node, "where")
        if node.id == "mapping" and not named:
            self.problem(node, "where: it names no axis")
        for name in RESERVED:
            if name in named:
                advice = (
                    f"write {name}s: beside it"
                    if f"{name}s" in beside
                    else f"{what} cannot be narrowed to a {name}"
                )
                self.problem(named.pop(name)[0], f"where is for other axes; {advice}")
        return {name: self.sizes(name, key, value) for name, (key, value) in named.items()}

    def sizes(self, axis: str, key: Node, node: Node) -> tuple[Size, ...]:
        """Values of an axis: whole numbers from 1, or texts."""
        self.axes.setdefault(axis, position(key))
        found: list[Size] = []
        for item in self.items(node, axis, unique=True):
            value = scalar(item) if item.id == "scalar" else None
            if isinstance(value, str) and value:
                found.append(value)
            else:
                number = self.number(item, axis, integer=True, positive=True)
                found += [] if number is None else [int(number)]
        return tuple(found)

    def context_list(self, node: Node) -> tuple[int, ...]:
        """Contexts, each at least 1."""
        contexts: list[int] = []
        for item in self.items(node, "contexts", unique=True):
            context = self.number(item, "contexts", integer=True, positive=True)
            if context is not None:
                contexts.append(int(context))
        return tuple(contexts)
