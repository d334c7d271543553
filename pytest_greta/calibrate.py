"""How far a gate on speedup can be trusted here: a variant against itself, and against itself with more work.

`--greta-calibrate=N` measures N gates `speedup >= 0.99` for every variant and context on this device. With equal code
on both sides every FAIL is a false alarm. With 1, 2, 3, 5 and 10 % more work in the candidate, every FAIL is a find.
The work is real: a further launch of the same kernel on a part of its grid, whose cost is measured, not assumed.
`python -m pytest_greta.calibrate FILE` prints what was found as a table in Markdown.
"""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_greta.compiler.cache import write_whole
from pytest_greta.gates.evaluation import evaluate
from pytest_greta.gates.model import Gate, Limit, Measurement, Status, Verdict
from pytest_greta.measure.bench import Progress
from pytest_greta.measure.draws import derive, draw_shared
from pytest_greta.measure.executable import BASELINE, Executable
from pytest_greta.measure.measurement import time_only
from pytest_greta.measure.plan import Counterpart, Plan
from pytest_greta.measure.run import Run
from pytest_greta.stats.pairs import MOST_BLOCKS, PairedTest

if TYPE_CHECKING:
    from pytest_greta.device.worker import Worker
    from pytest_greta.kernel import Kernel, Launch, Problem, Variant
    from pytest_greta.session import Session

LIMIT = Limit(min=0.99)
SLOWDOWNS = (0.01, 0.02, 0.03, 0.05, 0.10)
POWER = 0.95
FILE = "greta-calibration.json"

_SEARCH_PAIRS = (16, 64, 256)
"""Pairs that time what a part of the grid adds: more where fewer do not tell whether it is too much or too little."""

_SURE = 3.0
"""Standard errors that tell one amount of work from another."""


@dataclass(frozen=True)
class Found:
    """What gates said of one amount of additional work."""

    slowdown: float
    """What was aimed at: 0.02 is 2 % more time."""
    measured: float
    """What it was: the median over all gates."""
    gates: int
    """0 where no part of the grid could be found that adds so much: the noise hides it, or blocks are too large."""
    failed: int
    undecided: int
    mean_pairs: float


@dataclass(frozen=True)
class Calibration:
    """What the gates of one variant and context said on one device."""

    device: str
    kernel: str
    variant: str
    context: int
    problem: str
    when: str
    budget_seconds: float
    equal: Found
    """Equal code on both sides."""
    slower: tuple[Found, ...]

    @property
    def finds(self) -> float | None:
        """The smallest slowdown, as measured, from which on 95 of 100 gates fail; None where none of them is enough."""
        found = None
        for one in sorted(self._made, key=lambda one: -one.measured):
            if one.failed < POWER * one.gates:
                break
            found = one.measured
        return found

    @property
    def _made(self) -> list[Found]:
        """The slowdowns for which there was a part of the grid."""
        return [one for one in self.slower if one.gates]

    def __str__(self) -> str:
        """In one line."""
        finds = (
            f"finds {self.finds:.1%} slower {POWER:.0%} of the time" if self.finds else "nothing found yet"
        )
        if self._made and self.finds is None:
            finds = (
                f"does not find {max(one.measured for one in self._made):.1%} slower {POWER:.0%} of the time"
            )
        hidden = [f"{one.slowdown:.0%}" for one in self.slower if not one.gates]
        if hidden:
            finds += f"; {', '.join(hidden)} more work could not be made: the noise here is larger"
        return (
            f"{self.kernel} {self.variant} @ {self.context}: speedup >= {LIMIT.min}: {self.equal.failed} false alarms "
            f"in {self.equal.gates}, {finds} ({self.budget_seconds:g} s a gate)"
        )


def calibrate_variant(
    session: Session, kernel: Kernel, variant: Variant, problem: Problem
) -> Iterator[Calibration]:
    """Calibrate a variant for a problem. Raises what `Runner.run_result` raises, and DeviceFault."""
    executable = session.planner.executable(kernel, variant, problem)
    session.builder.compiler.settle()
    options = session.options
    with session.progress.measuring(f"{variant.name} @ {problem.id}"):
        yield from calibrate(
            session.device.worker(),
            kernel,
            variant,
            problem,
            executable,
            options.calibrate,
            options.budget_seconds,
            session.planner.draw_seed(),
            session.progress.show,
        )


def calibrate(
    worker: Worker,
    kernel: Kernel,
    variant: Variant,
    problem: Problem,
    executable: Executable,
    gates: int,
    budget_seconds: float,
    seed: int,
    progress: Progress,
) -> Iterator[Calibration]:
    """Run `gates` gates on equal code, then half as many on each slowdown; yields after each. Raises DeviceFault."""
    seeds = iter(range(seed, sys.maxsize))

    def timed(launches: Sequence[Launch], pairs: int = 0) -> Run:
        plan = Plan(
            kernel=kernel,
            variant=variant,
            problem=problem,
            candidate=dataclasses.replace(executable, launches=launches),
            tolerances={},
            counterparts={BASELINE: Counterpart(executable, () if pairs else (LIMIT,), {})},
            missing={},
            fewest_rounds=pairs,
            most_rounds=pairs or MOST_BLOCKS,
            budget_seconds=budget_seconds,
            single_shot=False,
            seed=next(seeds),
            caches="auto",
            one_core=worker.info.kind == "cpu",
        )
        return time_only(worker, plan, draws, progress)

    def judged(slowdown: float, more: Sequence[Launch], count: int) -> Found:
        runs = []
        for number in range(count):
            progress(f"{slowdown:.0%} more work, gate {number + 1} of {count}")
            runs.append(timed([*executable.launches, *more]))
        return _found(slowdown, runs)

    def added(part: Launch, wanted: float) -> Added:
        """What a part of the grid adds, behind the variant's own launches, over their time."""
        for pairs in _SEARCH_PAIRS:
            found = added_by(timed([*executable.launches, part], pairs).baseline.pairs)
            if abs(found.share - wanted) > _SURE * found.error:
                break
        return found

    with ExitStack() as stack:
        # Once for all gates: drawing takes far longer than timing. Every gate has buffers and coins of its own.
        shared = draw_shared(kernel, problem, np.random.default_rng(seed), 2, stack)
        draws = derive(kernel, problem, shared, [variant], stack)
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        where = (worker.info.identity, kernel.name, variant.name, problem.context, str(problem))
        found = Calibration(*where, now, budget_seconds, judged(0.0, (), gates), ())
        yield found
        for slowdown in SLOWDOWNS:
            progress(f"looking for {slowdown:.0%} of work")
            part = _part(executable.launches[0], slowdown, added)
            one = Found(slowdown, 0.0, 0, 0, 0, 0.0)
            if part is not None:
                one = judged(slowdown, (part,), max(1, gates // 2))
            found = dataclasses.replace(found, slower=(*found.slower, one))
            yield found


def _found(slowdown: float, runs: Sequence[Run]) -> Found:
    """What the gates of some runs said."""
    statuses = [_verdict(run).status for run in runs]
    return Found(
        slowdown,
        math.exp(-statistics.median(x for run in runs for x in run.baseline.pairs.log_ratios)) - 1,
        len(runs),
        statuses.count(Status.FAIL),
        sum(status not in (Status.FAIL, Status.PASS) for status in statuses),
        statistics.fmean(run.baseline.pairs.blocks for run in runs),
    )


def _verdict(run: Run) -> Verdict:
    plan, kind = run.plan, run.device.kind
    gate = Gate("speedup", plan.kernel.name, plan.variant.name, LIMIT, devices=(kind,))
    found = Measurement(gate.kernel, gate.variant, run.quantities, problem=plan.problem, device=kind)
    return evaluate(gate, found)


@dataclass(frozen=True)
class Added:
    """What a part of the grid adds to the variant's time, over it."""

    share: float
    error: float
    """Its standard error."""


def added_by(pairs: PairedTest) -> Added:
    """What the candidate of `pairs` does more than the baseline. The error is that of a median of couples."""
    values = pairs.log_ratios
    means = [(a + b) / 2 for a, b in zip(values[0::2], values[1::2], strict=False)] or values
    middle = statistics.median(means)
    spread = 1.4826 * statistics.median(abs(x - middle) for x in means)
    few = math.inf if len(means) < _FEWEST_COUPLES else 0.0  # they happen to agree
    return Added(1 / pairs.ratio - 1, max(few, 1.2533 * spread / math.sqrt(len(means))))


_FEWEST_COUPLES = 4


def _part(whole: Launch, wanted: float, added: Callable[[Launch, float], Added]) -> Launch | None:
    """The launch of a part of the grid that adds nearest to the wanted share of the variant's time.

    None where none is known to: the nearest adds less than half or more than twice as much, as far as its error says.
    """
    axis = max(range(3), key=lambda i: whole.grid[i])

    def cut(blocks: int) -> Launch:
        grid = [1, 1, 1] if narrow else list(whole.grid)
        grid[axis] = blocks
        return dataclasses.replace(whole, grid=(grid[0], grid[1], grid[2]))

    # Where even one layer of the grid is too much, layers of a single block.
    narrow = False
    narrow = added(cut(1), wanted).share > wanted
    low, high = 1, whole.grid[axis]
    while high - low > 1:
        middle = (low + high) // 2
        found = added(cut(middle), wanted)
        if abs(found.share - wanted) <= min(_SURE * found.error, wanted / 10):
            low = high = middle  # as near as can be told
        elif found.share < wanted:
            low = middle
        else:
            high = middle
    nearest = [(part, added(part, wanted)) for part in (cut(low), cut(high))]
    part, found = min(nearest, key=lambda one: abs(one[1].share - wanted))
    is_known = _SURE * found.error < wanted and wanted / 2 <= found.share <= 2 * wanted
    return part if is_known else None


# -- the file --------------------------------------------------------------------------------------------


def keep_all(path: Path, found: Iterable[Calibration], lines: list[str]) -> None:
    """Store what is found by and by, with its text as the last of `lines`: an interrupted calibration keeps all."""
    lines.append("")
    for one in found:
        try:
            store(path, one)
        except OSError as error:
            pytest.fail(f"{path} cannot be written: {error.strerror or error}", pytrace=False)
        lines[-1] = str(one)


def store(path: Path, new: Calibration) -> None:
    """Add a calibration to the file, in the place of an older one of the same device, kernel, variant and context.

    One that is still under way takes the place of none that went further. Raises OSError.
    """
    known = load(path)
    if any(_key(old) == _key(new) and len(old.slower) > len(new.slower) for old in known):
        return
    kept = [old for old in known if _key(old) != _key(new)]
    text = json.dumps([dataclasses.asdict(one) for one in [*kept, new]], indent=1)
    write_whole(path, f"{text}\n".encode())


def load(path: Path) -> list[Calibration]:
    """The calibrations of a file; none where it is missing or not one of ours."""
    try:
        return [
            Calibration(
                **{**one, "equal": Found(**one["equal"]), "slower": tuple(Found(**s) for s in one["slower"])}
            )
            for one in json.loads(path.read_text(encoding="utf-8"))
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def _key(one: Calibration) -> tuple[str, str, str, int, str]:
    return one.device, one.kernel, one.variant, one.context, one.problem


def table(calibrations: Sequence[Calibration]) -> Iterator[str]:
    """The lines of a table in Markdown: false alarms, and what was found of each slowdown."""
    yield (
        "| device | gate | budget | equal code | "
        + " | ".join(f"{s:.0%} more work" for s in SLOWDOWNS)
        + " |"
    )
    yield "|---" * (4 + len(SLOWDOWNS)) + "|"
    for one in calibrations:
        cells = [
            one.device,
            f"{one.kernel} {one.variant} @ {one.context}: speedup >= {LIMIT.min}",
            f"{one.budget_seconds:g} s",
            _counts(one.equal),
            *(
                f"{_counts(found)}; measured {found.measured:+.1%}" if found.gates else "could not be made"
                for found in one.slower
            ),
            *["not measured"] * (len(SLOWDOWNS) - len(one.slower)),
        ]
        yield f"| {' | '.join(cells)} |"


def _counts(found: Found) -> str:
    return f"{found.failed} of {found.gates} FAIL, {found.undecided} undecided, {found.mean_pairs:.0f} pairs"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table(load(Path(sys.argv[1]))))
