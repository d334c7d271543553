"""What the last lines of pytest say of a failed test: the gate first, since 80 columns hold little more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import pytest

from pytest_greta.compiler.diagnostics import compile_error
from pytest_greta.errors import printable
from pytest_greta.gates.model import Status, Verdict
from pytest_greta.stash import FAILED, STOPPED, VERDICTS, get_session

_MOST = 4
"""Gates that are named; how many more there are is told."""


def line_of(item: pytest.Item, verdict: Verdict) -> str:
    """A verdict as a test that fails says it."""
    return verdict.line(get_session(item.config).has_several)


def fail(item: pytest.Item, verdicts: Sequence[Verdict], notes: Sequence[str]) -> NoReturn:
    """Fail a test for its verdicts, also one that goes on as if nothing were."""
    lines = [line_of(item, verdict) for verdict in verdicts]
    item.stash[FAILED] = list(dict.fromkeys([*item.stash.get(FAILED, []), *lines]))
    pytest.fail("\n".join([*lines, *notes]), pytrace=False)


def failed_verdicts(item: pytest.Item) -> list[Verdict]:
    """The verdicts that failed a test, in their order."""
    failed = item.stash.get(FAILED, [])
    held = Status.PASS, Status.EXPECTED_FAILURE
    some = (verdict for verdict in item.stash.get(VERDICTS, []) if verdict.status not in held)
    return [verdict for verdict in some if line_of(item, verdict) in failed]


def shorten(item: pytest.Item, report: Any) -> None:
    """Begin the message of a report, of which pytest's short summary shows as much of the first line as fits, with what
    failed: `vgprs 62`, `complete false, max_error inf`. What JUnit has of it goes on as before.
    """
    crash = getattr(report.longrepr, "reprcrash", None)
    if not report.failed or crash is None:
        return
    told = crash.message.removeprefix("Failed: ")
    verdicts = failed_verdicts(item)
    if verdicts and told.startswith(line_of(item, verdicts[0])):
        crash.message = f"{headline(verdicts)}\n{told}"
    elif STOPPED in item.stash and _is_of(told, *item.stash[STOPPED]):
        error = compile_error(told)
        crash.message = f"{printable(error.message)}\n{told}" if error else told


def _is_of(told: str, status: str, reason: str) -> bool:
    """Whether a test failed with why it was stopped, and not with what it made of that."""
    return bool(told) and reason.startswith(told.splitlines()[0].removeprefix(f"{status}: "))


def headline(verdicts: Sequence[Verdict]) -> str:
    """Failed gates with what was measured: `vgprs 62`; what was not decided says so: `speedup INCONCLUSIVE`."""
    texts = list(dict.fromkeys(map(_short, verdicts)))
    more = [f"{len(texts) - _MOST} more"] if len(texts) > _MOST else []
    return ", ".join([*texts[:_MOST], *more])


def _short(verdict: Verdict) -> str:
    outputs = f" of {', '.join(verdict.gate.outputs)}" if verdict.gate.outputs else ""
    what = verdict.found if verdict.status is Status.FAIL else verdict.status.value
    return printable(f"{verdict.gate.quantity}{outputs} {what or verdict.status.value}")
