"""Hooks of pytest-greta, for `conftest.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_greta.kernel import Kernel


HOOKS = ("pytest_greta_kernels",)


@pytest.hookspec
def pytest_greta_kernels(config: pytest.Config) -> Sequence[Kernel]:  # type: ignore[empty-body]
    """Return the kernel families to gate: instances of subclasses of `pytest_greta.Kernel`.

    Called once, when the first test that uses a greta fixture is collected. All results are taken together.
    """
