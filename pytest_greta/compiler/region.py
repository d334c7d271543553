"""Some bytes of a file, which are read as they are asked for: a library of gigabytes is not read to find a kernel."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import BinaryIO

_STEP = 1 << 16
"""Bytes that are looked through at once."""


@dataclass(frozen=True)
class Region:
    """So many bytes of an open file, from where they begin. Offsets are counted from there."""

    file: BinaryIO
    begin: int
    size: int

    @staticmethod
    def of(content: bytes) -> Region:
        """Bytes that are in memory."""
        return Region(io.BytesIO(content), 0, len(content))

    def read(self, at: int, size: int) -> bytes:
        """Bytes from an offset on. Raises ValueError where there are not so many."""
        if at < 0 or size < 0 or at + size > self.size:
            raise ValueError(f"{size} bytes at {at:#x} are claimed, and there are {self.size}")
        self.file.seek(self.begin + at)
        content = self.file.read(size)
        if len(content) != size:
            raise ValueError("the file became shorter while it was read")
        return content

    def part(self, at: int, size: int) -> Region:
        """A region of this one. Raises ValueError where it reaches beyond."""
        if at < 0 or size < 0 or at + size > self.size:
            raise ValueError(f"{size} bytes at {at:#x} are claimed, and there are {self.size}")
        return Region(self.file, self.begin + at, size)

    def rest(self, at: int) -> Region:
        """What follows an offset."""
        return self.part(at, self.size - at)

    def starts_with(self, *beginnings: bytes) -> bool:
        """Whether the bytes begin so."""
        return self.read(0, min(self.size, max(map(len, beginnings)))).startswith(beginnings)

    def end_of_zeros(self, at: int) -> int:
        """The offset of the first byte from here on that is not zero; the end where there is none."""
        while at < self.size:
            content = self.read(at, min(_STEP, self.size - at))
            left = content.lstrip(b"\0")
            if left:
                return at + len(content) - len(left)
            at += len(content)
        return self.size
