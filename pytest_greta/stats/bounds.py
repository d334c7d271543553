"""Whether a bound on a ratio is refuted: what one series of pairs and many at once have in common. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.gates.model import Limit
from pytest_greta.stats.game import ERROR, FAIL_ERROR, couple_evidence, pair_evidence
from pytest_greta.stats.order import (
    SHARE_OF_CARRY,
    is_carried,
    largest_carry,
    order_effect,
    without_order,
)
from pytest_greta.stats.shape import shape

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FEWEST_PAIRS = 6
"""Nothing is decided on fewer."""

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
    Gives, in shape (...), the number of pairs used (n where undecided), and +1 where the ratio is above the limit, -1
    where it is below, 0 where the series cannot tell.
    """
    values = np.asarray(log_ratios, dtype=float)
    ((bound, fails),) = bounds([limit])
    flat = values.reshape(-1, values.shape[-1]) - math.log(bound)
    turned = np.broadcast_to(np.asarray(orders), values.shape).reshape(flat.shape)
    pairs, couples = without_order(flat, turned), flat.shape[-1] // 2
    carried = None if carries is None else np.asarray(carries, dtype=float).reshape(len(flat), couples)
    is_off = None if carried is None else is_carried(carried)
    used, side = np.full(len(flat), flat.shape[-1]), np.zeros(len(flat), dtype=int)
    away = {way: refuted(way * pairs - resolution, way == fails) for way in (ABOVE, BELOW)}
    for couple in range(FEWEST_PAIRS // 2, couples + 1):
        for way in (ABOVE, BELOW):
            found = np.flatnonzero((side == 0) & away[way][:, couple - 1])
            if found.size:
                low, high = shape(steady(flat[found, : 2 * couple], turned[found, : 2 * couple])).levels()
                found = found[~((low < 0) & (high > 0))]
            if carried is not None and is_off is not None:
                doubted = found[is_off[found, couple - 1]]
                off = resolution + SHARE_OF_CARRY * largest_carry(carried[doubted, :couple])
                sure = refuted(way * pairs[doubted, : 2 * couple] - off[:, None], way == fails)[:, -1]
                found = found[~np.isin(found, doubted[~sure])]
            side[found], used[found] = way, 2 * couple
    return used.reshape(values.shape[:-1]), side.reshape(values.shape[:-1])


def refuted(pairs: NDArray[np.float64], fails: bool) -> NDArray[np.bool_]:
    """After each couple of `pairs`, shape (..., n): whether "at or below zero" has been refuted by then."""
    enough = couple_evidence(pairs) >= -math.log(ERROR)
    found = np.logical_or.accumulate(enough, axis=-1)
    if fails:
        found &= np.logical_or.accumulate(pair_evidence(pairs) >= -math.log(FAIL_ERROR), axis=-1)
    return np.asarray(found)


def steady(log_ratios: NDArray[np.float64], orders: NDArray[np.int_]) -> NDArray[np.float64]:
    """Series (series, n) without the effect of their order, which is neither a mode nor a drift."""
    effects = [order_effect(x, o) for x, o in zip(log_ratios, orders, strict=True)]
    return np.asarray(log_ratios - orders * np.asarray(effects)[:, None])
