"""The nodes of a gates.yaml to kernels and gates, with what is wrong with them. `gatefile.py` is the front.

The file is read as YAML nodes, never as constructed objects: nodes have positions, show duplicate keys, and
keep the text of values that YAML readers disagree about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_greta.catalogue import CATALOGUE, GateDef
from pytest_greta.gates import EVERY_VARIANT, Expected, Gate, Limit
from pytest_greta.scopes import covers, overlap
from pytest_greta.yamlnode import (
    COLLECTIONS,
    TAG,
    Node,
    Odd,
    Position,
    found,
    position,
    quote,
    scalar,
    suggestion,
)

VERSION = 1
DEVICES = ("hip", "cpu")
TARGET = r"gfx[0-9a-f]+(:[a-z]+[+-])*"
"""A target as clang writes it: `gfx942`, `gfx90a:sramecc+:xnack-`."""
SCOPES = {"code": ("targets",), "run": ("contexts", "devices")}
"""What an entry can be narrowed to, by the source of its gate."""
INCONCLUSIVE = ("fail", "warn")
"""What a verdict that could not be reached means for its test."""


@dataclass(frozen=True)
class KernelEntry:
    """One kernel of gates.yaml."""

    name: str
    position: Position
    baseline: str
    baseline_position: Position
    contexts: Mapping[str, tuple[int, ...]]
    """Contexts by device kind (`hip`, `cpu`), as listed; empty where the file lists none."""
    gates: tuple[Gate, ...]
    variants: Mapping[str, Position]
    """The variants that have entries under `gates`, without `*`."""


# -- the file --------------------------------------------------------------------------------------------


class Reader:
    """Walks the nodes of one file and collects what is wrong with them in `problems`.

    The walk follows the format, so its depth is bounded whatever the aliases in the file refer to.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.targets: tuple[str, ...] = ()
        self.inconclusive = ""
        self.kernels: dict[str, KernelEntry] = {}
        self.problems: list[tuple[Position, str]] = []

    def problem(self, node: Node, text: str) -> None:
        """Report what is wrong with a node."""
        self.problems.append((position(node), text))

    def expected(self, node: Node, what: str, expected: str) -> None:
        """Report a node that is not what it should be."""
        self.problem(node, f"{what}: expected {expected}, found {found(node)}")

    # Each method below returns what it could read; what it could not read is in `problems`.

    def file(self, root: Node) -> None:
        """The whole file, into `targets` and `kernels`."""
        allowed = ("version", "targets", "inconclusive", "kernels")
        keys = self.keys(root, "the file", allowed, required=("version", "kernels"))
        if "version" in keys:
            version = self.number(keys["version"], "version")
            if version not in (None, VERSION):
                self.problem(
                    keys["version"], f"unknown version {version:g}; this greta reads version {VERSION}"
                )
        if "targets" in keys:
            self.targets = self.target_list(keys["targets"])
        if "inconclusive" in keys:
            self.inconclusive = self.text(keys["inconclusive"], "inconclusive", " or ".join(INCONCLUSIVE))
            if self.inconclusive and self.inconclusive not in INCONCLUSIVE:
                self.expected(keys["inconclusive"], "inconclusive", " or ".join(INCONCLUSIVE))
        if "kernels" in keys:
            for name, (key, node) in self.names(keys["kernels"], "kernels").items():
                self.kernels[name] = self.kernel(name, key, node)

    def kernel(self, name: str, key: Node, node: Node) -> KernelEntry:
        """What stands under the name of a kernel."""
        what = f"kernel {quote(name)}"
        keys = self.keys(node, what, ("baseline", "contexts", "gates"), required=("baseline",), at=key)
        baseline, baseline_position = "", position(key)
        if "baseline" in keys:
            baseline = self.text(keys["baseline"], "baseline", "the name of a variant")
            baseline_position = position(keys["baseline"])
        contexts: dict[str, tuple[int, ...]] = {}
        if "contexts" in keys:
            for device, (device_key, listed) in self.names(keys["contexts"], "contexts").items():
                if device not in DEVICES:
                    self.problem(device_key, f"unknown device {quote(device)}; {suggestion(device, DEVICES)}")
                contexts[device] = self.context_list(listed)
        gates: list[Gate] = []
        variants: dict[str, Position] = {}
        if "gates" in keys:
            for variant, (variant_key, entries) in self.names(keys["gates"], "gates").items():
                if variant in CATALOGUE:
                    advice = 'gates are written under the name of a variant, or under "*" for every variant'
                    self.problem(variant_key, f"{quote(variant)} is a gate, not a variant; {advice}")
                    continue
                if variant != EVERY_VARIANT:
                    variants[variant] = position(variant_key)
                owner = "every variant" if variant == EVERY_VARIANT else f"variant {quote(variant)}"
                for gate, (gate_key, value) in self.names(entries, f"gates of {owner}").items():
                    if gate not in CATALOGUE:
                        hint = suggestion(gate, [d.name for d in CATALOGUE.values() if d.limits])
                        self.problem(gate_key, f"unknown gate {quote(gate)} for {owner}; {hint}")
                    elif not CATALOGUE[gate].limits:
                        self.problem(
                            gate_key, f"gate {quote(gate)} is built into every run and cannot be changed"
                        )
                    elif CATALOGUE[gate].relative and variant == baseline:
                        self.problem(
                            gate_key, f"{gate} of the baseline {quote(variant)} against itself says nothing"
                        )
                    else:
                        gates += self.gate(CATALOGUE[gate], name, variant, value, contexts)
        return KernelEntry(name, position(key), baseline, baseline_position, contexts, tuple(gates), variants)

    def gate(
        self,
        definition: GateDef,
        kernel: str,
        variant: str,
        node: Node,
        contexts: Mapping[str, tuple[int, ...]],
    ) -> list[Gate]:
        """The entries of one gate: a limit, a mapping, or a list of them."""
        gates: list[Gate] = []
        for item in self.items(node, definition.name):
            limit, scopes, exception, before = Limit(), {}, None, len(self.problems)
            if item.id == "mapping":
                allowed = (*definition.limits, *SCOPES[definition.source], "expect")
                keys = self.keys(item, f"gate {quote(definition.name)}", allowed)
                limits = {key: self.limit(keys[key], definition) for key in definition.limits if key in keys}
                limit = Limit(**limits)  # type: ignore[arg-type]  # the catalogue pairs kinds and limits
                if not limits:
                    some = " or ".join(definition.limits)
                    self.problem(item, f"gate {quote(definition.name)} has no limit; give it {some}")
                if limit.min is not None and limit.max is not None and limit.min > limit.max:
                    self.problem(
                        keys["min"], f"{definition.name}: min {limit.min:g} is above max {limit.max:g}"
                    )
                if "expect" in keys:
                    exception = self.expected_failure(keys["expect"], definition, limit)
                scopes = {key: node for key, node in keys.items() if key not in definition.limits}
            else:
                bound = {"lower": "max", "higher": "min", "": "equals"}[definition.better]
                limit = Limit(**{bound: self.limit(item, definition)})  # type: ignore[arg-type]
            devices = self.devices(scopes["devices"], contexts) if "devices" in scopes else ()
            gate = Gate(
                definition.name,
                kernel,
                variant,
                limit,
                self.target_list(scopes["targets"], scope=True) if "targets" in scopes else (),
                self.context_scope(scopes["contexts"], contexts, devices) if "contexts" in scopes else (),
                devices,
                self.path,
                position(item).line,
                exception,
            )
            if len(self.problems) > before:
                continue
            twin = next((other for other in gates if overlap(gate, other)), None)
            if twin:
                clash = f"applies where the entry of line {twin.line} does, and neither is more specific"
                self.problem(item, f"this entry of {definition.name} {clash}")
            gates.append(gate)
        return gates

    def expected_failure(self, node: Node, definition: GateDef, limit: Limit) -> Expected | None:
        """A known exception: a bound outside the limit, and a reason."""
        what = f"expect of {definition.name}"
        keys = self.keys(node, what, (*definition.limits, "reason"), required=("reason",))
        reason = (
            self.text(keys["reason"], "reason", "why the limit does not hold yet") if "reason" in keys else ""
        )
        bounds = {key: self.limit(keys[key], definition) for key in definition.limits if key in keys}
        if len(bounds) != 1:
            self.problem(node, f"{what} needs one bound: {' or '.join(definition.limits)}")
            return None
        (key, value), bound = *bounds.items(), Limit(**bounds)  # type: ignore[arg-type]
        own = getattr(limit, key)
        inside = value is not None and (
            own is None or own == value or (definition.kind == "number" and limit.allows(float(value)))
        )
        if inside:
            self.problem(
                keys[key], f"{what} is not outside the limit; give the value that is known to miss it"
            )
        return Expected(bound, reason)

    def limit(self, node: Node, definition: GateDef) -> float | bool | str | None:
        """One limit, of the kind that the gate has."""
        if definition.kind == "number":
            return self.number(node, definition.name, definition.integer, definition.positive)
        if definition.kind == "text":
            return self.text(node, definition.name, "text")
        value = scalar(node) if node.id == "scalar" else None
        if isinstance(value, bool):
            return value
        self.expected(node, definition.name, "true or false")
        return None

    def number(self, node: Node, what: str, integer: bool = False, positive: bool = False) -> float | None:
        """A number of 0 or more, or above 0."""
        value = scalar(node) if node.id == "scalar" else None
        expected = f"a {'whole ' if integer else ''}number"
        if value is None or isinstance(value, (bool, str, Odd)) or (integer and not isinstance(value, int)):
            self.expected(node, what, expected)
            return None
        if value < 0 or (positive and value == 0):
            self.expected(node, what, f"{expected} {'above 0' if positive else 'of 0 or more'}")
            return None
        return value

    def text(self, node: Node, what: str, expected: str) -> str:
        """Text that is not empty."""
        value = scalar(node) if node.id == "scalar" else None
        if isinstance(value, str) and value:
            return value
        self.expected(node, what, expected)
        return ""

    def target_list(self, node: Node, scope: bool = False) -> tuple[str, ...]:
        """Targets; those that narrow a gate must be among those the file lists, where it lists any."""
        targets: list[str] = []
        for item in self.items(node, "targets", unique=True):
            target = self.text(item, "targets", "the name of a target, such as gfx942")
            if target and not re.fullmatch(TARGET, target):
                self.problem(
                    item, f"{quote(target)} is not a target; a target reads like gfx942 or gfx90a:xnack-"
                )
            elif target and scope and self.targets and not any(covers(target, t) for t in self.targets):
                hint = suggestion(target, self.targets)
                self.problem(item, f"target {quote(target)} is not among the targets of the file; {hint}")
            elif target:
                targets.append(target)
        return tuple(targets)

    def context_list(self, node: Node) -> tuple[int, ...]:
        """Contexts, each at least 1."""
        contexts: list[int] = []
        for item in self.items(node, "contexts", unique=True):
            context = self.number(item, "contexts", integer=True, positive=True)
            if context is not None:
                contexts.append(int(context))
        return tuple(contexts)

    def context_scope(
        self, node: Node, listed: Mapping[str, tuple[int, ...]], devices: tuple[str, ...]
    ) -> tuple[int, ...]:
        """Contexts that narrow a gate: those the kernel lists, where it lists any."""
        known = {
            context
            for device, contexts in listed.items()
            if device in (devices or listed)
            for context in contexts
        }
        scope = self.context_list(node)
        for context in scope:
            if known and context not in known:
                hint = f"there is {', '.join(map(str, sorted(known)))}"
                self.problem(node, f"context {context} is not among the contexts of the kernel; {hint}")
        return scope

    def devices(self, node: Node, listed: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
        """Devices that narrow a gate: those the kernel lists contexts for, where it lists any."""
        devices: list[str] = []
        for item in self.items(node, "devices", unique=True):
            device = self.text(item, "devices", " or ".join(DEVICES))
            if device and device not in DEVICES:
                self.problem(item, f"unknown device {quote(device)}; {suggestion(device, DEVICES)}")
            elif device and listed and device not in listed:
                self.problem(item, f"the kernel has no contexts for device {quote(device)}")
            elif device:
                devices.append(device)
        return tuple(devices)

    def items(self, node: Node, what: str, unique: bool = False) -> list[Node]:
        """The items of a list, or the one thing that stands for a list of itself."""
        if node.id != "sequence":
            return [node]
        self.untagged(node)
        if not node.value:
            self.problem(node, f"{what}: the list is empty")
        if not unique:
            return list(node.value)
        items: dict[object, Node] = {}
        for item in node.value:
            value = scalar(item) if item.id == "scalar" else item
            if value in items:
                self.problem(item, f"{what}: {quote(str(value))} is listed twice")
            items.setdefault(value, item)
        return list(items.values())

    def keys(
        self,
        node: Node,
        what: str,
        allowed: tuple[str, ...],
        required: tuple[str, ...] = (),
        at: Node | None = None,
    ) -> dict[str, Node]:
        """A mapping with fixed keys; unknown ones are reported and left out."""
        entries = self.mapping(node, what)
        for name, (key, _) in entries.items():
            if name not in allowed:
                scope = f"; {name} narrow another kind of gate" if name in sum(SCOPES.values(), ()) else ""
                hint = suggestion(name, allowed)
                self.problem(key, f"unknown key {quote(name)} in {what}{scope}; {hint}")
        for name in required if node.id == "mapping" else ():
            if name not in entries:
                value = f": {VERSION}" if name == "version" else ""
                self.problem(at or node, f"{what} has no {quote(name + value)}")
        return {name: value for name, (_, value) in entries.items() if name in allowed}

    def names(self, node: Node, what: str) -> dict[str, tuple[Node, Node]]:
        """A mapping whose keys are names of the user; it must not be empty."""
        if node.id == "mapping" and not node.value:
            self.problem(node, f"{what}: the mapping is empty")
        return self.mapping(node, what)

    def mapping(self, node: Node, what: str) -> dict[str, tuple[Node, Node]]:
        """A mapping: the nodes of key and value by name, the first of duplicate keys."""
        if node.id != "mapping":
            self.expected(node, what, "a mapping")
            return {}
        self.untagged(node)
        entries: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if key.id != "scalar" or not key.value:
                self.expected(key, f"key of {what}", "a name")
            elif key.tag == TAG + "merge":
                self.problem(key, f"merge keys (<<) are not read; write the entries of {what} out")
            elif key.value in entries:
                first = position(entries[key.value][0]).line
                self.problem(
                    key, f"duplicate key {quote(key.value)} in {what}; the first one is in line {first}"
                )
            else:
                entries[key.value] = (key, value)
        return entries

    def untagged(self, node: Node) -> None:
        """Report a list or mapping with a tag."""
        if node.tag != COLLECTIONS[node.id][0]:
            self.problem(node, f"found the tag {quote(node.tag)}; tags are not supported")
