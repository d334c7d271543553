"""In which order the launches of a round come. Pure: no clock, no I/O.

Rounds come in couples: the second has the order of the first reversed, and the first is drawn. So every slot is as
often early as late, and what the place of a launch does to its time leaves the mean of a couple.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def orders(rng: np.random.Generator, slots: Sequence[str]) -> Iterator[list[str]]:
    """Orders of the rounds, without end: a random permutation of the slots, then its reverse, then a new one.

    `rng` must not be what inputs are drawn with: one seed of inputs would always give the same coins.
    """
    while True:
        drawn = [slots[i] for i in rng.permutation(len(slots))]
        yield drawn
        yield drawn[::-1]
