"""The timed part of a measurement: warm up, then rounds in batches, until the gates are decided."""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.measure import batches
from pytest_greta.measure.batches import Manner, Round
from pytest_greta.measure.correctness import POISONS
from pytest_greta.measure.executable import CANDIDATE
from pytest_greta.measure.quantities import log_ratio
from pytest_greta.stats.order import orders
from pytest_greta.stats.pairs import PairedTest

if TYPE_CHECKING:
    from pytest_greta.measure.bench import Bench

_THROTTLE_RETRIES = 2
"""How often a throttled measurement is repeated: a GPU that is still hot then will not cool down while it works."""

_WARM_UP_SECONDS = 1.0
"""The warm-up takes no longer, nor a tenth of the budget."""
_WINDOW_SECONDS = 0.02
"""The warm-up looks at the times of so long."""

_EXCHANGE_SHARE = 0.1
"""Of its time, a measurement spends no more on exchanging the memory of what it compares."""


class Timing:
    """Rounds of a bench, timed."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.plan, self.run = bench, bench.plan, bench.run
        # Never that of the inputs: the coins are fair for whoever knows the seed, too.
        self.rng = np.random.default_rng(secrets.randbits(128))
        self.manner = Manner(cold=self.plan.caches in ("auto", "cold"))
        self._round_seconds = 0.0
        """Of the wall, of one round of the last batch."""
        self._exchange_seconds, self._exchanged = 0.0, time.monotonic()
        self._rounds, self._batch_rounds = 0, list[Round]()
        self._placing = 0

    def time_unthrottled(self) -> None:
        """Time, and again where the device was throttled; the last try stands, marked as throttled if it was."""
        bench = self.bench
        self._warm_up()
        for attempt in range(1 + _THROTTLE_RETRIES):
            bench.worker.begin_telemetry()
            self._time()
            self.run.telemetry = bench.worker.end_telemetry()
            if not self.run.telemetry.is_throttled:
                return
            bench.progress(
                f"{self.run.telemetry.throttled}; attempt {attempt + 1} of {1 + _THROTTLE_RETRIES}"
            )

    def _warm_up(self) -> None:
        """Rounds that do not count, until their times settle; then how launches are timed can be said."""
        plan, bench = self.plan, self.bench
        cap_seconds = min(_WARM_UP_SECONDS, plan.budget_seconds / 10)
        if not plan.caches or plan.most_rounds == 1 or 4 * sum(bench.first_seconds.values()) > cap_seconds:
            self._choose_manner(bench.first_seconds)
            return
        bench.progress("warming up")
        for is_first in (True, False):  # launches that are timed in another manner settle elsewhere
            seconds = self._settle(cap_seconds / 2) or bench.first_seconds
            before = self.manner
            if is_first:
                self._choose_manner(seconds)
            if self.manner == before:
                break

    def _settle(self, cap_seconds: float) -> dict[str, float]:
        """Rounds until their times settle; gives the seconds of a launch of each slot in the last of them."""
        run, slots = self.run, list(self.bench.executables)
        coins = orders(self.rng, slots)
        windows: list[list[float]] = []
        whole: list[dict[str, float]] = []
        began = time.monotonic()
        while time.monotonic() - began < cap_seconds and not batches.is_settled(windows):
            whole = []
            until = time.monotonic() + _WINDOW_SECONDS
            while time.monotonic() < until:
                whole += [one for one in self._batch(coins) if set(one) >= set(self.bench.executables)]
                if slots != list(self.bench.executables):
                    slots = list(self.bench.executables)
                    coins = orders(self.rng, slots)
            if whole:
                windows.append([sum(one[slot] for slot in slots) for one in whole])
        text = f"{self.manner}, {time.monotonic() - began:.2f} s"
        text += "" if batches.is_settled(windows) else ", not settled"
        run.warm_up = "; ".join(filter(None, [run.warm_up, text]))
        return {slot: statistics.median(one[slot] for one in whole) for slot in slots} if whole else {}

    def _choose_manner(self, seconds: dict[str, float]) -> None:
        if self.plan.caches:
            repeatable = all(array.initial is None for array in self.bench.arrays())
            device = self.run.device
            shortest_seconds = batches.shortest(device.clock_seconds, device.empty_seconds)
            self.manner = batches.manner_of(self.plan.caches, seconds, shortest_seconds, repeatable)
        self.run.manner = self.manner

    def _time(self) -> None:
        """Rounds of all executables in random order, until they decide, or rounds or budget are used up."""
        plan, run, bench = self.plan, self.run, self.bench
        run.seconds.clear()
        run.rounds.clear()
        tests: dict[str, PairedTest] = {}
        for slot in list(bench.executables)[1:]:
            paired = run.paired(slot)
            paired.seconds.clear()
            paired.pairs = PairedTest(plan.counterparts[slot].limits, plan.budget_seconds, plan.most_rounds)
            tests[slot] = paired.pairs

        def deciding() -> list[PairedTest]:
            return [test for slot, test in tests.items() if test.limits and slot in bench.executables]

        spent_seconds, slots = 0.0, list(bench.executables)
        coins = orders(self.rng, slots)
        while not run.seconds or (spent_seconds < plan.budget_seconds and self._goes_on(deciding())):
            began = time.monotonic()
            found = self._batch(coins, plan.most_rounds - len(run.seconds))
            took = time.monotonic() - began
            spent_seconds += took
            for seconds, one in zip(found, self._batch_rounds, strict=True):
                if CANDIDATE not in seconds:
                    continue
                run.seconds.append(seconds[CANDIDATE])
                run.rounds.append(one)
                for slot in set(tests) & set(seconds) & set(bench.executables):
                    run.paired(slot).seconds.append(seconds[slot])
                    after = 1 if one.order.index(CANDIDATE) > one.order.index(slot) else -1
                    tests[slot].add_block(log_ratio(slot, seconds), took / len(found), after)
            if slots != list(bench.executables):
                slots = list(bench.executables)
                coins = orders(self.rng, slots)
            bench.progress(f"round {len(run.seconds)} of {'up to ' if deciding() else ''}{plan.most_rounds}")

    def _goes_on(self, tests: Sequence[PairedTest]) -> bool:
        """Whether a gate is undecided, or history wants more rounds: not those of a run that has failed anyway."""
        if any(not test.is_finished for test in tests):
            return True
        return len(self.run.seconds) < self.plan.fewest_rounds and not any(test.has_failed for test in tests)

    def _batch(self, coins: Iterator[list[str]], most: int = batches.MOST_ROUNDS) -> list[dict[str, float]]:
        """The seconds of every round of the next batch, by slot; of one that could not be judged none."""
        bench = self.bench
        count = 1
        if self._round_seconds and not bench.varies:
            slots, outputs = len(bench.executables), len(bench.outputs)
            count = min(batches.rounds_at_once(self._round_seconds, slots, outputs), max(1, most))
        self._exchange()
        rounds = []
        for _ in range(count):
            self._rounds += 1
            draws = list(bench.draws.shared)
            # Draws by turns; poisons every second round, so that each draw meets both.
            draw = draws[self._rounds % len(draws)]
            rounds.append(Round(next(coins), draw, POISONS[self._rounds // 2 % 2], self._placing))
        self._batch_rounds = rounds
        began = time.monotonic()
        found = bench.launch(rounds, self.manner)
        self._round_seconds = (time.monotonic() - began) / count
        return found

    def _exchange(self) -> None:
        """Let candidate and counterpart change places in memory, by a coin: an address may be a little faster."""
        bench = self.bench
        others = [slot for slot in bench.executables if slot != CANDIDATE]
        if not others or self.plan.most_rounds == 1 or not self.plan.caches:
            return
        now = time.monotonic()
        if self._exchange_seconds > _EXCHANGE_SHARE * (now - self._exchanged):
            return
        for slot in others:
            if self.rng.integers(2) and slot in bench.executables:
                bench.exchange(slot)
                self._placing += 1
        self._exchanged = time.monotonic()
        self._exchange_seconds = self._exchanged - now
