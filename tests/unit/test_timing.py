"""Rounds of a bench whose launches take a given time: what the statistics are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_greta.errors import DeviceFault
from pytest_greta.gates.model import Limit
from pytest_greta.measure import timing
from pytest_greta.measure.batches import MOST_ROUNDS, Manner, Round
from pytest_greta.measure.bench import Bench
from pytest_greta.measure.budget import SessionBudget
from pytest_greta.measure.executable import BASELINE, CANDIDATE
from pytest_greta.measure.run import Run
from pytest_greta.measure.timing import Timing


class Clock:
    """Time as it passes where launches are all there is."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def timed(
    clock: Clock,
    launch_seconds: float,
    copied: Callable[[Sequence[str]], None] = lambda _: None,
    exchanges: bool = True,
    kind: str = "hip",
    deadline_seconds: float = 60.0,
) -> Run:
    """A run of launches that all take so long, in places that can be exchanged or not. `copied` is told what code is
    loaded once more.
    """
    slots = (CANDIDATE, BASELINE)
    plan = SimpleNamespace(
        caches="cold",
        one_core=kind == "cpu",
        budget_seconds=60.0,
        fewest_rounds=40,
        most_rounds=40,
        counterparts={BASELINE: SimpleNamespace(limits=(Limit(min=1.0),))},
    )
    device = SimpleNamespace(kind=kind, compute_units=4, clock_seconds=0.0, empty_seconds=0.0)
    run = Run(plan, device)  # type: ignore[arg-type]

    def launch(rounds: Sequence[Round], _: Manner) -> list[dict[str, float]]:
        clock.now += launch_seconds * sum(len(one.order) for one in rounds)
        return [dict.fromkeys(one.order, launch_seconds) for one in rounds]

    bench = SimpleNamespace(
        plan=plan,
        run=run,
        executables=dict.fromkeys(slots, SimpleNamespace(deadline_seconds=deadline_seconds)),
        outputs={"y": None},
        one_by_one=False,
        draws=SimpleNamespace(shared={"first": None, "second": None}),
        first_seconds=dict.fromkeys(slots, launch_seconds),
        worker=SimpleNamespace(
            copy_code=copied,
            alive=True,
            begin_telemetry=lambda: None,
            end_telemetry=lambda: SimpleNamespace(is_throttled=False),
        ),
        progress=lambda _: None,
        arrays=list,
        has_seen=lambda _: True,
        exchange=lambda *_: exchanges,
        launch=launch,
    )
    Timing(cast("Bench", bench), SessionBudget()).time_unthrottled()
    return run


@pytest.mark.parametrize("launch_seconds", [1e-4, 0.004, 0.025, 0.1])
def test_what_is_timed_begins_with_a_couple_however_the_warm_up_ended(
    monkeypatch: pytest.MonkeyPatch, launch_seconds: float
) -> None:
    """Where one of each takes 40 ms and more there is no warm-up."""
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    for _ in range(4):
        run = timed(clock, launch_seconds)
        assert bool(run.warm_up) == (2 * launch_seconds < 0.04)
        orders = run.baseline.pairs.orders
        assert len(orders) == 40
        assert all(one == -other for one, other in zip(orders[0::2], orders[1::2], strict=True))
        assert [one.draw for one in run.rounds[:4]] == ["first", "first", "second", "second"]


def test_what_launches_do_to_the_next_one_is_kept_from_batch_to_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    run = timed(clock, 1e-4, exchanges=False)
    pairs = run.baseline.pairs
    assert MOST_ROUNDS // 2 < len(pairs.carries) <= pairs.blocks // 2


def test_couples_of_short_launches_take_a_copy_of_the_code_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, orders = Clock(), list[list[str]]()
    monkeypatch.setattr(timing, "time", clock)
    for _ in range(3):
        run = timed(clock, 1e-4, lambda slots: orders.append(list(slots)))
    assert [sorted(copied) for copied in orders] == [[BASELINE] * 7 + [CANDIDATE] * 7] * 3
    assert any(copied != sorted(copied) for copied in orders)
    assert not any(one.copies for one in run.rounds[:6])  # what they decide needs none
    taken = [one.copies for one in run.rounds if one.copies]
    assert len(taken) >= 20
    assert all(one == other for one, other in zip(taken[0::2], taken[1::2], strict=True))
    assert {one[slot] for one in taken for slot in one} <= set(range(8))
    assert len({one[slot] for one in taken for slot in (CANDIDATE,)}) > 3
    assert any(one[CANDIDATE] != one[BASELINE] for one in taken)


def test_long_launches_have_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, copied = Clock(), list[str]()
    monkeypatch.setattr(timing, "time", clock)
    run = timed(clock, 0.004, copied.extend)
    assert copied == []
    assert not any(one.copies for one in run.rounds)


@pytest.mark.parametrize(
    ("launch_seconds", "deadline_seconds", "name"),
    [
        (0.02, 60.0, "cold, one core"),
        (0.12, 60.0, "cold, one core"),
        (0.13, 60.0, "cold"),  # four times that is more than half a second
        (0.02, 0.1, "cold"),  # a deadline is for all cores
    ],
)
def test_launches_are_timed_on_one_core_where_it_can_do_them_in_good_time(
    monkeypatch: pytest.MonkeyPatch, launch_seconds: float, deadline_seconds: float, name: str
) -> None:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    assert timed(clock, launch_seconds, kind="cpu", deadline_seconds=deadline_seconds).manner.name == name


def test_copies_that_cannot_be_loaded_are_gone_without(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = Clock(), list[int]()
    monkeypatch.setattr(timing, "time", clock)

    def refuse(slots: Sequence[str]) -> None:
        asked.append(len(slots))
        raise DeviceFault("hipErrorOutOfMemory")

    run = timed(clock, 1e-4, refuse)
    assert asked == [14]
    assert len(run.seconds) == 40
    assert not any(one.copies for one in run.rounds)
