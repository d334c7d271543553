"""The plugin that says which files have tests that pytest would run, of a process that `layout.py` starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_greta.scaffold.layout import say

if TYPE_CHECKING:
    import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say it of what is left when all have chosen."""
    say(sorted({str(item.path) for item in session.items}))
