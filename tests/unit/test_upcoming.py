"""What a session measures next."""

from __future__ import annotations

from pytest_greta.kernel import Kernel, Problem
from pytest_greta.upcoming import Upcoming


class Add(Kernel):
    """A kernel with nothing but its name."""

    name = "add"


class Sub(Kernel):
    """Another one."""

    name = "sub"


def test_what_comes_after_the_one_that_is_measured() -> None:
    add, sub = Add(), Sub()
    upcoming = Upcoming()
    for kernel in (add, sub):
        for context in (64, 128):
            upcoming.add(kernel, "v1", Problem(context))
    assert upcoming.after(add, "v1", Problem(128)) == [
        (sub, "v1", Problem(64)),
        (sub, "v1", Problem(128)),
    ]
    assert upcoming.after(add, "v1", Problem(128))[0] == (sub, "v1", Problem(64))  # once more
    assert upcoming.after(add, "other", Problem(1))[0] == (sub, "v1", Problem(64))  # not planned
    assert upcoming.after(sub, "v1", Problem(128)) == []


def test_each_problem_is_named_once_and_the_one_at_hand_is_not() -> None:
    add, upcoming = Add(), Upcoming()
    for variant in ("v1", "v2"):
        for context in (64, 128):
            upcoming.add(add, variant, Problem(context))
    assert upcoming.after(add, "v1", Problem(64)) == [(add, "v1", Problem(128))]
    assert upcoming.after(add, "v1", Problem(128)) == [(add, "v2", Problem(64))]


def test_none_is_planned() -> None:
    assert Upcoming().after(Add(), "v1", Problem(64)) == []
