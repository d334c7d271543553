"""AMD's own hiprtc, where there is one: the root that make_root.py makes, or ROCm."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from pytest_greta.device import hip_missing
from tests.rocm.build_all import TARGETS
from tests.rocm.names import ROOT

PROBE = """
import sys
from hip import hiprtc
from pytest_greta.compiler.codeobject import read_resources
from pytest_greta.device.hiprtc import compile_source
source = 'extern "C" __global__ void probe(int* out) { out[threadIdx.x] = 1; }'
read_resources(compile_source(hiprtc, source, "probe.hip", ["--offload-arch=" + sys.argv[1]]))
"""


@pytest.fixture(scope="session")
def hiprtc() -> Any:
    """hip-python's module, with AMD's library behind it."""
    why_not = probe("gfx90a")
    if why_not:
        pytest.skip(f"{why_not}; `python3 tests/rocm/make_root.py FOLDER` makes one (tests/rocm/README.md)")
    from hip import hiprtc as module

    return module


@pytest.fixture(scope="session", params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    """An AMD target that this hiprtc knows."""
    request.getfixturevalue("hiprtc")
    if why_not := probe(request.param):
        pytest.skip(why_not)
    return str(request.param)


@cache
def probe(target: str) -> str:
    """Why there is no hiprtc of AMD's here that compiles for a target; empty where there is one.

    Asked in another process: hiprtc ends the process where it does not know the target.
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    command = [sys.executable, "-c", PROBE, target]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"this hiprtc knows no {target} and ends the process (signal {-done.returncode})"
    kind, _, text = (done.stderr.strip().splitlines() or ["without a word"])[-1].partition(": ")
    if kind == "RuntimeError":
        version = importlib.metadata.version("hip-python")
        namespaced = int(version.partition(".")[0]) >= 10
        return hip_missing.library_lack(RuntimeError(text), version, namespaced, os.environ).text
    if kind == "ModuleNotFoundError":
        return "hip-python is not installed"
    return f"the hiprtc here is not AMD's or does not compile for {target} ({text})"
