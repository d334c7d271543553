"""When enough pairs have been measured, and what they say. Pure: no clock, no I/O, no randomness.

A pair is one launch of each variant, a couple is two pairs of opposite order, and x, the log-ratio of a pair, is what
is counted, less what earlier couples show of the effect of the order: that was known before the coin of the couple
fell, and turns with it. Two games judge a limit (`game.py`):

- that of the **couples** has one coin a couple, and is fair whatever the noise. A bound on the ratio is refuted from
  one side when it reaches 1 / `ERROR`: 1000.
- that of the **pairs** takes each pair for a coin of its own. For a couple of coin c, in which the second launches took
  longer by d1 and d2, its factor is (1 + g tanh(c b d1)) (1 - g tanh(c b d2)), with mean 1 - g^2 tanh(b d1) tanh(b d2)
  over the coin: at most 1 for every effect of the order (d1 and d2 alike), 1 where d1 and d2 have nothing to do with
  each other, above 1 for noise of a period of three to five launches. A FAIL takes 100 000 of it as well as 1000 of
  the couples: it is wrong once in 1000 times at most, and once in 100 000 in all noise but such.

A bound once refuted at a look stays refuted, whatever other gates of the run go on for: Ville's inequality is about all
looks at once. A look comes after each couple; one that finds two modes, a drift, an effect on the successor or a coarse
clock that reaches across the bound refutes nothing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.gates.model import Interval, Limit, Status
from pytest_greta.stats.effort import caution, is_futile, tells
from pytest_greta.stats.game import ERROR, FAIL_ERROR, couple_evidence, pair_evidence, refuted_below
from pytest_greta.stats.order import (
    SHARE_OF_CARRY,
    CarryOver,
    carry_over,
    is_carried,
    largest_carry,
    order_effect,
    without_order,
)
from pytest_greta.stats.shape import Shape, centre, shape, t_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FEWEST_PAIRS = 6
"""Nothing is decided on fewer."""

FEWEST_BLOCKS = 26
"""From here on the coins alone decide. Ten couples (20 pairs) fall alike once in 1000 times; three more let the bets
differ. Fewer decide what no noise explains."""

MOST_BLOCKS = 300
"""Enough for a distance from the limit of 0.37 times the spread of one pair, in 95 of 100 cases."""

FEW_BLOCKS_MARGIN = math.log(1.10)
"""How far beyond the measured ratios the truth may lie when there were too few couples for their coins to guarantee
anything: clocks have modes that are up to 10 % apart, and a few launches may all have met the same one."""

FAR = 2.0
"""So far beyond every limit a ratio is decided by few pairs, as one is whose budget ends with so few."""

FEWEST_TICKS = 50
"""A launch that lasts fewer ticks of its clock has a time that may be off by one tick in every launch alike."""

_ABOVE, _BELOW = 1, -1

Bound = tuple[float, int]
"""A ratio that a limit names, and the side of it that fails."""


def bounds(limits: Sequence[Limit]) -> list[Bound]:
    """What limits on a ratio ask. A speedup "above 0" holds for every ratio there is: it asks nothing."""
    ends = [(limit.min, _BELOW) for limit in limits] + [(limit.above, _BELOW) for limit in limits]
    ends += [(limit.max, _ABOVE) for limit in limits]
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
    refuted = {way: _refuted(way * pairs - resolution, way == fails) for way in (_ABOVE, _BELOW)}
    for couple in range(FEWEST_PAIRS // 2, couples + 1):
        for way in (_ABOVE, _BELOW):
            found = np.flatnonzero((side == 0) & refuted[way][:, couple - 1])
            if found.size:
                low, high = shape(_steady(flat[found, : 2 * couple], turned[found, : 2 * couple])).levels()
                found = found[~((low < 0) & (high > 0))]
            if carried is not None and is_off is not None:
                doubted = found[is_off[found, couple - 1]]
                off = resolution + SHARE_OF_CARRY * largest_carry(carried[doubted, :couple])
                sure = _refuted(way * pairs[doubted, : 2 * couple] - off[:, None], way == fails)[:, -1]
                found = found[~np.isin(found, doubted[~sure])]
            side[found], used[found] = way, 2 * couple
    return used.reshape(values.shape[:-1]), side.reshape(values.shape[:-1])


def _refuted(pairs: NDArray[np.float64], fails: bool) -> NDArray[np.bool_]:
    """After each couple of `pairs`, shape (..., n): whether "at or below zero" has been refuted by then."""
    enough = couple_evidence(pairs) >= -math.log(ERROR)
    found = np.logical_or.accumulate(enough, axis=-1)
    if fails:
        found &= np.logical_or.accumulate(pair_evidence(pairs) >= -math.log(FAIL_ERROR), axis=-1)
    return np.asarray(found)


def _steady(log_ratios: NDArray[np.float64], orders: NDArray[np.int_]) -> NDArray[np.float64]:
    """Series (series, n) without the effect of their order, which is neither a mode nor a drift."""
    effects = [order_effect(x, o) for x, o in zip(log_ratios, orders, strict=True)]
    return np.asarray(log_ratios - orders * np.asarray(effects)[:, None])


class PairedTest:
    """Pairs, one after the other, until every limit is decided, or pairs or time are used up.

    `limits` are what the ratio will be held against; without any, all `most_blocks` are measured. The ratio is whatever
    the caller takes the logarithm of: baseline over candidate for a speedup. No pair begins after `budget_seconds`,
    which may be raised while the test goes on. `resolution` is what `coarseness` says of the times, and may be set
    before any pair is added; so may `carries`, what `order.carries` says of the launches so far.
    """

    def __init__(
        self,
        limits: Sequence[Limit] = (),
        budget_seconds: float = math.inf,
        most_blocks: int = MOST_BLOCKS,
        resolution: float = 0.0,
    ) -> None:
        self.limits, self.budget_seconds, self.most_blocks = tuple(limits), budget_seconds, most_blocks
        self.resolution = resolution
        self.log_ratios: list[float] = []
        self.orders: list[int] = []
        self.carries: Sequence[float] = ()
        self.spent_seconds = 0.0
        self._settled: dict[Bound, int] = {}
        self._bounds = bounds(limits)
        self._pairs: list[float] = []
        """The log-ratios less the effect of their order, as earlier couples showed it."""

    def add_block(self, log_ratio: float, seconds: float = 0.0, order: int = 0) -> None:
        """Add the log-ratio of one pair, and the time it took. Raises ValueError unless it is finite.

        `order` is +1 where the candidate was launched after its counterpart, -1 where before, 0 where nobody knows.
        """
        if not math.isfinite(log_ratio):
            raise ValueError(f"the log-ratio of a pair must be finite, not {log_ratio}")
        even = self.blocks // 2 * 2
        effect = order_effect(self.log_ratios[:even], self.orders[:even]) if order else 0.0
        self._pairs.append(log_ratio - order * effect)
        self.log_ratios.append(log_ratio)
        self.orders.append(order)
        self.spent_seconds += seconds
        if self.blocks % 2 == 0 and self.blocks >= FEWEST_PAIRS and self._left():
            self._look()

    @property
    def blocks(self) -> int:
        """How many pairs were added."""
        return len(self.log_ratios)

    @property
    def is_finished(self) -> bool:
        """Whether no further pair is needed, or none is allowed."""
        return bool(self.why_finished)

    @property
    def why_finished(self) -> str:
        """`decided`, or which allowance is used up or cannot suffice; empty while pairs are still needed."""
        if self._bounds and (not self._left() or self._is_far):
            return "decided"
        if self.blocks >= self.most_blocks:
            return f"{self.most_blocks} pairs are the most"
        if self.blocks and self.spent_seconds >= self.budget_seconds:
            return f"the budget of {self.budget_seconds:g} s is used up"
        if self.is_futile:
            return "more pairs within the budget would hardly decide"
        return ""

    @property
    def is_futile(self) -> bool:
        """Whether the pairs that are left would hardly decide any of the bounds that are."""
        left = self._left()
        if not left or self.blocks < FEWEST_PAIRS:
            return False
        each = self.spent_seconds / self.blocks
        more: float = self.most_blocks - self.blocks
        if each > 0:
            more = min(more, (self.budget_seconds - self.spent_seconds) / each)
        means, middle = np.asarray(self._means), math.log(self.ratio)
        few = self.blocks + more < FEWEST_BLOCKS  # only a margin can decide
        return all(
            is_futile(means, more / 2, middle - math.log(bound))
            and not (few and abs(middle - math.log(bound)) > FEW_BLOCKS_MARGIN / 2)
            for bound, _ in left
        )

    @property
    def _is_far(self) -> bool:
        """Whether the few pairs there are decide with a margin that no noise explains: `FAR` beyond every bound."""
        interval = self.interval if self.blocks % 2 == 0 and self.blocks < FEWEST_BLOCKS else None
        return interval is not None and all(
            interval.low > FAR * bound or interval.high < bound / FAR for bound, _ in self._bounds
        )

    def _left(self) -> list[Bound]:
        return [bound for bound in self._bounds if bound not in self._settled]

    def _look(self) -> None:
        """Settle every bound that is refuted from one side by now, and that nothing reaches across."""
        for bound, fails in self._left():
            for way in (_ABOVE, _BELOW):
                pairs = self._beyond(bound, way)
                if _refuted(pairs, way == fails)[-1]:
                    low, high = self.shape.levels()
                    off = self._allowance
                    if not low < math.log(bound) < high and (
                        not off or _refuted(pairs - off, way == fails)[-1]
                    ):
                        self._settled[bound, fails] = way
                        break

    def _beyond(self, bound: float, way: int) -> NDArray[np.float64]:
        """How far pairs lie beyond a bound, on one side of it."""
        return way * (np.asarray(self._pairs) - math.log(bound))

    @property
    def _means(self) -> list[float]:
        """Of the couples; of a single pair its own."""
        values = self.log_ratios
        return [(a + b) / 2 for a, b in zip(values[0::2], values[1::2], strict=False)] or values

    @property
    def has_failed(self) -> bool:
        """Whether enough pairs have refuted all that one of the limits allows."""
        return any(way == fails for (_, fails), way in self._settled.items())

    @property
    def shape(self) -> Shape:
        """Whether the log-ratios have two modes or a trend, their order apart. Needs at least one pair."""
        values, orders = np.asarray(self.log_ratios), np.asarray(self.orders)
        return shape(_steady(values[None], orders[None])[0])

    @property
    def carry_over(self) -> CarryOver:
        """What a launch does to the time of the next one."""
        return carry_over(self.carries)

    @property
    def _allowance(self) -> float:
        """How far the log-ratio may be off for reasons that do not show in it."""
        return self.carry_over.bias + self.resolution

    @property
    def ratio(self) -> float:
        """The ratio, as the centre of all couples. Raises ValueError before the first pair."""
        return math.exp(centre(self._means))

    def against(self, limits: Sequence[Limit]) -> PairedTest:
        """This test if it is one of these limits, else what it would have been with them."""
        if set(bounds(limits)) <= set(self._bounds):
            return self
        test = PairedTest(limits, self.budget_seconds, self.most_blocks, self.resolution)
        test.carries = self.carries
        for value, order in zip(self.log_ratios, self.orders, strict=True):
            test.add_block(value, order=order)
        test.spent_seconds = self.spent_seconds
        return test

    @property
    def interval(self) -> Interval | None:
        """Where the ratio is: each end is wrong with a probability of at most `ERROR`, whenever one looks.

        It says what was settled, and no more: it fails a limit only where the pairs say so at `FAIL_ERROR` as well.
        Where the pairs have two modes or a trend, it covers both levels: there is no single ratio. With fewer than
        `FEWEST_BLOCKS` pairs nothing but a margin far beyond the noise protects it: Student's interval of normal noise
        (at `FAIL_ERROR` where it would fail), and the measured ratios widened by `FEW_BLOCKS_MARGIN`. None with fewer
        than `FEWEST_PAIRS`.
        """
        if self.blocks < FEWEST_PAIRS:
            return None
        few = self.blocks < FEWEST_BLOCKS
        pairs, off = np.asarray(self._pairs), self._allowance
        low, high = (
            way * refuted_below(way * pairs, couple_evidence) - way * off for way in (_ABOVE, _BELOW)
        )
        if few:
            low, high = max(low, self._few(ERROR)[0]), min(high, self._few(ERROR)[1])
        else:
            first, last = self.shape.levels()
            low, high = min(low, float(first)), max(high, float(last))
        low, high = _exp(low), _exp(high)
        for bound, fails in self._bounds:
            below, above = math.nextafter(bound, -math.inf), math.nextafter(bound, math.inf)
            way = self._settled.get((bound, fails))
            if way == _ABOVE:
                low = max(low, above)
            elif way == _BELOW:
                high = min(high, below)
            elif not few or self._fails_by_chance(bound, fails):
                low, high = min(low, below), max(high, above)
        return Interval(low, high)

    def _few(self, error: float) -> tuple[float, float]:
        """Ends of the interval of too few pairs, as logarithms."""
        values, count = self.log_ratios, self.blocks
        half = t_quantile(1 - error, count - 1) * statistics.stdev(values) / math.sqrt(count)
        middle, off = statistics.fmean(values), self._allowance
        low = min(middle - half, min(values) - FEW_BLOCKS_MARGIN) - off
        return low, max(middle + half, max(values) + FEW_BLOCKS_MARGIN) + off

    def _fails_by_chance(self, bound: float, fails: int) -> bool:
        """Of few pairs: whether they fail a bound at `ERROR` and not at `FAIL_ERROR`."""
        at, surely, hardly = math.log(bound), self._few(FAIL_ERROR), self._few(ERROR)
        if fails == _ABOVE:
            return surely[0] <= at < hardly[0]
        return hardly[1] < at <= surely[1]

    def verdict(self, limit: Limit) -> tuple[Status, str]:
        """PASS, FAIL or INCONCLUSIVE for a limit on the ratio, and in words what the ratio hides or what is missing."""
        test = self.against([limit])
        interval = test.interval
        if interval is None:
            return Status.INCONCLUSIVE, f"{self.blocks} pair{' is' if self.blocks == 1 else 's are'} too few"
        note = test.note
        if limit.excludes(interval):
            return Status.FAIL, note
        if limit.allows(interval.low) and limit.allows(interval.high):
            return Status.PASS, note
        return Status.INCONCLUSIVE, "; ".join(filter(None, [note, test.why_undecided()]))

    @property
    def note(self) -> str:
        """What the ratio hides, in words; empty where it hides nothing."""
        texts = [str(self.shape)] if self.blocks >= _FEWEST_FOR_NOTE else []
        carried = self.carry_over
        if carried.size:
            texts.append(
                f"the launch behind one of the two is {math.expm1(abs(carried.size)):.1%} slower than behind "
                f"the other, so the ratio may be off by {math.expm1(carried.bias):.1%}"
            )
        if self.resolution:
            texts.append(
                f"launches last fewer than {FEWEST_TICKS} ticks of their clock, "
                f"so the ratio may be off by {math.expm1(self.resolution):.1%}"
            )
        return "; ".join(filter(None, texts))

    def why_undecided(self) -> str:
        """Why a limit is not decided, what would have been told, and what would help."""
        why = f"undecided after {self.blocks} pairs"
        if self.why_finished not in ("", "decided"):
            why += f" ({self.why_finished})"
        effect = order_effect(self.log_ratios, self.orders)
        if effect:
            why += f"; the order of its two launches makes {math.expm1(abs(effect)):.1%} of a pair's ratio"
        each = self.spent_seconds / self.blocks
        if self.blocks < FEWEST_BLOCKS:
            return why + _advice(
                FEWEST_BLOCKS * each, f"{FEWEST_BLOCKS} pairs would take", self.budget_seconds
            )
        found = self._told()
        if not found:
            return why
        distance, told = found
        why += f"; with this spread they tell {math.expm1(told * caution(self.blocks)):.1%} from the limit"
        needed = math.inf if not distance else self.blocks * (told / distance) ** 2
        if needed > MOST_BLOCKS:
            return why
        return why + _advice(needed * each, "the measured difference would take", self.budget_seconds)

    def _told(self) -> tuple[float, float] | None:
        """Of the bound nearest to the ratio that is not settled: its distance, and the one that is told."""
        middle = math.log(self.ratio)
        near = [(abs(middle - math.log(bound)), bound, fails) for bound, fails in self._left()]
        if not near:
            return None
        distance, bound, fails = min(near)
        way = _ABOVE if middle >= math.log(bound) else _BELOW
        told = tells(self._beyond(bound, way), way == fails)
        return (distance, told) if math.isfinite(told) else None


_FEWEST_FOR_NOTE = 12
"""Two modes or a drift in fewer pairs are of a few launches, and tell nothing."""


def _advice(seconds: float, what: str, budget_seconds: float) -> str:
    """What budget to ask for; nothing where no time was stated, or time was not what was missing."""
    if seconds <= budget_seconds or math.isinf(budget_seconds):
        return ""
    step = 10.0 ** (math.floor(math.log10(seconds)) - 1)
    return f"; {what} --greta-budget={math.ceil(seconds / step) * step:g}"


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
