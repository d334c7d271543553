"""Values of a gates.yaml from its nodes, with what is wrong with them: what every part of the file is read with."""

from __future__ import annotations

from pytest_greta.gates.catalogue import GateDef
from pytest_greta.gates.nodes import (
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
SCOPES = {
    "code": ("targets", "where"),
    "run": ("contexts", "devices", "where"),
    "program": ("contexts", "where"),
}
"""What an entry can be narrowed to, by the source of its gate."""


ALL_SCOPES = ("targets", "contexts", "devices", "where", "outputs")


def scopes_of(definition: GateDef) -> tuple[str, ...]:
    """What an entry of a gate can be narrowed to."""
    return (*SCOPES[definition.source], *(("outputs",) if definition.per_output else ()))


MOST_NODES = 100_000
"""Entries of lists and mappings in a file, each alias with all that it stands for: ten lines of aliases can stand for
billions.
"""


class TooManyNodes(Exception):
    """A file that would take minutes to read, and where that showed."""

    def __init__(self, position: Position) -> None:
        super().__init__(position)
        self.position = position


class Values:
    """Reads numbers, texts, lists and mappings, and collects what is wrong with them in `problems`."""

    def __init__(self) -> None:
        self.problems: list[tuple[Position, str]] = []
        self._visited = 0

    def visit(self, node: Node) -> None:
        """Count what a list or mapping holds. Raises TooManyNodes."""
        self._visited += len(node.value)
        if self._visited > MOST_NODES:
            raise TooManyNodes(position(node))

    def problem(self, node: Node, text: str) -> None:
        """Report what is wrong with a node."""
        self.problems.append((position(node), text))

    def expected(self, node: Node, what: str, expected: str) -> None:
        """Report a node that is not what it should be."""
        self.problem(node, f"{what}: expected {expected}, found {found(node)}")

    # Each method below returns what it could read; what it could not read is in `problems`.

    def number(self, node: Node, what: str, integer: bool = False, positive: bool = False) -> float | None:
        """A number of 0 or more, or above 0; whole ones as int."""
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

    def items(self, node: Node, what: str, unique: bool = False) -> list[Node]:
        """The items of a list, or the one thing that stands for a list of itself."""
        if node.id != "sequence":
            return [node]
        self.visit(node)
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
                scope = (
                    f"; {name} narrow another kind of gate"
                    if name in (*sum(SCOPES.values(), ()), "outputs")
                    else ""
                )
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

    def untagged(self, node: Node) -> None:
        """Report a list or mapping with a tag."""
        if node.tag != COLLECTIONS[node.id][0]:
            self.problem(node, f"found the tag {quote(node.tag)}; tags are not supported")

    def mapping(self, node: Node, what: str) -> dict[str, tuple[Node, Node]]:
        """A mapping: the nodes of key and value by name, the first of duplicate keys."""
        if node.id != "mapping":
            self.expected(node, what, "a mapping")
            return {}
        self.visit(node)
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
