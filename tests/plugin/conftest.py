"""A small greta project for pytester: the faulty kernels, their gates, one test of each kind."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy  # noqa: F401 (pytester unloads what a run imports; numpy cannot be imported twice)
import pytest

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
    from pytest_greta.device import cpu

    cpu._last_level_cache_bytes = lambda: 1 << 20
"""
"""Caches are made cold before every launch, which takes longer than all else where they hold hundreds of MB."""


@pytest.fixture(scope="session")
def small_caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH, with which the cpu device believes that the last-level cache is small."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return folder


@pytest.fixture
def project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, code_cache: Path, small_caches: Path
) -> pytest.Pytester:
    """A project with the faulty kernels; `greta` runs pytest in it. Its cache is its own but for compiled code."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(small_caches), prepend=os.pathsep)
    # Python takes old bytecode for a file that is rewritten within a second to the same size.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    pytester.makeconftest(CONFTEST.format(repository=str(REPOSITORY)))
    pytester.makepyfile(test_gates=TESTS)
    write_gates(pytester, GATES)
    folder = pytester.path / ".pytest_cache" / "d"
    folder.mkdir(parents=True)
    (folder / "greta-code").symlink_to(code_cache)
    return pytester


PLUGINS = ["-p", "no:hypothesispytest"]
"""Hypothesis would be imported at the end of every run."""


@pytest.fixture
def greta(project: pytest.Pytester) -> Run:
    """Run pytest in the project, in a process of its own, with the options given."""

    plugins = (
        ["-p", "benchmark", "-p", "greta"] if "PYTEST_DISABLE_PLUGIN_AUTOLOAD" in os.environ else PLUGINS
    )

    def run(*options: str) -> pytest.RunResult:
        return project.runpytest_subprocess(*plugins, "-Werror", *options)

    return run


@pytest.fixture
def refused(project: pytest.Pytester) -> Run:
    """Like `greta`, but in this process, for runs that are refused before anything is compiled or measured."""

    # What is imported already is imported already.
    warnings = ("-Werror", "-Wignore::pytest.PytestAssertRewriteWarning")

    def run(*options: str) -> pytest.RunResult:
        return project.runpytest_inprocess(*PLUGINS, *warnings, *options)

    return run


def write_gates(project: pytest.Pytester, text: str) -> None:
    """Replace the project's gates.yaml."""
    (project.path / "gates.yaml").write_text(textwrap.dedent(text))
