"""Damaged files of records: each is read, or refused with lines that name the file.

    python -m tests.fuzz.summaries --count 20000 --seed 1

What is read can be written again, is the same then, and fits the schema. An item follows from the seed and its number:
`--first N --count 1` makes one again.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import jsonschema

from pytest_greta.binaries.lock import Key
from pytest_greta.errors import ConfigError
from pytest_greta.gates.model import Interval, Quantity
from pytest_greta.records.check import json_of
from pytest_greta.records.due import Due
from pytest_greta.records.model import Recorded, RecordedProblem, Session, Summary, summary_of
from pytest_greta.records.schema import schema
from tests.fuzz.common import main, run
from tests.fuzz.histories import injure

FILE = "summary.json"
VALIDATOR = jsonschema.Draft202012Validator(schema())
SESSION = Session(
    greta="0.1.0",
    python="3.11.7",
    pytest="9.2.0",
    started="2026-11-26T01:00:00+00:00",
    seconds=12.3,
    options={"--greta-ctx": "4096"},
    commit={"id": "c" * 40, "branch": "main", "dirty": False},
    gates={"file": "gates.yaml", "sha256": "f" * 64},
    device={"kind": "hip", "name": "AMD Instinct MI300X", "target": "gfx942", "identity": "hip: MI300X"},
    not_measured="",
    targets=["gfx942"],
    exit_code=1,
)


def timed(variant: str, context: int, taken: float, **others: Any) -> Recorded:
    """A run of one round."""
    quantities = {"prefill_seconds": Quantity(taken), "no_fault": Quantity(True)}
    problem = RecordedProblem(str(context), context)
    some = {
        "kind": "run",
        "kernel": "prefill",
        "variant": variant,
        "quantities": quantities,
        "problem": problem,
    }
    return Recorded(
        **{**some, "device_kind": "hip", "units": {"prefill_seconds": "s"}, "seconds": [taken], **others}
    )


def undamaged() -> Summary:
    """A file with a measurement of every kind, and all that a file may hold."""
    taken = {"vgprs": Quantity(62), "mfma": Quantity(None, reason="not known", excused=True)}
    speedup = {"speedup": Quantity(1.95, Interval(1.7, float("inf"))), "max_error": Quantity(float("nan"))}
    pairs: dict[str, Any] = {"seconds": [1.0, 1.1], "baseline_seconds": [2.0, 2.1], "orders": [1, -1]}
    return Summary(
        session=SESSION,
        measurements=[
            Recorded("code", "prefill", "v3", taken, target="gfx942", digests={"code": "a", "source": "b"}),
            timed("v3", 4096, 1.05, quantities=speedup, **pairs, carries=[0.01], telemetry={"samples": 3}),
            timed("v3", 8192, 4.0, notes=["a note"], source=0),
        ],
        stopped=[
            {"test": "t", "kernel": "k", "variant": "v", "where": "1", "status": "BLOCKED", "reason": "lost"}
        ],
        unevaluated=["nothing"],
        left_out=[["prefill", "v1", "4096", "too long"]],
        notes=["a note"],
        sources=[SESSION],
        due=Due(
            [("k", "gates.yaml:3", "vgprs <= 3")], [], [(Key("k", "v", "gfx942", "k"), "greta.lock:2")], ["k"]
        ),
    )


def damaged(rng: random.Random) -> bytes:
    """The file with another value, or none, or one more, somewhere in it; or with other bytes."""
    tree = undamaged().plain()
    tree = json.loads(json.dumps(tree, default=list))
    for _ in range(rng.choice((1, 1, 2, 5))):
        injure(rng, tree)
    content = bytearray(json.dumps(tree).encode())
    if rng.random() < 0.3:
        for _ in range(rng.choice((1, 3))):
            content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content[: rng.randrange(len(content))] if rng.random() < 0.1 else content)


def read(content: bytes) -> str:
    """Read a file; what is read can be written, and read again."""
    try:
        found = summary_of(json_of(content, FILE), FILE)
    except ConfigError as error:
        odd = [line for line in error.problems if not line.startswith(FILE) or "\n" in line]
        if odd or not error.problems:
            raise AssertionError(f"refused with {odd}") from error
        return "refused"
    text = found.text()
    again = summary_of(json.loads(text), FILE)
    assert again.text() == text
    VALIDATOR.validate(json.loads(text))
    return "taken"


def fuzz(count: int, seed: int, first: int = 0) -> Counter[str]:
    """Try `count` damaged files; how often each outcome came."""
    return run(count, seed, first, damaged, read)


if __name__ == "__main__":
    main(__doc__, fuzz, 20_000)
