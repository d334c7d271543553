"""What programs may use is held while they run, by the locks that kernels have."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_greta.device.locks import DeviceLock
from pytest_greta.device.places import Sharing, cpu_places
from pytest_greta.errors import DeviceBusy
from pytest_greta.programs.devices import Devices, place_of, visible

ALONE = Sharing(wait_seconds=0.0, run="ours")
BESIDE = Sharing(wait_seconds=0.0, workers=2, run="ours")
UUIDS = ["GPU-00000000000000aa", "GPU-00000000000000bb", "GPU-00000000000000cc"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where locks are, on a machine without a GPU."""
    monkeypatch.setattr("pytest_greta.device.places._TOPOLOGY", tmp_path / "nodes")
    monkeypatch.setenv("GRETA_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


@pytest.fixture
def gpus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three GPUs as the driver tells of them, the last two parts of one, behind a processor."""
    for name in ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"):
        monkeypatch.delenv(name, raising=False)
    for number, (simds, at, uuid) in enumerate(
        ((0, 0, 0), (304, 0x0C00, 0xAA), (304, 0x1F00, 0xBB), (304, 0x10001F00, 0xCC))
    ):
        node = folder.parent / "nodes" / str(number)
        node.mkdir(parents=True)
        text = f"simd_count {simds}\nlocation_id {at}\ndomain 0\nunique_id {uuid}\nname vega\n"
        (node / "properties").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({}, [0, 1, 2]),
        ({"HIP_VISIBLE_DEVICES": "1"}, [1]),
        ({"ROCR_VISIBLE_DEVICES": "2, 0", "HIP_VISIBLE_DEVICES": "0"}, [2]),
        ({"ROCR_VISIBLE_DEVICES": UUIDS[1].upper()}, [1]),
        ({"HIP_VISIBLE_DEVICES": "0,7,1"}, [0]),  # nothing counts behind what is not there
        ({"HIP_VISIBLE_DEVICES": "-1"}, []),
        ({"CUDA_VISIBLE_DEVICES": "2", "HIP_VISIBLE_DEVICES": "1"}, [1]),
    ],
)
def test_a_program_sees_what_its_environment_leaves(environment: Mapping[str, str], seen: list[int]) -> None:
    assert visible(UUIDS, environment) == seen


@pytest.mark.usefixtures("gpus")
def test_a_program_holds_every_gpu_that_it_sees_as_kernels_do() -> None:
    assert place_of("", [{}], ALONE).locks == ("gpu-0000:0c:00.0", "gpu-0000:1f:00.0")
    candidate, baseline = {"HIP_VISIBLE_DEVICES": "0"}, {"HIP_VISIBLE_DEVICES": "2"}
    assert place_of("", [candidate], ALONE).name == "GPU 0 (0000:0c:00.0)"
    assert place_of("", [candidate, baseline], ALONE).locks == place_of("", [{}], ALONE).locks
    assert place_of("", [{"HIP_VISIBLE_DEVICES": ""}], ALONE).locks == ()


@pytest.mark.usefixtures("folder")
def test_without_a_gpu_it_holds_the_cores_that_kernels_hold() -> None:
    cores = sorted(os.sched_getaffinity(0))
    of_kernels = {lock for place in cpu_places(BESIDE, cores, os.environ) for lock in place.locks}
    assert set(place_of("", [{}], BESIDE).locks) == of_kernels
    assert place_of("", [{}], ALONE).locks == ()  # nor does a kernel on the whole CPU
    assert place_of("ssh://node7", [{}], ALONE).locks == ("node-ssh://node7",)


def test_two_programs_do_not_run_at_once_on_one_device(gpus: Path) -> None:
    notes: list[str] = []
    first, second = (
        Devices(Sharing(wait_seconds=0.0, run=run), notes.append, lambda: None, notes)
        for run in ("ours", "theirs")
    )
    kernel = DeviceLock(["gpu-0000:0c:00.0"], gpus)
    with first.held("", [{}]):
        assert not kernel.try_hold("kernels")
        kernel.leave()
        with pytest.raises(DeviceBusy, match=r"GPU 0 \(0000:0c:00.0\) did not become free"):  # noqa: SIM117
            with second.held("", [{"HIP_VISIBLE_DEVICES": "0"}]):
                pass
    with second.held("", [{"HIP_VISIBLE_DEVICES": "1"}]):
        assert kernel.try_hold("kernels")
    assert notes == []
