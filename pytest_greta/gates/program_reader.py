"""The programs of a gates.yaml, from its nodes, with what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from pytest_greta.gates.catalogue import CATALOGUE, GateDef
from pytest_greta.gates.entries import Entries
from pytest_greta.gates.listing import ProblemEntry
from pytest_greta.gates.model import EVERY_VARIANT, Gate, Limit
from pytest_greta.gates.nodes import Node, Odd, Position, position, quote, scalar, suggestion
from pytest_greta.gates.programs import (
    PROGRAM_GATES,
    SECONDS_IN,
    Command,
    OutputSpec,
    ProgramEntry,
    value_gate,
)
from pytest_greta.gates.templates import added_names, template_problems

KEYS = (
    *("variants", "contexts", "problems", "baseline", "repeats", "environment", "folder"),
    *("output", "errors", "blocked", "on", "model", "gates"),
)
"""What a program of gates.yaml has."""
SOURCES = ("json_marker", "json_lines", "csv", "regex")
"""The forms of output that are read; one of them."""
SSH = r"ssh://(?:[\w.-]+@)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?"
"""Where a program may run."""
MOST_PORT = 65535
MOST_REPEATS = 10_000
"""Runs of one problem that somebody may have meant."""
VARIABLE = r"[A-Za-z_]\w*"
"""The name of an environment variable."""


class ProgramReader(Entries):
    """Reads what stands under `programs`."""

    known_names: Collection[str] = ()
    """What templates of the program at hand may use."""
    words_of: frozenset[str] = frozenset()
    """Those of them that are texts."""

    def program(self, name: str, key: Node, node: Node) -> ProgramEntry:
        """What stands under the name of a program."""
        what = f"program {quote(name)}"
        keys = self.keys(node, what, KEYS, required=("variants",), at=key)
        self.axes = {}
        problems = self._problems(key, keys)
        axes = set.intersection(*(set(one.axes) for one in problems)) if problems else set()
        known = ["context", "variant", *sorted(axes)]
        self.known_names = known
        texts = {name for one in problems for name, size in one.axes.items() if isinstance(size, str)}
        self.words_of = frozenset({"variant", *texts})
        variants = self._variants(keys["variants"], known) if "variants" in keys else {}
        baseline = (
            self.text(keys["baseline"], "baseline", "the name of a variant") if "baseline" in keys else ""
        )
        if baseline and variants and baseline not in variants:
            hint = suggestion(baseline, variants)
            self.problem(keys["baseline"], f"unknown baseline {quote(baseline)} of {what}; {hint}")
        output = self._output(keys["output"], known) if "output" in keys else OutputSpec()
        on = self.text(keys["on"], "on", "a node such as ssh://host") if "on" in keys else ""
        port = on.rpartition(":")[2]
        if re.fullmatch(SSH, on) and port.isdecimal() and not 0 < int(port) <= MOST_PORT:
            self.problem(keys["on"], f"{quote(on)} has no port; one is a number from 1 to {MOST_PORT}")
        elif on and not re.fullmatch(SSH, on):
            self.problem(keys["on"], f"{quote(on)} is no node; one reads like ssh://user@host:22")
        for word, where in (("model", "model"), ("csv", "output")):
            is_file = word == "model" or (output.kind == "csv" and output.source != "stdout")
            if on and where in keys and is_file:
                self.problem(keys[where], f"{word} is read here, and the program runs on {quote(on)}")
        return ProgramEntry(
            name,
            position(key),
            variants,
            problems,
            output,
            self._gates(name, keys["gates"], variants, baseline, problems, output) if "gates" in keys else (),
            baseline,
            self._environment(keys["environment"], known) if "environment" in keys else {},
            self.template(keys["folder"], "folder", known) if "folder" in keys else "",
            self._repeats(keys["repeats"], {one.context for one in problems}) if "repeats" in keys else {},
            self.expression(keys["errors"], "errors") if "errors" in keys else "",
            self.expression(keys["blocked"], "blocked") if "blocked" in keys else "",
            on,
            self.template(keys["model"], "model", known) if "model" in keys else "",
        )

    # -- what is run -------------------------------------------------------------------------------------

    def _problems(self, key: Node, keys: Mapping[str, Node]) -> tuple[ProblemEntry, ...]:
        if "contexts" in keys and "problems" in keys:
            self.problem(key, f"program {quote(key.value)} has contexts and problems; write problems alone")
        if "problems" in keys:
            return self.problem_list(keys["problems"])
        if "contexts" in keys:
            return tuple(ProblemEntry(context) for context in self.context_list(keys["contexts"]))
        return ()

    def _variants(self, node: Node, known: Collection[str]) -> dict[str, Command]:
        found: dict[str, Command] = {}
        for name, (key, value) in self.names(node, "variants").items():
            keys = {"command": value}
            if value.id == "mapping":
                allowed = ("command", "environment")
                keys = self.keys(value, f"variant {quote(name)}", allowed, required=("command",), at=key)
            words = self._words(keys["command"], known) if "command" in keys else ()
            own = self._environment(keys["environment"], known) if "environment" in keys else {}
            found[name] = Command(words, position(key), own)
        return found

    def _words(self, node: Node, known: Collection[str]) -> tuple[str, ...]:
        if node.id == "scalar" and re.search(r"\s", node.value):
            self.problem(node, "a command is a list of words, [program, argument, ...]: no shell reads it")
        items = self.items(node, "command")
        if items and items[0].id == "scalar" and items[0].style and not items[0].value.strip():
            self.problem(items[0], "the first word of a command is empty; it is the program")
        return tuple(self.template(item, "a word of a command", known) for item in items)

    def _environment(self, node: Node, known: Collection[str]) -> dict[str, str]:
        found = {}
        for name, (key, value) in self.names(node, "environment").items():
            if not re.fullmatch(VARIABLE, name):
                self.problem(key, f"{quote(name)} is no name of an environment variable")
            found[name] = self.template(value, name, known)
        return found

    def template(self, node: Node, what: str, known: Collection[str]) -> str:
        """A text with templates, as it stands there: `08` is no number here. Mistakes have the place in the text."""
        if node.id != "scalar" or (node.style is None and scalar(node) is None):
            self.expected(node, what, "text")
            return ""
        text = str(node.value)
        if "\0" in text:
            self.problem(node, f"{what} has a null character, which no program can be given")
            return ""
        found = list(template_problems(text, known))
        for axis in sorted(self.axes.keys() - set(known)):
            found = [
                (at, f"axis {quote(axis)} is not in every problem")
                if quote(axis) in problem
                else (at, problem)
                for at, problem in found
            ]
        found += [
            (text.find("{"), f"{quote(name)} is a text, which cannot be added to")
            for name in sorted(added_names(text) & self.words_of)
        ]
        begin = position(node)
        is_one_line = node.style in (None, "'", '"') and node.start_mark.line == node.end_mark.line
        for at, problem in found:
            column = begin.column + at + (node.style is not None) if is_one_line else begin.column
            self.problems.append((Position(begin.line, column), problem))
        return "" if found else text

    def _repeats(self, node: Node, contexts: Collection[int]) -> dict[int, int]:
        if node.id != "mapping":
            count = self._count(node)
            return {} if count is None else {0: count}
        found = {}
        for context, (key, value) in self.names(node, "repeats").items():
            count = self._count(value)
            if not context.isdecimal() or not int(context):
                self.expected(key, "repeats", "a context, and how often it is run")
            elif count is not None:
                found[int(context)] = count
                if contexts and int(context) not in contexts:
                    listed = ", ".join(map(str, sorted(contexts)))
                    self.problem(key, f"repeats: context {context} is not listed; there is {listed}")
        return found

    def _count(self, node: Node) -> int | None:
        """How often something is run."""
        count = self.number(node, "repeats", integer=True, positive=True)
        if count is not None and count > MOST_REPEATS:
            self.expected(node, "repeats", f"a whole number up to {MOST_REPEATS}")
            return None
        return None if count is None else int(count)

    # -- what is read of it ------------------------------------------------------------------------------

    def _output(self, node: Node, known: Collection[str]) -> OutputSpec:
        keys = self.keys(node, "output", (*SOURCES, "units", "time", "processed"))
        given = [kind for kind in SOURCES if kind in keys]
        if node.id == "mapping" and len(given) != 1:
            self.problem(node, f"output takes one of {', '.join(SOURCES)}")
        kind = given[0] if given else ""
        source = ""
        if kind == "json_lines":
            if scalar(keys[kind]) is not True:
                self.expected(keys[kind], kind, "true")
        elif kind == "csv":
            source = self.template(keys[kind], kind, known)
        elif kind == "regex":
            source = self.expression(keys[kind], kind, groups=True)
        elif kind:
            source = self.text(keys[kind], kind, "the text before the JSON, such as PERF_TIMING")
        units = {}
        if "units" in keys:
            for name, (_, value) in self.names(keys["units"], "units").items():
                units[name] = self.text(value, f"unit of {name}", "a unit such as s or bytes")
        names = {
            word: self.text(keys[word], word, "the name of a quantity") if word in keys else ""
            for word in ("time", "processed")
        }
        time = names["time"]
        if time and units.get(time) not in SECONDS_IN:
            advice = f"add units: {{{time}: s}} (or {', '.join(list(SECONDS_IN)[1:])})"
            self.problem(keys["time"], f"time: {quote(time)} has no unit of time; {advice}")
        if kind == "regex" and source:
            groups = re.compile(source).groupindex
            for word, name in {
                **{one: one for one in names if one in keys},
                **dict.fromkeys(units, ""),
            }.items():
                asked = names.get(name, word)
                if asked and asked not in groups:
                    place = keys[word] if word in names else keys["units"]
                    self.problem(
                        place, f"the expression has no group {quote(asked)}; {suggestion(asked, groups)}"
                    )
        return OutputSpec(kind, source, units, names["time"], names["processed"])

    def expression(self, node: Node, what: str, groups: bool = False) -> str:
        """A regular expression."""
        text = self.text(node, what, "a regular expression")
        try:
            found = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            self.problem(node, f"{quote(text)} is no regular expression: {error}")
            return ""
        if text and groups and not found.groupindex:
            self.problem(node, f"{what}: no group has a name; one reads like (?P<prefill_s>[0-9.]+)")
        return text

    # -- what is asked of it -----------------------------------------------------------------------------

    def _gates(
        self,
        name: str,
        node: Node,
        variants: Collection[str],
        baseline: str,
        problems: tuple[ProblemEntry, ...],
        output: OutputSpec,
    ) -> tuple[Gate, ...]:
        contexts = {"program": tuple(dict.fromkeys(one.context for one in problems))}
        gates: list[Gate] = []
        for variant, (variant_key, entries) in self.names(node, "gates").items():
            if variant in CATALOGUE or variant in PROGRAM_GATES:
                advice = 'gates are written under the name of a variant, or under "*" for every variant'
                self.problem(variant_key, f"{quote(variant)} is a gate, not a variant; {advice}")
                continue
            if variant != EVERY_VARIANT and variant not in variants:
                hint = suggestion(variant, variants)
                self.problem(
                    variant_key, f"unknown variant {quote(variant)} of program {quote(name)}; {hint}"
                )
            owner = "every variant" if variant == EVERY_VARIANT else f"variant {quote(variant)}"
            for gate, (gate_key, value) in self.names(entries, f"gates of {owner}").items():
                definition = PROGRAM_GATES.get(gate) or value_gate(gate, output.units.get(gate, ""))
                if not definition.limits:
                    self.problem(
                        gate_key, f"gate {quote(gate)} is built into every run and cannot be changed"
                    )
                    continue
                problem = self._gate_problem(definition, variant, baseline, output)
                if problem:
                    self.problem(gate_key, problem)
                found = self.gate(definition, name, variant, value, contexts if problems else {})
                if gate == "deterministic" and any(not one.outputs for one in found):
                    advice = "deterministic: {equals: true, outputs: [NAME, ...]}"
                    self.problem(gate_key, f"deterministic names no outputs; write {advice}")
                gates += [replace(one, own=definition) for one in found]
        return tuple(gates)

    def _gate_problem(self, definition: GateDef, variant: str, baseline: str, output: OutputSpec) -> str:
        """Why a gate cannot be written for a variant, if so."""
        gate = definition.name
        if definition.relative and not baseline:
            return f"{gate} needs a baseline, and the program names none"
        if definition.relative and variant == baseline:
            return f"{gate} of the baseline {quote(variant)} against itself says nothing"
        if definition.reported and gate not in PROGRAM_GATES:
            if not output.kind:
                return f"no output is read that could hold {quote(gate)}; {suggestion(gate, _written())}"
            groups = re.compile(output.source).groupindex if output.kind == "regex" else {}
            if groups and gate not in groups:
                known = [*groups, *_written()]
                return f"the expression has no group {quote(gate)}; {suggestion(gate, known)}"
        return ""

    def bare_limit(self, node: Node, definition: GateDef) -> Limit:
        """A limit without keys: a text or a bool is what a program has to print; a number could be anything."""
        if definition.kind != "value":
            return super().bare_limit(node, definition)
        found = scalar(node) if node.id == "scalar" else None
        if isinstance(found, (int, float)) and not isinstance(found, bool):
            some = ", ".join(definition.limits)
            self.problem(node, f"{definition.name}: a number alone could be any limit; give it {some}")
            return Limit()
        return Limit(equals=self.bound(node, definition, "equals"))

    def bound(self, node: Node, definition: GateDef, key: str) -> float | bool | str | None:
        """The limit under a key: of what a program prints, any value, which may be a template."""
        if definition.kind != "value":
            return super().bound(node, definition, key)
        if key != "equals":
            number = self.number(node, f"{key} of {definition.name}")
            if (
                key == "max_ratio_over_contexts" and number is not None and number < 1
            ):  # of the most to the least
                self.expected(node, f"{key} of {definition.name}", "a number from 1")
                return None
            return number
        value = scalar(node) if node.id == "scalar" else None
        if value is None or isinstance(value, Odd):
            self.expected(node, definition.name, "a number, a text, true or false")
            return None
        return self.template(node, definition.name, self.known_names) if isinstance(value, str) else value

    def limits(self, node: Node, keys: Mapping[str, Node], definition: GateDef) -> Limit:
        """The limit that the keys of an entry give. A ratio over contexts is one by itself; so is a value."""
        limit = super().limits(node, keys, definition)
        given = [key for key in definition.limits if key in keys]
        for alone in ("equals", "max_ratio_over_contexts"):
            if alone in given and len(given) > 1:
                self.problem(keys[alone], f"{definition.name}: {alone} stands alone; write two entries")
        if "min" in given and "min_exclusive" in given:
            self.problem(keys["min"], f"{definition.name} has min and min_exclusive; give one of them")
        if (
            definition.kind == "value"
            and limit.above is not None
            and limit.max is not None
            and limit.above >= limit.max
        ):
            self.problem(keys["min_exclusive"], f"{definition.name}: no value is above {limit.above:g} and at most "
                         f"{limit.max:g}")  # fmt: skip
        return limit


def _written() -> list[str]:
    """The gates on what is measured of every program."""
    return [gate.name for gate in PROGRAM_GATES.values() if gate.limits]
