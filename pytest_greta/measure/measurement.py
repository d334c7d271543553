"""One measurement on a device: verify, warm up, time beside the counterparts; then quantities for the gates.

Everything here runs in the test process. The worker only launches what it is told to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from threading import Event
from typing import TYPE_CHECKING

from pytest_greta.device.worker import Worker
from pytest_greta.errors import DeviceFault
from pytest_greta.gates.model import Quantity
from pytest_greta.measure.batches import Round
from pytest_greta.measure.bench import Bench, Progress
from pytest_greta.measure.beside import Aside
from pytest_greta.measure.budget import SessionBudget
from pytest_greta.measure.correctness import POISONS
from pytest_greta.measure.draws import DRAWS, Draws, derive
from pytest_greta.measure.executable import BASELINE, CANDIDATE
from pytest_greta.measure.problem_data import DataStore, ProblemData, Wanted
from pytest_greta.measure.quantities import add_quantities
from pytest_greta.measure.reference import ROWS_SECONDS
from pytest_greta.measure.run import Run
from pytest_greta.measure.timing import Timing

if TYPE_CHECKING:
    from pytest_greta.measure.plan import Plan

_OF_A_WHOLE_RUN = (
    *("complete", "canaries", "inputs_unchanged", "deterministic", "max_error"),
    *("prefill_seconds", "tokens_per_second", "speedup"),
)

_SWITCH_SECONDS = 5e-4
"""After so long a thread that computes beside gives way to this one, which the device waits for: ten times as soon as
Python's threads usually do."""


def measure(worker: Worker, plan: Plan, progress: Progress, store: DataStore, budget: SessionBudget) -> Run:
    """Measure `plan` on the worker's device. A device fault ends the run early and is kept in the result.

    `store` has what other measurements of the same problem drew and computed, `budget` what they left of the session's.
    """
    run = Run(plan, worker.info)
    worker.begin_output()
    with ExitStack() as stack:
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(_SWITCH_SECONDS)
        bench = None
        try:
            data = store.of(Wanted(plan.kernel, plan.problem, plan.seed, plan.single_shot), progress)
            executables = (plan.candidate, *(other.executable for other in plan.counterparts.values()))
            variants = [executable.variant for executable in executables if executable.variant]
            draws = derive(plan.kernel, plan.problem, data.shared, variants, stack)
            aside = stack.enter_context(closing(Aside(is_beside=worker.info.kind != "cpu")))
            bench = Bench(worker, plan, run, progress, draws, aside)
            _verify_and_time(bench, data, budget)
        except DeviceFault as fault:
            run.fault = fault
            worker.kill()  # after a fault nothing the device says can be trusted; the next test gets a new worker
            if bench and bench.checks and bench.checks[CANDIDATE].first:
                bench.settle()
                bench.checks[CANDIDATE].add_errors(run)
    run.worker_output = worker.output()
    add_quantities(run)
    if run.fault:
        for name in _OF_A_WHOLE_RUN:
            run.quantities.setdefault(name, Quantity(None, reason="not reached: the run ended early"))
    return run


def time_only(worker: Worker, plan: Plan, draws: Draws, progress: Progress) -> Run:
    """Time candidate and counterparts, and check nothing: for code that was verified before. Raises DeviceFault."""
    run = Run(plan, worker.info)
    try:
        bench = Bench(worker, plan, run, progress, draws, Aside(is_beside=False))
        bench.load()
        bench.first_seconds |= bench.launch([Round(list(bench.executables), DRAWS[0], POISONS[0])])[0]
        Timing(bench, SessionBudget()).time_unthrottled()
    except DeviceFault:
        worker.kill()
        raise
    add_quantities(run)
    return run


def _verify_and_time(bench: Bench, data: ProblemData, budget: SessionBudget) -> None:
    plan, run = bench.plan, bench.run
    bench.load()
    bench.progress("computing references")
    bench.hold_against(data.references())
    baseline = bench.executables.get(BASELINE)
    if baseline:
        bench.recall(BASELINE, data.right(baseline, bench.checks[BASELINE].tolerances))
    for slot in list(bench.executables):
        bench.verify(slot)
    with _more_rows(bench, data) as finish:
        if not plan.single_shot:
            Timing(bench, budget).time_unthrottled()
            for draw in bench.draws.shared:
                if draw not in bench.checks[CANDIDATE].first:  # so few rounds that none took it
                    bench.launch([Round(list(bench.executables), draw, POISONS[0])])
        for slot in list(bench.executables):
            bench.note_misuse(slot)
        finish()
    if baseline:
        data.remember(baseline, bench.checks[BASELINE] if BASELINE in bench.executables else None)
    bench.checks[CANDIDATE].add_quantities(run)


@contextmanager
def _more_rows(bench: Bench, data: ProblemData) -> Iterator[Callable[[], None]]:
    """Compute further rows of partial references, where nobody did, on the host while the device is timed; what is
    called at the end waits for them, and holds the first outputs against them. Raises KernelMistake.
    """
    stop, thread = Event(), ThreadPoolExecutor(1, "greta-rows")
    computing = {
        draw: thread.submit(reference.further_rows, ROWS_SECONDS, stop)
        for draw, reference in bench.references.items()
        if reference.is_partial and len(bench.executables) == 1 and not data.has_further_rows(draw)
    }

    def finish() -> None:
        bench.settle()
        for draw, reference in bench.references.items():
            if draw in computing:
                bench.progress("computing more rows of the references")
                rows = computing[draw].result()
            elif reference.is_partial and not data.has_further_rows(draw):
                # What it was held against was wrong.
                rows = reference.further_rows(ROWS_SECONDS, stop)
            else:
                continue
            data.add_further_rows(draw, rows)
            bench.checks[CANDIDATE].judge_again(draw)
        bench.settle()

    try:
        yield finish
    finally:  # after a fault or Ctrl-C nobody waits for them
        stop.set()
        thread.shutdown(wait=False, cancel_futures=True)
