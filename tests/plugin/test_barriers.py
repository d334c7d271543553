"""The race of docs/barriers.md fails its resource test, without a device, in the words of that page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.plugin.conftest import REPOSITORY, Run, write_gates

DOCUMENT = (REPOSITORY / "docs/barriers.md").read_text()

CONFTEST = """\
import numpy as np

from pytest_greta import Array, Kernel, Launch, Variant


class Sums(Kernel):
    name = "sums"
    variants = (Variant("lost", "lost_wait.hip", "lost_wait"), Variant("kept", "kept_wait.hip", "kept_wait"))

    def outputs(self, problem):
        return {"out": Array((256,), np.int32)}

    def rows(self, problem):
        return (256,)

    def launch(self, problem, variant):
        return Launch((1, 1, 1), (256, 1, 1), ("in", "out", np.int32(problem.context)))


def pytest_greta_kernels():
    return [Sums()]
"""

GATES = """\
version: 1
targets: [gfx942]
kernels:
  sums:
    baseline: kept
    contexts: {cpu: [4], hip: [4]}
"""


@pytest.fixture
def sums(greta: Run, project: pytest.Pytester) -> Run:
    """Run the resource tests of the two sources of the page."""
    project.makeconftest(CONFTEST)
    write_gates(project, GATES)
    for name in ("lost_wait.hip", "kept_wait.hip"):
        source = DOCUMENT.partition(f"<!-- {name} -->\n```cpp\n")[2].partition("```")[0]
        Path(project.path, name).write_text(source)
    return lambda *options: greta("-k", "test_resources", *options)


def test_the_failure_is_the_one_that_the_page_shows(sums: Run) -> None:
    result = sums()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["built-in * kept *2 checks *held (gfx942)*PASS"])
    shown = re.search(r"```\n(built-in  lost.*?)```", DOCUMENT, re.DOTALL)
    assert shown
    assert " ".join(shown[1].split()) in " ".join(result.stdout.str().split())


def test_an_exception_with_a_reason_is_the_way_out(sums: Run, project: pytest.Pytester) -> None:
    exception = "unwaited_barriers: {max: 0, expect: {max: 1, reason: waits for a compiler}}"
    write_gates(project, f"{GATES}    gates:\n      lost: {{{exception}}}\n")
    result = sums()
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*unwaited_barriers <= 0 *EXPECTED FAILURE [[]1]", "*waits for a compiler"])


def test_code_that_cannot_be_told_is_not_measured(sums: Run) -> None:
    result = sums("--greta-target=gfx1250", "--greta-variant=kept")
    result.stdout.fnmatch_lines(["*unwaited_barriers <= 0 *NOT MEASURED*", "*gfx1250*"])
    result.assert_outcomes(passed=1)
