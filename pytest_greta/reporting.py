"""The report of a session, where `--greta-report` asks for it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_greta.ci import github
from pytest_greta.errors import ConfigError, ToolMissing, printable, shown_path
from pytest_greta.options import read_options
from pytest_greta.paths import gates_path, path_of

if TYPE_CHECKING:
    from pytest_greta.report.contents import Sources
    from pytest_greta.summary import Summary


class Reporting:
    """Writes the report when all else has been written, pytest-benchmark's runs and the lock file too."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self._lines: list[str] = []
        """Where the files are, or why they are not."""

    def pytest_sessionstart(self) -> None:
        """Refuse to begin where no page could be made at the end."""
        from pytest_greta.report.writing import check_tools

        try:
            check_tools()
        except ToolMissing as error:
            raise pytest.UsageError(f"--greta-report: {error}") from None

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, object, object]:
        """Write the report, whatever came of the session."""
        result = yield
        from pytest_greta.report.writing import write

        folder = path_of(session.config, "report")
        nothing_ran = session.config.option.collectonly or session.exitstatus == pytest.ExitCode.USAGE_ERROR
        if folder is None or nothing_ran:
            return result
        try:
            paths = write(folder, sources(session.config, self._summary, int(session.exitstatus)))
            self._lines = [f"report: {shown_path(path)}" for path in paths]
            self._lines += _job_summary(session.config, folder)
        except OSError as error:
            where = shown_path(error.filename or folder)
            self._lines = [f"ERROR: {where} could not be saved: {error.strerror or error}"]
            session.exitstatus = session.exitstatus or pytest.ExitCode.INTERNAL_ERROR
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where it is, below the table of verdicts."""
        for line in self._lines:
            terminalreporter.write_line(printable(line), red=line.startswith("ERROR"))


def _job_summary(config: pytest.Config, folder: Path) -> list[str]:
    """Append the tables to the summary of a job of GitHub's; a line that says why not, where they are too many."""
    from pytest_greta.report.writing import TABLES

    path = os.environ.get(github.SUMMARY)
    if not path or not read_options(config).annotates:
        return []
    why_not = github.append_summary(Path(path), folder / TABLES)
    return [f"note: {why_not}"] if why_not else []


def sources(config: pytest.Config, summary: Summary, exit_code: int) -> Sources:
    """What the report of a session is made of: its records, what pytest-benchmark has stored, and the lock file."""
    from pytest_greta.binaries import lock
    from pytest_greta.history.benchmark import History
    from pytest_greta.recording import records
    from pytest_greta.report.contents import Sources

    held = None
    with suppress(ConfigError):  # told when the session began
        held = lock.load(gates_path(config).absolute().parent / lock.NAME)
    found = records(config, summary, exit_code)
    if not config.pluginmanager.has_plugin("benchmark"):
        return Sources([found], lock=held)
    history = History(config)
    runs = history.all_runs()
    return Sources([found], runs, history.problems, held)
