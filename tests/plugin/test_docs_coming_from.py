"""The example of docs/coming-from.md does what the page says, and the page names nothing that greta has not."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from pytest_greta.options import FLAGS, OPTIONS
from tests.plugin.conftest import REPOSITORY, Run
from tests.plugin.test_docs import FENCE, files
from tests.plugin.test_docs_programs import shape

if TYPE_CHECKING:
    import pytest

PAGE = (REPOSITORY / "docs/coming-from.md").read_text()


def test_the_program_of_reframes_tutorial(project: pytest.Pytester, greta: Run) -> None:
    for path, text in files("docs/coming-from.md").items():
        (project.path / path).write_text(text.replace("[python3, ", f'["{sys.executable}", '))
    for path in ("test_gates.py", "conftest.py"):
        (project.path / path).unlink()
    result = greta()
    result.assert_outcomes(failed=1)
    (printed,) = [block["text"] for block in FENCE.finditer(PAGE) if block["language"] == "console"]
    assert [line for line in shape(printed)[1:] if line not in shape(result.stdout.str())] == []


def test_every_option_is_there() -> None:
    known = {option.flag for option in (*OPTIONS.values(), *FLAGS.values())}
    assert set(re.findall(r"--greta-[a-z-]+", PAGE)) <= known
