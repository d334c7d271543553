"""The gates of attention prefill in its other forms: head dimension 64, grouped queries, bf16, few heads."""

from __future__ import annotations

import pytest

from pytest_greta.fixtures import GatedCode, GatedRun


@pytest.mark.greta("prefill_d64")
class TestHeadDim64:
    def test_resources(self, greta_code: GatedCode) -> None:
        greta_code.check()

    def test_prefill(self, greta_run: GatedRun) -> None:
        greta_run.check()


@pytest.mark.greta("prefill_gqa")
class TestGroupedQueries:
    def test_resources(self, greta_code: GatedCode) -> None:
        greta_code.check()

    def test_prefill(self, greta_run: GatedRun) -> None:
        greta_run.check()


@pytest.mark.greta("prefill_bf16")
class TestBf16:
    def test_resources(self, greta_code: GatedCode) -> None:
        greta_code.check()

    def test_prefill(self, greta_run: GatedRun) -> None:
        greta_run.check()


@pytest.mark.greta("prefill_shard")
class TestFewHeads:
    def test_resources(self, greta_code: GatedCode) -> None:
        greta_code.check()

    def test_prefill(self, greta_run: GatedRun) -> None:
        greta_run.check()
