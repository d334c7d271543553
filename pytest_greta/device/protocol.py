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
class Step:
    """What one slot does in a batch: its launches between two events."""

    slot: str
    draw: str
    """The draw of inputs that is read."""
    poison: int
    """The byte that outputs are filled with before, if with nothing else; workspaces with another one."""
    expected: bytes = b""
    """The digest that its outputs should have; empty where nobody knows yet."""
    cold: bool = False
    """Caches are overwritten before."""
    count: int = 1
    """So many runs of all its launches lie between the two events: what one takes is their mean."""
    untimed: int = 0
    """So many run before."""


@dataclass(frozen=True)
class Launched:
    """What is known of a step."""

    seconds: float
    """Of one run of all launches of the slot, by device events."""
    digest: bytes
    """Of all its outputs as they were right after it, `DIGEST_BYTES` each."""
    is_kept: bool = False
    """Whether these were others than expected, the first of the batch, and are kept in the buffers of `SPARE`."""


DIGEST_BYTES = 8

MOST_DIGESTS = 2000
"""In one batch."""

SPARE = "spare"
"""The slot of the buffers that outputs are kept in. Nothing is launched there."""
