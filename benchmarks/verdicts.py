"""Which rule can be trusted? greta, pytest-benchmark, Mann-Whitney and asv judge the same noise.

    python -m benchmarks.verdicts [--traces FILE ...] [--seed N] [--write docs/verdicts.md] [--quick]

Needs the extra `bench`. Every rule sees kernels that did not change and kernels that became 2, 3 and 5 % slower. The
rules of pytest-benchmark and asv are those packages' own code, called as their command lines call it.

A rule that compares runs gets two runs of 50 launches, each with its own shift between runs. greta's gates `speedup`
and `regression` get one run in which old and new alternate in random order, so that the shift is the same for both;
`regression` has ten accepted runs before it as well, and fails by their times, too. The history alone is what is left
where the accepted code was not kept. A run that would fail by times is measured once more.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pytest_benchmark.stats import Stats
from pytest_benchmark.utils import parse_compare_fail

from benchmarks.noise import MODELS, ORDERLY, Noise, Times, lognormal, recorded
from pytest_greta.gates.model import Limit
from pytest_greta.stats import pairs as sequential
from pytest_greta.stats import runs as regression
from pytest_greta.stats.shape import shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

BETWEEN = (0.0, 0.005, 0.01, 0.02)
"""Spread between runs."""
SLOWDOWNS = (1.0, 1.02, 1.03, 1.05)
LAUNCHES = 50
"""Launches of a run, for the rules that compare runs."""
HISTORY = 10
"""Accepted runs before the current one."""
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(frozen=True)
class Case:
    """One kind of noise, with one spread between runs."""

    name: str
    noise: Noise
    between: float
    carry: float = 0.0
    """What a launch of the new code adds to the time of the next launch, of whichever code."""
    offset: float = 0.0
    """Spread of what a process adds to one of the two codes: their addresses, for example."""
    tick: float = 0.0
    """Tick of the clock, in units of a launch."""
    state: float = 0.0
    """What the state of the machine adds to the current run, and to none of those before."""
    rare: float = 0.0
    """Share of runs that are 4 % slower."""

    @property
    def label(self) -> str:
        """As in the first columns of the tables."""
        return f"{self.name} | {100 * self.between:g} %"

    @property
    def knows(self) -> bool:
        """Whether the noise depends on the code that it meets: nothing that compares the two can be right then."""
        return bool(self.carry or self.offset or self.tick)

    def shifts(self, rng: np.random.Generator, *shape: int) -> Times:
        """What a whole run is slower by, as a factor: of `shape` the last axis has the runs, the current one last."""
        found = np.exp(rng.normal(0.0, self.between, shape))
        found *= np.where(rng.random(shape) < self.rare, 1.04, 1.0)
        found[..., -1] *= 1 + self.state
        return np.asarray(found)


@dataclass(frozen=True)
class Rounds:
    """Rounds of new and old code: logarithms of their times, in rounds of balanced order, shape (..., rounds)."""

    new: Times
    old: Times
    orders: Times
    """+1 where the new code came second, else -1."""
    carries: Times
    """Shape (..., rounds // 2): what `order.carries` finds."""

    def decided(self, case: Case, limit: float) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
        """`pairs.decisions`, without looking at pairs that come long after the decision."""
        values, rounds = self.new - self.old, self.new.shape[-1]
        coarse = sequential.coarseness([1.0], case.tick)
        used, side = np.full(len(values), 0), np.zeros(len(values), dtype=int)
        left = np.arange(len(values))
        for offered in (40, 120, rounds):
            if not left.size:
                break
            used[left], side[left] = sequential.decisions(
                values[left, :offered],
                Limit(max=limit),
                self.orders[left, :offered],
                self.carries[left, : offered // 2],
                coarse,
            )
            left = np.flatnonzero((side == 0) & (used == offered))
        return used, side


@dataclass(frozen=True)
class Score:
    """What a rule said of one case at one slowdown."""

    failed: float
    """Share of verdicts that say "slower"."""
    passed: float
    launches: float
    """Mean launches of the current run."""


Rule = Callable[[np.random.Generator, Case, float, int], Score]


def greta_speedup(limit: float) -> Rule:
    """Old and new code in one run: the share that `PairedTest` finds slower than the limit."""

    def judge(rng: np.random.Generator, case: Case, slowdown: float, sessions: int) -> Score:
        used, side = np.zeros(sessions, dtype=int), np.zeros(sessions, dtype=int)
        for part in _parts(sessions):
            shifts = np.ones(part.stop - part.start)  # the same for both
            found = _rounds(rng, case, shifts, slowdown, sequential.MOST_BLOCKS)
            used[part], side[part] = found.decided(case, limit)
        return Score(float((side > 0).mean()), float((side < 0).mean()), float(2 * used.mean()))

    return judge


def greta_regression(limit: float) -> Rule:
    """New code beside that of the last accepted run. Pairs decide; the times of ten runs before do not."""

    def judge(rng: np.random.Generator, case: Case, slowdown: float, sessions: int) -> Score:
        found = greta_speedup(limit)(rng, case, slowdown, sessions)
        # A failure ends the run; one that passes goes on, for what history needs to know.
        launches = found.launches if found.failed > 0.5 else max(found.launches, 2.0 * LAUNCHES)
        return Score(found.failed, found.passed, launches)

    return judge


def _parts(sessions: int) -> list[slice]:
    """Few enough sessions at a time for their launches to fit in memory."""
    return [slice(begin, min(begin + 500, sessions)) for begin in range(0, sessions, 500)]


def _rounds(rng: np.random.Generator, case: Case, shifts: Times, slowdown: float, rounds: int) -> Rounds:
    """Rounds of new and old code in runs with the given shifts: couples of opposite order, the first by a coin."""
    where = shifts.shape
    times = case.noise(rng, shifts.size, 2 * rounds).reshape(*where, 2 * rounds) * shifts[..., None]
    coins = rng.integers(0, 2, (*where, rounds // 2, 1))
    # New code (1) and old (0) in a couple: 1 0 0 1, or 0 1 1 0.
    is_new = np.where(coins, [1, 0, 0, 1], [0, 1, 1, 0]).reshape(*where, 2 * rounds)
    offsets = np.exp(rng.normal(0.0, case.offset, (*where, 2))) if case.offset else np.ones((*where, 2))
    times = times * np.where(is_new, slowdown * offsets[..., :1], offsets[..., 1:])
    times[..., 1:] *= np.where(is_new[..., :-1], 1 + case.carry, 1.0)
    if case.tick:
        times = np.maximum(np.round(times / case.tick), 1) * case.tick
    logs = np.log(times)
    slots, who = logs.reshape(*where, rounds, 2), is_new.reshape(*where, rounds, 2)
    new, old = (np.where(who[..., 0] == which, slots[..., 0], slots[..., 1]) for which in (1, 0))
    fours = logs.reshape(*where, rounds // 2, 4)
    carries = (2 * coins[..., 0] - 1) * (fours[..., 1] - fours[..., 2])
    return Rounds(new, old, np.where(who[..., 1] == 1, 1, -1), carries)


def greta_history(relative: bool, limit: float) -> Rule:
    """A run against ten accepted runs, by its times or by its ratios to a baseline that did not change."""

    def judge(rng: np.random.Generator, case: Case, slowdown: float, sessions: int) -> Score:
        shifts = case.shifts(rng, sessions, HISTORY + 1)
        shifts = np.concatenate([shifts, shifts[:, -1:]], axis=1)  # the second measurement is of the same run
        found = _rounds(rng, case, shifts, 1.0, LAUNCHES)
        runs, beside = found.new, found.old
        if relative:
            runs = runs - beside
        runs[:, HISTORY:] += math.log(slowdown)
        failed, passed, twice = _against_history(
            runs, regression.RATIOS if relative else regression.TIMES, limit
        )
        launches = LAUNCHES * (1 + relative) * (1 + float(twice.mean()))
        return Score(float(failed.mean()), float(passed.mean()), launches)

    return judge


def _against_history(
    logs: Times, prior: regression.Prior, limit: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which sessions fail, which pass, and which are measured twice.

    `logs` has shape (sessions, HISTORY + 2, launches): the accepted runs, the current one, its second measurement.
    """
    levels = np.median(logs, axis=-1)
    mads = np.median(np.abs(logs - levels[..., None]), axis=-1)
    errors = 1.2533 * 1.4826 * mads / math.sqrt(logs.shape[-1])
    ends = shape(logs[:, HISTORY:]).levels()
    lowest = np.minimum(ends[0], levels[:, HISTORY:]) - levels[:, HISTORY:]
    highest = np.maximum(ends[1], levels[:, HISTORY:]) - levels[:, HISTORY:]
    failed, passed, twice = (np.zeros(len(logs), bool) for _ in range(3))
    for i, (level, error) in enumerate(zip(levels.tolist(), errors.tolist(), strict=True)):
        past = level[:HISTORY], error[:HISTORY]
        fails = []
        for which in (0, 1):
            now = level[HISTORY + which], error[HISTORY + which]
            shift, half, _ = regression.compare_levels(*past, *now, prior)
            fails.append(shift - half + lowest[i, which] > math.log(limit))
            if not fails[0]:
                passed[i] = shift + half + highest[i, which] <= math.log(limit)
                break
        twice[i], failed[i] = fails[0], all(fails)
    return failed, passed, twice


def _two_runs(rng: np.random.Generator, case: Case, slowdown: float, sessions: int) -> tuple[Times, Times]:
    old, new = (case.noise(rng, sessions, LAUNCHES) * case.shifts(rng, sessions, 1) for _ in range(2))
    return old, new * slowdown


def pytest_benchmark(expression: str) -> Rule:
    """`pytest --benchmark-compare-fail=EXPRESSION` against a stored run."""
    check = parse_compare_fail(expression)  # type: ignore[no-untyped-call]

    def judge(rng: np.random.Generator, case: Case, slowdown: float, sessions: int) -> Score:
        failed = 0
        for pair in zip(*_two_runs(rng, case, slowdown, sessions), strict=True):
            old, new = (_statistic(times, check.field) for times in pair)
            failed += bool(check.fails(new, old))
        return Score(failed / sessions, 1 - failed / sessions, LAUNCHES)

    return judge


def _statistic(times: Times, field: str) -> dict[str, float]:
    stats: Any = Stats()  # type: ignore[no-untyped-call]
    for seconds in times.tolist():
        stats.update(seconds)
    return {field: getattr(stats, field)}


def mann_whitney(rng: np.random.Generator, case: Case, slowdown: float, sessions: int) -> Score:
    """Two runs differ at p < 0.05 (two-sided), and the new one has the larger median."""
    from scipy.stats import mannwhitneyu

    old, new = _two_runs(rng, case, slowdown, sessions)
    p = mannwhitneyu(new, old, axis=1).pvalue
    failed = float(((p < 0.05) & (np.median(new, axis=1) > np.median(old, axis=1))).mean())
    return Score(failed, 1 - failed, LAUNCHES)


def asv(rng: np.random.Generator, case: Case, slowdown: float, sessions: int) -> Score:
    """`asv compare` and `asv continuous`: the median grew by more than 1.1, and the runs differ (p < 0.002)."""
    from asv.commands.compare import _is_result_better

    failed = 0
    for old, new in zip(*_two_runs(rng, case, slowdown, sessions), strict=True):
        before, after = (float(np.median(times)) for times in (old, new))
        if before < after / 1.1:  # both conditions must hold, and asv's other one takes long
            sides = [({"repeat": LAUNCHES}, times.tolist()) for times in (old, new)]
            failed += _is_result_better(before, after, *sides, 1.1)
    return Score(failed / sessions, 1 - failed / sessions, LAUNCHES)


RULES: Mapping[str, tuple[Rule, int]] = {
    "greta regression <= 1.01": (greta_regression(1.01), 10_000),
    "greta speedup >= 0.99": (greta_speedup(1.01), 10_000),
    "greta speedup >= 0.98": (greta_speedup(1.02), 10_000),
    "greta, history of ratios only": (greta_history(True, 1.01), 4_000),
    "greta, history of times only": (greta_history(False, 1.01), 4_000),
    "pytest-benchmark mean:2%": (pytest_benchmark("mean:2%"), 2_000),
    "pytest-benchmark min:2%": (pytest_benchmark("min:2%"), 2_000),
    "pytest-benchmark median:2%": (pytest_benchmark("median:2%"), 2_000),
    "Mann-Whitney p < 0.05": (mann_whitney, 2_000),
    "asv compare": (asv, 2_000),
}
"""Rules, and of how many unchanged kernels each is asked; of slower ones a tenth, and at least 500."""

Scores = dict[str, dict[float, Score]]


def judge_case(case: Case, quick: bool, seed: int) -> Scores:
    """What every rule says of one case, by rule and slowdown."""
    scores: Scores = {}
    for name, (rule, sessions) in RULES.items():
        scores[name] = {}
        for slowdown in SLOWDOWNS:
            count = sessions if slowdown == 1 else max(500, sessions // 10)
            # The same seed for every rule: the same kind of sessions, however many numbers a rule draws from it.
            rng = np.random.default_rng([seed, zlib.crc32(f"{case.label} {slowdown}".encode())])
            scores[name][slowdown] = rule(rng, case, slowdown, max(50, count // 20) if quick else count)
    return scores


def tables(cases: Sequence[Case], found: Sequence[Scores]) -> str:
    """The results as Markdown."""
    calm = [s for case, s in zip(cases, found, strict=True) if case.name in MODELS and case.between <= 0.01]
    lines = [
        "The worst cases: of false alarms in all noise, of what is found in models with up to 1 % between runs.",
        "",
        "| rule | false alarms | finds +2 % | finds +3 % | finds +5 % | launches per +3 % found (median case) |",
        "|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        worst = [
            max(s[rule][1.0].failed for s in found),
            *(min(s[rule][x].failed for s in calm) for x in SLOWDOWNS[1:]),
        ]
        costs = [
            s[rule][1.03].launches / s[rule][1.03].failed if s[rule][1.03].failed else math.inf for s in calm
        ]
        cost = float(np.median(costs))
        cells = [
            _percent(worst[0], 2),
            *(_percent(x) for x in worst[1:]),
            f"{cost:.0f}" if cost < 1e4 else "never",
        ]
        lines.append(f"| {rule} | {' | '.join(cells)} |")
    for slowdown in SLOWDOWNS:
        text = "False alarms: nothing changed" if slowdown == 1 else f"Found: +{slowdown - 1:.0%}"
        lines += [
            "",
            f"**{text}**",
            "",
            f"| noise | between runs | {' | '.join(RULES)} |",
            "|---" * (len(RULES) + 2) + "|",
        ]
        for case, scores in zip(cases, found, strict=True):
            cells = [_percent(scores[rule][slowdown].failed, 2 if slowdown == 1 else 0) for rule in RULES]
            lines.append(f"| {case.label} | {' | '.join(cells)} |")
    greta = [rule for rule in RULES if rule.startswith("greta")]
    lines += ["", "**greta: INCONCLUSIVE, and mean launches** (unchanged; +2 %; +3 %; +5 %)", ""]
    lines += [f"| noise | between runs | {' | '.join(greta)} |", "|---" * (len(greta) + 2) + "|"]
    for case, scores in zip(cases, found, strict=True):
        cells = []
        for rule in greta:
            unclear = "; ".join(_percent(1 - s.failed - s.passed) for s in scores[rule].values())
            launches = "; ".join(f"{s.launches:.0f}" for s in scores[rule].values())
            cells.append(f"{unclear} ({launches})")
        lines.append(f"| {case.label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %" if share else "0"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the contest and print its tables; the exit status says whether greta kept its promises."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--traces", nargs="*", type=Path, default=[], metavar="FILE", help="of pytest --benchmark-json"
    )
    parser.add_argument("--write", type=Path, help="a Markdown file with the markers to write between")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the sessions")
    parser.add_argument("--seed", type=int, default=2026, help="of all noise [2026]")
    options = parser.parse_args(arguments)
    try:
        import asv  # noqa: F401
        import scipy  # noqa: F401
    except ImportError as error:
        parser.error(f"{error.name} is missing: pip install 'pytest-greta[bench]'")
    began = time.monotonic()
    cases = [Case(name, noise, between) for name, noise in MODELS.items() for between in BETWEEN]
    cases += [Case(name, noise, 0.01) for name, noise in ORDERLY.items()]
    cases += [
        Case("2 % of runs +4 %", lognormal, 0.01, rare=0.02),
        Case("state of the machine +4 %", lognormal, 0.01, state=0.04),
        Case("a clock of 20 ticks a launch", lognormal, 0.01, tick=1 / 20),
        Case("a clock of 5 ticks a launch", lognormal, 0.01, tick=1 / 5),
        Case("behind the new code +4 %", lognormal, 0.01, carry=0.04),
        Case("behind the new code +8 %", lognormal, 0.01, carry=0.08),
        Case("0.5 % by process and code", lognormal, 0.01, offset=0.005),
    ]
    cases += [Case(f"recorded: {path.stem}", recorded(path), 0.0) for path in options.traces]
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(judge_case, cases, repeat(options.quick), repeat(options.seed)))
    text = tables(cases, found)
    sys.stdout.write(f"{text}\n\n{len(cases)} kinds of noise in {time.monotonic() - began:.0f} s\n")
    if options.write:
        page = options.write.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        options.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    wrong = [
        f"{rule} in {case.label}: {scores[rule][1.0].failed:.2%} false alarms"
        for case, scores in zip(cases, found, strict=True)
        for rule in RULES
        if rule.startswith("greta") and scores[rule][1.0].failed > 0.001
    ]
    sys.stdout.writelines(f"too many: {line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
