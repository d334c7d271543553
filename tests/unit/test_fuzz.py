"""The short form of the fuzzers of files, histories, records and binaries; that of code objects: test_codeobject.py."""

from __future__ import annotations

import pytest

from tests.fuzz import bundles, gate_files, histories, summaries


def test_damaged_gates_files_are_taken_or_refused_line_by_line() -> None:
    assert gate_files.fuzz(300, seed=1)["refused"] > 100


def test_damaged_histories_are_read_or_refused_entry_by_entry() -> None:
    outcomes = histories.fuzz(500, seed=1)
    assert min(outcomes["taken"], outcomes["refused"]) > 100


def test_damaged_records_are_read_or_refused_line_by_line() -> None:
    outcomes = summaries.fuzz(300, seed=1)
    assert min(outcomes["taken"], outcomes["refused"]) > 20


def test_damaged_binaries_are_read_right_or_refused() -> None:
    pytest.importorskip("ziglang", reason="compiling without ROCm needs the extra 'cpu'")
    outcomes = bundles.run(500, seed=2)
    assert min(outcomes["answered"], outcomes["refused"]) > 50
