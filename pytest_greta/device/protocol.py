"""What the test process and the worker say to each other, besides the calls themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


NUMBERS = ("float16", "bfloat16", "float32", "float64")
"""The dtypes whose elements a device reads as numbers: distances of others are told on the host."""


@dataclass(frozen=True)
class Near:
    """How near to an earlier output on the same inputs one has to be, element by element."""

    first: Any
    """The earlier one: in a `Step` the name of a buffer, in the worker where it is."""
    allowed: Any
    """Two fp32 for every row, told likewise: an element may lie no further from the earlier one than the first of them,
    nor than the second and `rtol` times the size of the earlier one. What is no finite number must have its bits."""
    row_elements: int
    number: str
    """What elements are, of `NUMBERS`."""
    rtol: float = 0.0


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
    one_core: bool = False
    """A CPU runs it on one of its cores: as all steps of a batch."""
    count: int = 1
    """So many runs of all its launches lie between the two events: what one takes is their mean."""
    untimed: int = 0
    """So many run before."""
    copy: int = 0
    """Which of the copies of its code is launched."""
    near: tuple[Near | None, ...] = ()
    """Where outputs are others than expected, what each has to be near to; None where only its bits will do. Empty
    where that holds for all of them."""


@dataclass(frozen=True)
class Launched:
    """What is known of a step."""

    seconds: float
    """Of one run of all launches of the slot, by device events."""
    digest: bytes
    """Of all its outputs as they were right after it, `DIGEST_BYTES` each."""
    is_kept: bool = False
    """Whether these were others than expected, the first of the batch, and are kept in the buffers of `SPARE`."""
    is_near: bool = False
    """Whether these were others than expected, and each as near as `Step.near` has it, by the device's own count. They
    are not kept."""


DIGEST_BYTES = 8

MOST_DIGESTS = 2000
"""In one batch."""

SPARE = "spare"
"""The slot of the buffers that outputs are kept in. Nothing is launched there."""

NEAR = "near"
"""The slot of the buffers that outputs are held against. Nothing is launched there either."""
