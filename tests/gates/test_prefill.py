"""The gates of attention prefill: resources of every variant on every target, then runs on the device."""

from __future__ import annotations

import pytest

from pytest_greta.fixtures import GatedCode, GatedRun

pytestmark = pytest.mark.greta("prefill")


def test_resources(greta_code: GatedCode) -> None:
    greta_code.check()


def test_prefill(greta_run: GatedRun) -> None:
    greta_run.check()
