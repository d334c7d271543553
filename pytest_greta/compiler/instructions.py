"""Machine code of AMD GPUs, cut into instructions: how long each is, whether it multiplies matrices, where it branches.

No operand is read beyond what decides the length of an instruction. Encodings: AMD's manuals "CDNA3 Instruction Set
Architecture" and "RDNA2", "RDNA3", "RDNA4 Instruction Set Architecture", chapter "Microcode Formats". Opcodes are those
of llvm-mc (LLVM 22), which the tests assemble with.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from pytest_greta.compiler.targets import generation

_LITERAL, _SDWA, _DPP16 = 255, 249, 250
_DPP8 = (233, 234)
SOPP = 0x17F
"""The upper nine bits of scalar instructions without operands: branches, waits and barriers among them."""
SOP1 = 0x17D
"""The upper nine bits of scalar instructions with one source: jumps to an address among them."""
SOPC = 0x17E
"""The upper nine bits of scalar comparisons."""
SIGNALS = (0x4E, 0x4F)
"""SOP1 of gfx12: s_barrier_signal, s_barrier_signal_isfirst."""

_BRANCHES = {9: range(2, 10), 10: range(2, 10), 11: range(32, 39), 12: range(32, 39)}
"""Opcodes of s_branch, the first, and of the conditional branches, by generation."""
_ENDS = {9: (1, 27, 30), 10: (1, 27, 30), 11: (48, 49, 50), 12: (48, 49, 50)}
"""s_endpgm, s_endpgm_saved, s_endpgm_ordered_ps_done."""
_TRAPS = {9: 18, 10: 18, 11: 16, 12: 16}
_ABORT = 2
"""s_trap 2, by which LLVM ends a wavefront (`llvm.trap`)."""
_JUMPS = {9: (0x1D, 0x1F), 10: (0x20, 0x22), 11: (0x48, 0x4A), 12: (0x48, 0x4A)}
"""SOP1: s_setpc_b64, s_rfe_b64."""


@dataclass(frozen=True)
class Instruction:
    """One instruction, `offset` bytes behind the begin of its function."""

    offset: int
    size_bytes: int
    word: int
    """Its first 32 bits, which hold encoding and opcode."""
    is_matrix: bool
    """Whether it is `v_mfma_*`, `v_smfmac_*`, `v_wmma_*` or `v_swmmac_*`."""
    branch_to: int | None
    """Offset of the instruction a direct branch, conditional or not, goes to."""
    is_end: bool
    """Whether the next instruction does not follow: s_branch, s_endpgm, s_trap 2, s_setpc_b64."""
    is_jump: bool = False
    """Whether it goes on at an address that only the running program knows: s_setpc_b64."""


@lru_cache(maxsize=4)
def decoded(code: bytes, target: str) -> tuple[Instruction, ...] | None:
    """All instructions of a function; None for a target whose encodings are not known here, or code not of them."""
    try:
        return tuple(decode(code, target))
    except ValueError:
        return None


def decode(code: bytes, target: str) -> Iterator[Instruction]:
    """The instructions of a function, in order.

    Raises ValueError for an unknown target or encoding, and where the last instruction does not end with the code.
    """
    major = generation(target)
    size = _size_gfx9 if major == 9 else _size_gfx10
    branches, ends, jumps = _BRANCHES[major], _ENDS[major], _JUMPS[major]
    offset = 0
    while offset < len(code):
        if offset + 4 > len(code):
            raise ValueError("the code ends within an instruction")
        (low,) = struct.unpack_from("<I", code, offset)
        (high,) = struct.unpack_from("<I", code, offset + 4) if offset + 8 <= len(code) else (0,)
        words = size(low, high, major)
        if offset + 4 * words > len(code):
            raise ValueError("the code ends within an instruction")
        branch_to, is_end, is_jump = None, False, False
        if low >> 23 == SOPP:
            opcode = low >> 16 & 0x7F
            is_abort = opcode == _TRAPS[major] and low & 0xFFFF == _ABORT
            is_end = opcode == branches[0] or opcode in ends or is_abort
            if opcode in branches:
                distance = (low & 0xFFFF) - ((low & 0x8000) << 1)
                branch_to = offset + 4 + 4 * distance
        elif low >> 23 == SOP1:
            is_end = is_jump = low >> 8 & 0xFF in jumps
        yield Instruction(offset, 4 * words, low, _is_matrix(low, major), branch_to, is_end, is_jump)
        offset += 4 * words


def is_sopk(word: int) -> bool:
    """Whether an instruction, which is no SOP1 or SOPP, is scalar with a constant of 16 bits."""
    return word >> 28 == 0b1011 and word >> 23 != SOPC


def _is_matrix(low: int, generation: int) -> bool:
    """VOP3P: opcodes from 0x40 on, and on gfx950 some below."""
    opcode = low >> 16 & 0x7F
    if generation == 9:
        moves = (0x58, 0x59)  # v_accvgpr_read, v_accvgpr_write
        return low >> 23 == 0x1A7 and (
            (opcode >= 0x40 and opcode not in moves) or opcode in (0x2D, 0x2E) or 0x35 <= opcode <= 0x3F
        )
    return generation >= 11 and low >> 24 == 0xCC and opcode >= 0x40


def _size_gfx9(low: int, high: int, _: int) -> int:
    """Words of an instruction of gfx9 (GCN 5, CDNA)."""
    if low >> 31 == 0:
        return _size_vector(low, (0x17, 0x18, 0x24, 0x25), (_LITERAL, _SDWA, _DPP16))
    if low >> 30 == 2:
        return _size_scalar(low, imm32=0x14, fma=())
    major = low >> 26
    if major == 0b110101:  # VINTRP
        return 1
    #        SMEM      EXP       VOP3, 3P  DS        FLAT      MUBUF     MTBUF     MIMG
    if major in (0b110000, 0b110001, 0b110100, 0b110110, 0b110111, 0b111000, 0b111010, 0b111100):
        return 2
    raise ValueError(f"an encoding that gfx9 does not have: {low:08x} {high:08x}")


def _size_gfx10(low: int, high: int, generation: int) -> int:
    """Words of an instruction of gfx10, gfx11 or gfx12 (RDNA)."""
    if low >> 31 == 0:
        literals = (0x2C, 0x2D, 0x37, 0x38) + ((0x20, 0x21) if generation == 10 else ())
        sources = (_LITERAL, _DPP16, *_DPP8) + ((_SDWA,) if generation == 10 else ())
        return _size_vector(low, literals, sources)
    if low >> 30 == 2:
        return _size_scalar(low, 0x15 if generation == 10 else 0x13, () if generation == 10 else (0x45, 0x46))
    size = _SIZES[generation].get(low >> 26)
    if size is None:
        raise ValueError(f"an encoding that gfx{generation} does not have: {low:08x} {high:08x}")
    return size if isinstance(size, int) else size(low, high)


def _size_vector(low: int, literals: tuple[int, ...], sources: tuple[int, ...]) -> int:
    """VOP1, VOP2 and VOPC: one word more for opcodes of VOP2 with a constant, and for some first sources."""
    opcode = low >> 25 & 0x3F
    return 2 if low & 0x1FF in sources or opcode in literals else 1


def _size_scalar(low: int, imm32: int, fma: tuple[int, ...]) -> int:
    """SOP1, SOP2, SOPC, SOPK and SOPP."""
    if low >> 23 == SOPP:
        return 1
    if low >> 23 == SOP1:
        return 2 if low & 0xFF == _LITERAL else 1
    if is_sopk(low):  # s_setreg_imm32_b32 has a constant
        return 2 if low >> 23 & 0x1F == imm32 else 1
    # SOP2 and SOPC
    constant = low & 0xFF == _LITERAL or low >> 8 & 0xFF == _LITERAL or (low >> 23 & 0x7F) in fma
    return 2 if constant else 1


def _size_vop3(_: int, high: int) -> int:
    """VOP3 and VOP3P: a constant, or from gfx11 on DPP controls, behind the two words."""
    sources = high & 0x1FF, high >> 9 & 0x1FF, high >> 18 & 0x1FF
    return 3 if _LITERAL in sources or sources[0] in (_DPP16, *_DPP8) else 2


def _size_vop3p_and_others(low: int, high: int) -> int:
    """From gfx11 on VOP3P shares its first six bits with VINTERP (two words) and LDSDIR (one)."""
    kind = low >> 24 & 3
    return _size_vop3(low, high) if kind == 0 else 2 if kind == 1 else 1


def _size_vopd(low: int, high: int) -> int:
    """Two operations: a constant behind them if one of them has it (v_fmaak, v_fmamk, or as a source)."""
    opcodes = low >> 22 & 0xF, low >> 17 & 0x1F
    constant = _LITERAL in (low & 0x1FF, high & 0x1FF) or 1 in opcodes or 2 in opcodes
    return 3 if constant else 2


# fmt: off
_SIZES: dict[int, dict[int, int | Callable[[int, int], int]]] = {
    10: {
        0b110010: 1,  # VINTRP
        0b110011: _size_vop3, 0b110101: _size_vop3,
        0b110110: 2, 0b110111: 2, 0b111000: 2, 0b111010: 2, 0b111101: 2, 0b111110: 2,  # DS FLAT MUBUF MTBUF SMEM EXP
        0b111100: lambda low, _: 2 + (low >> 1 & 3),  # MIMG: up to three words of addresses more
    },
    11: {
        0b110010: _size_vopd, 0b110011: _size_vop3p_and_others, 0b110101: _size_vop3,
        0b110110: 2, 0b110111: 2, 0b111000: 2, 0b111010: 2, 0b111101: 2, 0b111110: 2,  # DS FLAT MUBUF MTBUF SMEM EXP
        0b111100: lambda low, _: 2 + (low & 1),  # MIMG
    },
    12: {
        0b110010: _size_vopd, 0b110011: _size_vop3p_and_others, 0b110101: _size_vop3,
        0b110110: 2, 0b111101: 2, 0b111110: 2,                 # DS SMEM EXP
        0b110001: 3, 0b110100: 3, 0b111001: 3, 0b111011: 3,    # VBUFFER VIMAGE VSAMPLE VFLAT
    },
}
# fmt: on
