"""What tests leave of the session's time to others."""

from __future__ import annotations

import math

from pytest_greta.measure.budget import SessionBudget


def test_a_test_has_its_own_budget_and_no_more_than_the_session_has_left() -> None:
    budget = SessionBudget(10.0)
    assert budget.of_a_test(6.0) == 6.0
    budget.spent(6.0, is_futile=False, of_seconds=6.0)
    assert budget.of_a_test(6.0) == 4.0
    budget.spent(5.0, is_futile=False, of_seconds=4.0)
    assert budget.of_a_test(6.0) == 0.0


def test_what_a_futile_test_leaves_gives_others_a_second_pass() -> None:
    budget = SessionBudget()
    assert budget.second_pass(5.0) == 0.0
    budget.spent(1.0, is_futile=False, of_seconds=8.0)  # decided: nothing was wasted
    assert budget.second_pass(5.0) == 0.0
    budget.spent(1.0, is_futile=True, of_seconds=8.0)
    assert budget.second_pass(5.0) == 5.0
    assert budget.second_pass(5.0) == 2.0
    budget.spent(1.0, is_futile=True, of_seconds=math.inf)
    assert budget.second_pass(5.0) == 0.0


def test_a_second_pass_ends_with_the_session() -> None:
    budget = SessionBudget(3.0)
    budget.spent(1.0, is_futile=True, of_seconds=10.0)
    assert budget.second_pass(5.0) == 2.0
