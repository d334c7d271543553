"""Files as linkers, archivers and clang make them, around code or anything else: exact to the byte, for tests."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler
from tests.fuzz.code_objects import bundle as bundle_of

SUMS = Path(__file__).parent / "sums.hip"
"""Two instantiations of a template, of which one spills, and a plain kernel."""

NOTES = {
    "scratch_bytes": ".private_segment_fixed_size",
    "vgprs": ".vgpr_count",
    "agprs": ".agpr_count",
    "sgprs": ".sgpr_count",
    "vgpr_spills": ".vgpr_spill_count",
    "sgpr_spills": ".sgpr_spill_count",
    "lds_bytes": ".group_segment_fixed_size",
}
"""What llvm-readelf calls the figures."""

HEADERS = {1: "<IQ", 2: "<IIQ", 3: "<QQQ"}


def compressed(bundle: bytes, version: int = 3, method: str = "zlib", size: int | None = None) -> bytes:
    """A bundle, compressed; `size` is what it claims to unpack to."""
    if method == "zstd":
        import zstandard

        packed = zstandard.ZstdCompressor().compress(bundle)
    else:
        packed = zlib.compress(bundle)
    digest = int.from_bytes(hashlib.md5(bundle, usedforsecurity=False).digest()[:8], "little")
    fields = [len(bundle) if size is None else size, digest]
    if version > 1:
        fields.insert(0, 8 + struct.calcsize(HEADERS[version]) + len(packed))
    head = struct.pack("<4sHH", b"CCOB", version, {"zlib": 0, "zstd": 1}[method])
    return bytes(head + struct.pack(HEADERS[version], *fields) + packed)


def fatbin(bundles: Sequence[bytes]) -> bytes:
    """Bundles one after the other, as linkers lay them: each at a multiple of 4096."""
    return b"".join(bundle + b"\0" * (-len(bundle) % 4096) for bundle in bundles)


def elf(sections: Mapping[bytes, bytes], machine: int = 62) -> bytes:
    """An ELF file of 64 bits with these sections, for x86-64."""
    names, content, headers = b"\0", bytearray(64), [bytes(64)]
    for name, data in [*sections.items(), (b".shstrtab", None)]:
        at = len(names)
        names += name + b"\0"
        data = names if data is None else data
        headers.append(struct.pack("<IIQQQQIIQQ", at, 1, 0, 0, len(content), len(data), 0, 0, 1, 0))
        content += data
    ident = b"\x7fELF\2\1\1" + bytes(9)
    header = struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, 0, len(content), 0, 64, 0, 0, 64, len(headers), len(headers) - 1
    )
    content[:64] = ident + header
    return bytes(content) + b"".join(headers)


def static_library(members: Mapping[str, bytes]) -> bytes:
    """A static library as GNU's ar makes it, with its long names."""
    names = b"".join(name.encode() + b"/\n" for name in members)
    content, at = b"!<arch>\n" + _member(b"/", b"symbols!") + _member(b"//", names), 0
    for name, data in members.items():
        content += _member(f"/{at}".encode() if len(name) > 15 else name.encode() + b"/", data)
        at += len(name) + 2
    return content


def _member(name: bytes, data: bytes) -> bytes:
    head = (
        name.ljust(16) + b"0".ljust(12) + b"0     0     644     " + str(len(data)).encode().ljust(10) + b"`\n"
    )
    return head + data + b"\n" * (len(data) % 2)


def compiled_sums(cache: Path) -> dict[str, bytes]:
    """The code of sums.hip by target."""
    compiler = Compiler(cache)
    made = {target: compiler.compile(Job(SUMS, target)).code for target in ("gfx942", "gfx1100")}
    compiler.close()
    return made


def library_of(codes: Mapping[str, bytes]) -> bytes:
    """A shared library with code by target in a compressed bundle."""
    packed = compressed(bundle_of({target.encode(): code for target, code in codes.items()}))
    return elf({b".hip_fatbin": fatbin([packed])})
