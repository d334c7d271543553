"""What stored entries are grouped by is there in those of every version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.history.parameters import complete_stored, with_problem

KERNEL = {"baseline_code": "", "problem": "context=256 heads=4"}


def stored(folder: Path, *entries: dict[str, Any]) -> Path:
    file = folder / "machine" / "0001_first.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"benchmarks": entries}, indent=4))
    return file


def test_entries_before_get_what_later_ones_have_and_keep_all_else(tmp_path: Path) -> None:
    old = {"params": {"greta_variant": "v3", "greta_context": 256}, "extra_info": KERNEL, "name": "ä"}
    program = {
        "params": {"greta_program": "engine"},
        "extra_info": {"baseline_code": "", "problem": "context=8192"},
    }
    new = {"params": with_problem(None, KERNEL), "extra_info": KERNEL}
    other = {"params": None, "extra_info": {}, "stats": {"min": 0.1}}
    file = stored(tmp_path, old, program, new, other)
    complete_stored(tmp_path)
    found = json.loads(file.read_text())["benchmarks"]
    problems = [one["params"] and one["params"].get("greta_problem") for one in found]
    assert problems == ["256", "8192", "256 heads=4", None]
    del found[0]["params"]["greta_problem"], found[1]["params"]["greta_problem"]
    assert found == [old, program, new, other]


@pytest.mark.parametrize("text", ["", "[]", '{"benchmarks": 1}', '{"benchmarks": [{"baseline_code": ""}]}'])
def test_what_is_damaged_and_what_lacks_nothing_stay_as_they_are(tmp_path: Path, text: str) -> None:
    file = stored(tmp_path, {"params": with_problem({}, KERNEL), "extra_info": KERNEL})
    damaged = file.with_name("0002_damaged.json")
    damaged.write_text(text)
    before = file.stat().st_ino
    complete_stored(tmp_path)
    assert (damaged.read_text(), file.stat().st_ino) == (text, before)
