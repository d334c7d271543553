"""What failed, told to a CI server: marks of each test travel with its report, and are written when all has run."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pytest_greta.cases import AXES, subject_of
from pytest_greta.ci import github, gitlab
from pytest_greta.ci.marks import Mark, Spot, line_of_kernel, relative, repository_root, spots
from pytest_greta.compiler.cache import write_whole
from pytest_greta.compiler.diagnostics import compile_error
from pytest_greta.errors import GretaError, printable, shown_path
from pytest_greta.gates.model import Status
from pytest_greta.kernel import Variant
from pytest_greta.options import read_options
from pytest_greta.paths import gates_path, path_of
from pytest_greta.records.making import verdict_plain
from pytest_greta.report.words import beyond
from pytest_greta.stash import STOPPED, kernel_of
from pytest_greta.tails import failed_verdicts


class Marking:
    """In each process it adds marks to reports; where the terminal is, it annotates and writes what is asked for."""

    def __init__(self) -> None:
        self._marks: dict[str, list[Mapping[str, Any]]] = {}
        """By test: of one that is run again, those of the last time."""
        self._of_session: list[Mark] = []
        """Mistakes that no test is about, and gates that no test evaluated where that is required."""
        self._lines: list[str] = []
        """What could not be written."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> Generator[None, object, object]:
        """Tell the mistakes that end the session here, which nothing comes behind."""
        try:
            return (yield)
        except pytest.UsageError as error:
            self._of_session += _told_marks(session.config, "mistake", map(str, error.args))
            self._write_quality(session)
            self.pytest_terminal_summary(session.config.pluginmanager.getplugin("terminalreporter"))
            raise

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, object, object]:
        """Keep the mistakes that end the session here."""
        try:
            return (yield)
        except pytest.UsageError as error:
            self._of_session += _told_marks(session.config, "mistake", map(str, error.args))
            raise

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Add what failed, with its places."""
        report = yield
        if report.failed and any(name.startswith("greta_") for name in getattr(item, "fixturenames", ())):
            found = list(marks_of(item)) or [_of_test(item, report)]
            report.greta_marks = [mark.plain() for mark in found]
        return report

    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_handlecrashitem(self, report: Any, sched: Any) -> Generator[None, object, object]:
        """Mark a test whose worker of xdist ended, of which the controller knows what it is about."""
        result = yield
        if hasattr(report, "greta_crash"):
            report.greta_marks = [_of_crash(sched.config, *report.greta_crash).plain()]
        return result

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the marks of a test; of one that is run again and passes then, none."""
        if report.when == "call" or hasattr(report, "greta_marks"):
            self._marks[report.nodeid] = getattr(report, "greta_marks", [])

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Write the Code Quality report, also of a session in which nothing failed. This class is registered behind the
        summary, which knows by then what was not evaluated.
        """
        result = yield
        summary: Any = session.config.pluginmanager.get_plugin("greta-summary")
        if summary is not None and read_options(session.config).require:
            self._of_session += _told_marks(session.config, "not evaluated", summary.unevaluated)
        if summary is not None and summary.uncompared:
            self._of_session += _told_marks(session.config, "regression", [summary.uncompared])
        self._write_quality(session)
        return result

    def _write_quality(self, session: pytest.Session) -> None:
        path = path_of(session.config, "code-quality")
        if path is None or hasattr(session.config, "workerinput") or session.config.option.collectonly:
            return
        gates, root = gates_path(session.config), _root(session.config)
        elsewhere = relative(gates.absolute(), root) or gates.name
        try:
            write_whole(path, gitlab.code_quality(self._spots(), elsewhere).encode())
        except OSError as error:
            self._lines.append(f"ERROR: {shown_path(path)} could not be saved: {error.strerror or error}")
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the annotations, each on a line of its own, which is what GitHub looks for."""
        for line in self._lines:
            terminalreporter.write_line(printable(line), red=True)
        if read_options(terminalreporter.config).annotates:
            for line in github.commands(self._spots()):
                terminalreporter.write_line(printable(line))

    def _spots(self) -> list[Spot]:
        of_tests = (mark for marks in self._marks.values() for mark in marks)
        return spots([*(mark.plain() for mark in self._of_session), *of_tests])


def _root(config: pytest.Config) -> Path:
    return repository_root(config.rootpath, os.environ)


_TOLD = re.compile(
    r"^(?:(?:.*?\()?(?P<file>[^\s()]+?):(?P<line>\d+)(?::(?P<column>\d+))?\b|(?P<whole>[^\s():]+\.\w+): )"
)
"""A place at the beginning of a mistake, `gates.yaml:14:7: ...`; the first of gates, `vgprs <= 60 (gates.yaml:31)`; a
file as a whole, `conftest.py: ...`."""


def _told_marks(config: pytest.Config, gate: str, lines: Iterable[str]) -> Iterator[Mark]:
    """What a session fails for, a mark for each line, at the place that it names."""
    for line in lines:
        found = _TOLD.match(line)
        where = found and _place_told(config, found)
        yield Mark(*(where or _NOWHERE), gate, line, printable(line), "FAIL", float("inf"))


def _place_told(config: pytest.Config, found: re.Match[str]) -> tuple[str, int, int] | None:
    """A place that a message names from where pytest was called, or from the root directory."""
    file = found["file"] or found["whole"]
    folders = [
        folder for folder in (config.invocation_params.dir, config.rootpath) if (folder / file).is_file()
    ]
    whole = str(folders[0] / file) if folders else ""
    return _place_in(config, whole, int(found["line"] or 0), int(found["column"] or 0)) if whole else None


def marks_of(item: pytest.Item) -> Iterator[Mark]:
    """What failed a test, each at its gate's line and at its kernel, as far as these are known. What was required and
    not measured is no fault of a kernel: it stands at its gate alone.
    """
    for verdict in failed_verdicts(item):
        gate = verdict.gate
        of_gate = _place(item, gate.file, gate.line, gate.column) if gate.line else None
        is_measured = verdict.status is not Status.NOT_MEASURED
        found = (
            (of_gate, _kernel_place(item, verdict.reason))
            if is_measured
            else (of_gate or _gates_place(item),)
        )
        places = [place for place in found if place]
        what = f"{verdict.kernel} {verdict.variant} @ {verdict.where}"
        measured = f"measured {verdict.found}" if verdict.found else ""
        text = "   ".join(filter(None, [*verdict.columns[1:3], measured, verdict.columns[4]]))
        distance = beyond(verdict_plain(verdict))[1]
        for place in places or [_NOWHERE]:
            yield Mark(*place, gate.name, what, printable(text), verdict.status.value, distance)
    if STOPPED in item.stash:
        yield _stopped(item, *item.stash[STOPPED])


def _of_test(item: pytest.Item, report: Any) -> Mark:
    """A test that failed otherwise: it evaluated no gate, all that it is about was left out, or its own code failed."""
    place = _test_place(item) or _NOWHERE
    crash = getattr(report.longrepr, "reprcrash", None)
    why = str(crash.message if crash else report.longrepr).partition("\n")[0].removeprefix("Failed: ")
    return Mark(*place, "test", item.nodeid, printable(f"{item.name}: {why}"), "FAIL", float("inf"))


def _of_crash(config: pytest.Config, file: str, line: int, subject: Sequence[str], why: str) -> Mark:
    """A test whose process ended: at the test, `file` from the root directory. `subject` is what it is about."""
    kernel, variant, where = subject
    place = _place_in(config, str(config.rootpath / file), line, 0) or _NOWHERE
    text = printable(f"{variant} @ {where}: {why}")
    return Mark(*place, "all gates", f"{kernel} {variant} @ {where}", text, Status.FAIL.value, float("inf"))


def _stopped(item: pytest.Item, status: str, reason: str) -> Mark:
    """A test that could not evaluate its gates: at the compiler's first error, or at its kernel. What keeps all tests
    from being measured is told once, at the gates.
    """
    if status == Status.NOT_MEASURED.value:
        return Mark(
            *(_gates_place(item) or _NOWHERE),
            "all gates",
            "",
            printable(f"{status}: {reason}"),
            status,
            float("inf"),
        )
    parameters = getattr(item, "callspec", None)
    kernel, variant, where = subject_of(item, parameters.params if parameters else {})
    what, error = f"{kernel} {variant} @ {where}", compile_error(reason)
    place = _place(item, error.file, error.line, error.column) if error and error.line else None
    place = place or _kernel_place(item, reason) or _NOWHERE
    gate, why = ("compiles", error.message) if error else ("all gates", reason)
    return Mark(*place, gate, what, printable(f"{variant} @ {where}: {why}"), status, float("inf"))


_NOWHERE = ("", 0, 0)


def _place(item: pytest.Item, file: str, line: int, column: int = 0) -> tuple[str, int, int] | None:
    return _place_in(item.config, file, line, column)


def _place_in(config: pytest.Config, file: str, line: int, column: int) -> tuple[str, int, int] | None:
    """A place in the repository; None for one outside."""
    found = relative(config.invocation_params.dir / file, _root(config))
    return (found, line, column) if found else None


def _gates_place(item: pytest.Item) -> tuple[str, int, int] | None:
    """The gates file as a whole."""
    return _place(item, str(gates_path(item.config)), 0)


def _test_place(item: pytest.Item) -> tuple[str, int, int] | None:
    file, line, _ = item.location
    return _place(item, str(item.config.rootpath / file), (line or 0) + 1)


def _kernel_place(item: pytest.Item, reason: str) -> tuple[str, int, int] | None:
    """File and line of the kernel that a test is about: of the instruction that a reason names, or where its function
    begins. None where that is not known: of a program, an artifact, code compiled elsewhere, a name made by a macro.
    """
    parameters = getattr(item, "callspec", None)
    name = parameters.params.get(AXES[0]) if parameters else None
    if not isinstance(name, str):
        return None
    with suppress(GretaError, OSError, UnicodeDecodeError, KeyError):
        kernel = kernel_of(item)
        variant: Variant = kernel.variant(name)
        path = kernel.source_path(variant)
        told = re.search(rf"(?<!\S){re.escape(path.name)}:(\d+)\b", reason)
        line = int(told[1]) if told else line_of_kernel(path.read_text(encoding="utf-8"), variant.entry)
        return _place(item, str(path), line) if line and variant.source else None
    return None
