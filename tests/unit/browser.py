"""A headless Chromium through the pipe of its debugging protocol: what a page does, shows and says."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
DEADLINE_SECONDS = 30


def executable() -> str | None:
    """The browser of this machine; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _pipe() -> tuple[int, int]:
    """The ends of a pipe, above the descriptors that the protocol has."""
    low = os.pipe()
    read, write = (fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 10) for one in low)
    for one in low:
        os.close(one)
    return read, write


class Browser:
    """One page of a browser. Use as a context manager."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._number = 0
        self._pending = b""
        self._session = ""
        self.events: list[dict[str, Any]] = []

    def __enter__(self) -> Browser:
        (read_there, self._to), (self._from, write_there) = _pipe(), _pipe()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = [
            "--headless",
            "--no-sandbox",
            "--remote-debugging-pipe",
            "--disable-gpu",
            "--hide-scrollbars",
        ]
        options += [f"--user-data-dir={self._profile.name}", "--no-first-run", "--disable-dev-shm-usage"]
        # The protocol has descriptors 3 and 4, whatever they are here.
        shell = f'exec "$0" "$@" 3<&{read_there} 4>&{write_there}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, self._path, *options, "about:blank"],
            pass_fds=(read_there, write_there),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_there)
        os.close(write_there)
        page = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        self._profile.cleanup()

    def ask(self, method: str, **parameters: Any) -> Any:
        """Send a command and wait for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._wait(lambda one: one.get("id") == self._number)
        assert "error" not in answer, answer
        return answer["result"]

    def _wait(self, is_wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while True:
            while b"\0" not in self._pending:
                ready = select.select([self._from], [], [], DEADLINE_SECONDS)[0]
                assert ready, f"the browser has not answered within {DEADLINE_SECONDS} s"
                part = os.read(self._from, 1 << 20)
                assert part, "the browser has ended"
                self._pending += part
            line, self._pending = self._pending.split(b"\0", 1)
            message: dict[str, Any] = json.loads(line)
            if is_wanted(message):
                return message
            self.events.append(message)

    def open(self, page: Path, width: int, dark: bool = False, media: str = "screen") -> None:
        """Open a file in a window of a width, and wait until it is there."""
        self.events.clear()
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.ask("Page.navigate", url=page.absolute().as_uri())
        self._wait(lambda one: one.get("method") == "Page.loadEventFired")

    def value(self, expression: str) -> Any:
        """What an expression gives in the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def complaints(self) -> list[Any]:
        """What was said on the console since the page was opened, and what it asked the network for."""
        self.value("0")  # what was said before has come
        said = [one["params"] for one in self.events if one["method"] in _COMPLAINTS]
        asked = [
            one["params"]["request"]["url"]
            for one in self.events
            if one["method"] == "Network.requestWillBeSent"
        ]
        return [*said, *(url for url in asked if not url.startswith(("file:", "data:")))]

    def press(self, key: str, code: int) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path, height: int | None = None) -> None:
        """What the page shows, all of it or its beginning, as a PNG."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        found = self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))


_COMPLAINTS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
