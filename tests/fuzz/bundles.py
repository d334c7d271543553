"""Damaged binaries: compressed and plain bundles, libraries, objects, static libraries and wheels. What reads them
answers, or refuses with greta's own error on one line; of a compressed bundle the answer is the right one.

    python -m tests.fuzz.bundles --count 100000 --seed 1

Nothing may hang or take memory beyond a bound. An item follows from the seed and its number: `--first N --count 1`
makes one again.
"""

from __future__ import annotations

import io
import random
import struct
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pytest_greta.binaries.contents import BinaryProblem
from pytest_greta.binaries.kernels import BuiltKernel, badness, read_file
from pytest_greta.binaries.selection import groups
from tests.fuzz import common
from tests.fuzz.code_objects import bundle, damaged, undamaged, write
from tests.unit.binary_files import compressed, elf, fatbin, static_library

MAGICS = (b"CCOB", b"__CLANG_OFFLOAD_BUNDLE__", b"\x7fELF", b"!<arch>\n", b"!<thin>\n", b"PK\3\4", b"\x10\xff\x10\xad",
          b"BC\xc0\xde", b"MZ")  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A damaged file; `right` is what it may answer, None where damage can change that."""

    content: bytes
    right: frozenset[str] | None = None


@dataclass(frozen=True)
class Files:
    """What is damaged."""

    packed: Sequence[bytes]
    """Compressed bundles, whose digest tells all damage."""
    others: Sequence[bytes]
    right: frozenset[str]
    """What an undamaged one answers."""


def files() -> Files:
    """Every kind of file, around the code of a small kernel for two targets."""
    codes = undamaged()[::2][:2]
    plain = bundle(dict(zip((b"gfx942", b"gfx1100"), codes, strict=True)))
    methods = ["zlib"]
    try:
        import zstandard  # noqa: F401
    except ModuleNotFoundError:
        pass
    else:
        methods.append("zstd")
    packed = [compressed(plain, version, method) for version in (1, 2, 3) for method in methods]
    library = elf({b".text": b"x" * 100, b".hip_fatbin": fatbin([packed[-1], plain])})
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("k/libk.so", library)
        file.writestr("k/text", "text")
    library_of_objects = static_library({"a.o": library, "a_long_name_of_an_object.o": codes[0]})
    right = frozenset(_said(_read(plain)))
    return Files(
        packed, [plain, library, wheel.getvalue(), library_of_objects, packaged(codes), *codes], right
    )


def packaged(codes: Sequence[bytes]) -> bytes:
    """Binaries of the offload packager, version 1."""
    made = b""
    for target, code in zip((b"gfx942", b"gfx1100"), codes, strict=True):
        texts = b"triple\0amdgcn-amd-amdhsa\0arch\0" + target + b"\0"
        strings, text, image = 72, 104, 104 + len(texts)
        places = [text, text + 7, text + 25, text + 30]
        head = struct.pack("<4sIQQQ", b"\x10\xff\x10\xad", 1, image + len(code), 32, 40)
        entry = struct.pack("<HHIQQQQ", 1, 4, 0, strings, 2, image, len(code))
        binary = head + entry + struct.pack("<QQQQ", *places) + texts + code
        made += binary + b"\0" * (-len(binary) % 8)
    return made


def make(rng: random.Random, files: Files) -> Item:
    """A file with one to four injuries."""
    if rng.random() < 0.4:
        content = bytearray(damaged(rng, files.packed))
        if content and rng.random() < 0.5:
            write(rng, content, rng.randrange(min(len(content), 32)), rng.choice((1, 2, 4, 8)))
        # Two that are whole may have become one: what either of them says is right.
        return Item(bytes(content), files.right)
    content = bytearray(damaged(rng, files.others))
    if content and rng.random() < 0.3:
        at = rng.randrange(len(content))
        magic = rng.choice(MAGICS)
        content[at : at + len(magic)] = magic
    if len(content) > 64 and rng.random() < 0.3:
        write(rng, content, rng.randrange(64), rng.choice((1, 2, 4, 8)))
    return Item(bytes(content))


def _read(content: bytes, folder: Path | None = None) -> list[BuiltKernel]:
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(content)
        file.flush()
        return list(read_file(Path(file.name), "x").kernels)


def _said(kernels: Sequence[BuiltKernel]) -> list[str]:
    """What was read of kernels, but where."""
    return [repr((one.symbol, one.target, dict(one.quantities))) for one in kernels]


def read(folder: Path, item: Item) -> str:
    """Read a file; AssertionError for a wrong answer, or an error of more than a line."""
    try:
        kernels = _read(item.content, folder)
    except BinaryProblem as error:
        if "\n" in str(error) or not str(error) or isinstance(error.__cause__, MemoryError):
            raise AssertionError(f"it says {str(error)!r}") from error
        return "refused"
    for group in groups(kernels):
        badness(group.worst)
    if item.right is not None and not item.right.issuperset(_said(kernels)):
        raise AssertionError("the answer is wrong")
    return "answered"


def run(count: int, seed: int, first: int = 0) -> Counter[str]:
    """Read so many damaged files; how many were answered and refused, and the longest time in ms."""
    every = files()
    with tempfile.TemporaryDirectory() as folder:
        for content in (*every.packed, *every.others):
            assert read(Path(folder), Item(content)) == "answered"
        return common.run(count, seed, first, lambda rng: make(rng, every), partial(read, Path(folder)))


if __name__ == "__main__":
    common.main(__doc__, run, 100_000)
