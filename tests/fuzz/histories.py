"""Damaged histories: an entry is read, passed over, or refused with a ValueError of one line.

    python -m tests.fuzz.histories --count 5000 --seed 1

What is read holds numbers that can be compared, and code whose launches can be made. An item follows from the seed and
its number: `--first N --count 1` makes one again.
"""

from __future__ import annotations

import copy
import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np

from pytest_greta.device import DeviceInfo
from pytest_greta.history.records import info_of, read_runs
from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant
from pytest_greta.measure.executable import Executable, executable_of
from pytest_greta.measure.plan import Plan
from pytest_greta.measure.run import Run
from pytest_greta.stats.runs import HistoricRun, compare, steps
from tests.fuzz.common import main, run

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        2**63,
        -(2**70),
        0.5,
        -0.0,
        math.nan,
        math.inf,
        1e308,
        "",
        "x",
        "main",
        "\0\n",
    ),
    *(
        "x" * 3000,
        "2026",
        "2026-13-01",
        "float33",
        "bfloat16",
        [],
        {},
        [[]],
        [None],
        {"a": 1},
        [["int32", "zz"]],
    ),
)


def plan_of(kernel: Kernel, candidate: Executable) -> Plan:
    """To measure the first variant of a kernel, beside nothing."""
    return Plan(
        kernel=kernel,
        variant=kernel.variants[0],
        problem=Problem(64),
        candidate=candidate,
        tolerances={},
        counterparts={},
        missing={},
        fewest_rounds=0,
        most_rounds=20,
        budget_seconds=60.0,
        single_shot=False,
        seed=1,
    )


def undamaged() -> dict[str, Any]:
    """A file as pytest-benchmark writes it, with three entries of greta's and one of somebody else."""

    class Nothing(Kernel):
        name = "k"
        variants = (Variant("v", "v.hip", "v"),)

    kernel, device = Nothing(), DeviceInfo("cpu", "x", "spirv64", 1, 64, 1, 1, "d", "r")
    launch = Launch((2, 1, 1), (64, 1, 1), ("x", "part", np.int32(3), np.float32(0.5)))
    executable = Executable("v", "v", b"code", [launch], {"part": Array((4,), np.float32, 0.0)}, 60.0)
    made = Run(
        plan_of(kernel, executable),
        device,
        [1.0, 1.01, 0.99, 1.0, 1.02],
        buffers={"x": Array((64,), np.float16)},
    )
    info = {**info_of(made), "accepted": True, "keeps_code": True}
    entries = [{"name": f"test[{i}]", "stats": {}, "extra_info": info} for i in range(3)]
    entries.append({"name": "other", "stats": {}, "extra_info": {"seconds": 3}})
    data = {
        "benchmarks": entries,
        "commit_info": {"id": "0" * 40, "dirty": False},
        "datetime": "2026-03-02T10:00:00+00:00",
    }
    plain: dict[str, Any] = json.loads(json.dumps(data))
    return plain


def damaged(rng: random.Random, data: dict[str, Any]) -> Any:
    """The file with one to five injuries: another value, or none, or one more, somewhere in it."""
    tree = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        injure(rng, tree)
    return tree if rng.random() < 0.98 else rng.choice(VALUES)


def injure(rng: random.Random, tree: Any) -> None:
    keys: Sequence[Any] = (
        list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    )
    if not keys:
        return
    key = rng.choice(keys)
    if isinstance(tree[key], (dict, list)) and tree[key] and rng.random() < 0.85:
        injure(rng, tree[key])
    elif rng.random() < 0.2:
        del tree[key]
    else:
        tree[key] = copy.deepcopy(rng.choice(VALUES))


def read(data: Any) -> str:
    """Read all entries of a file; what is read can be compared, and its code launched."""
    runs, problems = read_runs([("history.json", data)])
    for problem in problems:
        assert "\n" not in problem, problem
    for several in runs.values():
        now = several[-1]
        times = [now.when + timedelta(days=day) for day in range(3)] if now.when.year < 9999 else [now.when]
        compare(now, [HistoricRun("c", time, now.device, now.seconds) for time in times])
        steps(several, relative=False)
        for one in several:
            assert one.when <= datetime.max.replace(tzinfo=timezone.utc)
            try:
                made = executable_of(one.code, b"code", "v", 60.0) if one.code else None
            except ValueError:
                continue
            assert made is None or all(n > 0 for a in made.workspaces.values() for n in a.shape)
    return "refused" if problems else "taken"


def fuzz(count: int, seed: int, first: int = 0) -> Counter[str]:
    """Read damaged files; how many were taken whole."""
    data = undamaged()
    return run(count, seed, first, lambda rng: damaged(rng, data), read)


if __name__ == "__main__":
    main(__doc__, fuzz, 5_000)
