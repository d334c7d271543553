"""Contexts and axes to problems: none is lost, none is there twice, each has a name of its own."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_greta.gates.listing import ProblemEntry
from pytest_greta.gates.nodes import Position
from pytest_greta.gates.reader import KernelEntry
from pytest_greta.kernel import Kernel, Problem, Size, Variant
from pytest_greta.problems import as_emulated, problems_for


class Scale(Kernel):
    name = "scale"
    variants = (Variant("simple", "scale.hip", "scale"),)
    sizes = {"rows": 2, "dtype": "fp32", "layout": "row"}  # noqa: RUF012
    cpu_sizes = {"rows": 1}  # noqa: RUF012


KERNEL = Scale()


def problems(*listed: dict[str, Any], axes: dict[str, tuple[str, ...]] | None = None) -> list[Problem]:
    """What gates.yaml lists, as problems."""
    entries = tuple(ProblemEntry(256, one) for one in listed)
    entry = KernelEntry("scale", Position(1, 1), (), {"hip": entries}, {}, (), {})
    return problems_for(KERNEL, entry, "hip", "hip", None, axes or {})


def ids(*listed: dict[str, Any], axes: dict[str, tuple[str, ...]] | None = None) -> list[str]:
    return [problem.id for problem in problems(*listed, axes=axes)]


def test_a_problem_is_named_after_what_was_set() -> None:
    assert ids({}, {"rows": 4}, {"dtype": "bf16", "rows": 4}) == ["256", "256-rows4", "256-bf16-rows4"]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ([{"dtype": "x"}, {"layout": "x"}], ["256-dtype=x", "256-layout=x"]),
        ([{"rows": 4}, {"dtype": "rows4"}], ["256-rows=4", "256-dtype=rows4"]),
        ([{"rows": 4}, {"dtype": "rows4"}, {"dtype": "x"}], ["256-rows=4", "256-dtype=rows4", "256-x"]),
        (
            [{"dtype": "x-layout=y"}, {"dtype": "x", "layout": "y"}, {"dtype": "x-y"}],
            ["256-x-layout=y", "256-dtype=x-layout=y", "256-dtype='x-y'"],
        ),
        # spelled out, one would be called as the third is
        (
            [{"dtype": "x"}, {"layout": "x"}, {"dtype": "layout=x"}],
            ["256-dtype=x", "256-layout=x", "256-dtype='layout=x'"],
        ),
    ],
)
def test_problems_that_would_be_called_the_same_are_spelled_out(
    listed: list[dict[str, Size]], expected: list[str]
) -> None:
    assert ids(*listed) == expected


@pytest.mark.parametrize(
    "listed",
    [
        [{}, {"rows": 2}],
        [{"rows": 2}, {}, {"dtype": "fp32"}],
        [{"rows": 4, "dtype": "x"}, {"dtype": "x", "rows": 4}],
    ],
)
def test_one_problem_in_other_words_is_one(listed: list[dict[str, Size]]) -> None:
    first, *others = [KERNEL.problem(256, "hip", one) for one in listed]
    assert all(other == first and hash(other) == hash(first) for other in others)
    assert ids(*listed) == [first.id]


def test_an_axis_of_texts_takes_digits() -> None:
    assert ids({}, axes={"dtype": ("8", "08")}) == ["256-8", "256-08"]
    assert [problem.sizes["dtype"] for problem in problems({}, axes={"dtype": ("8",)})] == ["8"]
    assert [problem.sizes["rows"] for problem in problems({}, axes={"rows": ("8",)})] == [8]


def test_an_emulated_problem_keeps_its_name() -> None:
    spelled = problems({"dtype": "x"}, {"layout": "x"})[0]
    emulated = as_emulated(KERNEL, spelled)
    assert (emulated.id, emulated["rows"]) == (spelled.id, 1)
