"""What the tests of all folders share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_greta.state import _cache_folder


@pytest.fixture(scope="session")
def code_cache(pytestconfig: pytest.Config) -> Path:
    """The folder where this session keeps compiled code, for all its processes and for the next session.

    What is not about compiling or caching compiles here, so that nothing is compiled twice.
    """
    return _cache_folder(pytestconfig)
