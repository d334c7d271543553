"""Is this run slower than the runs before it? Pure: no clock, no I/O, no randomness.

The run is the unit: rounds of one run share clocks, temperature and neighbours, so more rounds do not make a run more
certain than the spread between runs allows. With levels y_1 ... y_k (logarithms) of the last accepted runs and y of the
current one, and a variance v between runs of unknown size,

    shift = y - mean(y_j),    shift / (s sqrt(1 + 1/k)) ~ Student's t with m + k - 1 degrees of freedom,
    s^2 = (m s0^2 + sum((y_j - mean)^2)) / (m + k - 1)

is the predictive distribution of the next run under a scaled inverse chi-square prior of v (Gelman et al., "Bayesian
Data Analysis", 3rd edition, sections 2.6 and 3.2). The prior counts like m runs with spread s0. It is what keeps two
old runs that happen to agree, or a single one, from being taken as truth; ten runs outweigh it.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_greta.gates.model import Interval
from pytest_greta.stats.game import ERROR
from pytest_greta.stats.shape import Shape, shape, t_quantile

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

WINDOW = 20
"""How many accepted runs count, the latest ones: older ones are of another driver, another season, another rack."""

FEWEST_ROUNDS = 3
"""A run of fewer rounds says nothing about its own noise, and is not compared."""


@dataclass(frozen=True)
class Prior:
    """What is believed of the spread between runs before there is a history: as if `runs` runs had shown `spread`."""

    spread: float
    """Standard deviation of a run's level (logarithm; 0.01 is 1 %)."""
    runs: int


TIMES = Prior(spread=0.01, runs=2)
"""For times: clocks and temperature move a whole run by about 1 %. With two degrees of freedom (99.9 % quantile: 22.3)
a single old run fails nothing less than 37 % above the limit, two old runs 11 %; a history of ten has overruled it."""

RATIOS = Prior(spread=0.005, runs=2)
"""For ratios to a baseline of the same run: what moves both cancels, and half the spread is a cautious guess of the
rest."""


@dataclass(frozen=True)
class HistoricRun:
    """One run of one kernel, variant, context and problem on one device."""

    commit: str
    when: datetime
    device: str
    """Identity of the device: only runs of the same one are compared."""
    seconds: Sequence[float]
    """Device seconds of its rounds, all above zero."""
    baseline_seconds: Sequence[float] = ()
    """`baseline_seconds[i]` was measured beside `seconds[i]`, until its gates were decided; empty where there was no
    baseline.
    """
    baseline: str = ""
    """Identity of the baseline's code (its hash): ratios to different baselines are not compared."""
    accepted: bool = True
    why_not: str = ""
    """Why the run is no reference: failed, dirty, throttled, serialised, regressed."""
    new_level: str = ""
    """The reason given when a slowdown was accepted on purpose: the runs before it are no reference any more."""
    timing: str = ""
    """How it was timed: what `history.records.timing_of` said."""
    code: Mapping[str, Any] = field(default_factory=dict)
    """What `executable.code_info` said of its code; empty where nothing was kept."""
    family: Mapping[str, str] = field(default_factory=dict)
    """What `history.family` said of the data; empty in older records."""
    test_seconds: float = 0.0
    """Wall seconds of the test that measured it; 0 in older records."""

    @property
    def short_commit(self) -> str:
        """The first ten digits of a commit; what is no commit (`unversioned`) as it is."""
        return self.commit[:10] if len(self.commit) >= 40 else self.commit

    def level(self, relative: bool = False) -> float:
        """Median of the logarithms of the times, or of the ratios to the baseline. Raises ValueError without rounds."""
        return statistics.median(self._logarithms(relative))

    def error(self, relative: bool = False) -> float:
        """Standard error of the level from the rounds' own noise: 1.253 sigma / sqrt(n), sigma as 1.4826 MAD."""
        logs = self._logarithms(relative)
        middle = statistics.median(logs)
        sigma = 1.4826 * statistics.median(abs(x - middle) for x in logs)
        return 1.2533 * sigma / math.sqrt(len(logs))

    def shape(self, relative: bool = False) -> Shape:
        """Whether the rounds have two modes or a trend."""
        return shape(self._logarithms(relative))

    def _logarithms(self, relative: bool) -> list[float]:
        if relative:
            return [math.log(s / b) for s, b in zip(self.seconds, self.baseline_seconds, strict=False)]
        return [math.log(s) for s in self.seconds]


@dataclass(frozen=True)
class Comparison:
    """A run against the runs before it."""

    ratio: float | None
    """Time now over time before; None when there is nothing to compare with."""
    interval: Interval | None
    """Where the true ratio is. Each end is wrong with a probability of at most `ERROR` where runs spread normally and
    no more than the prior says; where they spread far more, up to 3 `ERROR` with ten runs, 9 `ERROR` with three."""
    runs: int
    """How many accepted runs it was held against."""
    relative: bool
    """Whether times were taken relative to the baseline of their own run."""
    reason: str
    """What it was held against, or why it was not."""

    def confirmed_by(self, again: Comparison) -> Comparison:
        """This and a second measurement of the same run as one: the interval covers both, so a FAIL needs both to fail.

        A run that lay wholly beside a busy neighbour is slower, and nothing in it shows why. Measuring once more,
        somewhat later, tells a neighbour from slow code. Raises ValueError when one of the two has no interval.
        """
        if self.interval is None or again.interval is None or self.ratio is None or again.ratio is None:
            raise ValueError("confirmed_by needs two comparisons that have an interval")
        low = min(self.interval.low, again.interval.low)
        high = max(self.interval.high, again.interval.high)
        ratio = math.sqrt(self.ratio * again.ratio)
        return replace(
            self, ratio=ratio, interval=Interval(low, high), reason=f"{self.reason}; measured twice"
        )


@dataclass(frozen=True)
class Step:
    """A shift in history: from `run` on, times are `ratio` times those before."""

    run: HistoricRun
    ratio: float

    def __str__(self) -> str:
        """As in `3.1 % slower since 2026-03-02, commit 1a2b3c4d5e`."""
        word = "slower" if self.ratio > 1 else "faster"
        return (
            f"{abs(self.ratio - 1):.1%} {word} since {self.run.when:%Y-%m-%d}, commit {self.run.short_commit}"
        )


def compare(current: HistoricRun, history: Sequence[HistoricRun]) -> Comparison:
    """The ratio of the current run to the accepted runs of its device, with its interval.

    `history` holds earlier runs of the same kernel, variant, context and problem, oldest first. The ratio is taken
    relative to the baseline's times of the same run where at least three accepted runs (or all) had this baseline:
    what slows down a whole run cancels, so the interval is narrower. Where the rounds of the current run have two modes
    or a trend, the interval covers both levels: a neighbour on the machine for half of a run is no regression.
    """
    if len(current.seconds) < FEWEST_ROUNDS:
        return Comparison(None, None, 0, False, f"fewer than {FEWEST_ROUNDS} rounds were measured")
    runs = reference_runs(current.device, history)
    if not runs:
        return Comparison(None, None, 0, False, _why_no_reference(current, history))
    beside = [run for run in runs if run.baseline and run.baseline == current.baseline]
    relative = len(beside) >= min(3, len(runs))
    if relative:
        runs = beside
    levels, errors = [run.level(relative) for run in runs], [run.error(relative) for run in runs]
    now = current.level(relative), current.error(relative)
    shift, half, used = compare_levels(levels, errors, *now, RATIOS if relative else TIMES)
    form = current.shape(relative)
    lowest, highest = (float(end) for end in form.levels())
    low, high = shift + min(0.0, lowest - now[0]) - half, shift + max(0.0, highest - now[0]) + half
    interval = Interval(math.exp(low), math.exp(high))
    plural = "s" if used > 1 else ""
    reason = f"against {used} accepted run{plural}, the last of commit {runs[-1].short_commit}"
    if relative:
        reason += ", relative to the baseline"
    if str(form):
        reason += f"; its rounds have {form}"
    return Comparison(math.exp(shift), interval, used, relative, reason)


def compare_levels(
    levels: Sequence[float], errors: Sequence[float], level: float, error: float, prior: Prior
) -> tuple[float, float, int]:
    """A level with its standard error against those of earlier runs, oldest first, all as logarithms.

    Only the runs since the last step count: what came before says nothing about today. Gives the shift, half the width
    of its interval, and how many runs counted. Raises ValueError when there is no earlier run.
    """
    if not levels:
        raise ValueError("compare_levels needs at least one earlier run")
    begin = max([0, *find_steps(levels, statistics.median(errors))])
    # A current run of few rounds is less certain than the history's spread says.
    excess = error**2 - statistics.fmean(e**2 for e in errors[begin:])
    shift, half = predict(levels[begin:], level, prior, max(0.0, excess))
    return float(shift), float(half), len(levels) - begin


def reference_runs(device: str, history: Sequence[HistoricRun]) -> list[HistoricRun]:
    """The accepted runs of a device whose times a run there is held against: the latest `WINDOW`, oldest first."""
    return accepted_runs(device, history)[-WINDOW:]


def accepted_runs(device: str, history: Sequence[HistoricRun]) -> list[HistoricRun]:
    """All accepted runs of a device, oldest first. They begin again at one whose slowdown was accepted on purpose."""
    runs = [
        run for run in history if run.accepted and run.device == device and len(run.seconds) >= FEWEST_ROUNDS
    ]
    deliberate = [i for i, run in enumerate(runs) if run.new_level]
    return runs[deliberate[-1] if deliberate else 0 :]


def _why_no_reference(current: HistoricRun, history: Sequence[HistoricRun]) -> str:
    here = [run for run in history if run.device == current.device]
    if not history:
        return "there is no earlier run"
    if not here:
        return f"no earlier run was made on {current.device}"
    return f"none of {len(here)} earlier runs was accepted; the last: {here[-1].why_not or 'too few rounds'}"


def predict(
    levels: ArrayLike, level: ArrayLike, prior: Prior, excess_variance: ArrayLike = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shift of a run's level from those before, and half the width of its interval, in logarithms.

    `levels` has shape (..., k), `level` and `excess_variance` (added to the current run's) and the results (...).
    """
    past = np.asarray(levels, dtype=float)
    count = past.shape[-1]
    degrees = prior.runs + count - 1
    mean = past.mean(axis=-1)
    squares = ((past - mean[..., None]) ** 2).sum(axis=-1)
    variance = (prior.runs * prior.spread**2 + squares) / degrees
    half = t_quantile(1 - ERROR, degrees) * np.sqrt(variance * (1 + 1 / count) + np.asarray(excess_variance))
    return np.asarray(level) - mean, np.asarray(half)


def smallest_regression(comparison: Comparison, limit: float) -> float:
    """The ratio that fails a limit in 95 of 100 runs with the history of this comparison, to say what it can see.

    Raises ValueError when there was no comparison.
    """
    if comparison.interval is None or comparison.ratio is None:
        raise ValueError("smallest_regression needs a comparison")
    half = math.log(comparison.ratio / comparison.interval.low)
    # The interval's half is a t quantile of standard deviations; 95 % power takes 1.645 more of them.
    degrees = (RATIOS if comparison.relative else TIMES).runs + comparison.runs - 1
    return limit * math.exp(half * (1 + 1.645 / t_quantile(1 - ERROR, degrees)))


def steps(history: Sequence[HistoricRun], relative: bool = False) -> list[Step]:
    """Where the level of the runs of one device shifted, oldest first: each with its run, so with its commit.

    Takes the runs of the last run's device, accepted or not: a regressed run is where a shift begins.
    """
    runs = [r for r in history if r.device == history[-1].device and len(r.seconds) >= FEWEST_ROUNDS]
    if relative and runs:
        runs = [run for run in runs if run.baseline and run.baseline == runs[-1].baseline]
    if not runs:
        return []
    levels = [run.level(relative) for run in runs]
    noise = statistics.median(run.error(relative) for run in runs)
    bounds = [0, *find_steps(levels, noise), len(runs)]
    medians = [statistics.median(levels[i:j]) for i, j in itertools.pairwise(bounds)]
    shifts = zip(itertools.pairwise(medians), bounds[1:-1], strict=True)
    return [Step(runs[at], math.exp(after - before)) for (before, after), at in shifts]


SHORTEST_SEGMENT = 3
"""Runs that a level must last: one or two stray runs are no shift."""

FARTHEST = 5.0
"""What the deviation of a single run counts at most, in standard deviations: two stray runs are cheaper than a step."""

STEP_PENALTY = 7.0
"""What a further level costs, in standard deviations of the noise: with it, steady histories of 6 to 100 runs with
normal noise show a step less often than once in 100 (simulated in tests/unit/test_runs.py)."""


def find_steps(levels: Sequence[float], noise: float = 0.0) -> list[int]:
    """Positions where a piecewise constant level begins anew, by optimal partitioning of `levels` (logarithms).

    Minimises sum min(|level - median of its segment| / sigma, FARTHEST) + penalty * segments over all divisions in
    segments of at least `SHORTEST_SEGMENT` (B. Jackson et al., "An algorithm for optimal partitioning of data on an
    interval", IEEE Signal Processing Letters 12 (2005); asv minimises the like with a penalty taken from the data).
    Bounded deviations, so that stray runs make no step. sigma comes from the differences of neighbours, which hardly
    know of steps, and is at least `noise`, the error of a single level. Takes n^2 log n steps for n levels.
    """
    count = len(levels)
    if count < 2 * SHORTEST_SEGMENT:
        return []
    differences = [abs(b - a) for a, b in itertools.pairwise(levels)]
    # The median of |N(0, 2 s^2)| is 0.954 s.
    sigma = max(statistics.median(differences) / 0.954, noise)
    if sigma == 0.0:
        sigma = max(differences) / 100 or 1.0
    penalty = STEP_PENALTY * (1 + 6 / count)
    segments = _Segments(levels, sigma)
    best, begins = np.zeros(count + 1), np.zeros(count + 1, dtype=int)
    best[1:SHORTEST_SEGMENT] = math.inf
    for first in range(SHORTEST_SEGMENT, count + 1, _AT_ONCE):
        ends = range(first, min(first + _AT_ONCE, count + 1))
        for end, segment_costs in zip(ends, segments.costs(ends), strict=True):
            costs = best[:end] + segment_costs[:end] + penalty
            begins[end] = np.argmax(costs <= costs.min() + _TIE)
            best[end] = costs[begins[end]]
    positions, end = [], count
    while end > 0:
        end = int(begins[end])
        positions.append(end)
    return [position for position in reversed(positions) if position]


_TIE = 1e-9
"""Costs that differ by less are equal but for rounding. A stray run between two levels often costs the same on either
side; then the later level begins with it."""

_AT_ONCE = 64
"""Ends of segments whose costs are computed together: few calls of numpy for a short history, little memory for a long
one."""


class _Segments:
    """What segments of the levels cost: their bounded deviations from the median, in sigma, summed.

    In a table, row i holds for every rank r how many of the first i levels are below the r-th smallest of all, and
    their sum. The difference of two rows says the same of the levels between them, so a segment's median is found by
    bisection over ranks, and its cost takes three look-ups: where deviations begin to be bounded, the median, and
    where they are bounded again.
    """

    def __init__(self, levels: Sequence[float], sigma: float) -> None:
        count = len(levels)
        order = np.argsort(levels, kind="stable")
        ordered = np.asarray(levels, dtype=float)[order]
        ordered -= ordered[count // 2]  # sums of small numbers lose the fewest digits
        self._bits = count.bit_length()
        table = count + 1, 1 << self._bits
        self._counts, self._sums = np.zeros(table, dtype=np.int32), np.zeros(table)
        self._counts[order + 1, np.arange(count) + 1] = 1
        self._sums[order + 1, np.arange(count) + 1] = ordered
        for entries in (self._counts, self._sums):
            entries.cumsum(axis=0, out=entries).cumsum(axis=1, out=entries)
        self._sigma, self._ordered = sigma, ordered
        self._low = np.searchsorted(ordered, ordered - FARTHEST * sigma, side="left")
        self._high = np.searchsorted(ordered, ordered + FARTHEST * sigma, side="right")

    def costs(self, ends: Sequence[int]) -> NDArray[np.float64]:
        """Of the segments before each of `ends`, by their beginning from 0 on; infinite where they are too short."""
        begins, after = np.arange(ends[-1]), np.array(ends)[:, None]
        lengths = after - begins

        def below(ranks: NDArray[np.intp]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
            """Of each segment, how many levels are below a rank, and their sum."""
            counts, sums = self._counts, self._sums
            return counts[after, ranks] - counts[begins, ranks], sums[after, ranks] - sums[begins, ranks]

        middle = np.zeros(lengths.shape, dtype=np.intp)
        for bit in reversed(range(self._bits)):
            above = middle + (1 << bit)
            not_beyond = self._counts[after, above] - self._counts[begins, above] <= lengths // 2
            middle = np.where(not_beyond, above, middle)
        middle = np.minimum(middle, len(self._ordered) - 1)  # of segments that are none
        low_count, low_sum = below(self._low[middle])
        middle_count, middle_sum = below(middle)
        high_count, high_sum = below(self._high[middle])
        median = self._ordered[middle]
        above_median = high_sum - middle_sum - median * (high_count - middle_count)
        below_median = median * (middle_count - low_count) - (middle_sum - low_sum)
        bounded = lengths - (high_count - low_count)
        costs = (above_median + below_median) / self._sigma + FARTHEST * bounded
        return np.where(lengths >= SHORTEST_SEGMENT, costs, math.inf)
