"""One run of a command: what it came to, what it held, and that nothing of it is left."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_greta.programs.capture import Lines
from pytest_greta.programs.process import Ended, run_command
from pytest_greta.programs.tree import MARK, all_stats, kill_left_of_the_dead, session_mark, stat_of
from pytest_greta.programs.vram import MOST_POINTS, OF_ALL, OWN, UNKNOWN, Vram

NAP = f"654.{os.getpid()}"
"""Seconds that nobody else sleeps."""
ESCAPES = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sleep", ["sleep", "{nap}"], {})  # no mark, no parent, another session
    os._exit(0)
time.sleep({seconds})
"""


def escapes(seconds: float) -> str:
    """A program that ends after so many seconds, and leaves a child that cleans its traces."""
    return ESCAPES.replace("{seconds}", str(seconds)).replace("{nap}", NAP)


def run(code: str, deadline_seconds: float = 20.0) -> Ended:
    command = [sys.executable, "-I", "-S", "-c", code]
    return run_command(command, os.environ, Path.cwd(), deadline_seconds, Lines(), Lines())


def sleepers() -> list[int]:
    found = []
    for stat in all_stats().values():
        with suppress(OSError):
            if stat.name == "sleep" and NAP.encode() in Path(f"/proc/{stat.pid}/cmdline").read_bytes():
                found.append(stat.pid)
    return found


def test_what_a_run_came_to() -> None:
    ended = run("import sys; print('out'); print('err', file=sys.stderr); x = b'x' * 60_000_000; sys.exit(7)")
    assert (ended.status, ended.output, ended.errors, ended.left, ended.is_overdue) == (
        7,
        "out\n",
        "err\n",
        (),
        False,
    )
    assert ended.cpu_seconds is not None
    assert 0 < ended.cpu_seconds <= 2 * ended.wall_seconds < 20


def test_at_the_deadline_everything_ends_whatever_it_does() -> None:
    began = time.monotonic()
    ended = run(escapes(600), 0.3)
    assert (ended.status, ended.is_overdue) == ("SIGKILL", True)
    assert time.monotonic() - began < 5
    assert sleepers() == []


def test_what_is_left_is_named_and_ends() -> None:
    ended = run(escapes(0.05))
    assert ended.status == 0
    assert len(ended.left) == 1
    assert ended.left[0].startswith("sleep (")
    assert sleepers() == []


def test_a_flood_costs_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = run("import os\nb = b'x' * 99 + b'\\n'\nfor _ in range(160): os.write(1, b * 10000)")
    assert "[... 159934464 bytes are left out ...]" in ended.output
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10  # KiB


def test_it_ends_with_whatever_stops_the_session() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    code = escapes(600)
    with pytest.raises(KeyboardInterrupt):
        run_command(
            [sys.executable, "-I", "-S", "-c", code], os.environ, Path.cwd(), 60, Lines(), Lines(), interrupt
        )
    assert sleepers() == []


def test_what_a_killed_session_left_is_found_by_its_mark() -> None:
    own = session_mark("project")
    namespace = own.split("-")[0]
    sleep, gone = ["/bin/sleep", NAP], f"{2**22 + 1}-5"  # a pid that no process has
    with (
        subprocess.Popen(sleep, env={MARK: f"{namespace}-{gone}-project-1"}) as dead,
        subprocess.Popen(sleep, env={MARK: f"{own}-1"}) as ours,
        subprocess.Popen(sleep, env={MARK: f"0-{gone}-project-1"}) as elsewhere,
        subprocess.Popen(sleep, env={MARK: f"{namespace}-{gone}-another-1"}) as of_another,
        subprocess.Popen(sleep, env={MARK: "-x--project-"}) as odd,
    ):
        told = kill_left_of_the_dead("project")
        assert told == [f"process {dead.pid} (sleep) of a session that was killed still ran: it was killed"]
        assert dead.wait(5) == -9
        for other in (ours, elsewhere, of_another, odd):
            assert other.poll() is None
            other.kill()
    assert stat_of(2**22 + 1) is None


def test_device_memory_is_that_of_its_own_processes(tmp_path: Path) -> None:
    for pid, gpu, size in ((11, 4, 300), (11, 5, 40), (12, 4, 2), (99, 4, 5000)):
        folder = tmp_path / "class/kfd/kfd/proc" / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"vram_{gpu}").write_text(f"{size}\n")
    vram = Vram(tmp_path, is_of_machine=True)
    for at in range(1000):
        vram.sample(at / 10, [11, 12, 13] if at == 500 else [12])
    assert (vram.peak_bytes, vram.how) == (342, OWN)
    assert len(vram.course) <= MOST_POINTS
    assert vram.course[:2] == [(0.0, 2), (0.8, 2)]


def test_device_memory_in_a_container_is_what_all_have_more_than_before(tmp_path: Path) -> None:
    used = tmp_path / "class/drm/card0/device/mem_info_vram_used"
    assert Vram(tmp_path, is_of_machine=False).how == UNKNOWN
    used.parent.mkdir(parents=True)
    used.write_text("1000\n")
    vram = Vram(tmp_path, is_of_machine=False)
    for size in ("900\n", "4000\n", "", "2000\n"):
        used.write_text(size)
        vram.sample(1.0, [11])
    assert (vram.peak_bytes, vram.how, [size for _, size in vram.course]) == (3000, OF_ALL, [0, 3000, 1000])
