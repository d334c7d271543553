"""Ways through machine code that no wavefront takes, because a branch is decided before it is reached.

The compiler writes the arms of an `if` one behind the other, and between them a branch on a mask that it has just made
of a constant: `s_mov_b64 s[0:1], 0`, `s_andn2_b64 vcc, exec, s[0:1]`, `s_cbranch_vccnz`. From the one arm it is always
taken. Read without the constant, it leads from one arm into the other.

Known are scalar registers that hold 0 or -1 (all bits), whether vcc is 0, and that exec is not 0: a kernel is entered
with lanes, and a write of none is no write. What an instruction may have written is forgotten; with one that is not
looked into here, everything. Opcodes are those of llvm-mc (LLVM 22), which the tests assemble with.
"""

from __future__ import annotations

from pytest_greta.compiler.instructions import SIGNALS, SOP1, SOPC, SOPP, Instruction

Known = frozenset[tuple[int, int]]
"""Registers with what they hold."""

_VCC, _EXEC = 106, 126
_VCC_MASK = 1 << 8
"""vcc as the branches read it: 0, or not."""
_NOT_ZERO = 1
HAS_LANES = (_EXEC, _NOT_ZERO)
"""That exec is not 0."""

_INLINE = {128: 0, 193: -1}
"""How an operand says these constants."""
_MOV = {9: 0x00, 10: 0x03, 11: 0x00, 12: 0x00}
"""SOP1 s_mov_b32; s_mov_b64 is the next."""
_AND = {9: 0x0C, 10: 0x0E, 11: 0x16, 12: 0x16}
_ANDN2 = {9: 0x12, 10: 0x14, 11: 0x22, 12: 0x22}
"""SOP2 s_and_b32, s_andn2_b32 (s_and_not1_b32); those of 64 bits are the next."""
_ON_MASKS = {9: 0x06, 10: 0x06, 11: 0x23, 12: 0x23}
"""SOPP s_cbranch_vccz; _vccnz, _execz and _execnz follow."""
# fmt: off
_CARRIES = (*range(0x19, 0x1F), *range(0x20, 0x23), *range(0x28, 0x2B))
"""VOP2 that write vcc, on any generation: v_add_co_u32 and the like."""
_TO_SECOND = frozenset(
    (*(0x100 + n for n in _CARRIES), 0x16D, 0x16E, 0x176, 0x177, 0x1E0, 0x1E1, 0x1E8, 0x1E9, *range(0x2FC, 0x303),
     0x30F, 0x310, 0x319)
)
"""VOP3 with a scalar register as second result, on any generation."""
_TO_SCALAR = frozenset((0x142, 0x182, 0x360, *range(0x280, 0x290)))
"""VOP3 whose result is a scalar register, on any generation: v_readlane_b32, v_readfirstlane_b32, v_s_*."""
# fmt: on
_ALL_BUT_EXEC = (*range(_EXEC), _VCC_MASK)


def is_watched(instruction: Instruction, major: int) -> bool:
    """Whether an instruction may change what is known."""
    written = _written(instruction.word, major)
    return written is None or bool(written)


def after(known: Known, word: int, major: int) -> Known:
    """What is known behind an instruction, from its first 32 bits."""
    made = _made(known, word, major)
    written = _written(word, major)
    if written is None:
        return made
    return frozenset(fact for fact in known if fact[0] not in written) | made


def is_possible(known: Known, word: int, major: int, is_taken: bool) -> bool:
    """Whether a conditional branch can be taken, or not be taken."""
    condition = (word >> 16 & 0x7F) - _ON_MASKS[major]
    if word >> 23 != SOPP or condition not in range(4):
        return True
    held = dict(known).get(_VCC_MASK if condition < 2 else _EXEC)
    if held is None:
        return True
    return is_taken == ((held != 0) == bool(condition % 2))


def _made(known: Known, word: int, major: int) -> Known:
    """What an instruction makes known."""
    is_wide, value = False, None
    sources = [word & 0xFF]
    if word >> 23 == SOP1:
        opcode = (word >> 8 & 0xFF) - _MOV[major]
        if opcode not in (0, 1):
            return frozenset()
        is_wide = opcode == 1
        value = _value(known, sources[0], is_wide)
    elif word >> 30 == 2:
        opcode = word >> 23 & 0x7F
        sources.append(word >> 8 & 0xFF)
        first, second = (_value(known, source, bool(opcode & 1)) for source in sources)
        is_wide = bool(opcode & 1)
        if opcode & ~1 == _AND[major]:
            value = _and(first, second)
        elif opcode & ~1 == _ANDN2[major]:
            value = _and(first, None if second not in (0, -1) else ~second)
    if value is None:
        return frozenset()
    to = word >> 16 & 0x7F
    facts: set[tuple[int, int]] = {(to, value), (to + is_wide, value)} if value in (0, -1) else set()
    # Code for wavefronts of 32 lanes masks with exec_lo, and has no other half.
    if to == _VCC and (is_wide or _EXEC in sources):
        facts.add((_VCC_MASK, int(value != 0)))
    if to == _EXEC:
        facts = {HAS_LANES} if value else set()
    return frozenset(facts)


def _value(known: Known, source: int, is_wide: bool) -> int | None:
    """What an operand holds: 0, -1, 1 for what is not 0, None for what is not known."""
    if source in _INLINE:
        return _INLINE[source]
    held = dict(known)
    value = held.get(source)
    return value if source == _EXEC or not is_wide or held.get(source + 1) == value else None


def _and(first: int | None, second: int | None) -> int | None:
    if 0 in (first, second):
        return 0
    if first == -1:
        return second
    return first if second == -1 else None


def _written(word: int, major: int) -> tuple[int, ...] | None:
    """The scalar registers that an instruction may write; None where it may write any."""
    upper, encoding = word >> 23, word >> 26
    if upper in (SOPP, SOPC):  # comparisons write scc alone
        return ()
    if upper == SOP1:
        opcode = word >> 8 & 0xFF
        if opcode - _MOV[major] in (0, 1):
            return _pair(word >> 16 & 0x7F)
        return () if major == 12 and opcode in SIGNALS else None
    if word >> 30 == 2:  # SOP2, SOPK
        return _pair(word >> 16 & 0x7F)
    if word >> 31 == 0:
        return _written_by_vector(word)
    if encoding == (0b110100 if major == 9 else 0b110101) and upper != 0x1A7:
        return _written_by_vop3(word)
    if encoding == (0b110000 if major == 9 else 0b111101):  # SMEM
        return _ALL_BUT_EXEC
    return ()


def _written_by_vector(word: int) -> tuple[int, ...] | None:
    """VOP1, VOP2, VOPC."""
    opcode = word >> 25
    if opcode == 0x3E:
        return None if word & 0x1FF == 249 else (*_pair(_VCC), _EXEC)  # SDWA names another register
    if opcode == 0x3F:  # v_readfirstlane_b32
        return _pair(word >> 17 & 0xFF) if word >> 9 & 0xFF == 2 else ()
    return _pair(_VCC) if opcode in _CARRIES else ()


def _written_by_vop3(word: int) -> tuple[int, ...]:
    opcode, to, second = word >> 16 & 0x3FF, word & 0xFF, word >> 8 & 0x7F
    if opcode < 0x100:  # comparisons
        return (*_pair(to), _EXEC)
    found = _pair(second) if second or opcode in _TO_SECOND else ()
    return (*found, *_pair(to)) if opcode in _TO_SCALAR else found


def _pair(register: int) -> tuple[int, ...]:
    """A scalar register and the next, and the mask that they are a half of: vcc, exec."""
    halves = (register, register + 1)
    if _VCC in halves or register == _VCC + 1:
        return (*halves, _VCC_MASK)
    return (*halves, _EXEC) if register == _EXEC + 1 else halves
