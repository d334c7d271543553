"""The entries of gates in a gates.yaml, from its nodes, with what is wrong with them: limits, scopes, exceptions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_greta.gates.catalogue import GateDef
from pytest_greta.gates.listing import DEVICES, Listing
from pytest_greta.gates.model import Expected, Gate, Limit
from pytest_greta.gates.nodes import Node, position, quote, scalar, suggestion
from pytest_greta.gates.scopes import covers, overlap
from pytest_greta.gates.values import scopes_of
from pytest_greta.sources import TARGET

FIELDS = {"min_exclusive": "above", "max_ratio_over_contexts": "ratio"}
"""Limits that gates.yaml calls otherwise than `Limit` does."""
MOST_ENTRIES = 500
"""Of one gate of one variant: each is held against all others."""


class Entries(Listing):
    """Reads what is written for one gate."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.targets: tuple[str, ...] = ()
        """Those that the file lists."""

    def gate(
        self,
        definition: GateDef,
        kernel: str,
        variant: str,
        node: Node,
        contexts: Mapping[str, tuple[int, ...]],
        of_artifact: bool = False,
    ) -> list[Gate]:
        """The entries of one gate: a limit, a mapping, or a list of them. Those of an artifact can be narrowed to
        targets alone, to any: what it was built for is not up to this file.
        """
        gates: list[Gate] = []
        scopes = ("targets",) if of_artifact else scopes_of(definition)
        items = self.items(node, definition.name)
        if len(items) > MOST_ENTRIES:
            self.problem(
                node, f"{definition.name} has {len(items)} entries; a gate has at most {MOST_ENTRIES}"
            )
            return []
        what = "a gate on code" if definition.source == "code" else "a gate"
        for item in items:
            before, allowed = len(self.problems), (*definition.limits, *scopes, "expect")
            is_mapping = item.id == "mapping"
            keys = self.keys(item, f"gate {quote(definition.name)}", allowed) if is_mapping else {}
            limit = self.limits(item, keys, definition) if is_mapping else self.bare_limit(item, definition)
            devices = self.devices(keys["devices"], contexts) if "devices" in keys else ()
            gate = Gate(
                definition.name,
                kernel,
                variant,
                limit,
                self.target_list(keys["targets"], scope=not of_artifact) if "targets" in keys else (),
                self.context_scope(keys["contexts"], contexts, devices) if "contexts" in keys else (),
                devices,
                self.where(keys["where"], what, scopes) if "where" in keys else {},
                self.outputs(keys["outputs"]) if "outputs" in keys else (),
                file=self.path,
                line=position(item).line,
                column=position(item).column,
                expected=self.expected_failure(keys["expect"], definition, limit)
                if "expect" in keys
                else None,
            )
            if len(self.problems) > before:
                continue
            alike = (other for other in gates if other.quantity == gate.quantity)
            twin = next((other for other in alike if overlap(gate, other)), None)
            if twin:
                clash = f"applies where the entry of line {twin.line} does, and neither is more specific"
                self.problem(item, f"this entry of {definition.name} {clash}")
            gates.append(gate)
        return gates

    def bound(self, node: Node, definition: GateDef, key: str) -> float | bool | str | None:
        """The limit under a key."""
        return self.limit(node, definition)

    def bare_limit(self, node: Node, definition: GateDef) -> Limit:
        """A limit without keys: in the direction of its gate."""
        if "atol" in definition.limits:
            self.expected(node, definition.name, "a mapping such as {atol: 1.0e-6, rtol: 1.0e-3}")
            return Limit()
        bound = {"lower": "max", "higher": "min", "": "equals"}[definition.better]
        return self.possible(node, definition, Limit(**{bound: self.limit(node, definition)}))  # type: ignore[arg-type]

    def limits(self, node: Node, keys: Mapping[str, Node], definition: GateDef) -> Limit:
        """The limit that the keys of an entry give."""
        found = {
            FIELDS.get(key, key): self.bound(keys[key], definition, key)
            for key in definition.limits
            if key in keys
        }
        if not found:
            some = " or ".join(definition.limits)
            self.problem(node, f"gate {quote(definition.name)} has no limit; give it {some}")
        elif "atol" in definition.limits:
            found["max"] = 1.0  # of the share of that tolerance
        limit = Limit(**found)  # type: ignore[arg-type]  # the catalogue pairs kinds and limits
        if limit.min is not None and limit.max is not None and limit.min > limit.max:
            self.problem(keys["min"], f"{definition.name}: min {limit.min:g} is above max {limit.max:g}")
        return self.possible(keys.get("min", node), definition, limit)

    def possible(self, node: Node, definition: GateDef, limit: Limit) -> Limit:
        """A limit, reported where no value can reach it."""
        if definition.most is not None and limit.min is not None and limit.min > definition.most:
            most = f"above {definition.most:g}, which is the peak itself: 0.4 stands for 40 %"
            self.problem(node, f"{definition.name}: min {limit.min:g} is {most}")
        return limit

    def outputs(self, node: Node) -> tuple[str, ...]:
        """Names of outputs."""
        items = self.items(node, "outputs", unique=True)
        return tuple(self.text(item, "outputs", "the name of an output") for item in items)

    def expected_failure(self, node: Node, definition: GateDef, limit: Limit) -> Expected | None:
        """A known exception: a bound outside the limit, and a reason."""
        if "atol" in definition.limits:
            self.problem(node, f"{definition.name} takes no expect; give its tolerance")
            return None
        what = f"expect of {definition.name}"
        keys = self.keys(node, what, (*definition.limits, "reason"), required=("reason",))
        reason = (
            self.text(keys["reason"], "reason", "why the limit does not hold yet") if "reason" in keys else ""
        )
        bounds = {
            FIELDS.get(key, key): self.bound(keys[key], definition, key)
            for key in definition.limits
            if key in keys
        }
        if len(bounds) != 1:
            self.problem(node, f"{what} needs one bound: {' or '.join(definition.limits)}")
            return None
        (key, value), bound = *bounds.items(), Limit(**bounds)  # type: ignore[arg-type]
        own = getattr(limit, key)
        inside = value is not None and (
            own is None
            or own == value
            or (key != "equals" and definition.kind != "bool" and limit.allows(float(value)))
        )
        if inside:
            written = next(one for one in keys if FIELDS.get(one, one) == key)
            self.problem(
                keys[written], f"{what} is not outside the limit; give the value that is known to miss it"
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
