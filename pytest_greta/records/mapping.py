"""The file of `--greta-columns`: which columns of CSV and JSON are which quantities, and in which unit."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_greta.errors import ConfigError, quote, shown_path
from pytest_greta.gates.catalogue import CATALOGUE, GateDef
from pytest_greta.gates.file import compose
from pytest_greta.gates.listing import DEVICES
from pytest_greta.gates.nodes import Node, Odd, scalar, suggestion
from pytest_greta.gates.programs import PROGRAM_GATES, value_gate
from pytest_greta.gates.values import Values
from pytest_greta.records.check import read_bytes

VERSION = 1
UNITS: Mapping[str, Mapping[str, float]] = {
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
    "bytes": {"bytes": 1.0, "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    "TFLOP/s": {"TFLOP/s": 1.0, "GFLOP/s": 1e-3},
    "GB/s": {"GB/s": 1.0, "MB/s": 1e-3, "TB/s": 1e3},
}
"""What a unit of the catalogue may be written in, with the factor to it."""


@dataclass(frozen=True)
class Cell:
    """Where a value of a row is: in a column, or the same in all rows."""

    column: str = ""
    """A name of the header; of JSON also a path with dots."""
    minus: str = ""
    """A column that is taken from it: `End_Timestamp` less `Start_Timestamp`."""
    otherwise: str = ""
    """The column where that one is not there."""
    constant: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    """What texts stand for, by pattern (`*attention*`); rows with others are of something else."""
    factor: float = 1.0
    """To the unit of the gate."""
    unit: str = ""
    """Of a quantity that has none but this."""


@dataclass(frozen=True)
class Columns:
    """What the columns of some files are."""

    files: tuple[str, ...] = ()
    """Patterns of names; of the first entry with one that matches a file, the columns count."""
    rows: str = ""
    """Where in JSON the list of rows is; empty where it is the whole, or a row a line."""
    cells: Mapping[str, Cell] = field(default_factory=dict)
    """Of `TEXTS`, by name."""
    axes: Mapping[str, Cell] = field(default_factory=dict)
    quantities: Mapping[str, Cell] = field(default_factory=dict)
    """By name of the gate."""
    device: str = "hip"
    nothing_in: str = ""
    """A column that holds 0, or is not there: rows with anything else are of something else."""

    def is_for(self, path: Path) -> bool:
        """Whether a file is meant."""
        return any(fnmatch.fnmatchcase(path.name, pattern) for pattern in self.files)


PROGRAM = "program"
KINDS = (*DEVICES, PROGRAM)
"""What a row can be of: a run of a kernel on a device, or of a program."""
TEXTS = ("kernel", "variant", "context", "target", "device_name", "commit", "started")
"""What a row may say besides axes and quantities."""
FORMS: Mapping[str, Columns] = {
    "rocprofv3": Columns(
        quantities={"prefill_seconds": Cell("End_Timestamp", minus="Start_Timestamp", factor=1e-9)}
    ),
    "llama-bench": Columns(
        cells={
            "context": Cell("n_prompt"),
            "device_name": Cell("gpu_info"),
            "started": Cell("test_time"),
        },
        quantities={
            "prefill_seconds": Cell("samples_ns", otherwise="avg_ns", factor=1e-9),
            "tokens_per_second": Cell("avg_ts"),
        },
        nothing_in="n_gen",
    ),
}
"""Ready made: the kernel trace of rocprofv3 (`--kernel-trace --output-format csv`), and llama-bench's `-o csv`, `json`
and `jsonl`.
"""


def definition_of(name: str, device: str) -> GateDef:
    """What a quantity is: of a program, one of its own is whatever its output says."""
    if device == PROGRAM:
        return PROGRAM_GATES.get(name) or value_gate(name, "")
    return CATALOGUE[name]


class _Reader(Values):
    """Reads the entries, with what is wrong with them."""

    def file(self, root: Node) -> list[Columns]:
        """The whole file."""
        keys = self.keys(root, "the file", ("version", "records"), required=("version", "records"))
        if "version" in keys and self.number(keys["version"], "version") not in (None, VERSION):
            self.problem(keys["version"], f"unknown version; this greta reads version {VERSION}")
        entries = self.items(keys["records"], "records") if "records" in keys else []
        return [self.entry(node) for node in entries]

    def entry(self, node: Node) -> Columns:
        """The columns of some files."""
        allowed = ("files", "form", "rows", "device", "axes", "quantities", *TEXTS)
        keys = self.keys(node, "an entry", allowed, required=("files", "kernel", "variant"))
        made = Columns()
        if "form" in keys:
            form = self.text(keys["form"], "form", " or ".join(FORMS))
            if form and form not in FORMS:
                self.problem(keys["form"], f"unknown form {quote(form)}; {suggestion(form, FORMS)}")
            made = FORMS.get(form, made)
        if "device" in keys:
            device = self.text(keys["device"], "device", " or ".join(KINDS))
            if device and device not in KINDS:
                self.problem(keys["device"], f"unknown device {quote(device)}; {suggestion(device, KINDS)}")
            made = replace(made, device=device)
            if device == PROGRAM:  # whose time is called `seconds`
                names = {"prefill_seconds": "seconds"}
                named = {names.get(name, name): cell for name, cell in made.quantities.items()}
                made = replace(made, quantities=named)
        files = (
            [
                self.text(item, "files", "a pattern such as *.csv")
                for item in self.items(keys["files"], "files")
            ]
            if "files" in keys
            else []
        )
        cells = {name: self.cell(keys[name], name) for name in TEXTS if name in keys}
        axes = {name: self.cell(value, name) for name, (_, value) in self.named(keys, "axes")}
        quantities: dict[str, Cell] = {}
        for name, (key, value) in self.named(keys, "quantities"):
            if name in CATALOGUE or made.device == PROGRAM:
                quantities[name] = self.cell(value, name, definition_of(name, made.device))
            else:
                self.problem(key, f"unknown quantity {quote(name)}; {suggestion(name, CATALOGUE)}")
        if not (quantities or made.quantities):
            self.problem(node, "an entry without 'quantities' says nothing of any gate")
        return replace(
            made,
            nothing_in="" if "context" in cells else made.nothing_in,
            files=tuple(files),
            rows=self.text(keys["rows"], "rows", "a name") if "rows" in keys else "",
            cells={**made.cells, **cells},
            axes=axes,
            quantities={**made.quantities, **quantities},
        )

    def named(self, keys: Mapping[str, Node], what: str) -> list[tuple[str, tuple[Node, Node]]]:
        """The names in a mapping, where there is one."""
        return list(self.names(keys[what], what).items()) if what in keys else []

    def cell(self, node: Node, what: str, definition: GateDef | None = None) -> Cell:
        """A constant, or a mapping that names a column."""
        if node.id == "scalar":
            return Cell(constant=self.constant(node, what))
        allowed = ("column", "minus", "names", *(("unit",) if definition else ()))
        keys = self.keys(node, what, allowed, required=("column",))
        names = {name: self.constant(value, "names") for name, (_, value) in self.named(keys, "names")}
        column, minus = (
            self.text(keys[name], name, "the name of a column") if name in keys else ""
            for name in ("column", "minus")
        )
        factor, own = 1.0, ""
        if definition and definition.kind == "value" and not definition.unit and "unit" in keys:
            own = self.text(keys["unit"], "unit", "what its numbers are in")
        elif definition and "unit" in keys:
            known = UNITS.get(definition.unit, {definition.unit: 1.0})
            unit = self.text(keys["unit"], "unit", " or ".join(known))
            if unit and unit not in known:
                self.problem(
                    keys["unit"], f"{what} is no quantity in {quote(unit)}; {suggestion(unit, known)}"
                )
            factor = known.get(unit, 1.0)
        elif definition and definition.unit in UNITS and node.id == "mapping":
            known = UNITS[definition.unit]
            self.problem(node, f"{what} has no 'unit': say which of {', '.join(known)} the column holds")
        return Cell(column, minus, names=names, factor=factor, unit=own)

    def constant(self, node: Node, what: str) -> str:
        """A text, number, true or false, as text."""
        value = scalar(node) if node.id == "scalar" else None
        if value is None or isinstance(value, Odd):
            self.expected(node, what, "a text or a number, or a mapping with 'column'")
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value)


def load(path: Path) -> Sequence[Columns]:
    """Read a mapping of columns. Raises ConfigError with all problems of the file, each with line and column."""
    shown = shown_path(path)
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{shown}: not UTF-8: {error.reason}") from None
    root = compose(text, shown)
    if root is None:
        raise ConfigError(f"{shown}: the file is empty; begin it with 'version: {VERSION}'")
    reader = _Reader()
    found = reader.file(root)
    if reader.problems:
        ordered = sorted(dict.fromkeys(reader.problems), key=lambda one: (one[0].line, one[0].column))
        raise ConfigError(*(f"{shown}:{at.line}:{at.column}: {problem}" for at, problem in ordered))
    return found
