"""The images in the binaries of LLVM's offload packager, which compilers with `--offload-new-driver` put into objects.

Format: clang's documentation, "Clang Offload Packager", and LLVM's OffloadBinary.h, version 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_greta.compiler.region import Region

MAGIC = b"\x10\xff\x10\xad"
_VERSION, _ALIGNMENT = 1, 8
_HEADER, _ENTRY, _STRING = struct.Struct("<4sIQQQ"), struct.Struct("<HHIQQQQ"), struct.Struct("<QQ")
_MOST_STRINGS, _LONGEST_TEXT = 64, 4096


@dataclass(frozen=True)
class Image:
    """One image: code for a target."""

    triple: str
    target: str
    content: Region


def images(region: Region) -> Iterator[tuple[int, Image]]:
    """Every image in the binaries that lie one after the other, with the offset of its binary. Raises ValueError."""
    at = region.end_of_zeros(0)
    while at < region.size:
        magic, version, size, entry, entry_size = _HEADER.unpack(region.read(at, _HEADER.size))
        if magic != MAGIC:
            raise ValueError(f"what lies at {at:#x} is no binary of the offload packager")
        if version != _VERSION:
            raise ValueError(f"a binary of the offload packager of version {version}; known is {_VERSION}")
        if size < _HEADER.size or entry_size < _ENTRY.size:
            raise ValueError(f"the binary of the offload packager at {at:#x} claims {size} bytes")
        yield at, _image(region.part(at, size), entry)
        at = region.end_of_zeros(min(at + size + -size % _ALIGNMENT, region.size))


def _image(binary: Region, entry: int) -> Image:
    _, _, _, strings, count, begin, size = _ENTRY.unpack(binary.read(entry, _ENTRY.size))
    if count > _MOST_STRINGS:
        raise ValueError(f"an image states {count} texts; {_MOST_STRINGS} is the most that is read")
    pairs = (
        _STRING.unpack(binary.read(strings + number * _STRING.size, _STRING.size)) for number in range(count)
    )
    stated = {_text(binary, key): _text(binary, value) for key, value in pairs}
    return Image(stated.get("triple", ""), stated.get("arch", ""), binary.part(begin, size))


def _text(binary: Region, at: int) -> str:
    content = binary.read(at, min(_LONGEST_TEXT, max(binary.size - at, 0)))
    return content.partition(b"\0")[0].decode(errors="replace")
