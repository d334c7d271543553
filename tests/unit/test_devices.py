"""Locks of devices, and which device a process takes."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pytest_greta.device import locks
from pytest_greta.device.locks import DeviceLock
from pytest_greta.device.places import (
    SHARES_VARIABLE,
    Guard,
    Place,
    Sharing,
    cpu_places,
    expected_count,
    gpu_places,
)
from pytest_greta.device.session_device import SessionDevice
from pytest_greta.errors import ConfigError, DeviceBusy, NoSuchDevice
from pytest_greta.history import alone

HOLD = """
import sys, time
from pathlib import Path
from pytest_greta.device.locks import DeviceLock
assert DeviceLock(["gpu-0"], Path(sys.argv[1])).try_hold("theirs")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where locks are."""
    monkeypatch.setenv("GRETA_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def other(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another run, which holds `gpu-0`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "held\n"
        yield run
        run.kill()


def guard(count: int = 1, *, wait_seconds: float = 30, worker: int = 0) -> Guard:
    """A guard of so many GPUs, of our run."""
    one = Guard(Sharing((), wait_seconds, worker, count, run="ours"))
    one.among([Place(i, f"GPU {i}", (f"gpu-{i}",)) for i in range(count)])
    return one


def test_a_lock_says_who_holds_it_and_ends_with_its_holder_however_that_ends(
    folder: Path, other: subprocess.Popen[str]
) -> None:
    lock = DeviceLock(["gpu-0"], folder)
    assert not lock.try_hold("ours")
    assert lock.blocker is not None
    assert (lock.blocker.run, lock.blocker.pid) == ("theirs", other.pid)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert lock.try_hold("ours")
    assert not DeviceLock(["gpu-0"], folder).try_hold("ours")
    lock.release()
    assert DeviceLock(["gpu-0"], folder).try_hold("ours")


def test_a_lock_is_not_handed_down_to_what_its_holder_starts(folder: Path) -> None:
    lock = DeviceLock(["gpu-0"], folder)
    assert lock.try_hold("ours")
    with subprocess.Popen(["sleep", "60"]) as child:
        lock.release()
        assert DeviceLock(["gpu-0"], folder).try_hold("theirs")
        child.kill()


def test_forked_children_do_not_keep_a_lock_that_is_released(folder: Path) -> None:
    lock, other = DeviceLock(["gpu-0"], folder), DeviceLock(["gpu-0"], folder)
    assert lock.try_hold("ours")
    copy = os.dup(lock._held["gpu-0"])  # as of a child that C code forked
    lock.release()
    assert other.try_hold("theirs")
    os.close(copy)
    child = os.fork()
    if not child:
        os._exit(len(other._held))
    assert os.waitpid(child, 0)[1] == 0
    assert not lock.try_hold("ours")  # the child closed it, and did not unlock it


def test_a_file_that_is_deleted_is_no_lock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = guard(), DeviceLock(["gpu-0"], folder)
    first.hold()
    first.release()
    assert first.lost == ""
    first.hold()
    (folder / "gpu-0.lock").unlink()
    assert second.try_hold("theirs")  # nothing can keep it off
    first.release()
    assert first.lost.startswith("the lock of GPU 0 was deleted from ")
    second.release()
    opened = locks._opened

    def deleted_meanwhile(path: Path) -> int:
        handle = opened(path)
        if path.suffix == ".lock":
            path.unlink()
            monkeypatch.undo()
        return handle

    monkeypatch.setattr(locks, "_opened", deleted_meanwhile)
    assert first.hold().index == 0
    assert not second.try_hold("theirs")  # what is locked is what is there


def test_several_locks_are_held_together_or_not_at_all(folder: Path) -> None:
    one, both = DeviceLock(["cpu-core-1"], folder), DeviceLock(["cpu-core-0", "cpu-core-1"], folder)
    assert one.try_hold("ours")
    assert not both.try_hold("ours")
    first = DeviceLock(["cpu-core-0"], folder)
    assert first.try_hold("ours")


def test_who_waits_for_another_run_is_the_next(folder: Path) -> None:
    ours, theirs = DeviceLock(["gpu-0"], folder), DeviceLock(["gpu-0"], folder)
    assert ours.try_hold("ours")
    assert not theirs.try_hold("theirs")
    ours.release()
    assert not ours.try_hold("ours")  # for its next test: behind the other
    assert theirs.try_hold("theirs")
    theirs.release()
    assert ours.try_hold("ours")


def test_who_waits_and_does_not_try_is_named_and_passed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_PASSED_AFTER_SECONDS", 0.1)
    ours, stopped, theirs = (DeviceLock(["gpu-0"], folder) for _ in range(3))
    assert ours.try_hold("ours")
    assert not stopped.try_hold("stopped")
    for _ in range(15):  # who tries keeps its place
        time.sleep(0.01)
        assert not theirs.try_hold("theirs")
        assert not stopped.try_hold("stopped")
        assert theirs.blocker is not None
        assert theirs.blocker.run == "ours"
    ours.release()
    assert not theirs.try_hold("theirs")
    assert theirs.blocker is not None
    assert theirs.blocker.run == "stopped"
    time.sleep(0.11)
    assert theirs.try_hold("theirs")
    assert not stopped.try_hold("stopped")
    theirs.release()
    assert stopped.try_hold("stopped")


def test_what_a_kill_leaves_of_a_lock_keeps_nobody_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    lock = DeviceLock(["gpu-0"], folder)
    for owner, name in ((Path, "chmod"), (os, "fchmod")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, kill)
            with pytest.raises(KeyboardInterrupt):
                lock.try_hold("ours")
        assert not folder.exists() or list(folder.iterdir()) == []
    assert lock.try_hold("ours")


def test_every_user_may_lock_what_another_has_made(folder: Path) -> None:
    mask = os.umask(0o077)
    try:
        assert DeviceLock(["gpu-0"], folder).try_hold("ours")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o666}


def test_what_stands_in_the_file_is_not_trusted(folder: Path) -> None:
    holding, lock = DeviceLock(["gpu-0"], folder), DeviceLock(["gpu-0"], folder)
    assert holding.try_hold("theirs")
    for text in (b"", b"{", b"[]", b'{"run": 1}', b"\xff" * 9000, b'{"pid": "x"}'):
        (folder / "gpu-0.lock").write_bytes(text)
        assert not lock.try_hold("ours")
        assert lock.blocker is None
    (folder / "gpu-0.lock").write_text('{"run": "a", "pid": 1, "command": "\\u001b[31m", "since": "now"}')
    assert not lock.try_hold("ours")
    assert str(lock.blocker) == "process 1 (?[31m) since now"


@pytest.mark.usefixtures("folder")
def test_eight_devices_serve_twelve_processes_and_none_serves_two() -> None:
    spans: list[tuple[int, float, float]] = []
    errors: list[BaseException] = []

    def run(worker: int) -> None:
        try:
            mine = guard(8, worker=worker)
            for _ in range(4):
                place, began = mine.hold(), time.monotonic()
                time.sleep(0.01)
                spans.append((place.index, began, time.monotonic()))
                mine.release()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(spans) == 48
    assert {index for index, _, _ in spans} == set(range(8))
    for index in range(8):
        ours = sorted(span[1:] for span in spans if span[0] == index)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(ours))


@pytest.mark.usefixtures("folder")
def test_a_process_keeps_its_device_while_that_is_free() -> None:
    first, second = guard(3, worker=1), guard(3, worker=4)  # both begin with number 1
    assert first.hold().index == 1
    assert second.hold().index == 2
    first.release()
    second.release()
    assert second.hold().index == 2
    assert first.hold().index == 1


def test_another_run_is_waited_for_up_to_a_limit(other: subprocess.Popen[str]) -> None:
    lines: list[str] = []
    waiting = Guard(Sharing((), 1.3, run="ours"), lines.append)
    waiting.among([Place(0, "GPU 0", ("gpu-0",))])
    why = rf"^GPU 0 did not become free within 1\.3 s \(--greta-wait\): held by process {other.pid} \("
    with pytest.raises(DeviceBusy, match=why):
        waiting.hold()
    assert len(lines) == 1
    assert lines[0].startswith(f"waiting for GPU 0, held by process {other.pid} (")
    began = time.monotonic()
    with pytest.raises(DeviceBusy, match=why):  # once is enough
        waiting.hold()
    assert time.monotonic() - began < 1
    other.kill()
    other.wait()
    assert waiting.hold().index == 0  # free after all


@pytest.mark.usefixtures("folder")
def test_neighbours_of_one_run_have_no_limit() -> None:
    first, second = guard(wait_seconds=0.01), guard(wait_seconds=0.01)
    first.hold()
    timer = threading.Timer(0.3, first.release)
    timer.start()
    assert second.hold().index == 0
    timer.join()


def test_what_a_dead_neighbour_left_behind_is_waited_for_up_to_a_limit(folder: Path) -> None:
    lock = DeviceLock(["gpu-0"], folder)
    assert lock.try_hold("ours")
    with subprocess.Popen("true") as dead:
        pass
    path = folder / "gpu-0.lock"
    path.write_text(path.read_text().replace(f'"pid": {os.getpid()}', f'"pid": {dead.pid}'))
    why = rf"did not become free within 0\.1 s .*: held by what is left of process {dead.pid} \("
    with pytest.raises(DeviceBusy, match=why):
        guard(wait_seconds=0.1).hold()


def test_who_keeps_the_folder_of_the_history_is_told_and_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "_TOLD_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(alone, "_STORES_ANYWAY_SECONDS", 0.2)
    told: list[str] = []
    notes: list[str] = []
    with alone.alone(tmp_path, told.append, notes.append):
        assert (told, notes) == ([], [])
        with alone.alone(tmp_path, told.append, notes.append):
            pass
    assert told == [f"waiting to store the history: another process holds {tmp_path} (lslocks names it)"]
    assert len(notes) == 1
    assert notes[0].startswith(
        f"another process held {tmp_path} for 0.2 s, and this run was stored all the same"
    )
    with alone.alone(tmp_path, told.append, notes.append):
        assert len(notes) == 1


def test_where_nothing_can_be_locked_it_says_so_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRETA_LOCKS", str(tmp_path / "file" / "locks"))
    alone = guard()
    assert alone.hold().index == 0
    assert "Not a directory; set GRETA_LOCKS to a folder that everybody" in alone.problem


@pytest.mark.usefixtures("folder")
def test_devices_are_named_by_number_and_unknown_ones_are_told() -> None:
    two = gpu_places(["0000:0c:00.0", "0000:22:00.0"])
    assert [place.locks for place in two] == [("gpu-0000:0c:00.0",), ("gpu-0000:22:00.0",)]
    named = Guard(Sharing((1,)))
    named.among(two)
    assert named.hold().index == 1
    named.release()
    alone = Guard(Sharing())
    alone.among(two)
    assert [place.index for place in alone._places] == [0]
    with pytest.raises(NoSuchDevice, match="--greta-devices: no device 2, 5: there are 2, counted from 0"):
        Guard(Sharing((0, 2, 5))).among(two)


def test_a_cpu_is_whole_or_cut_into_shares() -> None:
    cores = list(range(8))
    assert cpu_places(Sharing(), cores, {}) == [Place(0, "the CPU")]
    (whole,) = cpu_places(Sharing((0,)), cores, {})
    assert (whole.cores, len(whole.locks)) == (tuple(cores), 8)
    three = cpu_places(Sharing(workers=3), cores, {})
    assert [place.cores for place in three] == [(0, 1), (2, 3), (4, 5)]  # two are left over
    assert three[0].locks == ("cpu-core-0", "cpu-core-1")
    assert len(cpu_places(Sharing(workers=40), cores, {})) == 8
    many = cpu_places(Sharing(), [4, 5], {SHARES_VARIABLE: "8"})
    assert [place.cores for place in many] == [(4,), (5,)] * 4
    assert len({place.locks for place in many}) == 8
    for asked in ("zz", "0"):
        with pytest.raises(ConfigError, match=f"{SHARES_VARIABLE}: '{asked}' is not a number of shares"):
            cpu_places(Sharing(), cores, {SHARES_VARIABLE: asked})


def test_a_device_that_is_not_there_is_no_reason_to_take_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_greta.device.session_device._KFD", tmp_path)
    device = SessionDevice("auto", tmp_path, sharing=Sharing((7,)))
    device.check()  # which opens no GPU to know how many there are

    def opened(_: str) -> None:
        device._guard.among(gpu_places(["0000:0c:00.0"]))

    monkeypatch.setattr(device, "_open", opened)
    assert device.kind == "hip"
    with pytest.raises(ConfigError, match="--greta-devices: no device 7: there is one, 0"):
        device.describe()


def test_devices_are_counted_without_opening_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = Sharing(workers=5)
    assert expected_count("hip", Sharing((0, 3), workers=5), {}) == 2
    assert expected_count("cpu", beside, {SHARES_VARIABLE: "8"}) == 8
    monkeypatch.setattr("pytest_greta.device.places._TOPOLOGY", tmp_path)
    assert expected_count("hip", beside, {}) == 5
    for number, simds in enumerate((0, 304, 304, 304)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "properties").write_text(f"cpu_cores_count 1\nsimd_count {simds}\n")
    assert expected_count("hip", beside, {}) == 3
    assert expected_count("hip", beside, {"HIP_VISIBLE_DEVICES": "0,2"}) == 2


def test_a_device_is_opened_again_and_given_back_without_being_lost(folder: Path) -> None:
    """While its worker is gone another run takes it: that is no loss, and ends no session."""
    pytest.importorskip("pyopencl", reason="the cpu device needs the extra 'cpu'")
    device = SessionDevice("cpu", folder / "cache", sharing=Sharing((0,), 0.0, run="ours"))
    opened = device.worker()
    opened.kill()
    device.release()
    other = DeviceLock(opened.place.locks, folder)
    assert other.try_hold("theirs")
    with pytest.raises(DeviceBusy):
        device.worker()
    assert not device.blocked
    other.release()
    again = device.worker()
    assert (again.alive, again.place, device.disturbed) == (True, opened.place, "")
    device.close()
    assert other.try_hold("theirs")
