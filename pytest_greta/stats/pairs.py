"""When enough pairs have been measured, and what they say. Pure: no clock, no I/O, no randomness.

A pair is one launch of each variant, a couple is two pairs of opposite order, and x, the log-ratio of a pair, is what
is counted, less what earlier couples show of the effects of the order: that was known before the coin of the couple
fell, and turns with it. Two games judge a limit (`game.py`):

- that of the **couples** has one coin a couple, and is fair whatever the noise. A bound on the ratio is refuted from
  one side when it reaches 1 / `ERROR`: 1000.
- that of the **pairs** takes each pair for a coin of its own. For a couple of coin c, in which the second launches took
  longer by d1 and d2, its factor is (1 + g tanh(c b d1)) (1 - g tanh(c b d2)), with mean 1 - g^2 tanh(b d1) tanh(b d2)
  over the coin: at most 1 for every effect of the order (d1 and d2 alike), 1 where d1 and d2 have nothing to do with
  each other, above 1 for noise of a period of three to five launches. A FAIL takes 100 000 of it as well as 1000 of
  the couples: it is wrong once in 1000 times at most, and once in 100 000 in all noise but such.

A bound once refuted at a look stays refuted, whatever other gates of the run go on for: Ville's inequality is about all
looks at once. A look comes after each couple, later after each second, fourth ... (`looks.py`); one that finds two
modes, a drift, an effect on the successor or a coarse clock that reaches across the bound refutes nothing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.gates.model import Interval, Limit, Status
from pytest_greta.stats.bounds import (
    ABOVE,
    BELOW,
    DOUBTED_PAIRS,
    FEWEST_PAIRS,
    FEWEST_TICKS,
    Bound,
    bounds,
    refuted,
    steady,
)
from pytest_greta.stats.effort import Level, caution, is_futile, tells
from pytest_greta.stats.game import ERROR, FAIL_ERROR, couple_evidence, pair_evidence, refuted_below
from pytest_greta.stats.looks import next_look
from pytest_greta.stats.order import CarryOver, carry_over, order_effects
from pytest_greta.stats.shape import Shape, centre, shape, t_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_BLOCKS = 26
"""From here on the coins alone decide. Ten couples (20 pairs) fall alike once in 1000 times; three more let the bets
differ. Fewer decide what no noise explains."""

MOST_BLOCKS = 1600
"""In 95 of 100 cases enough for a PASS 0.16 times the spread of one pair from the limit, and for a FAIL 0.18 times."""

FEW_BLOCKS_MARGIN = math.log(1.10)
"""How far beyond the measured ratios the truth may lie when there were too few couples for their coins to guarantee
anything: clocks have modes that are up to 10 % apart, and a few launches may all have met the same one."""

_APART = 1e-6
"""So far from a limit, relative to it, an end of an interval lies at least: which side it is on can be read."""

FAR = 1.15
"""With its interval so far beyond every limit a ratio is decided by few pairs, as one is whose budget ends with so few:
in none of 100 000 runs of every noise of docs/verdicts.md do equal codes look so different."""


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
        self.spent_seconds = self._slowest_seconds = 0.0
        self._settled: dict[Bound, int] = {}
        self._doubted: dict[Bound, int] = {}
        """Since how many couples a bound is refuted, but for a doubt."""
        self._bounds = bounds(limits)
        self._pairs: list[float] = []
        """The log-ratios less the effects of their order, as the last look showed them."""
        self._effects = (0.0, 0.0)
        self._level: Level | None = None
        self._next_look = 1

    def add_block(self, log_ratio: float, seconds: float = 0.0, order: int = 0) -> None:
        """Add the log-ratio of one pair, and the time it took. Raises ValueError unless it is finite.

        `order` is +1 where the candidate was launched after its counterpart, -1 where before, 0 where nobody knows.
        """
        if not math.isfinite(log_ratio):
            raise ValueError(f"the log-ratio of a pair must be finite, not {log_ratio}")
        self._pairs.append(log_ratio - order * self._effects[self.blocks % 2])
        self.log_ratios.append(log_ratio)
        self.orders.append(order)
        self.spent_seconds += seconds
        self._slowest_seconds = max(self._slowest_seconds, seconds)
        if self.blocks == 2 * self._next_look:
            self._next_look = next_look(self._next_look)
            self._effects = order_effects(self.log_ratios, self.orders)
            if self.blocks >= FEWEST_PAIRS and self._left():
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
        left, level = self._left(), self._level
        if not left or level is None:
            return False
        # The slowest pair had something to load, or a batch to wait for: the next ones are like the others.
        each = (self.spent_seconds - self._slowest_seconds) / (self.blocks - 1)
        more: float = self.most_blocks - self.blocks
        if each > 0:
            more = min(more, max(0.0, self.budget_seconds - self.spent_seconds) / each)
        few = self.blocks + more < FEWEST_BLOCKS  # only a margin can decide
        more += self.blocks - 2 * level.couples
        return all(
            self._stays_doubted(one, level.couples)
            or (
                is_futile(level, more / 2, math.log(one[0]))
                and not (few and abs(level.centre - math.log(one[0])) > FEW_BLOCKS_MARGIN / 2)
            )
            for one in left
        )

    def _stays_doubted(self, bound: Bound, couples: int) -> bool:
        """Whether the coins have refuted a bound for long, and a doubt has not gone."""
        since = self._doubted.get(bound, couples)
        return 2 * couples >= max(DOUBTED_PAIRS, 4 * since)

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
        self._level = Level.of(self._means)
        for bound, fails in self._left():
            for way in (ABOVE, BELOW):
                pairs = self._beyond(bound, way)
                if refuted(pairs, way == fails)[-1]:
                    low, high = self.shape.levels()
                    off = self._allowance
                    if not low < math.log(bound) < high and (
                        not off or refuted(pairs - off, way == fails)[-1]
                    ):
                        self._settled[bound, fails] = way
                        break
                    self._doubted.setdefault((bound, fails), self.blocks // 2)

    def _beyond(self, bound: float, way: int) -> NDArray[np.float64]:
        """How far pairs lie beyond a bound, on one side of it."""
        return way * (np.asarray(self._pairs) - math.log(bound))

    @property
    def _means(self) -> list[float]:
        """Of the couples, less the effects of their order; of a single pair its own."""
        first, second = self._effects
        values = list(zip(self.log_ratios, self.orders, strict=True))
        couples = zip(values[0::2], values[1::2], strict=False)
        return [(a - first * c + b - second * d) / 2 for (a, c), (b, d) in couples] or self.log_ratios

    @property
    def has_failed(self) -> bool:
        """Whether enough pairs have refuted all that one of the limits allows."""
        interval = self.interval if self._is_far else None
        return any(way == fails for (_, fails), way in self._settled.items()) or (
            interval is not None
            and any(
                interval.low > bound if fails == ABOVE else interval.high < bound
                for bound, fails in self._bounds
            )
        )

    @property
    def shape(self) -> Shape:
        """Whether the log-ratios have two modes or a trend, their order apart. Needs at least one pair."""
        values, orders = np.asarray(self.log_ratios), np.asarray(self.orders)
        return shape(steady(values[None], orders[None])[0])

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
        test.spent_seconds, test._slowest_seconds = self.spent_seconds, self._slowest_seconds
        return test

    @property
    def interval(self) -> Interval | None:
        """Where the ratio is: each end is wrong with a probability of at most `ERROR`, whenever one looks.

        It says what was settled, and no more: it fails a limit only where the pairs say so at `FAIL_ERROR` as well, and
        where no limits were given (as many pairs as somebody asked for) both ends are as sure as that.
        Where the pairs have two modes or a trend, it covers both levels: there is no single ratio. With fewer than
        `FEWEST_BLOCKS` pairs nothing but a margin far beyond the noise protects it: Student's interval of normal noise
        (at `FAIL_ERROR` where it would fail), and the measured ratios widened by `FEW_BLOCKS_MARGIN`. None with fewer
        than `FEWEST_PAIRS`.
        """
        if self.blocks < FEWEST_PAIRS:
            return None
        few = self.blocks < FEWEST_BLOCKS
        low, high = self._ends(few)
        for bound, fails in self._bounds:
            below, above = bound * (1 - _APART), bound * (1 + _APART)
            way = self._settled.get((bound, fails))
            if way == ABOVE:
                low = max(low, above)
            elif way == BELOW:
                high = min(high, below)
            elif not few or self._fails_by_chance(bound, fails):
                low, high = min(low, below), max(high, above)
        return Interval(low, high)

    def _ends(self, few: bool) -> tuple[float, float]:
        """Low and high of the ratio, whatever the limits; without any, as sure as what may be a FAIL has to be."""
        pairs, off = np.asarray(self._pairs), self._allowance
        low, high = (way * (refuted_below(way * pairs, couple_evidence) - off) for way in (ABOVE, BELOW))
        if not self._bounds:
            surely = [
                way * (refuted_below(way * pairs, pair_evidence, FAIL_ERROR) - off) for way in (ABOVE, BELOW)
            ]
            low, high = min(low, surely[0]), max(high, surely[1])
        if few:
            ends = self._few(ERROR if self._bounds else FAIL_ERROR)
            low, high = max(low, ends[0]), min(high, ends[1])
        else:
            first, last = self.shape.levels()
            low, high = min(low, float(first)), max(high, float(last))
        return _exp(low), _exp(high)

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
        if fails == ABOVE:
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
        effect = max(abs(one) for one in order_effects(self.log_ratios, self.orders))
        if effect:
            why += f"; the order of its two launches makes {math.expm1(effect):.1%} of a pair's ratio"
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
        way = ABOVE if middle >= math.log(bound) else BELOW
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
