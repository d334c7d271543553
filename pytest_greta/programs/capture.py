"""What a program prints, as it streams: head and tail are kept, lines are looked at, a gigabyte costs no memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

HEAD_BYTES = TAIL_BYTES = 32 << 10
"""What is kept of an output at its beginning and at its end."""
MOST_LINE_BYTES = 1 << 20
"""Of a line that is longer, its beginning and its end are looked at; what is between them is kept nowhere. A carriage
return ends one of those, as the bar of a progress does."""
SURE_SIGNS = (
    b"Traceback (most recent call last)",
    b"hipError",
    b"HSA_STATUS_ERROR",
    *(b"memory access fault by", b"hip error:", b"rocm error:", b"cuda error:"),
    *(b"segmentation fault", b"core dumped"),
)
"""What HIP's runtime, its drivers, shells and Python print when something failed. One without capitals is found however
it is written."""
STEMS = (b"error", b"fault", b"traceback (", b"core dumped", b"rocm-capable")
"""Every sign has one of them, without capitals. They are looked for first: a gigabyte of output mostly has none."""
HARMLESS = b"hipErrorNotReady"
"""What a stream says that still works; no failure by itself."""
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
        """The line at hand is longer than anyone reads: of what follows of it the end is kept."""

    def feed(self, chunk: bytes) -> None:
        """Add what was printed."""
        data = self._rest + chunk if self._rest else chunk
        end = data.rfind(b"\n") + 1
        if len(data) - end > MOST_LINE_BYTES:
            end = max(end, data.rfind(b"\r") + 1)
        lines, self._rest = data[:end], data[end:]
        if lines:
            self._look(lines)
            self._is_cut = False
        if self._is_cut:
            self._rest = self._rest[-min(TAIL_BYTES, MOST_LINE_BYTES) :]
        elif len(self._rest) > MOST_LINE_BYTES:
            self._look(self._rest)
            self._rest, self._is_cut = b"", True

    def close(self) -> None:
        """The output has ended: its last line may have no newline."""
        if self._rest:
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
        self._stems = [stem for stem in STEMS if any(stem in sign.lower() for sign in signs)]
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
        lowered = lines.lower()
        if not any(stem in lowered for stem in self._stems):
            return None
        for sign in self._signs:
            text = lowered if sign.islower() else lines
            at = text.find(sign)
            while at >= 0:
                if not lines.startswith(HARMLESS, at):
                    begin = max(lines.rfind(b"\n", 0, at), lines.rfind(b"\r", 0, at)) + 1
                    return lines[begin:].splitlines()[0]
                at = text.find(sign, at + 1)
        return None
