"""A small greta project for pytester: the faulty kernels, their gates, one test of each kind."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 (it registers its dtypes with numpy each time, which has room for a few hundred)
import numpy  # noqa: F401 (pytester unloads what a run imports; numpy cannot be imported twice)
import pytest

import pytest_greta

REPOSITORY = Path(__file__).resolve().parents[2]

GATES = """\
version: 1
targets: [gfx942]
kernels:
  faulty:
    baseline: good
    contexts:
      cpu: [256]
      hip: [4096]
    gates:
      "*":
        scratch_bytes: 0
        vgprs: 128
        max_error: 1.0e-4
        deadline_seconds: 60
"""

TESTS = """\
def test_resources(greta_code):
    greta_code.check()


def test_run(greta_run):
    greta_run.check()
"""

CONFTEST = """\
import sys

sys.path.insert(0, {repository!r})


def pytest_greta_kernels():
    from tests.faulty.faulty import Faulty

    return [Faulty()]
"""

Run = Callable[..., pytest.RunResult]


SITECUSTOMIZE = """\
import sys

if "pytest_greta.device.worker" in sys.orig_argv:
    from pytest_greta.device import cpu_cores

    cpu_cores.last_level_cache_bytes = lambda: 1 << 20
"""
"""Caches are made cold before every launch, which takes longer than all else where they hold hundreds of MB."""


@pytest.fixture(scope="session")
def small_caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH, with which the cpu device believes that the last-level cache is small."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return folder


@pytest.fixture(autouse=True)
def nobody_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a session that is no part of xdist, nor of a CI: pytest and greta tell more under these."""
    names = ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "CI", "BUILD_NUMBER")
    for name in (*names, "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, code_cache: Path, small_caches: Path
) -> pytest.Pytester:
    """A project with the faulty kernels; `greta` runs pytest in it. Its cache is its own but for compiled code."""
    monkeypatch.setenv("PYTHONPATH", str(small_caches), prepend=os.pathsep)
    # Python takes old bytecode for a file that is rewritten within a second to the same size.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("GRETA_LOCKS", str(pytester.path / "locks"))  # its devices are nobody else's
    pytester.makeconftest(CONFTEST.format(repository=str(REPOSITORY)))
    pytester.makepyfile(test_gates=TESTS)
    write_gates(pytester, GATES)
    folder = pytester.path / ".pytest_cache" / "d"
    folder.mkdir(parents=True)
    (folder / "greta-code").symlink_to(code_cache)
    return pytester


DRAWING = ("matplotlib.backends.backend_svg", "matplotlib.ticker", "jinja2")
"""What a report imports: to be imported before a run, because pytester unloads what a run imports."""

PLUGINS = ["-p", "no:hypothesispytest"]
"""Hypothesis would be imported at the end of every run."""


@pytest.fixture(scope="session", autouse=True)
def loaded() -> None:
    """All of greta, and what it imports late, once: a pytester unloads what was imported since it began."""
    import msgpack  # noqa: F401
    import yaml  # noqa: F401

    for module in pkgutil.walk_packages(pytest_greta.__path__, "pytest_greta."):
        if module.name != "pytest_greta.device.hip_bindings":  # the worker's alone
            importlib.import_module(module.name)


@cache
def processor() -> dict[str, Any]:
    """What pytest-benchmark stores of this machine's processor; it starts processes to know."""
    from pytest_benchmark.plugin import get_cpu_info

    found: dict[str, Any] = get_cpu_info()  # type: ignore[no-untyped-call]
    return found


@pytest.fixture
def greta(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest in the project with the options given, in this process: only its worker is another one.

    Kernels are imported anew, for a project changes them. One that changes greta itself runs in `greta_alone`.
    What the processor is gets asked once, and times of such kernels settle soon.
    """
    known = processor()
    monkeypatch.setattr("pytest_benchmark.plugin.get_cpu_info", lambda: dict(known))
    monkeypatch.setattr("pytest_greta.measure.timing._WINDOW_SECONDS", 0.005)

    # What is imported already is imported already.
    warnings = ("-Werror", "-Wignore::pytest.PytestAssertRewriteWarning")

    def run(*options: str) -> pytest.RunResult:
        with monkeypatch.context() as patch:
            for name in [name for name in sys.modules if name.startswith(("kernels", "tests.faulty"))]:
                patch.delitem(sys.modules, name)
            return project.runpytest_inprocess(*_plugins(), *warnings, *options)

    return run


@pytest.fixture
def greta_alone(project: pytest.Pytester) -> Run:
    """Like `greta`, in a process of its own, for what is about processes, what they print, or how they end."""

    def run(*options: str) -> pytest.RunResult:
        return project.runpytest_subprocess(*_plugins(), "-Werror", *options)

    return run


def _plugins() -> list[str]:
    if "PYTEST_DISABLE_PLUGIN_AUTOLOAD" in os.environ:
        return ["-p", "benchmark", "-p", "greta"]
    return PLUGINS


@pytest.fixture(scope="session")
def library(code_cache: Path) -> bytes:
    """A shared library with kernels for two targets."""
    from tests.unit.binary_files import compiled_sums, library_of

    return library_of(compiled_sums(code_cache))


def write_gates(project: pytest.Pytester, text: str) -> None:
    """Replace the project's gates.yaml."""
    (project.path / "gates.yaml").write_text(textwrap.dedent(text))
