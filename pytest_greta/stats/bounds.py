"""Whether a bound on a ratio is refuted: what one series of pairs and many at once have in common. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.gates.model import Limit
from pytest_greta.stats.game import ERROR, FAIL_ERROR, couple_evidence, pair_evidence
from pytest_greta.stats.looks import next_look
from pytest_greta.stats.order import (
    SHARE_OF_CARRY,
    is_carried,
    largest_carry,
    order_effects,
    without_order,
)
from pytest_greta.stats.shape import shape

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FEWEST_PAIRS = 6
"""Nothing is decided on fewer."""

DOUBTED_PAIRS = 300
"""What the coins have refuted, and modes, a drift or another reason to doubt leave open for so many pairs and for as
many again as it took, more pairs will not decide."""

FEWEST_TICKS = 50
"""A launch that lasts fewer ticks of its clock has a time that may be off by one tick in every launch alike."""

ABOVE, BELOW = 1, -1

Bound = tuple[float, int]
"""A ratio that a limit names, and the side of it that fails."""


def bounds(limits: Sequence[Limit]) -> list[Bound]:
    """What limits on a ratio ask. A speedup "above 0" holds for every ratio there is: it asks nothing."""
    ends = [(limit.min, BELOW) for limit in limits] + [(limit.above, BELOW) for limit in limits]
    ends += [(limit.max, ABOVE) for limit in limits]
    return sorted({(end, side) for end, side in ends if end is not None and end > 0})


def coarseness(seconds: Sequence[float], tick: float) -> float:
    """How far ratios of such times may be off (as a logarithm) because their clock has ticks of `tick` seconds.

    0 where launches last at least `FEWEST_TICKS`, or nothing is known: noise of a launch then spreads its time over
    several ticks, and means are finer than one.
    """
    times = sorted(s for s in seconds if s > 0)
    if not times or tick <= 0:
        return 0.0
    middle = times[len(times) // 2]
    return math.log1p(tick / middle) if middle < FEWEST_TICKS * tick else 0.0


def decisions(
    log_ratios: ArrayLike,
    limit: Limit,
    orders: ArrayLike = 0,
    carries: ArrayLike | None = None,
    resolution: float = 0.0,
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Where `PairedTest` would have stopped at a limit with one bound, for many series of log-ratios at once.

    `log_ratios` has shape (..., n), a series in its order of measurement, `orders` is what `add_block` takes,
    `carries`, of shape (..., n // 2), what `order.carries` finds, and `resolution` what `coarseness` does.
    Gives, in shape (...), the number of pairs used (n where undecided, fewer where a doubt stays), and +1 where the
    ratio is above the limit, -1 where it is below, 0 where the series cannot tell.
    """
    values = np.asarray(log_ratios, dtype=float)
    ((bound, fails),) = bounds([limit])
    flat = values.reshape(-1, values.shape[-1]) - math.log(bound)
    turned = np.broadcast_to(np.asarray(orders), values.shape).reshape(flat.shape)
    pairs, couples = without_order(flat, turned), flat.shape[-1] // 2
    carried = None if carries is None else np.asarray(carries, dtype=float).reshape(len(flat), couples)
    is_off = None if carried is None else is_carried(carried)
    used, side = np.full(len(flat), flat.shape[-1]), np.zeros(len(flat), dtype=int)
    goes_on, doubted_since = np.ones(len(flat), dtype=bool), np.full(len(flat), couples)
    away = {way: refuted(way * pairs, way == fails) for way in (ABOVE, BELOW)}
    surely = away
    if resolution:
        surely = {way: refuted(way * pairs - resolution, way == fails) for way in (ABOVE, BELOW)}
    couple = FEWEST_PAIRS // 2
    while couple <= couples and goes_on.any():
        for way in (ABOVE, BELOW):
            asked = np.flatnonzero(goes_on & away[way][:, couple - 1])
            found = asked[surely[way][asked, couple - 1]]
            if found.size:
                low, high = shape(steady(flat[found, : 2 * couple], turned[found, : 2 * couple])).levels()
                found = found[~((low < 0) & (high > 0))]
            if carried is not None and is_off is not None:
                carrying = found[is_off[found, couple - 1]]
                off = resolution + SHARE_OF_CARRY * largest_carry(carried[carrying, :couple])
                sure = refuted(way * pairs[carrying, : 2 * couple] - off[:, None], way == fails)[:, -1]
                found = np.setdiff1d(found, carrying[~sure])
            side[found] = way
            doubted = np.setdiff1d(asked, found)
            doubted_since[doubted] = np.minimum(doubted_since[doubted], couple)
            stays = doubted[2 * couple >= np.maximum(DOUBTED_PAIRS, 4 * doubted_since[doubted])]
            for ended in (found, stays):
                used[ended], goes_on[ended] = 2 * couple, False
        couple = next_look(couple)
    return used.reshape(values.shape[:-1]), side.reshape(values.shape[:-1])


def refuted(pairs: NDArray[np.float64], fails: bool) -> NDArray[np.bool_]:
    """After each couple of `pairs`, shape (..., n): whether "at or below zero" has been refuted by then."""
    enough = couple_evidence(pairs) >= -math.log(ERROR)
    found = np.logical_or.accumulate(enough, axis=-1)
    if fails and found.any():  # few series need the other game
        those = found[..., -1]
        enough = pair_evidence(pairs[those]) >= -math.log(FAIL_ERROR)
        found[those] &= np.logical_or.accumulate(enough, axis=-1)
    return np.asarray(found)


def steady(
    log_ratios: NDArray[np.float64], orders: NDArray[np.int_] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Series (series, n) without the effects of their order, which are neither modes nor a drift."""
    count = log_ratios.shape[-1]
    effects = [np.resize(order_effects(x, o), count) for x, o in zip(log_ratios, orders, strict=True)]
    return np.asarray(log_ratios - orders * np.reshape(effects, log_ratios.shape))
