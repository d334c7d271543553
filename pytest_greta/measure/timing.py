"""The timed part of a measurement: warm up, then rounds in batches, until the gates are decided."""

from __future__ import annotations

import math
import secrets
import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.errors import DeviceFault
from pytest_greta.measure import batches
from pytest_greta.measure.batches import Manner, Round
from pytest_greta.measure.correctness import POISONS
from pytest_greta.measure.executable import CANDIDATE
from pytest_greta.measure.quantities import log_ratio
from pytest_greta.stats.bounds import FEWEST_PAIRS, coarseness
from pytest_greta.stats.order import Launch, carries, orders
from pytest_greta.stats.pairs import PairedTest

if TYPE_CHECKING:
    from pytest_greta.measure.bench import Bench
    from pytest_greta.measure.budget import SessionBudget

_THROTTLE_RETRIES = 2
"""How often a throttled measurement is repeated: a GPU that is still hot then will not cool down while it works."""

_WARM_UP_SECONDS = 1.0
"""The warm-up takes no longer, nor a tenth of the budget."""
_WINDOW_SECONDS = 0.02
"""The warm-up looks at the times of so long, three times at least."""
_LONG_SECONDS = 0.04
"""What takes so long by itself is warm behind its verification."""

_ONE_CORE_SECONDS = 0.5
"""A launch that would take longer on one core runs on all of them: it lasts for many of a scheduler's turns anyway."""

_EXCHANGE_SECONDS = {"hip": 2e-3, "cpu": 0.1}
"""An exchange of memory may take so long, or half of what a round takes; else all keep their places. It is slower where
the host does it, and more needed: an address makes 2 % of a launch of 0.3 ms on a CPU."""
_EXCHANGES = 3
"""So many are tried before that is said: the first of anything is slow."""

_COPIES = 8
"""So many copies of the code of each are loaded, of which each couple of rounds takes one at random: by where it lies,
a launch of 36 us of code without loops took 0.4 % more or less (benchmarks/copies.py)."""
_COPIED_SECONDS = 1e-3
"""Of a longer launch that is too little to be told."""

Timed = list[tuple[Round, dict[str, float]]]
"""Rounds with the seconds of their launches, by slot; of what could not be judged none."""


class Timing:
    """Rounds of a bench, timed."""

    def __init__(self, bench: Bench, budget: SessionBudget) -> None:
        self.bench, self.plan, self.run, self.budget = bench, bench.plan, bench.run, budget
        # Never that of the inputs: whoever knows their seed would know the coins.
        self.rng = np.random.default_rng(secrets.randbits(128))
        self.manner = Manner(cold=self.plan.caches in ("auto", "cold"), one_core=self._fits_one_core())
        self._slots: list[str] = []
        self._coins: Iterator[list[str]] = iter(())
        self._rounds = 0  # since these slots take part
        self._round_seconds = 0.0  # of the wall, in the last batch
        self._exchange_seconds: list[float] = []
        self._copies = 1  # of the code of each; none where it cannot be loaded again
        self._taken: dict[str, int] = {}  # which of them this couple of rounds takes, by slot
        self._places = {slot: place for place, slot in enumerate(bench.executables)}

    def time_unthrottled(self) -> None:
        """Time, and again where the device was throttled; the last try stands, marked as throttled if it was."""
        bench = self.bench
        seconds = self._warm_up()
        for attempt in range(1 + _THROTTLE_RETRIES):
            bench.worker.begin_telemetry()
            while not self._time(seconds):  # outputs differed in a batch: from here on all are looked at
                pass
            self.run.telemetry = bench.worker.end_telemetry()
            if not self.run.telemetry.is_throttled:
                return
            tries = f"attempt {attempt + 1} of {1 + _THROTTLE_RETRIES}"
            bench.progress(f"{self.run.telemetry.throttled}; {tries}")

    # -- warming up -----------------------------------------------------------------------------------------

    def _warm_up(self) -> dict[str, float]:
        """Rounds that do not count, until their times settle: then it is known how launches are to be timed.

        Gives the seconds of a launch of each slot.
        """
        plan, bench = self.plan, self.bench
        seconds = dict(bench.first_seconds)
        cap_seconds = min(_WARM_UP_SECONDS, plan.budget_seconds / 10)
        longest_seconds = min(_LONG_SECONDS, cap_seconds / 4)
        if not plan.caches or plan.most_rounds == 1 or sum(seconds.values()) > longest_seconds:
            self._choose_manner(seconds)
            return seconds
        bench.progress("warming up")
        before = self.manner
        seconds |= self._settle(cap_seconds / 2)
        self._choose_manner(seconds)
        if self.manner != before:  # launches that are timed in another manner settle elsewhere
            seconds |= self._settle(cap_seconds / 2)
        return seconds

    def _settle(self, cap_seconds: float) -> dict[str, float]:
        """Rounds until their times settle, or the time is over; gives the seconds of each slot in the last of them."""
        windows: list[list[float]] = []
        last: Timed = []
        began = time.monotonic()
        while time.monotonic() - began < cap_seconds and not batches.is_settled(windows):
            last, until = [], time.monotonic() + _WINDOW_SECONDS
            while time.monotonic() < until:
                last += self._batch(list(self.bench.executables), batches.MOST_ROUNDS)
            whole = [sum(seconds.values()) for _, seconds in last if set(seconds) >= set(self._slots)]
            if whole:
                windows.append(whole)
        text = f"{self.manner}, {time.monotonic() - began:.2f} s"
        text += "" if batches.is_settled(windows) else ", not settled"
        self.run.warm_up = "; ".join(filter(None, [self.run.warm_up, text]))
        found = {slot: [seconds[slot] for _, seconds in last if slot in seconds] for slot in self._slots}
        return {slot: statistics.median(times) for slot, times in found.items() if times}

    def _fits_one_core(self) -> bool:
        """Whether launches are so short that one core of a CPU does in good time what all of them did together."""
        if not self.plan.one_core:
            return False
        executables, first = self.bench.executables, self.bench.first_seconds
        return all(
            first[slot] * self.run.device.compute_units <= min(_ONE_CORE_SECONDS, one.deadline_seconds / 2)
            for slot, one in executables.items()
        )

    def _choose_manner(self, seconds: dict[str, float]) -> None:
        if self.plan.caches:
            written = self.bench.arrays()
            repeatable = all(array.initial is None for array in written)
            # What a workspace keeps from launch to launch would be no work of a launch.
            if self.plan.caches == "auto" and len(written) > len(self.bench.outputs):
                repeatable = False
            device = self.run.device
            shortest_seconds = batches.shortest(device.clock_seconds, device.empty_seconds)
            is_on_one = self.manner.one_core
            self.manner = batches.manner_of(
                self.plan.caches, seconds, shortest_seconds, repeatable, is_on_one
            )
        self.run.manner = self.manner

    def _copy_code(self, seconds: dict[str, float]) -> None:
        """Load copies of code whose address may decide on a part of its time, and launch each once. What the first few
        pairs decide is far from any limit, and needs none.
        """
        bench = self.bench
        is_short = self.manner.cold and max(seconds.values()) < _COPIED_SECONDS
        if self.run.device.kind == "cpu" or len(bench.executables) == 1 or not is_short:
            return
        slots = [slot for slot in bench.executables for _ in range(_COPIES - 1)]
        try:
            bench.worker.copy_code([slots[place] for place in self.rng.permutation(len(slots))])
        except DeviceFault:  # they do not fit into memory, say
            if not bench.worker.alive:
                raise
            self._copies = 0
            return
        self._copies = _COPIES
        for copy in range(1, _COPIES):
            order, draw = list(bench.executables), next(iter(bench.draws.shared))
            bench.launch([Round(order, draw, POISONS[0], copies=dict.fromkeys(order, copy))], self.manner)

    # -- rounds that count ----------------------------------------------------------------------------------

    def _time(self, usual_seconds: dict[str, float]) -> bool:
        """Rounds of all executables in random order, until they decide, or rounds or budget are used up.

        Gives False where it has to begin again: outputs of some launches were gone before they could be looked at.
        """
        plan, run, bench = self.plan, self.run, self.bench
        run.seconds.clear()
        run.rounds.clear()
        self._slots, self._rounds = [], 0  # the warm-up may have ended in the middle of a couple
        budget_seconds = self.budget.of_a_test(plan.budget_seconds)
        tests = {
            slot: self._test(slot, budget_seconds, usual_seconds) for slot in list(bench.executables)[1:]
        }
        spent_seconds = 0.0
        while not run.seconds or (spent_seconds < budget_seconds and self._goes_on(tests)):
            # A counterpart whose gates are decided is not launched any more.
            others = [s for s in bench.executables if s in tests and not tests[s].is_finished]
            if others and self._copies == 1 and self._rounds % 2 == 0 and len(run.seconds) >= FEWEST_PAIRS:
                self._copy_code(usual_seconds)
            began = time.monotonic()
            most = plan.most_rounds if others else plan.fewest_rounds
            found = self._batch([CANDIDATE, *others], most - len(run.seconds))
            took = time.monotonic() - began
            spent_seconds += took
            if any(set(one.order) & set(bench.executables) - set(seconds) for one, seconds in found):
                self.budget.spent(spent_seconds, False, budget_seconds)
                return False
            launches = self._launches(found)
            for slot in others:
                tests[slot].carries = [*tests[slot].carries, *carries(launches, CANDIDATE, slot)]
            for one, seconds in found:
                self._count(tests, one, seconds, took / len(found))
            if spent_seconds >= budget_seconds:
                budget_seconds += self._second_pass(tests)
            up_to = "up to " if any(test.limits for test in tests.values()) else ""
            bench.progress(f"round {len(run.seconds)} of {up_to}{plan.most_rounds}")
        self.budget.spent(spent_seconds, any(test.is_futile for test in tests.values()), budget_seconds)
        return True

    def _test(self, slot: str, budget_seconds: float, usual_seconds: dict[str, float]) -> PairedTest:
        """The test of the ratio to a counterpart, before its first pair."""
        plan, paired = self.plan, self.run.paired(slot)
        paired.seconds.clear()
        coarse = max(
            coarseness([seconds], self.run.device.clock_seconds / self.manner.counts.get(one, 1))
            for one, seconds in usual_seconds.items()
        )
        limits = plan.counterparts[slot].limits
        paired.pairs = PairedTest(limits, budget_seconds, plan.most_rounds, coarse)
        return paired.pairs

    def _count(
        self, tests: dict[str, PairedTest], one: Round, seconds: dict[str, float], took_seconds: float
    ) -> None:
        """Add a round to what was measured."""
        run = self.run
        run.seconds.append(seconds[CANDIDATE])
        run.rounds.append(one)
        for slot in set(tests) & set(seconds) & set(self.bench.executables):
            run.paired(slot).seconds.append(seconds[slot])
            is_behind = one.order.index(CANDIDATE) > one.order.index(slot)
            tests[slot].add_block(log_ratio(slot, seconds), took_seconds, 1 if is_behind else -1)

    def _launches(self, found: Timed) -> list[Launch]:
        """The launches of a batch, as far as each may slow down the next; not where others lie between that are not
        timed.
        """
        launches: list[Launch] = []
        if self.manner.untimed:
            return launches
        previous = ""
        for number, (one, seconds) in enumerate(found, self._rounds - len(found)):
            for slot in one.order:
                if slot in seconds:
                    launches.append(Launch(slot, previous, seconds[slot], number // 2))
                previous = slot
        return launches

    def _goes_on(self, tests: dict[str, PairedTest]) -> bool:
        """Whether a gate is undecided, or history wants more rounds: not those of a run that has failed anyway."""
        deciding = [test for slot, test in tests.items() if test.limits and slot in self.bench.executables]
        if any(not test.is_finished for test in deciding):
            return True
        is_failed = any(test.has_failed for test in deciding)
        return len(self.run.seconds) < self.plan.fewest_rounds and not is_failed

    def _second_pass(self, tests: dict[str, PairedTest]) -> float:
        """More seconds for gates that are undecided when the budget is used up, from what others left over."""
        undecided = [
            test
            for slot, test in tests.items()
            if test.limits and slot in self.bench.executables and test.spent_seconds >= test.budget_seconds
        ]
        more_seconds = self.budget.second_pass(self.plan.budget_seconds) if undecided else 0.0
        for test in undecided:
            test.budget_seconds += more_seconds
        return more_seconds

    # -- batches --------------------------------------------------------------------------------------------

    def _batch(self, slots: list[str], most: int) -> Timed:
        """The next rounds of these slots, at most so many."""
        bench = self.bench
        if slots != self._slots and self._rounds % 2 == 0:  # a couple of rounds is of the same ones
            self._slots, self._coins, self._rounds = slots, orders(self.rng, slots), 0
        is_placed = self._may_exchange(slots)
        count = 1
        alone = bench.one_by_one or is_placed or not bench.has_seen(slots)
        if self._round_seconds and not alone and self._rounds % 2 == 0:
            count = batches.rounds_at_once(self._round_seconds, len(slots), len(bench.outputs))
        rounds = [self._round(is_placed) for _ in range(max(1, min(count, most)))]
        began = time.monotonic()
        found = bench.launch(rounds, self.manner)
        self._round_seconds = (time.monotonic() - began) / len(rounds)
        return list(zip(rounds, found, strict=True))

    def _round(self, is_placed: bool) -> Round:
        """The next round: draws of inputs by turns, poisons when all had theirs, so that each draw meets both.

        The two rounds of a couple are alike but for their order: what an address does to the time of the first launch
        may be another for another draw, and would not cancel.
        """
        draws = list(self.bench.draws.shared)
        couple = self._rounds // 2
        if self._rounds % 2 == 0 and self._copies > 1:
            self._taken = {slot: int(self.rng.integers(self._copies)) for slot in self.bench.executables}
        self._rounds += 1
        draw, poison = draws[couple % len(draws)], POISONS[(couple // len(draws) + 1) % 2]
        drawn = next(self._coins)
        if is_placed:
            self._place(drawn)
        order = [slot for slot in drawn if slot in self.bench.executables]
        placing = tuple(self._places.values())
        return Round(order, draw, poison, placing, self._taken)

    def _may_exchange(self, slots: list[str]) -> bool:
        """Whether launches change their places in memory: not where that would take most of the time."""
        if len(slots) < 2 or not self.plan.caches or self.plan.most_rounds == 1:
            return False
        few = len(self._exchange_seconds) < _EXCHANGES
        most_seconds = max(_EXCHANGE_SECONDS[self.run.device.kind], self._round_seconds / 2)
        return few or min(self._exchange_seconds) <= most_seconds

    def _place(self, order: list[str]) -> None:
        """Give what is launched first the first place in memory, and so on: an address that is a little faster is then
        part of the effect of the order, which the two rounds of a couple cancel.
        """
        bench = self.bench
        for place, slot in zip(sorted(self._places[slot] for slot in order), order, strict=True):
            there = next(other for other in order if self._places[other] == place)
            if there != slot and {there, slot} <= set(bench.executables):
                began = time.monotonic()
                if not bench.exchange(slot, there):
                    self._exchange_seconds = [math.inf] * _EXCHANGES
                    return
                self._exchange_seconds.append(time.monotonic() - began)
                self._places[there], self._places[slot] = self._places[slot], place
