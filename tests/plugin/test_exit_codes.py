"""Every exit code of docs/ci.md, met."""

from __future__ import annotations

import re
import sys

import pytest

from tests.plugin.conftest import CONFTEST, REPOSITORY, Run

PASSES = ("--greta-variant=good", "-k", "test_resources")
NO_GPU = ("--greta-variant=good", "-k", "test_run", "--greta-ctx=256")
BROKEN_HOOK = """

def pytest_collection_finish(session):
    raise RuntimeError("a broken plugin")
"""


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (PASSES, pytest.ExitCode.OK),
        ((*NO_GPU, "--greta-device=hip"), pytest.ExitCode.OK),  # skipped, every one
        ((*NO_GPU, "--greta-require=hip"), pytest.ExitCode.TESTS_FAILED),
        (("--greta-variant=spills", "-k", "test_resources"), pytest.ExitCode.TESTS_FAILED),
        (("--greta-variant=does_not_compile", "-k", "test_resources"), pytest.ExitCode.TESTS_FAILED),
        (("--greta-ctx=many",), pytest.ExitCode.USAGE_ERROR),
        (("--greta-gates=missing.yaml",), pytest.ExitCode.USAGE_ERROR),
        (("-k", "nothing_of_that_name"), pytest.ExitCode.NO_TESTS_COLLECTED),
    ],
)
def test_an_outcome_has_its_exit_code(greta: Run, options: tuple[str, ...], code: pytest.ExitCode) -> None:
    assert greta(*options).ret == code


def test_a_test_file_that_cannot_be_imported_interrupts(project: pytest.Pytester, greta_alone: Run) -> None:
    project.makepyfile(test_broken="import no_such_module")
    assert greta_alone(*PASSES).ret == pytest.ExitCode.INTERRUPTED


def test_a_broken_plugin_is_an_internal_error(project: pytest.Pytester, greta_alone: Run) -> None:
    project.makeconftest(CONFTEST.format(repository=str(REPOSITORY)) + BROKEN_HOOK)
    assert greta_alone(*PASSES).ret == pytest.ExitCode.INTERNAL_ERROR


def test_history_is_kept_and_compared_as_the_document_says(project: pytest.Pytester, greta: Run) -> None:
    """The options of the job on a GPU, on the device that is here."""
    text = (REPOSITORY / "docs/ci.md").read_text()
    (measure,) = re.findall(r"^\$ \.venv/bin/pytest (.*--benchmark-autosave.*)$", text, re.MULTILINE)
    (compare,) = re.findall(r"^\$ \.venv/bin/pytest-benchmark (.*)$", text, re.MULTILINE)
    home = str(project.path / "home")
    options = [
        option.replace('"$HOME/greta-history"', f"{home}/greta-history")
        for option in measure.split()
        if not option.startswith("--greta-")
    ]
    for _ in range(2):
        greta("--greta-variant=good", "--greta-device=cpu", *options).assert_outcomes(passed=2)
    assert (project.path / "greta.xml").stat().st_size
    assert (project.path / "greta.json").stat().st_size
    arguments = compare.replace('"$HOME/greta-history"', f"{home}/greta-history").split()
    compared = project.run(sys.executable, "-m", "pytest_benchmark", *arguments)
    assert compared.ret == 0
    assert compared.stdout.str().count("test_run[good-256]") >= 2
