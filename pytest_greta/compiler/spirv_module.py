"""What a SPIR-V module says: its kernels, and whether threads of one end before a barrier that others wait at.

Format and numbers: the Khronos SPIR-V specification, "Binary Form" (2.3, 3.49) and "BuiltIn" (3.21).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAGIC = struct.pack("<I", 0x07230203)
_HEADER_WORDS = 5
_ENTRY_POINT, _CONSTANT, _FUNCTION, _FUNCTION_END, _LOAD, _DECORATE = 15, 43, 54, 56, 61, 71
_EXTENDED, _EXTRACT, _BARRIER, _PHI, _LABEL = 12, 81, 224, 245, 248
_BRANCH, _CONDITIONAL, _SWITCH = 249, 250, 251
_ENDS = (253, 254)
"""OpReturn and OpReturnValue."""
_BUILT_IN = 11
_OF_A_THREAD = (27, 28, 29, 41)
"""LocalInvocationId, GlobalInvocationId, LocalInvocationIndex, SubgroupLocalInvocationId."""
_WORKGROUP = 2


def is_spirv(code: bytes) -> bool:
    """Whether code is a SPIR-V module."""
    return code.startswith(_MAGIC)


def instructions(code: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Operation and operands of every instruction, in order; as far as they are whole."""
    words = struct.unpack(f"<{len(code) // 4}I", code[: len(code) // 4 * 4])
    at = _HEADER_WORDS
    while at < len(words) and 0 < (length := words[at] >> 16) <= len(words) - at:
        yield words[at] & 0xFFFF, words[at + 1 : at + length]
        at += length


def entry_points(code: bytes) -> dict[str, int]:
    """The kernels of a module, with the number of each one's function."""
    found = {}
    for operation, operands in instructions(code) if is_spirv(code) else ():
        if operation == _ENTRY_POINT and len(operands) > 2:
            name = struct.pack(f"<{len(operands) - 2}I", *operands[2:]).partition(b"\0")[0]
            found[name.decode(errors="replace")] = operands[1]
    return found


@dataclass
class _Block:
    """One block of a function."""

    next: tuple[int, ...] = ()
    condition: int = 0
    """What decides between two of them."""
    has_barrier: bool = False
    ends: bool = False


@dataclass
class _Function:
    """A function's blocks, and what its values are made of."""

    blocks: dict[int, _Block] = field(default_factory=dict)
    made_of: dict[int, tuple[int, ...]] = field(default_factory=dict)


def ends_before_barrier(code: bytes, entry: str) -> bool:
    """Whether threads of a kernel may end where others of their block go on to a barrier, by a choice outside of loops
    that depends on the thread. Values from memory and calls are not followed.
    """
    number = entry_points(code).get(entry)
    if number is None:
        return False
    of_a_thread, workgroup = set[int](), set[int]()
    for operation, operands in instructions(code):
        if operation == _DECORATE and operands[1:2] == (_BUILT_IN,) and operands[2] in _OF_A_THREAD:
            of_a_thread.add(operands[0])
        if operation == _CONSTANT and operands[2:] == (_WORKGROUP,):
            workgroup.add(operands[1])
    function = _function(code, number, workgroup)
    return any(_is_early_exit(function, block, of_a_thread) for block in function.blocks.values())


def _function(code: bytes, number: int, workgroup: set[int]) -> _Function:
    """One function of a module; `workgroup` are the constants that stand for a whole block's barrier."""
    function, block, is_inside = _Function(), _Block(), False
    for operation, operands in instructions(code):
        if operation == _FUNCTION:
            is_inside = operands[1] == number
        if not is_inside:
            continue
        if operation == _FUNCTION_END:
            break
        if operation == _LABEL:
            block = function.blocks[operands[0]] = _Block()
        elif operation == _BRANCH:
            block.next = operands[:1]
        elif operation == _CONDITIONAL:
            block.next, block.condition = operands[1:3], operands[0]
        elif operation == _SWITCH:
            block.next, block.condition = (operands[1], *operands[3::2]), operands[0]
        elif operation == _BARRIER:
            block.has_barrier |= operands[0] in workgroup
        elif operation in _ENDS:
            block.ends = True
        elif made := _made_of(operation, operands):
            function.made_of[operands[1]] = made
    return function


def _made_of(operation: int, operands: tuple[int, ...]) -> tuple[int, ...]:
    """What the result of an instruction is computed from, where that is all."""
    if operation in (_LOAD, _EXTRACT):
        return operands[2:3]
    if operation == _PHI:
        return operands[2::2]
    if operation == _EXTENDED:
        return operands[4:]
    is_computed = 109 <= operation <= 205  # conversions, arithmetic, comparisons, bits
    return operands[2:] if is_computed else ()


def _is_early_exit(function: _Function, block: _Block, of_a_thread: set[int]) -> bool:
    if len(block.next) < 2 or not _depends(function, block.condition, of_a_thread):
        return False
    reached = {successor: _reachable(function, successor) for successor in block.next}
    if any(function.blocks[one] is block for blocks in reached.values() for one in blocks):
        return False  # of a loop: all threads may leave it at once
    waits = {
        successor: any(function.blocks[one].has_barrier for one in blocks)
        for successor, blocks in reached.items()
    }
    ends = any(not waits[one] and any(function.blocks[at].ends for at in reached[one]) for one in block.next)
    return ends and any(waits.values())


def _depends(function: _Function, value: int, of_a_thread: set[int]) -> bool:
    """Whether a value is computed from the number of a thread."""
    new, seen = [value], set[int]()
    while new:
        one = new.pop()
        if one in of_a_thread:
            return True
        if one not in seen:
            seen.add(one)
            new += function.made_of.get(one, ())
    return False


def _reachable(function: _Function, start: int) -> set[int]:
    new, seen = [start], set[int]()
    while new:
        one = new.pop()
        if one not in seen and one in function.blocks:
            seen.add(one)
            new += function.blocks[one].next
    return seen
