"""The source lines of machine code, from the line information of its ELF file (DWARF versions 2 to 5).

Written for bytes that anybody may have damaged: a count is never trusted, every step reads at least a byte. Format:
"DWARF Debugging Information Format", chapter "Line Number Information".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from pytest_greta.compiler.elf import Elf

_STRING, _STRP, _LINE_STRP, _UDATA, _BLOCK = 0x08, 0x0E, 0x1F, 0x0F, 0x09
_FIXED = {0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16}
"""Sizes of DW_FORM_data1, data2, data4, data8, data16."""
_LONGEST_PATH = 4096
_PATH = 1
"""DW_LNCT_path."""


def source_lines(elf: Elf) -> Iterator[tuple[int, str]]:
    """Every address that the line information names, with file and line: `(6912, "v6.hip:40")`.

    Nothing where there is no line information. Raises ValueError, IndexError or ZeroDivisionError where it is damaged.
    """
    reader = _Reader(elf.content_of(b".debug_line"))
    strings = {_STRP: elf.content_of(b".debug_str"), _LINE_STRP: elf.content_of(b".debug_line_str")}
    while reader.at < len(reader.content):
        size = reader.number(4)
        offset_bytes = 8 if size == 0xFFFFFFFF else 4
        unit = _Reader(reader.take(reader.number(8) if offset_bytes == 8 else size), offset_bytes)
        yield from _Unit(unit, strings).rows()


class _Reader:
    """A place in bytes, which moves on as they are read. ValueError or IndexError behind their end."""

    def __init__(self, content: bytes, offset_bytes: int = 4) -> None:
        self.content, self.offset_bytes, self.at = content, offset_bytes, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.content):
            raise ValueError("more bytes are claimed than there are")
        self.at += size
        return self.content[self.at - size : self.at]

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def offset(self) -> int:
        return self.number(self.offset_bytes)

    def leb128(self, signed: bool = False) -> int:
        value = shift = 0
        while True:
            byte = self.content[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 70:
                raise ValueError("a number of more than 64 bits")
            if not byte & 0x80:
                return value - (1 << shift) if signed and byte & 0x40 else value

    def text(self) -> str:
        end = self.content.index(b"\0", self.at, self.at + _LONGEST_PATH)
        begin, self.at = self.at, end + 1
        return self.content[begin:end].decode(errors="replace")


class _Unit:
    """The line number program of one compilation unit: its header is read when it is made."""

    def __init__(self, reader: _Reader, strings: dict[int, bytes]) -> None:
        self._reader, self._strings = reader, strings
        version = reader.number(2)
        if not 2 <= version <= 5:
            raise ValueError(f"line information of version {version}")
        reader.take(2 if version == 5 else 0)  # sizes of addresses and of segments
        size = reader.offset()
        begin = reader.at + size
        self._step = reader.number(1)
        reader.take(2 if version >= 4 else 1)  # operations of an instruction; whether a row is a statement
        self._line_base, self._line_range = reader.number(1, signed=True), reader.number(1)
        self._opcode_base = reader.number(1)
        self._operands = reader.take(max(self._opcode_base - 1, 0))
        if version == 5:
            self._entries()  # folders
            self._files = self._entries()
        else:
            while reader.text():
                pass  # folders
            self._files = ["", *self._old_files()]
        reader.at = begin

    def _old_files(self) -> Iterator[str]:
        while name := self._reader.text():
            for _ in range(3):  # folder, time, size
                self._reader.leb128()
            yield name

    def _entries(self) -> Sequence[str]:
        """The paths in a table of folders or files."""
        reader = self._reader
        fields = [(reader.leb128(), reader.leb128()) for _ in range(reader.number(1))]
        count, paths = reader.leb128(), []
        if (count and not fields) or count > len(reader.content):
            raise ValueError(f"{count} entries are claimed")
        for _ in range(count):
            values = {kind: self._value(form) for kind, form in fields}
            paths.append(values.get(_PATH, ""))
        return paths

    def _value(self, form: int) -> str:
        """A text; of another value, which is of no use here, only read past it."""
        reader = self._reader
        if form == _STRING:
            return reader.text()
        if form in self._strings:
            text = _Reader(self._strings[form])
            text.at = reader.offset()
            return text.text()
        if form == _UDATA:
            reader.leb128()
        elif form in (*_FIXED, _BLOCK):
            reader.take(_FIXED[form] if form in _FIXED else reader.leb128())
        else:
            raise ValueError(f"a field of form {form}")
        return ""

    def rows(self) -> Iterator[tuple[int, str]]:
        """Addresses with their lines, in the order of the program."""
        reader = self._reader
        address, file, line = 0, 1, 1
        while reader.at < len(reader.content):
            opcode = reader.number(1)
            is_row = opcode == 1  # DW_LNS_copy
            if opcode >= self._opcode_base:
                steps, lines = divmod(opcode - self._opcode_base, self._line_range)
                address, line, is_row = address + steps * self._step, line + self._line_base + lines, True
            elif opcode == 0:
                extended = _Reader(reader.take(reader.leb128()))
                kind = extended.number(1)
                if kind == 1:  # DW_LNE_end_sequence
                    address, file, line = 0, 1, 1
                elif kind == 2:  # DW_LNE_set_address
                    address = extended.number(len(extended.content) - 1)
            elif opcode == 2:  # DW_LNS_advance_pc
                address += reader.leb128() * self._step
            elif opcode == 3:  # DW_LNS_advance_line
                line += reader.leb128(signed=True)
            elif opcode == 4:  # DW_LNS_set_file
                file = reader.leb128()
            elif opcode == 8:  # DW_LNS_const_add_pc
                address += (255 - self._opcode_base) // self._line_range * self._step
            elif opcode == 9:  # DW_LNS_fixed_advance_pc
                address += reader.number(2)
            elif opcode != 1:
                for _ in range(self._operands[opcode - 1]):
                    reader.leb128()
            if is_row:
                yield address, f"{PurePath(self._files[file]).name}:{line}"
