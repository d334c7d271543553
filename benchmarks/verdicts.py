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

from benchmarks.noise import MODELS, Noise, Times, recorded
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

    @property
    def label(self) -> str:
        """As in the first columns of the tables."""
        return f"{self.name} | {100 * self.between:g} %"

    def shifts(self, rng: np.random.Generator, *shape: int) -> Times:
        """What a whole run is slower by, as a factor."""
        return np.exp(rng.normal(0.0, self.between, shape))


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
            new, old = _rounds(rng, case, shifts, slowdown, sequential.MOST_BLOCKS)
            used[part], side[part] = _decide(new - old, limit)
        return Score(float((side > 0).mean()), float((side < 0).mean()), float(2 * used.mean()))

    return judge


def greta_regression(limit: float) -> Rule:
    """New code beside that of the last accepted run, whose ten times before count as well."""

    def judge(rng: np.random.Generator, case: Case, slowdown: float, sessions: int) -> Score:
        failed = passed = launches = 0
        for part in _parts(sessions):
            shifts = case.shifts(rng, part.stop - part.start, HISTORY + 1)
            new, old = _rounds(rng, case, shifts[:, -1], slowdown, sequential.MOST_BLOCKS)
            used, side = _decide(new - old, limit)
            again, _ = _rounds(rng, case, shifts[:, -1], slowdown, LAUNCHES)
            past, _ = _rounds(rng, case, shifts[:, :-1], 1.0, LAUNCHES)
            runs = np.concatenate([past, new[:, None, :LAUNCHES], again[:, None]], axis=1)
            slower, _, twice = _against_history(runs, regression.TIMES, limit)
            fails = (side > 0) | slower
            # A failure ends the run; one that passes so far goes on, for what history needs to know.
            rounds = np.where(side > 0, used, np.maximum(used, LAUNCHES) + twice * LAUNCHES)
            failed += int(fails.sum())
            passed += int(((side < 0) & ~fails).sum())
            launches += 2 * int(rounds.sum())
        return Score(failed / sessions, passed / sessions, launches / sessions)

    return judge


def _parts(sessions: int) -> list[slice]:
    """Few enough sessions at a time for their launches to fit in memory."""
    return [slice(begin, min(begin + 500, sessions)) for begin in range(0, sessions, 500)]


def _rounds(
    rng: np.random.Generator, case: Case, shifts: Times, slowdown: float, rounds: int
) -> tuple[Times, Times]:
    """Logarithms of the times of new and old code in runs with the given shifts: each of shape (*shifts, rounds)."""
    slots = case.noise(rng, shifts.size, 2 * rounds).reshape(*shifts.shape, rounds, 2)
    slots = np.log(slots * shifts[..., None, None])
    coins = rng.integers(0, 2, slots.shape[:-1])[..., None]
    new, old = (np.take_along_axis(slots, which, axis=-1)[..., 0] for which in (coins, 1 - coins))
    return new + math.log(slowdown), old


def _decide(log_ratios: Times, limit: float) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """`sequential.decisions`, without looking at blocks that come long after the decision."""
    offered = 40
    used, side = sequential.decisions(log_ratios[:, :offered], limit)
    for blocks in (120, sequential.MOST_BLOCKS):
        undecided = np.flatnonzero((side == 0) & (used == offered))
        if undecided.size:
            used[undecided], side[undecided] = sequential.decisions(log_ratios[undecided, :blocks], limit)
        offered = blocks
    return used, side


def greta_history(relative: bool, limit: float) -> Rule:
    """A run against ten accepted runs, by its times or by its ratios to a baseline that did not change."""

    def judge(rng: np.random.Generator, case: Case, slowdown: float, sessions: int) -> Score:
        shifts = case.shifts(rng, sessions, HISTORY + 1)
        shifts = np.concatenate([shifts, shifts[:, -1:]], axis=1)  # the second measurement is of the same run
        runs, beside = _rounds(rng, case, shifts, 1.0, LAUNCHES)
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
