"""What the test process and the worker say to each other, besides the calls themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BAND_BYTES = 4096
"""Width of the canary band before and after every buffer."""


CANARY = 0xA5


@dataclass(frozen=True)
class BufferPlan:
    """A device buffer to allocate, between canary bands."""

    size_bytes: int
    slot: str | None = None
    """The slot whose it is alone; None for the inputs that all share."""
    poisoned: bool = False
    """Filled with the poison byte before every launch of its slot."""
    element: bytes = b""
    """Filled with this element, over and over, before every launch of its slot; empty for no such thing."""
    starts_from: Mapping[str, str] = field(default_factory=dict)
    """The buffer of the same size that it is a copy of before every launch of its slot, by draw."""
