"""Damaged code objects and offload bundles: what reads them answers, or refuses with greta's own error on one line.

    python -m tests.fuzz.code_objects --count 100000 --seed 1

Nothing may hang (processor time of an item) or take memory beyond a bound. An item follows from the seed and its
number: `--first N --count 1` makes one again.
"""

from __future__ import annotations

import random
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgpack

from pytest_greta.compiler.clang import Job, run_compiler
from pytest_greta.compiler.codeobject import (
    code_by_target,
    machine_code,
    read_resources,
    source_lines,
    unbundle,
)
from pytest_greta.compiler.elf import Elf
from pytest_greta.compiler.occupancy import occupancy
from pytest_greta.compiler.toolchain import find_toolchain
from pytest_greta.errors import GretaError
from tests.fuzz import common

SOURCE = """\
#include <hip/hip_runtime.h>

struct Pair { int n; float scale; };

extern "C" __global__ __launch_bounds__(256) void turns(const float* x, Pair pair, float* y) {
  __shared__ float tile[256];
  float sum = 0;
  for (int i = threadIdx.x; i < pair.n; i += 256) {
    __syncthreads();
    tile[threadIdx.x] = x[i];
    __syncthreads();
    sum += tile[255 - threadIdx.x] * pair.scale;
  }
  y[threadIdx.x] = sum;
}

extern "C" __global__ void copies(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
"""
NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    31,
    63,
    64,
    255,
    4096,
    2**16 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2**63, 2**64 - 1, 0.5, "", "x", "x" * 5000, b"", [], {}),
    *([[]], [None], {"a": 1}, [{}] * 3, "amdgcn-amd-amdhsa--gfx1250", "gfx", "\n\0", "turns", "turns.kd"),
)
_HEADER_FIELDS = ((0x10, 2), (0x12, 2), (0x18, 8), (0x20, 8), (0x28, 8), (0x30, 4), (0x34, 2), (0x36, 2), (0x38, 2),
                  (0x3A, 2), (0x3C, 2), (0x3E, 2))  # fmt: skip
_SECTION_FIELDS = ((0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8))


def undamaged() -> list[bytes]:
    """Code of a small kernel for two targets, with line information and without, and bundles of it."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "k.hip")
        source.write_text(SOURCE)
        codes = {
            (target, flags): run_compiler(find_toolchain(target), Job(source, target, flags=flags))[0]
            for target in ("gfx942", "gfx1100")
            for flags in ((), ("-gline-tables-only",))
        }
    plain = {target.encode(): code for (target, flags), code in codes.items() if not flags}
    return [*codes.values(), bundle(plain), bundle({b"gfx90a:xnack+": plain[b"gfx942"]})]


def bundle(codes: dict[bytes, bytes]) -> bytes:
    """A clang offload bundle of code by target."""
    devices = [(b"hipv4-amdgcn-amd-amdhsa--" + target, code) for target, code in codes.items()]
    return bundled([(b"host-x86_64-unknown-linux-gnu-", b""), *devices])


def bundled(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A clang offload bundle of named entries."""
    header = b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", len(entries))
    offset = len(header) + sum(24 + len(name) for name, _ in entries)
    for name, part in entries:
        header += struct.pack("<QQQ", offset, len(part), len(name)) + name
        offset += len(part)
    return header + b"".join(part for _, part in entries)


# -- damage -----------------------------------------------------------------------------------------------


def damaged(rng: random.Random, codes: Sequence[bytes]) -> bytes:
    """One of the codes with one to four injuries."""
    code = bytearray(rng.choice(codes))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not code:
            break
        rng.choice(INJURIES)(rng, code, codes)
    return bytes(code)


def flip(rng: random.Random, code: bytearray, _: Sequence[bytes]) -> None:
    for _bit in range(rng.choice((1, 1, 8, 100))):
        code[rng.randrange(len(code))] ^= 1 << rng.randrange(8)


def cut(rng: random.Random, code: bytearray, _: Sequence[bytes]) -> None:
    del code[rng.randrange(len(code)) :]


def splice(rng: random.Random, code: bytearray, codes: Sequence[bytes]) -> None:
    """Part of a code in the place of a part of this one."""
    other = rng.choice(codes)
    begin, from_ = rng.randrange(len(code)), rng.randrange(len(other))
    size = rng.choice((1, 8, 64, 1000, 100_000))
    code[begin : begin + rng.choice((0, size))] = other[from_ : from_ + size]


def number(rng: random.Random, code: bytearray, _: Sequence[bytes]) -> None:
    """An extreme number anywhere."""
    write(rng, code, rng.randrange(len(code)), rng.choice((1, 2, 4, 8)))


def header(rng: random.Random, code: bytearray, _: Sequence[bytes]) -> None:
    """An extreme number in the header: of the ELF file, or of the bundle."""
    begin = elf_begin(code)
    if code.startswith(b"__CLANG") and rng.random() < 0.5:
        write(rng, code, 24 + 8 * rng.randrange(8), 8)
    else:
        at, size = rng.choice(_HEADER_FIELDS)
        write(rng, code, begin + at, size)


def section(rng: random.Random, code: bytearray, _: Sequence[bytes]) -> None:
    """An extreme number in the header of a section."""
    begin = elf_begin(code)
    if len(code) < begin + 64:
        return
    (table,) = struct.unpack_from("<Q", code, begin + 0x28)
    (count,) = struct.unpack_from("<H", code, begin + 0x3C)
    at, size = rng.choice(_SECTION_FIELDS)
    write(rng, code, begin + table + 64 * rng.randrange(count or 1) + at, size)


def note(rng: random.Random, code: bytearray, _: Sequence[bytes]) -> None:
    """Another value in the metadata."""
    place = bytes(code).find(b"AMDGPU\0\0")
    try:
        (size,) = struct.unpack_from("<I", code, place - 8)
        metadata = msgpack.unpackb(bytes(code[place + 8 : place + 8 + size]))
        change(rng, metadata)
        replace_note(code, msgpack.packb(metadata))
    except (ValueError, TypeError, OverflowError, StopIteration, struct.error):
        number(rng, code, ())


def change(rng: random.Random, tree: Any) -> None:
    """Another value, or none, or one more, somewhere in a tree of lists and mappings."""
    keys = list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    if not keys:
        return
    key = rng.choice(keys)
    if isinstance(tree[key], (dict, list)) and tree[key] and rng.random() < 0.9:
        change(rng, tree[key])
    elif rng.random() < 0.2:
        del tree[key]
    else:
        tree[key] = rng.choice(VALUES)


def replace_note(code: bytearray, content: bytes) -> None:
    """The metadata of an ELF file are these: written behind it, where its section of notes then lies."""
    elf = Elf(bytes(code))
    (table,) = struct.unpack_from("<Q", code, 0x28)
    place = next(n for n, one in enumerate(elf.sections) if one.kind == 7) * 64 + table
    content = struct.pack("<III", 7, len(content), 32) + b"AMDGPU\0\0" + content + b"\0" * (-len(content) % 4)
    struct.pack_into("<QQ", code, place + 24, len(code), len(content))
    code += content


def elf_begin(code: bytearray) -> int:
    """Where an ELF file begins: behind the header of a bundle."""
    return max(bytes(code).find(b"\x7fELF"), 0)


def write(rng: random.Random, code: bytearray, at: int, size: int) -> None:
    value = rng.choice((*NUMBERS, len(code), len(code) - 1, rng.randrange(len(code))))
    code[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")[: max(len(code) - at, 0)]


INJURIES: tuple[Callable[[random.Random, bytearray, Sequence[bytes]], None], ...] = (
    *(flip, cut, splice, number, header, section, note),
    *(section, note),  # where most is to be read
)


# -- reading ----------------------------------------------------------------------------------------------


def read(code: bytes) -> str:
    """Read everything of a code object, and say what became of it. Raises any error but greta's own, on one line."""
    outcome = "refused"
    for reader in (unbundle, code_by_target, machine_code, read_resources):
        try:
            found = reader(code)
        except GretaError as error:
            if "\n" in str(error) or not str(error) or isinstance(error.__cause__, MemoryError):
                raise AssertionError(f"{reader.__name__} says {str(error)!r}") from error
            continue
        if reader is read_resources:
            outcome = "answered"
            ask(found)
    source_lines(code)
    return outcome


def ask(found: Any) -> None:
    """Ask all of what was read."""
    for name, taken in found.items():
        assert name == taken.name
        assert taken.matrix_instructions is None or taken.matrix_instructions >= 0
        assert taken.unwaited_barriers is None or len(taken.unwaited_barriers) >= 0
        for threads in (1, 64, 1024):
            waves = occupancy(taken, taken.target, threads)
            assert waves is None or 0 <= waves <= 20
        hash(taken)
        repr(taken)


def run(count: int, seed: int, first: int = 0) -> Counter[str]:
    """Read so many damaged codes; how many were answered and refused, and the longest time in ms."""
    codes = undamaged()
    for code in codes:
        read(code)
    return common.run(count, seed, first, lambda rng: damaged(rng, codes), read)


if __name__ == "__main__":
    common.main(__doc__, run, 100_000)
