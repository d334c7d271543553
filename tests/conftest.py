"""What the tests of all folders share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.stash import cache_folder

# The CPU's runtime unrolls what is marked `nounroll`, into a megabyte of code: a third of the time builds such kernels,
# which are as fast.
os.environ.setdefault(
    "CL_CONFIG_LLVM_OPTIONS", "-unroll-threshold=0 -unroll-full-max-count=0 -unroll-max-count=1"
)

_FIRST, _LAST = "tests/gates/", "tests/devices/test_prefill_matrix_on_cpu.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Far apart what builds the same large kernels: of two processes that need one at once, the second waits."""
    items.sort(key=lambda item: (not item.nodeid.startswith(_FIRST)) + item.nodeid.startswith(_LAST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Neighbours, which share what they compile, in one process; one that has nothing left takes from another's end."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None


@pytest.fixture(scope="session")
def code_cache(pytestconfig: pytest.Config) -> Path:
    """The folder where this session keeps compiled code, for all its processes and for the next session.

    What is not about compiling or caching compiles here, so that nothing is compiled twice.
    """
    return cache_folder(pytestconfig)
