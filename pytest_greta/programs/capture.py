"""What a program prints, as it streams: head and tail are kept, lines are looked at, a gigabyte costs no memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

HEAD_BYTES = TAIL_BYTES = 32 << 10
"""What is kept of an output at its beginning and at its end."""
MOST_LINE_BYTES = 1 << 20
"""A line that is longer is looked at so far; the rest of it is kept nowhere."""
SURE_SIGNS = (
    b"Traceback (most recent call last)",
    b"Memory access fault by GPU",
    b"hipError",
    b"HSA_STATUS_ERROR",
)
"""What HIP's runtime, its drivers and Python print when something failed."""
HARMLESS = b"hipErrorNotReady"
"""What a stream says that still works; no failure."""
LOST_DEVICE = (b"hipErrorNoDevice", b"no ROCm-capable device is detected", b"hipErrorDeviceUninitialized")
"""What HIP's runtime prints where there is no GPU any more."""


@dataclass
class Kept:
    """The beginning and the end of an output."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    total: int = 0

    def feed(self, chunk: bytes) -> None:
        """Add what was printed."""
        self.total += len(chunk)
        room = HEAD_BYTES - len(self.head)
        if room > 0:
            self.head += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self.tail += chunk[-TAIL_BYTES:]
            if len(self.tail) > TAIL_BYTES:
                del self.tail[:-TAIL_BYTES]

    @property
    def text(self) -> str:
        """All of it, or head and tail with what is left out between them."""
        left_out = self.total - len(self.head) - len(self.tail)
        head, tail = (bytes(part).decode(errors="replace") for part in (self.head, self.tail))
        return f"{head}\n[... {left_out} bytes are left out ...]\n{tail}" if left_out else head + tail


class Lines:
    """Gives whole lines, many at once, to what looks at them: bytes that end with a newline (the last may not)."""

    def __init__(self, *lookers: Callable[[bytes, int], None]) -> None:
        self._lookers = lookers
        """Each is called with lines, and with the number of the first."""
        self._rest = b""
        self._number = 1
        self._is_cut = False
        """The line at hand is longer than anyone reads: what follows of it is passed over."""

    def feed(self, chunk: bytes) -> None:
        """Add what was printed."""
        data = self._rest + chunk if self._rest else chunk
        end = data.rfind(b"\n") + 1
        lines, self._rest = data[:end], data[end:]
        if self._is_cut and lines:
            lines = lines[lines.find(b"\n") + 1 :]
            self._number += 1
            self._is_cut = False
        if lines:
            self._look(lines)
        if self._is_cut:
            self._rest = b""
        elif len(self._rest) > MOST_LINE_BYTES:
            for looker in self._lookers:
                looker(self._rest, self._number)
            self._rest, self._is_cut = b"", True

    def close(self) -> None:
        """The output has ended: its last line may have no newline."""
        if self._rest and not self._is_cut:
            self._look(self._rest)
        self._rest = b""

    def _look(self, lines: bytes) -> None:
        for looker in self._lookers:
            looker(lines, self._number)
        self._number += lines.count(b"\n")


class Signs:
    """Looks for lines that say something by themselves; keeps the first."""

    def __init__(self, expression: str, signs: tuple[bytes, ...]) -> None:
        self._expression = re.compile(expression.encode()) if expression else None
        self._signs = signs
        self.found = ""

    def look(self, lines: bytes, number: int) -> None:
        """Look at some lines."""
        if self.found:
            return
        if self._expression is not None:
            match = next((line for line in lines.splitlines() if self._expression.search(line)), None)
        else:
            match = self._with_sign(lines)
        if match is not None:
            self.found = match.decode(errors="replace").strip()[:300]

    def _with_sign(self, lines: bytes) -> bytes | None:
        for sign in self._signs:
            at = lines.find(sign)
            while at >= 0:
                line = lines[
                    lines.rfind(b"\n", 0, at) + 1 : (lines.find(b"\n", at) + 1 or len(lines) + 1) - 1
                ]
                if HARMLESS not in line:
                    return line
                at = lines.find(sign, at + 1)
        return None
