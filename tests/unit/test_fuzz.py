"""The short form of the fuzzers of gates files and histories; that of code objects is in test_codeobject.py."""

from __future__ import annotations

from tests.fuzz import gate_files, histories


def test_damaged_gates_files_are_taken_or_refused_line_by_line() -> None:
    assert gate_files.fuzz(300, seed=1)["refused"] > 100


def test_damaged_histories_are_read_or_refused_entry_by_entry() -> None:
    outcomes = histories.fuzz(500, seed=1)
    assert min(outcomes["taken"], outcomes["refused"]) > 100
