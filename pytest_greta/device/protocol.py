"""What the test process and the worker say to each other, besides the calls themselves."""

from __future__ import annotations

from dataclasses import dataclass

BAND_BYTES = 4096
"""Width of the canary band before and after every buffer."""


CANARY = 0xA5


@dataclass(frozen=True)
class BufferPlan:
    """A device buffer to allocate, between canary bands."""

    size_bytes: int
    slot: str | None = None
    """The program whose output or workspace it is; None for inputs, which all programs share."""
    poisoned: bool = False
    """Filled with the poison byte before every launch of its slot."""
