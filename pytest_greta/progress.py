"""What a person sees while a measurement takes its time: which one, how far, how long already, how many are left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_LINE_SECONDS = 30.0
"""Without a terminal, one plain line in this time: enough for a CI log to show that the run is alive."""


TOLD = "greta_told"
"""The event by which a worker of xdist tells its controller a line."""

_MEASURED = ("greta_run", "greta_program")
"""Fixtures of tests that measure."""


def send_event(config: pytest.Config, name: str, **values: object) -> None:
    """In a worker of xdist: send plain values to its controller at once."""
    for plugin in config.pluginmanager.get_plugins():
        if hasattr(plugin, "sendevent"):
            plugin.sendevent(name, **values)


class Progress:
    """Shows progress behind the test's name on a terminal, as plain lines elsewhere; nothing in xdist's workers. As a
    plugin of pytest it counts the tests that are left.
    """

    def __init__(self, config: pytest.Config, on_terminal: bool) -> None:
        self._config = config
        self._on_terminal = on_terminal
        self._terminal = config.pluginmanager.get_plugin("terminalreporter")
        self._label, self._text = "", ""
        self._left: set[str] = set()
        """Tests that measure and have not begun."""
        self._began = self._printed = time.monotonic()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All of them are left."""
        self._left = {
            item.nodeid for item in session.items if set(_MEASURED) & set(getattr(item, "fixturenames", ()))
        }

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """One of them begins."""
        self._left.discard(nodeid)

    @contextmanager
    def measuring(self, label: str) -> Iterator[None]:
        """Name what is measured; its time counts from here."""
        self._label, self._text = label, ""
        self._began = self._printed = time.monotonic()
        try:
            yield
        finally:
            self._label = ""
            self._write_behind("")

    def show(self, text: str) -> None:
        """Say what happens now."""
        self._text = text
        self.waited()

    def tell(self, text: str) -> None:
        """A line that must be seen: a worker of xdist, whose terminal nobody sees, sends it to its controller."""
        if not hasattr(self._config, "workerinput"):
            self._write_line(text)
            return
        send_event(self._config, TOLD, text=f"{self._config.workerinput['workerid']}: {text}")

    def waited(self) -> None:
        """Show the time again; called about once a second while a launch runs."""
        now = time.monotonic()
        line = ": ".join(part for part in (self._label, self._text) if part)
        line = f"{line} ({now - self._began:.0f} s)" if self._label else line
        if self._on_terminal:
            left = f", {len(self._left)} more to measure" if self._left and self._label else ""
            self._write_behind(line + left)
        elif self._label and now - self._printed >= _LINE_SECONDS:
            self._printed = now
            self._write_line(line)

    def _write_behind(self, text: str) -> None:
        """Text behind the cursor, which stays where it is, so that pytest's own output goes on over it."""
        if self._terminal is None or not self._on_terminal:
            return
        writer = self._config.get_terminal_writer()
        room = max(0, writer.fullwidth - writer.width_of_current_line - 2)
        with self._uncaptured():
            sys.stdout.write(f"\x1b7 {text[:room]}\x1b[K\x1b8")
            sys.stdout.flush()

    def _write_line(self, text: str) -> None:
        if self._terminal is None:
            return
        with self._uncaptured():
            self._terminal.ensure_newline()
            self._terminal.write_line(f"greta: {text}")

    @contextmanager
    def _uncaptured(self) -> Iterator[None]:
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if capture is None:
            yield
            return
        with capture.global_and_fixture_disabled():
            yield
