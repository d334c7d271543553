"""What the test process and the worker say to each other, besides the calls themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BAND_BYTES = 1 << 16
"""Width of the band before and after every buffer: what a block of 1024 threads reaches with 64 bytes each."""

OTHER_POISON = 0x80
"""Makes the one byte that memory is poisoned with of the other, by an exclusive or: 0xFF and 0x7F."""

NAN_BYTE, LARGE_BYTE = 0xFF, 0x7B
"""What bands are filled with. 0xFF makes a NaN of every real, -1 of a signed and the largest of an unsigned number;
0x7B makes reals large but finite (6e4 as fp16, 1e36 as fp32 and bf16) and integers large. A kernel that reads a band
computes with these, where zeros or small numbers would hide it."""


@dataclass(frozen=True)
class BufferPlan:
    """A device buffer to allocate, between two bands."""

    size_bytes: int
    slot: str
    """The slot whose it is."""
    bands: tuple[int, int] = (NAN_BYTE, LARGE_BYTE)
    """What the bytes of the bands before and behind it are."""
    is_output: bool = False
    """Its digest is taken after every launch of its slot."""
    poisoned: bool = False
    """Filled with the poison byte before every launch of its slot."""
    element: bytes = b""
    """Filled with this element, over and over, before every launch of its slot; empty for no such thing."""
    starts_from: Mapping[str, str] = field(default_factory=dict)
    """The buffer of the same size that it is a copy of before every launch of its slot, by draw."""

    @property
    def is_constant(self) -> bool:
        """Whether it holds what was written to it once: an input."""
        return not (self.poisoned or self.element or self.starts_from)


@dataclass(frozen=True)
class Launched:
    """One run of all launches of a slot."""

    seconds: float
    """By device events."""
    digest: bytes
    """Of all its outputs as they were right after it."""
