"""The summary at the end of a session, in the process that has the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_greta.errors import printable
from pytest_greta.stash import CALIBRATED, LEFT_OUT, SESSION_NOTES

if TYPE_CHECKING:
    import pytest

_COLOURS = {
    "PASS": "green",
    "FAIL": "red",
    "INCONCLUSIVE": "yellow",
    "NOT MEASURED": "cyan",
    "EXPECTED FAILURE": "yellow",
}


class Summary:
    """Collects the verdicts that reports carry, from this process and from xdist's workers."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.devices: list[str] = []
        self.notes: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep the verdicts of a test."""
        self.rows += getattr(report, "greta_rows", [])
        device = getattr(report, "greta_device", "")
        if device and device not in self.devices:
            self.devices.append(device)
        self.notes += [note for note in getattr(report, "greta_notes", []) if note not in self.notes]

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
        notes = [*self.notes, *terminalreporter.config.stash.get(SESSION_NOTES, [])]
        if not self.rows and not left_out and not notes:
            return
        from pytest_greta.table import Row, left_out_lines, summary

        terminalreporter.section("greta")
        for device in self.devices:
            write(f"device {device}")
        for line in summary([Row(**row) for row in self.rows], terminalreporter.config.get_verbosity() > 0):
            markup = {_COLOURS[line.status]: True} if line.status else {"bold": True}
            write(line.text, **markup)
        for text in left_out_lines(left_out):
            write(f"left out: {text}")
        for note in notes:
            write(f"note: {note}", yellow=True)
        for text in self._calibrations(terminalreporter.config):
            write(f"calibrated: {text}")

    def _calibrations(self, config: pytest.Config) -> list[str]:
        """What is known of the gates on speedup that were decided here."""
        decided = {
            (row["kernel"], row["variant"], row["where"])
            for row in self.rows
            if row["gate"].startswith("speedup") and row["status"] != "NOT MEASURED"
        }
        if not decided:
            return []
        from pytest_greta.calibrate import FILE, load

        return [
            str(one)
            for one in load(config.rootpath / FILE)
            if one.device in self.devices and (one.kernel, one.variant, str(one.context)) in decided
        ]
