"""Throughput gates, from what a kernel says of its work and what gates.yaml says of a device."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import CONFTEST, GATES, Run, write_gates

WORK = """
from tests.faulty.faulty import Faulty


class Counting(Faulty):
    name = "faulty"

    @property
    def folder(self):
        from pathlib import Path
        import tests.faulty.faulty as module

        return Path(module.__file__).parent

    def flops(self, problem):
        return 1e6

    def bytes_moved(self, problem):
        return 8.0 * problem.context


def pytest_greta_kernels():
    return [Counting()]
"""


@pytest.fixture
def counting(greta: Run, project: pytest.Pytester) -> Run:
    """The good kernel, which says what it does: a million operations."""
    head = CONFTEST.partition("def pytest_greta_kernels")[0].format(
        repository=str(__import__("tests").__path__[0])[:-6]
    )
    project.makeconftest(head + WORK)
    return lambda *options: greta("--greta-variant=good", "-k", "test_run", *options)


def test_rates_and_their_share_of_a_peak(counting: Run, project: pytest.Pytester) -> None:
    gates = "        tflops: {min: 1.0e-9, devices: cpu}\n        bytes_of_peak: {max: 0.5, devices: cpu}\n"
    write_gates(
        project,
        f"peaks: {{spirv64: {{gbytes_per_second: 1.0e+6}}}}\n{GATES}{gates}",
    )
    result = counting()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*tflops >= 1e-09 *TFLOP/s*PASS", "*bytes_of_peak <= 0.5 *PASS"])


def test_faster_than_the_peak_allows_is_impossible(counting: Run, project: pytest.Pytester) -> None:
    write_gates(project, f"peaks: {{spirv64: {{tflops: 1.0e-9}}}}\n{GATES}")
    result = counting()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "built-in  good @ 256  impossible is false   measured true   FAIL (* TFLOP/s, where the peak is 1e-09)"
        ]
    )


@pytest.mark.parametrize("peaks", ["", "peaks: {spirv64: {gbytes_per_second: 1.0e+6}}\n"])
def test_without_a_peak_its_share_is_not_measured(
    counting: Run, project: pytest.Pytester, peaks: str
) -> None:
    write_gates(project, f"{peaks}{GATES}        flops_of_peak: {{min: 0.1, devices: cpu}}\n")
    (project.path / "gates.yaml").rename(project.path / "limits.yaml")
    result = counting("--greta-gates=limits.yaml")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*flops_of_peak >= 0.1 *NOT MEASURED*", "[[]*[]] limits.yaml states no peak of *(spirv64)*"]
    )
