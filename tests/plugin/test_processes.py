"""Workers come and go with the session: however it ends, nothing is left behind."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.marks import crossing
from tests.plugin.conftest import PLUGINS

WAIT_SECONDS = 30.0


def workers_of(parent: int) -> list[int]:
    """The worker processes that a pytest process started, also when it is gone."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"pytest_greta.device.worker" in command and str(parent).encode() in command:
                found.append(int(process.name))
    return found


def wait_for(condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> bool:
    """Whether `condition()` becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def start(project: pytest.Pytester) -> subprocess.Popen[str]:
    """pytest in the project, measuring a kernel that never ends."""
    command = [sys.executable, "-m", "pytest", *PLUGINS, "-k", "test_run"]
    return subprocess.Popen(
        [*command, "--greta-variant=endless", "--greta-deadline=600", "-v"],
        cwd=project.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell starts what runs in its background with Ctrl-C ignored, and that is passed on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def launched(process: subprocess.Popen[str]) -> bool:
    """Whether the worker is busy with the kernel: it has burnt processor time since it was idle."""

    def busy() -> bool:
        for worker in workers_of(process.pid):
            fields = Path(f"/proc/{worker}/stat").read_text().rpartition(") ")[2].split()
            if (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") > 1.6:
                return True
        return False

    return wait_for(busy)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(signal.SIGINT, pytest.ExitCode.INTERRUPTED, marks=crossing),
        (signal.SIGTERM, pytest.ExitCode.INTERRUPTED),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_ending_pytest_while_a_kernel_runs_leaves_no_worker(
    project: pytest.Pytester, sent: signal.Signals, code: int
) -> None:
    with start(project) as process:
        assert launched(process)
        process.send_signal(sent)
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == code
    assert wait_for(lambda: not workers_of(process.pid))
    if sent == signal.SIGINT:
        assert "KeyboardInterrupt" in output


def test_a_killed_worker_fails_its_test_and_no_other(project: pytest.Pytester) -> None:
    with start(project) as process:
        assert launched(process)
        (worker,) = workers_of(process.pid)
        os.kill(worker, signal.SIGKILL)
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    assert "the worker process died of SIGKILL during 'run'" in output


def test_a_stopped_worker_ends_with_its_session(project: pytest.Pytester) -> None:
    with start(project) as process:
        assert launched(process)
        (worker,) = workers_of(process.pid)
        os.kill(worker, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT_SECONDS)
    assert wait_for(lambda: not workers_of(process.pid))


def test_progress_shows_on_a_terminal_and_is_wiped_away(project: pytest.Pytester) -> None:
    command = [sys.executable, "-m", "pytest", *PLUGINS, "-v", "-k", "test_run"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*command, "--greta-variant=endless,noop", "--greta-deadline=2.5"],
        cwd=project.path,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # Linux's way to say that the other end was closed
            while True:
                shown += os.read(ours, 65536)
        process.wait(WAIT_SECONDS)
    os.close(ours)
    text = shown.decode(errors="replace")
    assert re.search(r"noop @ 256: .*\(0 s\), 1 more to measure", text)
    assert re.search(r"endless @ 256: .*\([12] s\)\x1b", text)
    plain = re.sub(r"\x1b7.*?\x1b8|\x1b\[[0-9;]*[mK]", "", text)
    assert "verifying" not in plain
    assert re.search(r"test_run\[endless-256\] FAILED", plain)


def test_without_a_terminal_long_measurements_say_that_they_live(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(sitecustomize="import pytest_greta.progress as p\np._LINE_SECONDS = 1.0\n")
    monkeypatch.setenv("PYTHONPATH", str(project.path))
    result = project.runpytest_subprocess(
        *PLUGINS, "-k", "test_run", "--greta-variant=endless", "--greta-deadline=2.5"
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines([r"greta: endless @ 256: verifying endless \(\d s\)"])
