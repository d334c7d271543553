"""The nodes of a gates.yaml to kernels and gates, with what is wrong with them. `file.py` is the front.

The file is read as YAML nodes, never as constructed objects: nodes have positions, show duplicate keys, and
keep the text of values that YAML readers disagree about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_greta.gates.catalogue import CATALOGUE, GateDef
from pytest_greta.gates.listing import DEVICES, BaselineEntry, Listing, ProblemEntry
from pytest_greta.gates.model import EVERY_VARIANT, Expected, Gate, Limit, Peak
from pytest_greta.gates.nodes import (
    Node,
    Position,
    position,
    quote,
    scalar,
    suggestion,
)
from pytest_greta.gates.scopes import covers, overlap
from pytest_greta.gates.values import VERSION, scopes_of
from pytest_greta.sources import TARGET

MOST_ENTRIES = 500
"""Of one gate of one variant: each is held against all others."""
CACHES = ("cold", "warm")
"""What caches hold before a launch that is timed: nothing of its data, or what the launch before it left."""
INCONCLUSIVE = ("fail", "warn")
"""What a verdict that could not be reached means for its test."""


@dataclass(frozen=True)
class KernelEntry:
    """One kernel of gates.yaml."""

    name: str
    position: Position
    baselines: tuple[BaselineEntry, ...]
    """The first that can process a problem is its baseline."""
    problems: Mapping[str, tuple[ProblemEntry, ...]]
    """Problems by device kind (`hip`, `cpu`), as listed; empty where the file lists none."""
    axes: Mapping[str, Position]
    """The axes besides the context that the entry names, and where it does so first."""
    gates: tuple[Gate, ...]
    variants: Mapping[str, Position]
    """The variants that have entries under `gates`, without `*`."""
    caches: str = ""
    """One of `CACHES`; empty where the entry says nothing."""


# -- the file --------------------------------------------------------------------------------------------


class Reader(Listing):
    """Walks the nodes of one file and collects what is wrong with them in `problems`.

    The walk follows the format, so its depth is bounded whatever the aliases in the file refer to.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.targets: tuple[str, ...] = ()
        self.peaks: dict[str, Peak] = {}
        self.inconclusive = ""
        self.kernels: dict[str, KernelEntry] = {}

    def file(self, root: Node) -> None:
        """The whole file, into `targets` and `kernels`."""
        allowed = ("version", "targets", "peaks", "inconclusive", "kernels")
        keys = self.keys(root, "the file", allowed, required=("version", "kernels"))
        if "version" in keys:
            version = self.number(keys["version"], "version")
            if version not in (None, VERSION):
                self.problem(
                    keys["version"], f"unknown version {version:g}; this greta reads version {VERSION}"
                )
        if "targets" in keys:
            self.targets = self.target_list(keys["targets"])
        if "peaks" in keys:
            for device, (key, node) in self.names(keys["peaks"], "peaks").items():
                self.peaks[device] = self.peak(key, node)
        if "inconclusive" in keys:
            self.inconclusive = self.one_of(keys["inconclusive"], "inconclusive", INCONCLUSIVE)
        if "kernels" in keys:
            for name, (key, node) in self.names(keys["kernels"], "kernels").items():
                self.kernels[name] = self.kernel(name, key, node)

    def one_of(self, node: Node, what: str, words: Sequence[str]) -> str:
        """One of a few words; empty where it is none of them."""
        found = self.text(node, what, " or ".join(words))
        if found and found not in words:
            self.expected(node, what, " or ".join(words))
        return found

    def peak(self, key: Node, node: Node) -> Peak:
        """What a device can do at best."""
        keys = self.keys(node, f"peaks of {quote(key.value)}", ("tflops", "gbytes_per_second"), at=key)
        if node.id == "mapping" and not node.value:
            self.problem(node, f"peaks of {quote(key.value)}: the mapping is empty")
        found = {name: self.number(value, name, positive=True) for name, value in keys.items()}
        return Peak(found.get("tflops"), found.get("gbytes_per_second"))

    def kernel(self, name: str, key: Node, node: Node) -> KernelEntry:
        """What stands under the name of a kernel."""
        what = f"kernel {quote(name)}"
        allowed = ("baseline", "contexts", "problems", "caches", "gates")
        keys = self.keys(node, what, allowed, required=("baseline",), at=key)
        self.axes = {}
        baselines = self.baselines(keys["baseline"]) if "baseline" in keys else ()
        baseline = baselines[0].variant if len(baselines) == 1 else ""
        before = len(self.problems)
        problems = self.problems_by_device(keys)
        contexts = {
            device: tuple(dict.fromkeys(n.context for n in some)) for device, some in problems.items()
        }
        if len(self.problems) > before:  # what gates are narrowed to would be wrong for that reason alone
            contexts = {}
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
        caches = self.one_of(keys["caches"], "caches", CACHES) if "caches" in keys else ""
        return KernelEntry(
            name, position(key), baselines, problems, self.axes, tuple(gates), variants, caches
        )

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
        items = self.items(node, definition.name)
        if len(items) > MOST_ENTRIES:
            self.problem(
                node, f"{definition.name} has {len(items)} entries; a gate has at most {MOST_ENTRIES}"
            )
            return []
        what = "a gate on code" if definition.source == "code" else "a gate"
        for item in items:
            before, allowed = len(self.problems), (*definition.limits, *scopes_of(definition), "expect")
            is_mapping = item.id == "mapping"
            keys = self.keys(item, f"gate {quote(definition.name)}", allowed) if is_mapping else {}
            limit = self.limits(item, keys, definition) if is_mapping else self.bare_limit(item, definition)
            devices = self.devices(keys["devices"], contexts) if "devices" in keys else ()
            gate = Gate(
                definition.name,
                kernel,
                variant,
                limit,
                self.target_list(keys["targets"], scope=True) if "targets" in keys else (),
                self.context_scope(keys["contexts"], contexts, devices) if "contexts" in keys else (),
                devices,
                self.where(keys["where"], what, scopes_of(definition)) if "where" in keys else {},
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
            twin = next((other for other in gates if overlap(gate, other)), None)
            if twin:
                clash = f"applies where the entry of line {twin.line} does, and neither is more specific"
                self.problem(item, f"this entry of {definition.name} {clash}")
            gates.append(gate)
        return gates

    def bare_limit(self, node: Node, definition: GateDef) -> Limit:
        """A limit without keys: in the direction of its gate."""
        if "atol" in definition.limits:
            self.expected(node, definition.name, "a mapping such as {atol: 1.0e-6, rtol: 1.0e-3}")
            return Limit()
        bound = {"lower": "max", "higher": "min", "": "equals"}[definition.better]
        return self.possible(node, definition, Limit(**{bound: self.limit(node, definition)}))  # type: ignore[arg-type]

    def limits(self, node: Node, keys: Mapping[str, Node], definition: GateDef) -> Limit:
        """The limit that the keys of an entry give."""
        found = {key: self.limit(keys[key], definition) for key in definition.limits if key in keys}
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
