"""The nodes of a gates.yaml to kernels and gates, with what is wrong with them. `file.py` is the front.

The file is read as YAML nodes, never as constructed objects: nodes have positions, show duplicate keys, and
keep the text of values that YAML readers disagree about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_greta.gates.artifacts import ArtifactEntry
from pytest_greta.gates.catalogue import CATALOGUE
from pytest_greta.gates.listing import BaselineEntry, ProblemEntry
from pytest_greta.gates.model import EVERY_VARIANT, Gate, Peak
from pytest_greta.gates.nodes import (
    Node,
    Position,
    position,
    quote,
    suggestion,
)
from pytest_greta.gates.patterns import pattern
from pytest_greta.gates.program_reader import ProgramReader
from pytest_greta.gates.programs import ProgramEntry
from pytest_greta.gates.values import VERSION

CACHES = ("cold", "warm")
"""What caches hold before a launch that is timed: nothing of its data, or what the launch before it left."""
OF_ARTIFACTS = tuple(d.name for d in CATALOGUE.values() if d.source == "code" and d.limits)
"""The gates that code has which is not launched here."""
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


class Reader(ProgramReader):
    """Walks the nodes of one file and collects what is wrong with them in `problems`.

    The walk follows the format, so its depth is bounded whatever the aliases in the file refer to.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.peaks: dict[str, Peak] = {}
        self.inconclusive = ""
        self.kernels: dict[str, KernelEntry] = {}
        self.artifacts: dict[str, ArtifactEntry] = {}
        self.programs: dict[str, ProgramEntry] = {}

    def file(self, root: Node) -> None:
        """The whole file, into `targets`, `kernels`, `artifacts` and `programs`."""
        allowed = ("version", "targets", "peaks", "inconclusive", "kernels", "artifacts", "programs")
        keys = self.keys(root, "the file", allowed, required=("version",))
        if root.id == "mapping" and not keys.keys() & {"kernels", "artifacts", "programs"}:
            self.problem(root, "the file has no 'kernels', no 'artifacts' and no 'programs'")
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
        if "artifacts" in keys:
            for name, (key, node) in self.names(keys["artifacts"], "artifacts").items():
                self.artifacts[name] = self.artifact(name, key, node)
                if name in self.kernels:
                    self.problem(
                        key, f"{quote(name)} is the name of a kernel too: call the artifact otherwise"
                    )
        if "programs" in keys:
            for name, (key, node) in self.names(keys["programs"], "programs").items():
                self.programs[name] = self.program(name, key, node)
                if name in self.kernels or name in self.artifacts:
                    other = "a kernel" if name in self.kernels else "an artifact"
                    self.problem(key, f"{quote(name)} is the name of {other} too: call the program otherwise")

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

    def artifact(self, name: str, key: Node, node: Node) -> ArtifactEntry:
        """What stands under the name of an artifact: globs, or a mapping with them and with gates."""
        keys = {"files": node}
        if node.id == "mapping":
            keys = self.keys(node, f"artifact {quote(name)}", ("files", "gates"), required=("files",), at=key)
        files: dict[str, Position] = {}
        for item in self.items(keys["files"], "files", unique=True) if "files" in keys else ():
            files[self.text(item, "files", "a file or glob such as build/**/*.so")] = position(item)
        gates: list[Gate] = []
        if "gates" in keys:
            for text, (text_key, entries) in self.names(keys["gates"], "gates").items():
                if text in CATALOGUE:
                    advice = 'gates are written under a pattern of names, or under "*" for every kernel'
                    self.problem(text_key, f"{quote(text)} is a gate, not a kernel; {advice}")
                    continue
                try:
                    pattern(text)
                except ValueError as error:
                    self.problem(text_key, str(error))
                gates += self.artifact_gates(name, text, entries)
        return ArtifactEntry(name, position(key), files, tuple(gates))

    def artifact_gates(self, name: str, text: str, entries: Node) -> list[Gate]:
        """The gates of the kernels that a pattern is for."""
        gates: list[Gate] = []
        owner = "every kernel" if text == EVERY_VARIANT else f"kernels {quote(text)}"
        for gate, (gate_key, value) in self.names(entries, f"gates of {owner}").items():
            if gate in OF_ARTIFACTS:
                gates += self.gate(CATALOGUE[gate], name, text, value, {}, of_artifact=True)
            elif gate in CATALOGUE:
                why = "is not for artifacts, which are not launched"
                if gate == "locked":
                    why = "is built in where there is a greta.lock, and cannot be changed"
                self.problem(gate_key, f"gate {quote(gate)} {why}; there is {', '.join(OF_ARTIFACTS)}")
            else:
                hint = suggestion(gate, OF_ARTIFACTS)
                self.problem(gate_key, f"unknown gate {quote(gate)} for {owner}; {hint}")
        return gates
