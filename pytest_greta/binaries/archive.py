"""The members of a static library.

Format: "ar(5)" of the System V and GNU kind, with the long names of GNU and BSD; LLVM's Archive.cpp.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_greta.compiler.region import Region

MAGIC, THIN = b"!<arch>\n", b"!<thin>\n"
_HEADER_BYTES, _END = 60, b"`\n"
_LONGEST_NAME = 4096


def members(region: Region) -> Iterator[tuple[str, Region]]:
    """Name and bytes of every member. Raises ValueError where the bytes are no static library, or a thin one."""
    if region.starts_with(THIN):
        raise ValueError(
            "is a thin archive, which holds names alone: give the objects, or a library made without T"
        )
    names, at = b"", len(MAGIC)
    while at < region.size:
        if at + _HEADER_BYTES > region.size:
            raise ValueError(f"the static library is cut off at {at:#x}")
        header = region.read(at, _HEADER_BYTES)
        stated, digits, at = header[:16].rstrip(), header[48:58].strip(), at + _HEADER_BYTES
        if header[58:] != _END or not digits.isdigit():
            raise ValueError(f"the static library is damaged: there is no member at {at - _HEADER_BYTES:#x}")
        size = int(digits)
        if at + size > region.size:
            raise ValueError(
                f"a member of the static library claims {size} bytes at {at:#x}, more than there are"
            )
        content = region.part(at, size)
        at += size + size % 2
        if stated == b"//":
            names = content.read(0, size)
        elif stated in (b"/", b"/SYM64/", b"__.SYMDEF"):
            continue
        elif stated.startswith(b"#1/") and stated[3:].isdigit():
            length = int(stated[3:])
            if length > min(size, _LONGEST_NAME):
                raise ValueError(f"the name of a member claims {length} bytes")
            yield _text(content.read(0, length).rstrip(b"\0")), content.rest(length)
        elif stated.startswith(b"/") and stated[1:].isdigit():
            begin = int(stated[1:])
            yield _text(names[begin : begin + _LONGEST_NAME].partition(b"\n")[0].removesuffix(b"/")), content
        else:
            yield _text(stated.removesuffix(b"/")), content


def _text(name: bytes) -> str:
    return name.decode(errors="replace")
