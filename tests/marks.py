"""Marks that tests share."""

from __future__ import annotations

import os

import pytest

crossing = pytest.mark.skipif(
    not os.environ.get("GRETA_TEST_ALL"), reason="one more crossing of what others show: GRETA_TEST_ALL=1"
)
"""Of many cases that go through the same code: those that a run leaves out unless it is asked for all."""
