"""The few parts of an ELF file that a code object is read from: sections, notes, symbols and what they name.

Written for bytes that anybody may have damaged: whatever an offset, a size or a count claims, nothing is read or kept
beyond the bytes that are there. Format: "System V Application Binary Interface", chapter "Object Files"; for AMD GPUs
LLVM's "User Guide for AMDGPU Backend", section "ELF Code Object" (64 bits, little-endian).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_greta.compiler.region import Region

_MAGIC = b"\x7fELF\x02\x01"  # of 64 bits, little-endian
_HEADER_BYTES, _SECTION_BYTES, _SYMBOL_BYTES = 64, 64, 24
_NOTE, _DYNSYM = 7, 11
_WITHOUT_BYTES = (0, 8)
"""Kinds of sections: SHT_NULL, SHT_NOBITS."""
_LONGEST_NAME = 1 << 16
_COMPRESSED = 0x800  # SHF_COMPRESSED
AMDGPU = 0xE0
"""Machine of an ELF file: EM_AMDGPU."""
FUNCTION = 2
"""Type of a symbol: STT_FUNC."""


@dataclass(frozen=True)
class Section:
    """One section: what kind it is, and where its bytes lie."""

    name: int
    """Where its name begins, among those of all sections."""
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    """Another section that belongs to it: of symbols, that of their names."""


@dataclass(frozen=True)
class Symbol:
    """A name for bytes of a section."""

    name: str
    kind: int
    section: int
    value: int
    size: int


class Elf:
    """An ELF file, in memory or on disk. Raises ValueError, here and later, where the bytes are not one."""

    def __init__(self, code: bytes | Region) -> None:
        self._code = Region.of(code) if isinstance(code, bytes) else code
        if self._code.size < _HEADER_BYTES or not self._code.starts_with(_MAGIC):
            raise ValueError("it is no ELF file of 64 bits")
        header = self._code.read(0, _HEADER_BYTES)
        self.machine: int = struct.unpack_from("<H", header, 0x12)[0]
        (begin,) = struct.unpack_from("<Q", header, 0x28)
        size, count, self._names = struct.unpack_from("<HHH", header, 0x3A)
        if (count or begin) and size != _SECTION_BYTES:
            raise ValueError(f"its section headers are of {size} bytes")
        if begin and not count:  # more than fit into 16 bits: the first section says how many
            first = self._section(self._headers(begin, 1), 0)
            count, self._names = first.size, first.link
        headers = self._headers(begin, count)
        self.sections = tuple(self._section(headers, number) for number in range(count))
        if (
            sum(section.size for section in self.sections if section.kind not in _WITHOUT_BYTES)
            > self._code.size
        ):
            raise ValueError("its sections claim more bytes than there are")
        self._contents: dict[tuple[int, int], bytes] = {}
        self._unread = self._code.size

    def _headers(self, begin: int, count: int) -> bytes:
        if begin + count * _SECTION_BYTES > self._code.size:
            raise ValueError("it ends within its section headers")
        return self._code.read(begin, count * _SECTION_BYTES)

    def _section(self, headers: bytes, number: int) -> Section:
        at = number * _SECTION_BYTES
        name, kind, flags, address, offset, size, link = struct.unpack_from("<IIQQQQI", headers, at)
        if kind not in _WITHOUT_BYTES and offset + size > self._code.size:
            raise ValueError("a section claims more bytes than there are")
        return Section(name, kind, flags, address, offset, size, link)

    def _bytes_of(self, section: Section) -> bytes:
        return b"" if section.kind in _WITHOUT_BYTES else self._code.read(section.offset, section.size)

    def content_of(self, name: bytes) -> bytes:
        """The bytes of a section; none where there is no such section, or it is compressed."""
        return next((region.read(0, region.size) for found, region in self.regions() if found == name), b"")

    def regions(self) -> Iterator[tuple[bytes, Region]]:
        """Name and bytes of every section that has some and is not compressed."""
        if self._names >= len(self.sections):
            raise ValueError("its sections have no names")
        names = self._bytes_of(self.sections[self._names])
        for section in self.sections:
            if section.kind not in _WITHOUT_BYTES and not section.flags & _COMPRESSED:
                end = names.find(b"\0", section.name, section.name + _LONGEST_NAME)
                yield names[section.name : max(end, 0)], self._code.part(section.offset, section.size)

    def notes(self) -> Iterator[tuple[bytes, int, bytes]]:
        """Owner, type and content of every note."""
        for section in self.sections:
            if section.kind != _NOTE:
                continue
            notes, at = self._bytes_of(section), 0
            while at + 12 <= len(notes):
                name_size, size, kind = struct.unpack_from("<III", notes, at)
                begin = at + 12 + _aligned(name_size)
                if begin + size > len(notes):
                    raise ValueError("a note claims more bytes than there are")
                yield notes[at + 12 : at + 12 + name_size].rstrip(b"\0"), kind, notes[begin : begin + size]
                at = begin + _aligned(size)

    def symbols(self) -> Iterator[Symbol]:
        """The symbols that a loader sees."""
        section = next((one for one in self.sections if one.kind == _DYNSYM), None)
        if section is None or section.link >= len(self.sections):
            raise ValueError("it has no symbols")
        table, names = self._bytes_of(section), self._bytes_of(self.sections[section.link])
        for at in range(0, len(table) - len(table) % _SYMBOL_BYTES, _SYMBOL_BYTES):
            name, info, _, home, value, size = struct.unpack_from("<IBBHQQ", table, at)
            yield Symbol(_name(names, name), info & 0xF, home, value, size)

    def content(self, symbol: Symbol) -> bytes:
        """The bytes that a symbol names. Symbols may share all of them, as folded functions do, and otherwise none."""
        if symbol.section >= len(self.sections):
            raise ValueError(f"symbol {symbol.name!r} lies in no section")
        section = self.sections[symbol.section]
        begin = symbol.value - section.address
        if section.kind in _WITHOUT_BYTES or begin < 0 or begin + symbol.size > section.size:
            raise ValueError(f"symbol {symbol.name!r} lies outside of its section")
        place = section.offset + begin, section.offset + begin + symbol.size
        if place not in self._contents:
            self._unread -= symbol.size
            if self._unread < 0:
                raise ValueError("its symbols claim more bytes than there are")
            self._contents[place] = self._code.read(place[0], symbol.size)
        return self._contents[place]


def _aligned(size: int) -> int:
    return size + 3 & ~3


def _name(names: bytes, at: int) -> str:
    end = names.find(b"\0", at, at + _LONGEST_NAME)
    if end < 0:
        raise ValueError("the name of a symbol does not end")
    return names[at:end].decode(errors="replace")
