"""Clang offload bundles: code for several targets in one piece, plain or compressed (CCOB 1, 2 and 3; zlib and zstd).

Format: clang's documentation, "Clang Offload Bundler", sections "Bundled Binary File Layout" and "Compression and
Decompression"; for what the page leaves out, LLVM's OffloadBundler.cpp (class CompressedOffloadBundle). Written for
bytes that anybody may have damaged: nothing is unpacked beyond what a header claims, nor beyond a bound.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_greta.compiler.region import Region
from pytest_greta.errors import ToolMissing
from pytest_greta.remedies import extra_text, install_extra

PLAIN, COMPRESSED = b"__CLANG_OFFLOAD_BUNDLE__", b"CCOB"
MOST_UNPACKED = 4 << 30
"""Bytes that one compressed bundle may unpack to; the first two versions of the format cannot say more."""
MOST_ENTRIES = 1 << 12
"""Of one bundle: there are some fifty targets."""
EXTRA = extra_text("binaries")

_COMMON, _ALIGNMENT = struct.Struct("<4sHH"), 4096
_VERSIONS = {1: struct.Struct("<IQ"), 2: struct.Struct("<IIQ"), 3: struct.Struct("<QQQ")}
"""What follows magic, version and method: from the second on the size of all, then the unpacked size and a digest."""
_ZLIB, _ZSTD = 0, 1
_STEP = 1 << 20
"""Bytes that are unpacked at once."""


@dataclass(frozen=True)
class Entry:
    """One entry of a bundle: `hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-` and what is there."""

    name: str
    content: Region

    @property
    def target(self) -> str:
        """The target that the name states; empty where it is for no AMD GPU, such as the host."""
        return self.name[self.name.index("gfx") :] if "amdgcn" in self.name and "gfx" in self.name else ""


@dataclass(frozen=True)
class Bundle:
    """A bundle, unpacked where it was compressed."""

    entries: tuple[Entry, ...]
    size: int
    """Bytes that it takes where it lies."""
    unpacked: int = 0
    """Bytes that it unpacked to."""


def is_bundle(region: Region) -> bool:
    """Whether the bytes begin like a bundle."""
    return region.starts_with(PLAIN, COMPRESSED)


def read_bundle(region: Region) -> Bundle:
    """The bundle that a region begins with. Raises ValueError where it is none or claims more than there is,
    ToolMissing where it takes a package to unpack it.
    """
    if not region.starts_with(COMPRESSED):
        entries = tuple(_entries(region))
        return Bundle(entries, max(one.content.begin + one.content.size for one in entries) - region.begin)
    content, size = _unpack(region)
    if not content.starts_with(PLAIN):
        raise ValueError("the compressed offload bundle holds none")
    return Bundle(tuple(_entries(content)), size, content.size)


def read_bundles(region: Region) -> Iterator[tuple[int, Bundle]]:
    """All bundles that lie one after the other, each with its offset: what linkers make of several of them. What is
    between them is padding. Raises ValueError where it is not.
    """
    at = region.end_of_zeros(0)
    while at < region.size:
        rest = region.rest(at)
        if not is_bundle(rest):
            raise ValueError(
                f"what lies at {at:#x} is no offload bundle: {rest.read(0, min(8, rest.size))!r}"
            )
        bundle = read_bundle(rest)
        yield at, bundle
        at = region.end_of_zeros(at + bundle.size)


def _entries(region: Region) -> Iterator[Entry]:
    """The entries of a plain bundle. ValueError where they claim more than there is."""
    position = len(PLAIN) + 8
    count = int.from_bytes(_header(region, len(PLAIN), 8), "little")
    if not count:
        raise ValueError("the offload bundle has no entries")
    if count > MOST_ENTRIES:
        raise ValueError(
            f"the offload bundle claims {count} entries; {MOST_ENTRIES} is the most that is read"
        )
    left = region.size
    for _ in range(count):
        offset, size, name_size = struct.unpack("<QQQ", _header(region, position, 24))
        name = _header(region, position + 24, name_size)
        position += 24 + name_size
        left -= size
        if offset + size > region.size or left < 0:
            raise ValueError("the entries of the offload bundle claim more bytes than there are")
        yield Entry(name.decode(errors="replace"), region.part(offset, size))


def _header(region: Region, at: int, size: int) -> bytes:
    if at + size > region.size:
        raise ValueError("the offload bundle is cut off")
    return region.read(at, size)


# -- compressed ones -------------------------------------------------------------------------------------


def _unpack(region: Region) -> tuple[Region, int]:
    """What a compressed bundle holds, and the bytes that it takes itself."""
    _, version, method = _COMMON.unpack(_header(region, 0, _COMMON.size))
    if version not in _VERSIONS:
        known = ", ".join(map(str, _VERSIONS))
        raise ValueError(f"a compressed offload bundle of version {version}; known are {known}")
    fields = _VERSIONS[version]
    *ends, size, digest = fields.unpack(_header(region, _COMMON.size, fields.size))
    if size > MOST_UNPACKED:
        raise ValueError(f"the offload bundle claims to unpack to {size} bytes; {MOST_UNPACKED} is the most")
    begin, end = _COMMON.size + fields.size, ends[0] if ends else _next_bundle(region)
    if not begin <= end <= region.size:
        raise ValueError(f"the offload bundle claims {end} bytes, where there are {region.size}")
    content, found = io.BytesIO(), hashlib.md5(usedforsecurity=False)
    for piece in _pieces(region.part(begin, end - begin), method, size):
        content.write(piece)
        found.update(piece)
    unpacked = content.tell()
    if unpacked != size:
        raise ValueError(f"the offload bundle claims to unpack to {size} bytes and unpacks to {unpacked}")
    if int.from_bytes(found.digest()[:8], "little") != digest:
        raise ValueError(
            "what the offload bundle unpacks to is not what was compressed: its digest is another"
        )
    return Region(content, 0, size), end


def _next_bundle(region: Region) -> int:
    """Where a bundle of the first version ends, which does not say: at the next one, or with the region."""
    for at in range(_ALIGNMENT, region.size, _ALIGNMENT):
        if is_bundle(region.rest(at)):
            return at
    return region.size


def _pieces(packed: Region, method: int, size: int) -> Iterator[bytes]:
    """What a stream unpacks to, up to the size that it should have."""
    if method == _ZLIB:
        return _inflated(packed, size)
    if method == _ZSTD:
        return _unpacked_by_zstd(packed, size)
    raise ValueError(f"the offload bundle is compressed by method {method}; known are zlib (0) and zstd (1)")


def _inflated(packed: Region, size: int) -> Iterator[bytes]:
    stream, left = zlib.decompressobj(), packed.read(0, packed.size)
    try:
        while size and not stream.eof:
            piece = stream.decompress(left, min(_STEP, size))
            left = stream.unconsumed_tail
            if not piece and not left:
                return  # cut off
            size -= len(piece)
            yield piece
    except zlib.error as error:
        raise ValueError(f"the offload bundle cannot be unpacked: {error}") from error


def _unpacked_by_zstd(packed: Region, size: int) -> Iterator[bytes]:
    try:
        import zstandard
    except ModuleNotFoundError:
        said = f"the offload bundle is compressed with zstd, which takes {EXTRA}"
        raise ToolMissing(said, install_extra("binaries")) from None
    source = io.BytesIO(packed.read(0, packed.size))
    try:
        with zstandard.ZstdDecompressor().stream_reader(source) as stream:
            while size:
                piece = stream.read(min(_STEP, size))
                if not piece:
                    return  # cut off
                size -= len(piece)
                yield piece
    except zstandard.ZstdError as error:
        raise ValueError(f"the offload bundle cannot be unpacked: {error}") from error
