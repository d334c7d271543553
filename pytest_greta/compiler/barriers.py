"""Barriers that a wavefront can reach while its own writes to LDS are still under way: read from machine code.

`__syncthreads()` promises that what was written to LDS before it is seen behind it. The barrier instruction alone does
not keep that promise: an LDS write is done only when the counter that it is counted on says so, and the compiler puts a
wait for that counter (`s_waitcnt lgkmcnt(0)`, `s_wait_dscnt 0x0`) in front of the barrier. Where the wait is missing on
some way to the barrier, another wavefront may read what was there before. See docs/barriers.md.

Sources: LLVM's "User Guide for AMDGPU Backend", section "Memory Model"; AMD's ISA manuals, chapter "Data Dependency
Resolution". No generation that is known here waits for LDS in the barrier itself: LLVM's AMDGPU.td gives the feature
`auto-waitcnt-before-barrier` to none, and `back-off-barrier` (gfx90a, gfx94x, gfx95x, gfx10 and later) only says that
the compiler need not put a wait there for other reasons.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pytest_greta.compiler.flow import Block, blocks_of
from pytest_greta.compiler.instructions import SIGNALS, SOP1, SOPP, Instruction, decoded, is_sopk
from pytest_greta.compiler.targets import generation
from pytest_greta.compiler.ways import HAS_LANES, Known, after, is_possible, is_watched

NO_WAIT = 64
"""More operations than any counter counts: a wait for so many left waits for nothing."""


@dataclass(frozen=True)
class UnwaitedBarrier:
    """A barrier that can be reached with a write to LDS under way. Offsets are bytes from the begin of the function."""

    barrier: int
    write: int
    """The last write to LDS, on a way where nothing waits for it."""
    is_load: bool
    """Whether that write is a load from global memory straight into LDS."""
    reads: tuple[int, ...]
    """Where LDS is read between this barrier and the next."""
    writes: tuple[int, ...]
    """Where LDS is written between this barrier and the next."""


def unwaited_barriers(code: bytes, target: str) -> tuple[UnwaitedBarrier, ...] | None:
    """The barriers of a function that a wavefront can reach with a write to LDS under way, in order.

    None where that cannot be told: the encodings of the target are not known here, the code is not of them, it jumps to
    an address that only the running program knows, or it calls a function, which may hold a barrier, and nothing was
    found. Every way through the flow of control counts, as it does for the compiler's own pass, but those that a
    constant rules out (`ways.py`). Left out, so that no kernel is blamed wrongly: flat stores, which may go elsewhere;
    writes of a called function, and those before a call; loads into LDS behind which any wait for loads stands, because
    a kernel that keeps several on their way counts them by hand.
    """
    try:
        major = generation(target)
    except ValueError:
        return None
    if not _may_matter(code, major):
        return ()
    instructions = decoded(code, target)
    if instructions is None or any(i.is_jump for i in instructions):
        return None
    blocks = blocks_of(instructions)
    events = {begin: _events(block, target, major) for begin, block in blocks.items()}
    found: dict[int, _Pending] = {}
    for begin, state in _at_begin(blocks, events, major).items():
        for event in events[begin]:
            if event.kind is _Kind.BARRIER and state.pending.is_any:
                found[event.offset] = state.pending
            state = state.after(event, major)
    if not found and any(event.kind is _Kind.CALL for events_ in events.values() for event in events_):
        return None  # what is called may hold a barrier
    return tuple(
        UnwaitedBarrier(
            barrier,
            *((pending.write, False) if pending.newer < NO_WAIT else (pending.load, True)),
            *_accesses_behind(barrier, blocks, events),
        )
        for barrier, pending in sorted(found.items())
    )


def describe(found: UnwaitedBarrier, place: Callable[[int], str]) -> str:
    """What can go wrong at a barrier, and where. `place` names an offset."""

    def accesses(what: str, offsets: tuple[int, ...]) -> str:
        count = len(offsets) - 1
        more = f" and {count} more place{'s' * (count > 1)}" if count > 0 else ""
        return f"{what} at {place(offsets[0])}{more}" if offsets else f"not {what}"

    write = "load into LDS" if found.is_load else "LDS write"
    where = f"{place(found.write)} can be under way at the barrier at {place(found.barrier)}"
    behind = f"LDS is {accesses('read', found.reads)} and {accesses('written', found.writes)}"
    return f"the {write} at {where}; up to the next barrier {behind}: see docs/barriers.md of pytest-greta"


class _Kind(enum.Enum):
    """What an instruction is to LDS."""

    WRITE = enum.auto()
    READ = enum.auto()
    EXCHANGE = enum.auto()
    """Between lanes: it goes through LDS hardware, and its queue, but touches no memory."""
    LOAD = enum.auto()
    """From global memory into LDS."""
    WAIT = enum.auto()
    BARRIER = enum.auto()
    CALL = enum.auto()
    SCALAR = enum.auto()
    """Nothing to LDS, but it may change what is known of scalar registers."""


@dataclass(frozen=True)
class _Event:
    """An instruction that matters here. `left` and `is_for_loads` are of a wait, `word` of scalar instructions."""

    offset: int
    kind: _Kind
    left: int = NO_WAIT
    """Operations on LDS that may be under way behind it."""
    is_for_loads: bool = False
    word: int = 0


@dataclass(frozen=True)
class _Pending:
    """What may be under way: the last write to LDS, and a load into it.

    Operations of a wavefront on LDS are done in order. So a write is under way only if all `newer` ones are, and a wait
    that leaves at most `newer` of them has it done. The last write is the last to be done: it stands for all.
    """

    newer: int = NO_WAIT
    """Operations on LDS behind the last write: of all ways that lead here, the fewest. NO_WAIT: no write under way."""
    write: int = -1
    load: int = -1
    """-1: none."""

    @property
    def is_any(self) -> bool:
        return self.newer < NO_WAIT or self.load >= 0

    def after(self, event: _Event) -> _Pending:
        """What is under way behind an instruction."""
        newer, write, load = self.newer, self.write, self.load
        if event.kind is _Kind.WRITE:
            return _Pending(0, event.offset, load)
        if event.kind in (_Kind.READ, _Kind.EXCHANGE):
            return _Pending(newer + 1, write, load) if newer + 1 < NO_WAIT else _Pending(load=load)
        if event.kind is _Kind.LOAD:
            return _Pending(newer, write, event.offset)
        if event.kind is _Kind.CALL:  # a function waits for everything when it is entered
            return _Pending()
        if event.kind is _Kind.WAIT:
            load = -1 if event.is_for_loads else load
            return _Pending(load=load) if event.left <= newer else _Pending(newer, write, load)
        return self

    def joined(self, other: _Pending) -> _Pending:
        """What may be under way where two ways meet."""
        newer, write = min((self.newer, self.write), (other.newer, other.write))
        return _Pending(newer, write, max(self.load, other.load))


@dataclass(frozen=True)
class _State:
    """What is known at a place in the code, over all ways that lead there."""

    pending: _Pending
    known: Known
    """Scalar registers, on every way."""
    known_pending: Known
    """Scalar registers, on the ways on which something is under way. Of no meaning where nothing is."""

    def after(self, event: _Event, major: int) -> _State:
        """The state behind an instruction."""
        pending, known, known_pending = self.pending.after(event), self.known, self.known_pending
        if event.kind in (_Kind.WRITE, _Kind.LOAD):
            # Without lanes it writes nothing; what was under way before still is.
            has_lanes = not self.pending.is_any or HAS_LANES in known_pending
            known_pending = known | {HAS_LANES} if has_lanes else known
        elif event.kind is _Kind.CALL:
            known = known_pending = frozenset()
        elif event.kind is _Kind.SCALAR:
            known, known_pending = (after(facts, event.word, major) for facts in (known, known_pending))
        return _State(pending, known, known_pending)

    def joined(self, other: _State) -> _State:
        """The state where two ways meet."""
        pending = [state.known_pending for state in (self, other) if state.pending.is_any]
        return _State(
            self.pending.joined(other.pending),
            self.known & other.known,
            frozenset.intersection(*pending) if pending else frozenset(),
        )

    def along(self, last: Instruction, successor: int, major: int) -> _State:
        """The state at a successor of a block: nothing is under way where no such way leads there."""
        behind = last.offset + last.size_bytes
        if last.branch_to in (None, behind):
            return self
        is_taken = successor == last.branch_to
        if is_possible(self.known_pending, last.word, major, is_taken):
            return self
        return _State(_Pending(), self.known, frozenset())


def _at_begin(
    blocks: Mapping[int, Block], events: Mapping[int, list[_Event]], major: int
) -> dict[int, _State]:
    """The state at the begin of every block that can be reached: a fixed point over all ways."""
    lanes = frozenset({HAS_LANES})
    begin = {0: _State(_Pending(), lanes, lanes)}
    open_ = [0]
    while open_:
        block = open_.pop()
        state = begin[block]
        for event in events[block]:
            state = state.after(event, major)
        for successor in sorted(blocks[block].successors):
            coming = state.along(blocks[block].instructions[-1], successor, major)
            known = begin.get(successor)
            if (joined := known.joined(coming) if known else coming) != known:
                begin[successor] = joined
                open_.append(successor)
    return begin


def _accesses_behind(
    barrier: int, blocks: Mapping[int, Block], events: Mapping[int, list[_Event]]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Offsets of reads and of writes of LDS that a wavefront can come to behind a barrier without another one."""
    found: dict[_Kind, set[int]] = {_Kind.READ: set(), _Kind.WRITE: set()}
    begins = sorted(blocks)
    home = begins[bisect_right(begins, barrier) - 1]
    seen: set[int] = set()
    open_: list[tuple[int, int]] = [(home, barrier + 1)]
    while open_:
        block, from_offset = open_.pop()
        for event in events[block]:
            if event.offset < from_offset:
                continue
            if event.kind is _Kind.BARRIER:
                break
            kind = _Kind.WRITE if event.kind is _Kind.LOAD else event.kind
            if kind in found:
                found[kind].add(event.offset)
        else:
            new = blocks[block].successors - seen
            seen |= new
            open_ += [(successor, successor) for successor in new]
    return tuple(sorted(found[_Kind.READ])), tuple(sorted(found[_Kind.WRITE]))


# -- which instructions these are -----------------------------------------------------------------------------------


def _numbers(*parts: int | tuple[int, int]) -> frozenset[int]:
    """Opcodes, single ones and ranges with both ends."""
    return frozenset(
        n for part in parts for n in ([part] if isinstance(part, int) else range(part[0], part[1] + 1))
    )


# fmt: off
_DS_READS = {
    9: _numbers((0x36, 0x3C), (0x56, 0x5B), (0x76, 0x78), 0xB6, (0xE0, 0xE3), 0xFE, 0xFF),
    10: _numbers((0x36, 0x3C), (0x76, 0x78), (0xA2, 0xA7), 0xB1, 0xFE, 0xFF),
}
"""ds_read*, ds_load*; from gfx10 on one table serves."""
_DS_WRITES = {
    9: _numbers((0x00, 0x13), 0x15, 0x17, 0x18, (0x1D, 0x35), (0x40, 0x55), 0x5C, (0x60, 0x73), 0x7C, 0x7E,
                (0x80, 0x8B), 0x8D, 0x92, 0x93, 0x95, 0xB7, 0xB8, 0xBD, 0xBE, (0xC0, 0xCB), 0xCD, 0xD2, 0xD3,
                0xDE, 0xDF),
    10: _numbers((0x00, 0x13), 0x15, (0x1E, 0x34), 0x3D, 0x3E, (0x40, 0x53), 0x55, (0x60, 0x73), 0x79, 0x7E,
                 (0x98, 0x9B), 0xA0, 0xA1, (0xA8, 0xAB), 0xB0, 0xDE, 0xDF),
}
"""ds_write*, ds_store* and the atomics, which write too."""
_DS_EXCHANGES = {9: _numbers(0x3D, 0x3E, 0x3F), 10: _numbers(0x35, 0xB2, 0xB3, 0xCD)}
"""ds_swizzle_b32, ds_permute_b32, ds_bpermute_b32, and from gfx12 ds_bpermute_fi_b32."""
_BARRIERS = {9: 0x0A, 10: 0x0A, 11: 0x3D}
"""SOPP: s_barrier. On gfx12 its first half counts, s_barrier_signal."""
_TRAP_BARRIER = 0xC2
"""s_barrier_signal -2: the barrier of the trap handler, no program's."""
_CALLS = {9: (0x1E, 0x15), 10: (0x21, 0x16), 11: (0x49, 0x14), 12: (0x49, 0x14)}
"""SOP1 s_swappc_b64, SOPK s_call_b64."""
_WAIT_IDLE = {10: 0x22, 11: 0x0A, 12: 0x0A}
_SOPK_WAITS = {10: (0x1A, 0x18), 11: (0x1B, 0x19)}
"""s_waitcnt_lgkmcnt, s_waitcnt_vmcnt."""
_WAITS_FOR_LDS = (0x46, 0x48, 0x49)
"""gfx12: s_wait_dscnt, s_wait_loadcnt_dscnt, s_wait_storecnt_dscnt."""
_NULL = {10: 0x7D, 11: 0x7C}
# fmt: on


def _may_matter(code: bytes, major: int) -> bool:
    """Whether any aligned word of the code reads like a barrier or a call: mostly not, and nothing need be decoded."""
    words = memoryview(code[: len(code) // 4 * 4]).cast("I")
    call, call_relative = _CALLS[major]
    scalar = {SOP1 << 8 | call, *(SOP1 << 8 | signal for signal in SIGNALS if major == 12)}
    upper = {0b1011 << 5 | call_relative}
    barrier = SOPP << 7 | _BARRIERS[major] if major != 12 else -1
    return any(
        word >> 16 == barrier or word >> 23 in upper or (word >> 23) << 8 | word >> 8 & 0xFF in scalar
        for word in words
    )


def _events(block: Block, target: str, major: int) -> list[_Event]:
    found = []
    for i in block.instructions:
        if event := _event(i.offset, i.word, target, major):
            found.append(event)
        elif is_watched(i, major):
            found.append(_Event(i.offset, _Kind.SCALAR, word=i.word))
    return found


def _event(offset: int, word: int, target: str, major: int) -> _Event | None:
    """What an instruction is to LDS, if anything, from its first 32 bits."""
    encoding = word >> 26
    if encoding == 0b110110:
        return _ds(offset, word, major)
    if word >> 23 == SOPP:
        return _sopp(offset, word >> 16 & 0x7F, word & 0xFFFF, major)
    if word >> 23 == SOP1:
        opcode, source = word >> 8 & 0xFF, word & 0xFF
        if major == 12 and opcode in SIGNALS and source != _TRAP_BARRIER:
            return _Event(offset, _Kind.BARRIER)
        return _Event(offset, _Kind.CALL) if opcode == _CALLS[major][0] else None
    if is_sopk(word):
        return _sopk(offset, word, major)
    if major <= 10 and _is_load_into_lds(word, encoding, target):
        return _Event(offset, _Kind.LOAD)
    return None


def _ds(offset: int, word: int, major: int) -> _Event | None:
    table = min(major, 10)
    opcode, is_global = (
        (word >> 17 & 0xFF, word >> 16 & 1) if major == 9 else (word >> 18 & 0xFF, word >> 17 & 1)
    )
    if is_global:  # GDS, another memory
        return None
    for kind, opcodes in (
        (_Kind.WRITE, _DS_WRITES),
        (_Kind.READ, _DS_READS),
        (_Kind.EXCHANGE, _DS_EXCHANGES),
    ):
        if opcode in opcodes[table]:
            return _Event(offset, kind)
    return None


def _sopp(offset: int, opcode: int, value: int, major: int) -> _Event | None:
    """Barriers, and waits; their counters lie in `value` in another order on each generation."""
    if opcode == _BARRIERS.get(major):
        return _Event(offset, _Kind.BARRIER)
    if opcode == _WAIT_IDLE.get(major):
        return _Event(offset, _Kind.WAIT, 0, True)
    if opcode == (0x0C if major <= 10 else 0x09):  # s_waitcnt
        if major <= 10:
            left = value >> 8 & (0xF if major == 9 else 0x3F)
            most = 15 if major == 9 else 63
            loads = value & 0xF | value >> 10 & 0x30
        else:
            left, most, loads = value >> 4 & 0x3F, 63, value >> 10
        return _Event(offset, _Kind.WAIT, left if left < most else NO_WAIT, loads < 63)
    if major == 12 and opcode in _WAITS_FOR_LDS:
        left = value & 0x3F
        is_for_loads = opcode == 0x48 and value >> 8 & 0x3F < 63
        return _Event(offset, _Kind.WAIT, left if left < 63 else NO_WAIT, is_for_loads)
    return None


def _sopk(offset: int, word: int, major: int) -> _Event | None:
    opcode, register, value = word >> 23 & 0x1F, word >> 16 & 0x7F, word & 0xFFFF
    if opcode == _CALLS[major][1]:
        return _Event(offset, _Kind.CALL)
    if opcode not in _SOPK_WAITS.get(major, ()):
        return None
    # With a register other than null the count is known only when it runs: taken for a full wait.
    value = value if register == _NULL[major] else 0
    if opcode == _SOPK_WAITS[major][0]:
        return _Event(offset, _Kind.WAIT, value if value < 63 else NO_WAIT)
    return _Event(offset, _Kind.WAIT, NO_WAIT, value < 63)


def _is_load_into_lds(word: int, encoding: int, target: str) -> bool:
    """buffer_load_* ... lds; global_load_* ... lds; on gfx94x and gfx95x global_load_lds_*, scratch_load_lds_*."""
    if encoding == 0b111000:  # MUBUF
        return bool(word >> 16 & 1)
    if encoding != 0b110111 or not word >> 14 & 3:  # FLAT, of which flat_load has no such form
        return False
    if target.startswith(("gfx94", "gfx95", "gfx9-4-")):
        return word >> 18 & 0x7F in (*range(0x26, 0x2B), 0x7D, 0x7E)
    return bool(word >> 13 & 1)
