"""When enough pairs have been measured, and what they say. Pure: no clock, no I/O, no randomness.

A block is one launch of each variant, in an order drawn by a fair coin; its log-ratio x is the unit. Suppose the true
ratio is r. Under exchange of the two launches x - log r changes its sign, and the coin makes both equally likely: given
all that came before, x - log r is symmetric around zero, whatever the noise (heavy tails, drifts, modes, bursts), as
long as it does not know which variant it meets. For such data, any stake 0 < g <= 1 and any slope b > 0

    E(g, b) = product over blocks of (1 + g tanh(b (x - log r)))

is a fair game (tanh is odd, so each factor has mean 1), and so is its mean over several bets (g, b). By Ville's
inequality it ever reaches 1 / error with a probability of at most `error`, however often one looks: a limit r against
which the evidence has reached 1000 is on the wrong side with a probability of at most 1 in 1000. No variance is
estimated and no distribution assumed; tanh is bounded, so a wild value weighs no more than any other large one.

With g = 1, the factor is the likelihood ratio of N(m, s^2) against its symmetrised self for b = m / s^2: no other bet
against symmetry grows faster on normal data. Smaller stakes with steep slopes are close to counting signs, and are what
decides when the noise has heavy tails. Sources:
- J. Ville, "Etude critique de la notion de collectif" (1939);
- V. de la Pena, "A general class of exponential inequalities for martingales and ratios", Annals of Probability 27
  (1999);
- A. Ramdas, J. Ruf, M. Larsson, W. Koolen, "Admissible anytime-valid sequential inference must rely on nonnegative
  martingales" (arXiv 2009.03167);
- V. Vovk, R. Wang, "Nonparametric e-tests of symmetry" (arXiv 2208.08925);
- S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
  Annals of Statistics 49 (2021).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.gates.model import Interval, Limit, Status
from pytest_greta.stats.shape import Shape, centre, shape, t_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

ERROR = 0.001
"""Probability that one end of an interval is wrong, at any time of looking: a wrong FAIL, or a wrong PASS."""

FEWEST_BLOCKS = 12
"""No decision on fewer: ten coins that fall alike are as rare as `ERROR`, two more let the bets differ."""

MOST_BLOCKS = 300
"""Enough for a distance from the limit of 0.37 times the spread of one block, in 95 of 100 cases."""

STAKES, SLOPES = np.array(
    [(1.0, 4.0**k) for k in range(7)] + [(stake, 4.0**k) for stake in (0.5, 0.25) for k in range(2, 6)]
).T
"""The bets; slopes in units of 1 / log-ratio. On normal noise the best slope is distance / variance: 50 at 1 % from the
limit with 1.4 % noise. Slope 4096 resolves a distance of 0.03 %. With twice as many bets it takes as many blocks."""

FEW_BLOCKS_MARGIN = math.log(1.10)
"""How far beyond the measured ratios the truth may lie when there were too few blocks for the coins to guarantee
anything: clocks have modes that are up to 10 % apart, and three launches may all have met the same one."""


def evidence(excess: ArrayLike) -> NDArray[np.float64]:
    """Logarithm of the evidence that the centre of `excess` is above zero, after each block.

    `excess` has shape (..., n): log-ratios less the logarithm of the limit, in the order of measurement. The result has
    the same shape; from `log(1 / ERROR)` on, "at or below zero" is refuted.
    """
    return _mixed(np.cumsum(_gains(np.asarray(excess, dtype=float)), axis=-2))


def _gains(excess: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of the factors of every bet, shape (..., bets)."""
    # tanh is never quite -1; rounded to it, one block would ruin a bet for good.
    odd = np.maximum(np.tanh(excess[..., None] * SLOPES), -1 + 1e-15)
    return np.asarray(np.log1p(STAKES * odd))


def _mixed(growth: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the mean of all bets, of their logarithms (..., bets)."""
    top = growth.max(axis=-1, keepdims=True)
    return np.asarray(top[..., 0] + np.log(np.exp(growth - top).mean(axis=-1)))


def decisions(log_ratios: ArrayLike, limit: float) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Where `PairedTest` would have stopped at a limit on the ratio, for many series of log-ratios at once.

    `log_ratios` has shape (..., n), a series in its order of measurement.
    Gives, in shape (...), the number of blocks used (n where undecided), and +1 where the ratio is above the limit, -1
    where it is below, 0 where the series cannot tell. Data of two levels on both sides of the limit cannot tell.
    """
    excess = np.asarray(log_ratios, dtype=float) - math.log(limit)
    count = excess.shape[-1]
    used, side = np.full(excess.shape[:-1], count), np.zeros(excess.shape[:-1], dtype=int)
    for sign in (1, -1):
        refuted = evidence(sign * excess) >= -math.log(ERROR)
        refuted[..., : FEWEST_BLOCKS - 1] = False
        first = np.where(refuted.any(axis=-1), refuted.argmax(axis=-1) + 1, count + 1)
        side = np.where(first <= used, sign, side)
        used = np.minimum(first, used)
    for blocks in np.unique(used[side != 0]):
        there = (side != 0) & (used == blocks)
        low, high = shape(excess[there][..., :blocks]).levels()
        side[there] = np.where((low < 0) & (high > 0), 0, side[there])
    return used, side


class PairedTest:
    """Blocks of pairs, one after the other, until every limit is decided, or blocks or time are used up.

    `limits` are what the ratio will be held against; without any, all `most_blocks` are measured. The ratio is whatever
    the caller takes the logarithm of: baseline over candidate for a speedup. No block begins after `budget_seconds`.
    """

    def __init__(
        self,
        limits: Sequence[Limit] = (),
        budget_seconds: float = math.inf,
        most_blocks: int = MOST_BLOCKS,
    ) -> None:
        self.limits, self.budget_seconds, self.most_blocks = tuple(limits), budget_seconds, most_blocks
        self.log_ratios: list[float] = []
        self.spent_seconds = 0.0
        ends = [(limit.min, limit.max, limit.above) for limit in limits]
        # A speedup "above 0" holds for every ratio there is: nothing to decide.
        bounds = sorted({bound for end in ends for bound in end if bound is not None and bound > 0})
        self._bounds = np.log(np.asarray(bounds, dtype=float))
        self._growth = np.zeros((2, len(bounds), len(STAKES)))

    def add_block(self, log_ratio: float, seconds: float = 0.0, order: int = 0) -> None:
        """Add the log-ratio of one block, and the time it took. Raises ValueError unless it is finite."""
        if not math.isfinite(log_ratio):
            raise ValueError(f"the log-ratio of a block must be finite, not {log_ratio}")
        self.log_ratios.append(log_ratio)
        self.spent_seconds += seconds
        excess = log_ratio - self._bounds
        self._growth += _gains(np.stack([excess, -excess]))

    @property
    def blocks(self) -> int:
        """How many blocks were added."""
        return len(self.log_ratios)

    @property
    def is_finished(self) -> bool:
        """Whether no further block is needed, or none is allowed."""
        return bool(self.why_finished)

    @property
    def why_finished(self) -> str:
        """`decided`, or which allowance is used up; empty while blocks are still needed."""
        if self._decided():
            return "decided"
        if self.blocks >= self.most_blocks:
            return f"{self.most_blocks} pairs are the most"
        if self.blocks and self.spent_seconds >= self.budget_seconds:
            return f"the budget of {self.budget_seconds:g} s is used up"
        return ""

    def _decided(self) -> bool:
        """Whether each bound is refuted from one side."""
        if self.blocks < FEWEST_BLOCKS or not self._growth.size:
            return False
        return bool((_mixed(self._growth) >= -math.log(ERROR)).any(axis=0).all())

    @property
    def has_failed(self) -> bool:
        """Whether enough blocks have refuted all that one of the limits allows."""
        if not self._decided():
            return False
        return any(self.verdict(limit)[0] is Status.FAIL for limit in self.limits)

    def _spread(self) -> float:
        """Standard deviation of a block's log-ratio, hardly touched by wild ones: 1.4826 MAD, as of normal noise."""
        middle = statistics.median(self.log_ratios)
        return 1.4826 * statistics.median(abs(x - middle) for x in self.log_ratios)

    @property
    def shape(self) -> Shape:
        """Whether the log-ratios have two modes or a trend. Needs at least one block."""
        return shape(self.log_ratios)

    @property
    def ratio(self) -> float:
        """The ratio, as the centre of all blocks. Raises ValueError before the first block."""
        return math.exp(centre(self.log_ratios))

    @property
    def interval(self) -> Interval | None:
        """Where the ratio is: each end is wrong with a probability of at most `ERROR`, whenever one looks.

        Where the blocks have two modes or a trend, the interval covers both levels: there is no single ratio. With
        fewer than `FEWEST_BLOCKS` blocks nothing but a margin far beyond the noise protects it: Student's interval of
        normal noise, and the measured ratios widened by `FEW_BLOCKS_MARGIN`. None with fewer than three blocks.
        """
        count, values = self.blocks, np.asarray(self.log_ratios)
        if count < 3:
            return None
        if count < FEWEST_BLOCKS:
            half = t_quantile(1 - ERROR, count - 1) * statistics.stdev(self.log_ratios) / math.sqrt(count)
            mean = statistics.fmean(self.log_ratios)
            low = min(mean - half, values.min() - FEW_BLOCKS_MARGIN)
            high = max(mean + half, values.max() + FEW_BLOCKS_MARGIN)
        else:
            low, high = _refuted_below(values), -_refuted_below(-values)
            first, last = self.shape.levels()
            low, high = min(low, float(first)), max(high, float(last))
        return Interval(_exp(low), _exp(high))

    def verdict(self, limit: Limit) -> tuple[Status, str]:
        """PASS, FAIL or INCONCLUSIVE for a limit on the ratio, and in words what the ratio hides or what is missing."""
        note = "" if self.blocks < FEWEST_BLOCKS else str(self.shape)
        interval = self.interval
        if interval is None:
            return Status.INCONCLUSIVE, f"{self.blocks} pairs are too few"
        if limit.excludes(interval):
            return Status.FAIL, note
        if limit.allows(interval.low) and limit.allows(interval.high):
            return Status.PASS, note
        why = f"undecided after {self.blocks} pairs"
        if self.why_finished not in ("", "decided"):
            why += f" ({self.why_finished})"
        if self.blocks >= FEWEST_BLOCKS:
            found = math.expm1(smallest_difference(self._spread(), self.blocks))
            why += f"; with this spread they tell {found:.1%} from the limit"
        return Status.INCONCLUSIVE, f"{note}; {why}" if note else why


def smallest_difference(spread: float, blocks: int) -> float:
    """Distance from the limit (in logarithms) that `blocks` blocks decide in 95 of 100 cases.

    `spread` is the standard deviation of a block's log-ratio. From simulation with normal noise:
    42 (spread / distance)^2 blocks suffice in 95 of 100 cases, 23 on average.
    """
    return spread * math.sqrt(42 / blocks)


def _refuted_below(values: NDArray[np.float64]) -> float:
    """The largest centre that the evidence refutes from above: the lower end of the interval."""
    low, high = float(values.min()) - 1.0, float(values.max())
    if evidence(values - low)[-1] < -math.log(ERROR):
        return -math.inf
    for _ in range(60):
        middle = (low + high) / 2
        if evidence(values - middle)[-1] >= -math.log(ERROR):
            low = middle
        else:
            high = middle
    return low


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
