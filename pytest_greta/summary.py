"""The summary at the end of a session, in the process that has the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_greta.errors import printable
from pytest_greta.options import read_options
from pytest_greta.paths import path_of
from pytest_greta.stash import CALIBRATED, EXPECTED, LEFT_OUT, RECORDINGS, SESSION_NOTES, get_progress

T = TypeVar("T")

if TYPE_CHECKING:
    from pytest_greta.records.due import Due
    from pytest_greta.table import Row

_COLOURS = {
    "PASS": "green",
    "FAIL": "red",
    "INCONCLUSIVE": "yellow",
    "NOT MEASURED": "cyan",
    "BLOCKED": "red",
    "EXPECTED FAILURE": "yellow",
}


_AGAIN = "nothing was recorded: make room, or the folder writable, and run pytest --greta-lock again"


def _is_stored(config: pytest.Config) -> bool:
    asked = config.getoption("benchmark_save", None) or config.getoption("benchmark_autosave", None)
    return bool(asked)


def _storing(config: pytest.Config) -> AbstractContextManager[None]:
    """Around what stores runs, where that is asked for."""
    if not _is_stored(config):
        return nullcontext()
    from pytest_greta.history.benchmark import storing_alone

    note = config.stash[SESSION_NOTES].append
    return storing_alone(config, lambda text: get_progress(config).tell(text), note)


def _kept_whole(config: pytest.Config) -> AbstractContextManager[None]:
    """Around that too: no file is left of a run that could not be stored."""
    if not _is_stored(config):
        return nullcontext()
    from pytest_greta.history.benchmark import storage_folder
    from pytest_greta.history.whole import kept_whole

    return kept_whole(storage_folder(config))


class Summary:
    """Collects the verdicts that reports carry, from this process and from xdist's workers."""

    def __init__(self) -> None:
        self.rows_of: dict[str, list[tuple[Any, ...]]] = {}
        """By test: of one that is run again, those of the last time. Plain tuples: Python's collector passes them over.
        """
        self.failed_before: Counter[str] = Counter()
        """How often a test failed that was run again."""
        self.passed: set[str] = set()
        self.ended: set[str] = set()
        """The tests that ran to their end, or were stopped before they began."""
        self.subjects: set[str] = set()
        """The kernels, artifacts and programs that tests came to judge, or were stopped at."""
        self.unevaluated: list[str] = []
        self.uncompared = ""
        """Why no gate `regression` was held against an accepted run, where that is required."""
        self.due: Due | None = None
        """Of one part of a session: what it leaves to the others."""
        self.unsaved: list[str] = []
        """What could not be written at the end, a line each."""
        self.locked: dict[str, list[Any] | None] = {}
        """What the kernels of a test take, by test; None of one that did not come to say."""
        self.has_failed_elsewhere = False
        """A test that reads no kernels failed, or a process that ran one ended."""
        self.lock_lines: list[str] = []
        """What became of the lock file."""
        self.devices: list[str] = []
        self.notes: list[str] = []
        self.began = datetime.now(timezone.utc)
        self.records: dict[str, Mapping[str, Any]] = {}
        """What tests measured, by test, where that is kept."""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the verdicts of a test."""
        if hasattr(report, "greta_rows"):
            self.rows_of[report.nodeid] = report.greta_rows
            self.subjects.add(report.greta_subject)
        if hasattr(report, "greta_locked") and (report.when == "call" or not report.passed):
            self.locked[report.nodeid] = report.greta_locked
        elif report.failed:
            self.has_failed_elsewhere = True
        if hasattr(report, "greta_records"):
            self.records[report.nodeid] = report.greta_records
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self.ended.add(report.nodeid)
        if report.outcome == "rerun":  # by pytest-rerunfailures
            self.failed_before[report.nodeid] += 1
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)
        device = getattr(report, "greta_device", "")
        if device and device not in self.devices:
            self.devices.append(device)
        self.notes += [note for note in getattr(report, "greta_notes", []) if note not in self.notes]

    @property
    def has_rows(self) -> bool:
        """Whether there is any verdict."""
        return any(self.rows_of.values())

    @property
    def rows(self) -> list[Row]:
        """The verdicts of all tests."""
        from pytest_greta.table import Row

        return [Row._make(row) for rows in self.rows_of.values() for row in rows]

    def put_in_order(self, places: Mapping[str, int]) -> None:
        """By the place of each test, where tests were reported in the order in which they ended."""

        def in_order(by_test: dict[str, T]) -> dict[str, T]:
            return dict(sorted(by_test.items(), key=lambda pair: places.get(pair[0], 0)))

        self.rows_of, self.locked = in_order(self.rows_of), in_order(self.locked)
        self.records = in_order(self.records)

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Fail a session that left gates out where something is required; lose no verdict to a full disk."""
        result = None
        try:
            with _storing(session.config), _kept_whole(session.config):
                result = yield
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            self.unsaved.append(f"not all could be saved: {error.strerror or error}{where}")
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR
        self._tell_interruption(session)
        wanted = session.config.stash.get(EXPECTED, None)
        began = self.has_rows or session.exitstatus == pytest.ExitCode.OK
        if wanted is not None and read_options(session.config).is_part:
            self._leave_to_others(session.config, wanted)
        elif wanted and began and not session.shouldfail and not session.shouldstop:
            from pytest_greta.records.due import lines_of
            from pytest_greta.unevaluated import left_of

            self.unevaluated = lines_of(left_of(map(tuple, wanted), self.rows, self.subjects))
            if self.unevaluated and read_options(session.config).require:
                session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        self._compare(session)
        try:
            self._settle_lock(session)
        except OSError as error:
            self.unsaved.append(f"greta.lock could not be saved: {error.strerror or error}; {_AGAIN}")
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR
        self._record(session)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """What came of many records is no garbage either, for which pytest looks twice when it ends."""
        if RECORDINGS in config.stash:
            from pytest_greta.records.recordings import leave_alone

            leave_alone(config.stash[RECORDINGS])

    def _compare(self, session: pytest.Session) -> None:
        """Fail a session that had to be compared with accepted runs, and was with none."""
        options = read_options(session.config)
        ended = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        is_whole = ended and not (
            session.shouldfail or session.shouldstop or session.config.option.collectonly
        )
        if not (options.require_regression and is_whole):
            return
        from pytest_greta.unevaluated import uncompared

        self.uncompared = uncompared(self.rows, options.is_part)
        if self.uncompared:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _tell_interruption(self, session: pytest.Session) -> None:
        """Say how many tests an interrupted session left out, where it was about any gates."""
        wanted = session.config.stash.get(EXPECTED, [])
        if session.exitstatus != pytest.ExitCode.INTERRUPTED or not (wanted or self.subjects):
            return
        count = session.testscollected
        left = f"{count - len(self.ended)} of {count}" if count > len(self.ended) else "some"
        session.config.stash[SESSION_NOTES].append(f"interrupted: {left} tests did not run to their end")

    def _leave_to_others(self, config: pytest.Config, wanted: Iterable[Any]) -> None:
        """What this part of a session did not evaluate, another may have: `merge` knows."""
        from pytest_greta.records.due import Due
        from pytest_greta.unevaluated import left_of

        entries, options = list(map(tuple, wanted)), read_options(config)
        left = left_of(entries, self.rows, self.subjects)
        evaluated = sorted({*entries} - {*left})
        self.due = Due(left, evaluated, None, (), bool(options.require))
        if options.require and not options.summary:
            told = "a gate that no part evaluates is told by merge alone, which needs the --greta-summary of all parts"
            config.stash[SESSION_NOTES].append(told)

    def _record(self, session: pytest.Session) -> None:
        """Write what was measured, where that is asked for: whatever came of it."""
        path = path_of(session.config, "summary")
        if path is None:
            return
        from pytest_greta.recording import write

        try:
            write(session.config, self, path, int(session.exitstatus))
        except OSError as error:
            self.unsaved.append(f"{path} could not be saved: {error.strerror or error}")
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR

    def _settle_lock(self, session: pytest.Session) -> None:
        """Record what kernels take, or fail a whole session for entries of the lock file that no kernel is."""
        is_whole = EXPECTED in session.config.stash  # also one in which no test reads any kernel
        if not (self.locked or is_whole or read_options(session.config).lock):
            return
        from pytest_greta.locking import settle

        ended = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or (
            self.due is not None and session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED
        )
        is_all = ended and not (session.shouldfail or session.shouldstop or self.has_failed_elsewhere)
        told = settle(session.config, list(self.locked.values()), is_all)
        self.lock_lines = told.lines
        if self.due:
            self.due = replace(self.due, gone=told.gone, read=sorted(told.read))
        if told.is_failure:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of verdicts."""

        def write(text: str, **markup: bool) -> None:
            terminalreporter.write_line(printable(text), **markup)

        lines = [line for line in terminalreporter.config.stash.get(CALIBRATED, []) if line]
        if lines:
            from pytest_greta.calibrate import FILE

            terminalreporter.section("greta calibration")
            for text in [*lines, f"stored in {FILE}"]:
                write(text)
        left_out = terminalreporter.config.stash.get(LEFT_OUT, [])
        flaky = [
            f"flaky: {name} passed after {times} failed attempt{'s' if times > 1 else ''}"
            for name, times in self.failed_before.items()
            if name in self.passed
        ]
        notes = [*flaky, *self.notes, *terminalreporter.config.stash.get(SESSION_NOTES, [])]
        shown = left_out, notes, self.unsaved, self.unevaluated, self.uncompared, self.lock_lines
        if not (self.has_rows or any(shown)):
            return
        from pytest_greta.table import left_out_lines, summary

        rows = self.rows
        terminalreporter.section("greta")
        for device in self.devices:
            write(f"device {device}")
        for line in summary(rows, terminalreporter.config.get_verbosity() > 0):
            markup = {_COLOURS[line.status]: True} if line.status else {"bold": True}
            write(line.text, **markup)
        for text in left_out_lines(left_out):
            write(f"left out: {text}")
        for text in self.unevaluated:
            write(f"not evaluated: {text}", yellow=True)
        if self.uncompared:
            write(f"not compared: {self.uncompared}", red=True)
        for text in self.lock_lines:
            write(text, yellow=True)
        for note in notes:
            write(f"note: {note}", yellow=True)
        for text in self.unsaved:
            write(f"ERROR: {text}", red=True)
        for text in self._calibrations(terminalreporter.config, rows):
            write(f"calibrated: {text}")
        if read_options(terminalreporter.config).explain:
            from pytest_greta.table import explained

            told = explained(
                rows,
                min(terminalreporter.config.get_terminal_writer().fullwidth, 100),
            )
            terminalreporter.section("greta: what to do next", sep="-")
            for text in told or ["nothing: every gate was decided, and none failed"]:
                write(text)

    def _calibrations(self, config: pytest.Config, rows: Sequence[Row]) -> list[str]:
        """What is known of the gates on speedup that were decided here."""
        decided = {
            (row.kernel, row.variant, row.where)
            for row in rows
            if row.gate.startswith("speedup") and row.status != "NOT MEASURED"
        }
        if not decided:
            return []
        from pytest_greta.calibrate import FILE, load

        return [
            str(one)
            for one in load(config.rootpath / FILE)
            if one.device in self.devices and (one.kernel, one.variant, str(one.context)) in decided
        ]
