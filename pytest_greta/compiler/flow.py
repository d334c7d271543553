"""The flow of control through a function's machine code: its blocks, its loops, and what stands in the main one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pytest_greta.compiler.instructions import Instruction, decoded


@dataclass
class Block:
    """Instructions that follow each other, entered at the first and left behind the last."""

    instructions: list[Instruction] = field(default_factory=list)
    successors: set[int] = field(default_factory=set)
    """Offsets of the blocks that may come next."""


def blocks_of(instructions: Sequence[Instruction]) -> dict[int, Block]:
    """The blocks of a function by the offset of their first instruction; the first one begins at 0."""
    begins = {0} | {i.branch_to for i in instructions if i.branch_to is not None}
    begins |= {i.offset + i.size_bytes for i in instructions if i.branch_to is not None or i.is_end}
    begins &= {i.offset for i in instructions}
    blocks: dict[int, Block] = {}
    block = Block()
    for i in instructions:
        if i.offset in begins:
            block = blocks[i.offset] = Block()
        block.instructions.append(i)
        if i.branch_to in begins:
            block.successors.add(i.branch_to)
        after = i.offset + i.size_bytes
        if after in begins and not i.is_end:
            block.successors.add(after)
    return blocks


def matrix_instructions(code: bytes, target: str) -> int | None:
    """Matrix instructions in the main loop of a function: of its innermost loops that have any, the one with most.

    0 where no loop has any; None for a target whose encodings are not known here, or code that is not of them.
    A loop is a strongly connected part of the flow of control; an inner one is what is left of it without its entries.
    """
    instructions = decoded(code, target)
    if instructions is None:
        return None
    blocks = blocks_of(instructions)
    matrix = {begin: sum(i.is_matrix for i in block.instructions) for begin, block in blocks.items()}
    successors = {begin: block.successors for begin, block in blocks.items()}
    return max(_of_innermost_loops(set(matrix), successors, matrix), default=0)


def _of_innermost_loops(
    blocks: set[int], successors: Mapping[int, set[int]], matrix: Mapping[int, int]
) -> Iterator[int]:
    """Matrix instructions of every innermost loop among `blocks` that has any."""
    predecessors: dict[int, set[int]] = {block: set() for block in successors}
    for block, following in successors.items():
        for to in following:
            predecessors[to].add(block)
    open_ = [(blocks, 0)]
    while open_:
        part, own_count = open_.pop()
        inner = []
        for loop in _loops(part, successors):
            count = sum(matrix[block] for block in loop)
            if count:
                entries = {block for block in loop if not predecessors[block] <= loop} or {min(loop)}
                inner.append((loop - entries, count))
        if own_count and not inner:
            yield own_count
        open_ += inner


def _loops(blocks: set[int], successors: Mapping[int, set[int]]) -> Iterator[set[int]]:
    """The strongly connected parts of `blocks` that hold a cycle (Kosaraju's algorithm)."""
    order: list[int] = []
    seen: set[int] = set()
    for root in sorted(blocks):
        stack = [(root, False)]
        while stack:
            block, is_done = stack.pop()
            if is_done:
                order.append(block)
            elif block not in seen:
                seen.add(block)
                stack.append((block, True))
                stack += [(to, False) for to in successors[block] & blocks]
    predecessors: dict[int, set[int]] = {block: set() for block in blocks}
    for block in blocks:
        for to in successors[block] & blocks:
            predecessors[to].add(block)
    left = set(blocks)
    for root in reversed(order):
        part, open_ = set(), [root]
        while open_:
            block = open_.pop()
            if block in left:
                left.remove(block)
                part.add(block)
                open_ += predecessors[block]
        if len(part) > 1 or any(block in successors[block] for block in part):
            yield part
