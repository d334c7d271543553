"""Tests in parts of equal expected cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.spreading import CHEAP_SECONDS, Case, arranged, costs_of, parts

CASES = st.lists(
    st.one_of(
        st.just(Case()),
        st.builds(
            lambda kernel, variant, form, context: Case(kernel, variant, form, f"{context} {form}"),
            *(st.sampled_from(["k", "l"]), st.sampled_from(["a", "b", "c"])),
            *(st.sampled_from(["", "bf16"]), st.sampled_from([4096, 8192])),
        ),
    ),
    max_size=60,
)
COSTS = st.dictionaries(
    st.tuples(
        st.sampled_from(["k", "l"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["4096 ", "8192 bf16"]),
    ),
    st.floats(0, 1e4),
)


def family(variants: str, contexts: tuple[int, ...], form: str = "") -> list[Case]:
    """Runs of one form of one kernel."""
    return [Case("k", variant, form, f"{context} {form}") for variant in variants for context in contexts]


@given(CASES, COSTS, st.integers(1, 9))
def test_every_test_is_in_one_part(
    cases: list[Case], known: dict[tuple[str, str, str], float], count: int
) -> None:
    costs = costs_of(cases, known)
    found = parts(cases, costs, count)
    assert len(found) == count
    assert sorted(i for part in found for i in part) == list(range(len(cases)))


@given(CASES, COSTS, st.integers(1, 9), st.integers(1, 9))
def test_every_test_is_arranged_once(
    cases: list[Case], known: dict[tuple[str, str, str], float], processes: int, devices: int
) -> None:
    order = arranged(cases, costs_of(cases, known), processes, devices)
    assert sorted(order) == list(range(len(cases)))


def test_costs_are_what_is_known_of_a_test_and_else_equal() -> None:
    cases = [*family("ab", (4096, 8192)), Case()]
    assert costs_of(cases, {}) == [1.0] * 4 + [CHEAP_SECONDS]
    known = {("k", "a", "4096 "): 3.0, ("k", "a", "8192 "): 7.0, ("k", "b", "4096 "): 5.0}
    assert costs_of(cases, known) == [3.0, 7.0, 5.0, 5.0, CHEAP_SECONDS]


def test_parts_are_equal_by_cost_and_begin_with_what_takes_longest() -> None:
    cases = [*family("abc", (4096,), "heads4"), *family("abc", (4096,)), *family("abc", (4096,), "bf16")]
    costs = [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 4.0, 4.0, 4.0]
    found = parts(cases, costs, 2)
    loads = [sum(costs[i] for i in part) for part in found]
    assert max(loads) <= 12
    assert [costs[part[0]] for part in found] == [4.0, 4.0]


def test_contexts_of_a_variant_stay_together_and_variants_of_a_problem_where_that_is_fair() -> None:
    cases = [*family("abcd", (4096, 8192)), *family("abcd", (4096, 8192), "bf16")]
    for count, together in ((2, 2), (4, 4), (8, 8)):
        found = parts(cases, [1.0] * 16, count)
        assert {len(part) for part in found} == {16 // together}
        for part in found:
            groups = {(cases[i].form, cases[i].variant) for i in part}
            assert len(groups) * 2 == len(part)
    assert all(len({cases[i].form for i in part}) == 1 for part in parts(cases, [1.0] * 16, 4))


def test_tests_that_need_no_device_fill_what_those_that_do_leave() -> None:
    cases = [*[Case()] * 40, *family("abcd", (4096, 8192))]
    order = arranged(cases, costs_of(cases, {}), 4, 2)
    chunks = [order[i : i + 12] for i in range(0, 48, 12)]  # what a work-stealing scheduler gives at first
    of_device = [sum(cases[i].needs_device for i in chunk) for chunk in chunks]
    assert of_device == [4, 4, 0, 0]
    assert all(cases[i].needs_device for chunk in chunks[:2] for i in chunk[:4])
    assert arranged([Case()] * 5, [1.0] * 5, 4, 2) == [0, 1, 2, 3, 4]  # nothing of ours: as it was


def test_more_parts_than_tests_leave_some_empty() -> None:
    cases = family("a", (4096, 8192))
    assert [len(part) for part in parts(cases, [1.0, 1.0], 4)] == [1, 1, 0, 0]
