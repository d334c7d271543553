"""What the hip device hands out: memory, modules and functions. Opaque to everyone else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Buffer:
    """Device memory: its address and size."""

    address: int
    size_bytes: int

    def at(self, offset_bytes: int, size_bytes: int) -> int:
        """The address of a range; ValueError if it does not lie inside."""
        if offset_bytes < 0 or offset_bytes + size_bytes > self.size_bytes:
            raise ValueError(
                f"bytes {offset_bytes} + {size_bytes} lie outside a buffer of {self.size_bytes} bytes"
            )
        return self.address + offset_bytes


@dataclass(frozen=True, eq=False)
class Module:
    """A loaded code object. `code` is kept: the runtime may read the image as long as the module lives."""

    handle: Any
    code: bytes


@dataclass(frozen=True, eq=False)
class Function:
    """A `__global__` function of a loaded module."""

    handle: Any
    entry: str
