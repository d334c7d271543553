"""How tests are put in parts of equal expected cost: for the processes of pytest-xdist, for several machines. Pure.

Contexts of a variant belong together, for `scaling` takes several, and so do the variants of a problem, which share its
inputs and references. So what is moved as a whole is a *unit*: all runs of a form of a kernel (its axes but the
context), of one variant of it where that would be more than half of a part, and single tests where that would be more
than a whole one. The longest unit goes first, each to a part that has of its form and room, else to that with least.
"""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

CHEAP_SECONDS = 0.2
"""Of a test that runs nothing on a device, which no history tells of."""


@dataclass(frozen=True)
class Case:
    """What is known of a test before it runs."""

    kernel: str = ""
    """Empty of a test that runs nothing on a device."""
    variant: str = ""
    form: str = ""
    """The problem without its context."""
    problem: str = ""

    @property
    def needs_device(self) -> bool:
        """Whether it waits for a device."""
        return bool(self.kernel)


def costs_of(cases: Sequence[Case], known: Mapping[tuple[str, str, str], float]) -> list[float]:
    """Expected seconds of every test: what `known` says of its kernel, variant and problem; the median of what it says
    of others, and 1 where it says nothing at all: equal.
    """
    found = [
        known.get((case.kernel, case.variant, case.problem)) if case.needs_device else CHEAP_SECONDS
        for case in cases
    ]
    told = [cost for case, cost in zip(cases, found, strict=True) if cost is not None and case.needs_device]
    usual = statistics.median(told) if told else 1.0
    return [usual if cost is None else cost for cost in found]


def parts(cases: Sequence[Case], costs: Sequence[float], count: int) -> list[list[int]]:
    """The numbers of the tests of each of `count` parts, in the order in which a part should run them: the longest unit
    first, a unit in its own order.
    """
    fair = sum(costs) / count
    numbers = range(len(cases))
    units = _grouped(
        numbers, [(case.kernel, case.form) if case.kernel else i for i, case in enumerate(cases)]
    )
    by_variant = [(case.kernel, case.form, case.variant) for case in cases]
    units = _split(units, costs, fair / 2, by_variant)
    units = _split(units, costs, fair, list(numbers))
    loads = [0.0] * count
    found: list[list[int]] = [[] for _ in range(count)]
    all_parts: list[tuple[float, int]] = [(0.0, part) for part in range(count)]
    of_form: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for unit in sorted(units, key=lambda unit: (-_cost(unit, costs), unit[0])):
        known = of_form.setdefault((cases[unit[0]].kernel, cases[unit[0]].form), [])
        cost, best = _cost(unit, costs), _least(known, loads)
        is_new = best is None or loads[best] + cost > fair
        best = _least(all_parts, loads) if best is None or is_new else best
        assert best is not None  # of all parts one has least
        loads[best] += cost
        found[best] += unit
        if is_new:
            heapq.heappush(known, (loads[best], best))
    return found


def _least(heap: list[tuple[float, int]], loads: Sequence[float]) -> int | None:
    """The part with least of those in a heap, which knows loads as they were when they were looked at last."""
    while heap and heap[0][0] != loads[heap[0][1]]:
        heapq.heapreplace(heap, (loads[heap[0][1]], heap[0][1]))
    return heap[0][1] if heap else None


def _grouped(numbers: Sequence[int], keys: Sequence[Hashable]) -> list[list[int]]:
    groups: dict[Hashable, list[int]] = {}
    for number in numbers:
        groups.setdefault(keys[number], []).append(number)
    return list(groups.values())


def _split(
    units: Sequence[list[int]], costs: Sequence[float], most: float, keys: Sequence[Hashable]
) -> list[list[int]]:
    return [
        smaller
        for unit in units
        for smaller in (_grouped(unit, keys) if _cost(unit, costs) > most else [unit])
    ]


def _cost(unit: Sequence[int], costs: Sequence[float]) -> float:
    return sum(costs[number] for number in unit)


def arranged(cases: Sequence[Case], costs: Sequence[float], processes: int, devices: int) -> list[int]:
    """The order of the tests in which work-stealing processes get equal work: it gives each as many neighbours at first
    as the others, and takes from the end of one for another that has nothing left. What needs a device goes to no more
    processes than there are devices; behind it, and to the others, what needs none.
    """
    running = [i for i, case in enumerate(cases) if case.needs_device]
    others = [i for i, case in enumerate(cases) if not case.needs_device]
    if not running:
        return list(range(len(cases)))
    owners = max(1, min(processes, devices))
    split = parts([cases[i] for i in running], [costs[i] for i in running], owners)
    runs = [[running[i] for i in part] for part in split] + [[] for _ in range(processes - owners)]
    order: list[int] = []
    for process, part in enumerate(runs):
        left = len(cases) - len(order)
        room = max(0, left // (processes - process) - len(part))
        order += part + others[:room]
        del others[:room]
    return order + others
