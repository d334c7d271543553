"""What readings come to; when a GPU counts as throttled; and the real package amdsmi read field by field."""

from __future__ import annotations

import ctypes
import importlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greta.device.telemetry import (
    HEAT_COUNTERS,
    LOW_CLOCK,
    POWER_COUNTER,
    WINDOW_COUNTER,
    AmdSmi,
    Range,
    Recorder,
    Sample,
    Telemetry,
    open_recorder,
    summarize,
    throttling,
)
from tests.unit import amd_smi_library
from tests.unit.amd_smi_library import DRIVER_NOT_LOADED, NOT_SUPPORTED, Reply

BDF = "0000:0c:00.0"


# -- what readings come to --------------------------------------------------------------------------------


def counted(ticks: int, power: int = 0, **heat: int) -> Sample:
    """A reading with the counters of an MI300."""
    names = {name.split("_")[0]: name for name in HEAT_COUNTERS}
    counters = {WINDOW_COUNTER: ticks, POWER_COUNTER: power, **dict.fromkeys(HEAT_COUNTERS, 0)}
    return Sample(counters={**counters, **{names[name]: value for name, value in heat.items()}})


def test_a_summary_has_the_range_of_each_reading_and_the_peak_of_vram() -> None:
    found = summarize(
        [
            Sample(False, 130.0, 40.0, 150.0, 1000),
            Sample(True, 2000.0, 60.0, 700.0, 5000),
            Sample(True, 2100.0, 61.0, None, 4000),
            Sample(False, 500.0, 55.0, 300.0, 1000),
        ],
        2100.0,
    )
    assert found == Telemetry(
        samples=4,
        shader_clock_mhz=Range(2000.0, 2050.0, 2100.0),  # of the two readings during launches
        max_shader_clock_mhz=2100.0,
        temperature_celsius=Range(40.0, 57.5, 61.0),
        power_watts=Range(150.0, 300.0, 700.0),
        vram_peak_bytes=5000,
    )
    assert pickle.loads(pickle.dumps(found)) == found


def test_readings_between_launches_give_a_clock_where_there_is_no_other() -> None:
    found = summarize([Sample(False, 132.0), Sample(False, 2100.0)], 2100.0)
    assert found.shader_clock_mhz == Range(132.0, 1116.0, 2100.0)
    assert not found.is_throttled  # an idle GPU's low clock is no throttling


def test_what_no_reading_has_is_none() -> None:
    assert summarize([Sample()]) == Telemetry(samples=1)


def test_heat_throttles() -> None:
    found = summarize([counted(1000, socket=7), counted(2000, socket=127, hbm=30)])
    assert found.throttled == (
        "throttled by socket temperature in 12 % of the time, HBM temperature in 3 % of the time"
    )
    assert found.is_throttled


def test_the_power_limit_is_recorded_and_does_not_throttle() -> None:
    found = summarize([counted(0), counted(1000, power=990)])
    assert (found.power_limited_percent, found.throttled) == (99.0, "")


def test_heat_of_under_one_percent_does_not_throttle() -> None:
    assert throttling([counted(0), counted(1000, prochot=9)], None) == ""
    assert "PROCHOT in 1 %" in throttling([counted(0), counted(1000, prochot=10)], None)


def test_counters_decide_over_the_clock() -> None:
    slow = [counted(0), Sample(True, 100.0), counted(1000)]
    assert throttling(slow, 2100.0) == ""


def test_counters_that_did_not_move_leave_it_to_the_clock() -> None:
    slow = [counted(1000), Sample(True, 100.0), counted(1000)]
    assert "100 MHz" in throttling(slow, 2100.0)


@pytest.mark.parametrize(
    ("bit", "throttled"), [(0, False), (7, False), (16, False), (32, True), (36, True), (47, True)]
)
def test_throttle_bits_of_temperatures_count(bit: int, throttled: bool) -> None:
    reason = throttling([Sample(throttle_bits=0), Sample(True, 1700.0, throttle_bits=1 << bit)], 1700.0)
    assert reason == (f"throttled by temperature (indep_throttle_status, bit {bit})" if throttled else "")


@given(st.floats(1, 5000), st.floats(1, 5000))
def test_without_a_word_of_the_driver_a_low_clock_throttles(clock: float, highest: float) -> None:
    reason = throttling([Sample(False, highest), Sample(True, clock)], highest)
    assert bool(reason) == (clock < LOW_CLOCK * highest)


def test_a_flag_without_a_cause_is_told_with_a_low_clock_and_is_nothing_alone() -> None:
    flagged = Sample(True, 1000.0, throttle_flag=True)
    assert throttling([flagged], 1300.0) == ""  # the power limit sets the same flag
    assert throttling([flagged], 2100.0) == (
        "shader clock of 1000 MHz during launches, under 75% of 2100 MHz; the driver says that it is throttled"
    )


# -- amdsmi missing ---------------------------------------------------------------------------------------


def sentence(environment: Mapping[str, str], *flags: str) -> str:
    """What a recorder of another process says, where amdsmi cannot be had."""
    code = (
        "from pytest_greta.device.telemetry import open_recorder\n"
        f"recorder = open_recorder({BDF!r})\n"
        "recorder.begin()\n"
        "with recorder.launching(): recorder.sample()\n"
        "print(recorder.summary().missing)\n"
        "recorder.close()\n"
    )
    names = ("ROCM_HOME", "ROCM_PATH", "LD_LIBRARY_PATH")
    env = {name: value for name, value in os.environ.items() if name not in names}
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, *flags, "-c", code],
        env={**env, "PYTHONPATH": root, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_amdsmi_that_is_not_installed_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['amdsmi'] = None\n")
    root = Path(__file__).resolve().parents[2]
    assert sentence({"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}) == (
        "no telemetry: amdsmi is not installed (it comes with ROCm: python -m pip install "
        "/opt/rocm/share/amd_smi); clocks, temperature and power are not recorded"
    )


@pytest.mark.skipif(bool(amd_smi_library.missing()), reason=amd_smi_library.missing())
def test_amdsmi_without_its_library_is_one_sentence(tmp_path: Path) -> None:
    if Path("/opt/rocm/lib/libamd_smi.so").exists():
        pytest.skip("ROCm's libamd_smi.so is installed here")
    text = sentence({"ROCM_PATH": str(tmp_path)})
    assert len(text.splitlines()) == 1
    assert text.startswith("no telemetry: amdsmi is installed but does not load: ")
    assert "libamd_smi.so" in text


@pytest.mark.skipif(bool(amd_smi_library.missing()), reason=amd_smi_library.missing())
def test_a_library_of_another_release_is_one_sentence(tmp_path: Path) -> None:
    """It lacks functions that this amdsmi binds."""
    source, library = tmp_path / "old.c", tmp_path / "lib" / "libamd_smi.so"
    library.parent.mkdir()
    source.write_text("int amdsmi_init(unsigned long flags) { return 0; }\n")
    amd_smi_library.compile_library(source, library)
    text = sentence({"ROCM_PATH": str(tmp_path)})
    assert text.startswith("no telemetry: amdsmi is installed but does not load: AttributeError: ")
    assert "undefined symbol" in text


# -- the real package -------------------------------------------------------------------------------------


class Library:
    """Sets what the library answers, with amdsmi's own structs."""

    def __init__(self, path: Path) -> None:
        self.loaded = ctypes.CDLL(str(path))
        self.structs = importlib.import_module("amdsmi.amdsmi_wrapper")

    def status(self, name: str, status: int, size: int = 0) -> Reply:
        reply = Reply.in_dll(self.loaded, f"reply_{name}")
        reply.status, reply.size = status, size
        return reply

    def answer(self, name: str, value: Any) -> None:
        raw = bytes(value)
        ctypes.memmove(self.status(f"amdsmi_get_{name}", 0, len(raw)).bytes, raw, len(raw))

    def struct(self, name: str, **values: Any) -> Any:
        """A struct whose every field says "not supported", but for those given."""
        struct = getattr(self.structs, f"amdsmi_{name}_t")()
        ctypes.memset(ctypes.byref(struct), 0xFF, ctypes.sizeof(struct))
        for field, value in values.items():
            if isinstance(value, list):
                array = getattr(struct, field)
                array[: len(value)] = value
            else:
                setattr(struct, field, value)
        return struct

    def metrics(self, **values: Any) -> None:
        self.answer("gpu_metrics_info", self.struct("gpu_metrics", **values))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Library:
    if reason := amd_smi_library.missing():
        pytest.skip(reason)
    root = tmp_path_factory.mktemp("rocm")
    path = amd_smi_library.build(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROCM_PATH", str(root))
        patch.delenv("ROCM_HOME", raising=False)
        importlib.import_module("amdsmi")
    return Library(path)


@pytest.fixture
def library(loaded: Library) -> Library:
    """One GPU at BDF that gives nothing yet."""
    for name in amd_smi_library.ANSWERED:
        loaded.status(name, NOT_SUPPORTED)
    loaded.status("init", 0)
    loaded.status("handles", 0, 1)
    bdf = loaded.structs.amdsmi_bdf_t()
    bdf.struct_amdsmi_bdf_t.bus_number = 0x0C
    loaded.answer("gpu_device_bdf", bdf)
    return loaded


@pytest.fixture
def gpu(library: Library) -> Iterator[AmdSmi]:
    assert library
    smi = AmdSmi(BDF)
    yield smi
    smi.close()


def test_an_mi300_is_read(library: Library, gpu: AmdSmi) -> None:
    library.metrics(
        current_gfxclks=[2100, 2090, 2110, 2100, 2095, 2105, 2100, 2100],
        temperature_hotspot=61,
        current_socket_power=734,
        accumulation_counter=100936627,
        prochot_residency_acc=0,
        ppt_residency_acc=5000,
        socket_thm_residency_acc=12,
        vr_thm_residency_acc=0,
        hbm_thm_residency_acc=3,
    )
    library.answer("gpu_vram_usage", library.struct("vram_usage", vram_total=196592, vram_used=4976))
    assert gpu.read() == Sample(
        shader_clock_mhz=2100.0,
        temperature_celsius=61.0,
        power_watts=734.0,
        vram_bytes=4976 * 1024 * 1024,
        counters={
            WINDOW_COUNTER: 100936627,
            POWER_COUNTER: 5000,
            "prochot_residency_acc": 0,
            "socket_thm_residency_acc": 12,
            "vr_thm_residency_acc": 0,
            "hbm_thm_residency_acc": 3,
        },
    )


def test_a_radeon_is_read(library: Library, gpu: AmdSmi) -> None:
    library.metrics(
        average_gfxclk_frequency=2300,
        temperature_edge=50,
        temperature_hotspot=71,
        average_socket_power=300,
        throttle_status=1,
        indep_throttle_status=1 << 36,
    )
    found = gpu.read()
    assert (found.shader_clock_mhz, found.temperature_celsius, found.power_watts) == (2300.0, 71.0, 300.0)
    assert found.throttle_flag is True
    assert found.counters == {}
    assert found.vram_bytes is None


def test_without_metrics_the_single_values_are_read(library: Library, gpu: AmdSmi) -> None:
    library.answer("clock_info", library.struct("clk_info", clk=1500, max_clk=1700))
    library.answer("temp_metric", ctypes.c_int64(48))
    library.answer("power_info", library.struct("power_info", average_socket_power=222))
    assert gpu.read() == Sample(shader_clock_mhz=1500.0, temperature_celsius=48.0, power_watts=222.0)


def test_a_gpu_that_gives_nothing_gives_an_empty_sample(gpu: AmdSmi) -> None:
    assert gpu.read() == Sample()
    assert gpu.max_shader_clock_mhz is None


def test_throttling_is_found_through_the_real_package(library: Library) -> None:
    library.answer("clock_info", library.struct("clk_info", clk=2100, max_clk=2100))
    heat = dict.fromkeys(HEAT_COUNTERS, 0)
    library.metrics(current_gfxclks=[2000], accumulation_counter=1000, ppt_residency_acc=0, **heat)
    recorder = open_recorder(BDF)
    recorder.begin()
    heat["hbm_thm_residency_acc"] = 100
    library.metrics(current_gfxclks=[900], accumulation_counter=1400, ppt_residency_acc=200, **heat)
    with recorder.launching():
        recorder.sample()
    found = recorder.summary()
    recorder.close()
    assert found.throttled == "throttled by HBM temperature in 25 % of the time"
    assert found.power_limited_percent == 50.0
    assert found.shader_clock_mhz == Range(900.0, 900.0, 900.0)
    assert found.max_shader_clock_mhz == 2100.0
    assert (found.samples, found.missing) == (3, "")


def test_a_recorder_reads_on_while_a_launch_runs(library: Library) -> None:
    library.metrics(current_gfxclk=1234)
    recorder = Recorder(AmdSmi(BDF), period_seconds=0.01)
    recorder.begin()
    with recorder.launching():
        time.sleep(0.5)
    found = recorder.summary()
    assert 4 <= found.samples <= 60
    assert found.shader_clock_mhz == Range(1234.0, 1234.0, 1234.0)
    time.sleep(0.05)
    assert recorder.summary().samples == found.samples + 1  # the thread has ended
    recorder.begin()
    assert recorder.summary().samples == 2  # what was before is forgotten
    recorder.close()
    recorder.close()
    assert recorder.summary() == Telemetry(missing="telemetry was closed")


def test_a_recorder_of_a_gpu_without_readings_says_so(library: Library) -> None:
    assert library
    recorder = open_recorder(BDF)
    recorder.begin()
    assert recorder.summary().missing == (
        "no telemetry: amdsmi gives no readings of this GPU; clocks, temperature and power are not recorded"
    )
    recorder.close()


def test_a_driver_that_is_not_loaded_is_one_sentence(library: Library) -> None:
    library.status("init", DRIVER_NOT_LOADED)
    assert open_recorder(BDF).missing == (
        "no telemetry: amdsmi does not start: AMDSMI_STATUS_DRIVER_NOT_LOADED - Driver not loaded; "
        "clocks, temperature and power are not recorded"
    )


def test_another_gpu_is_not_taken_for_this_one(library: Library) -> None:
    assert library
    missing = open_recorder("0000:22:00.0").missing
    assert f"amdsmi does not know the GPU at 0000:22:00.0 (it knows {BDF})" in missing


def test_no_gpu_is_one_sentence(library: Library) -> None:
    library.status("handles", 0, 0)
    assert "(it knows none)" in open_recorder(BDF).missing
    library.status("handles", NOT_SUPPORTED)
    assert "amdsmi lists no GPUs: AMDSMI_STATUS_NOT_SUPPORTED" in open_recorder(BDF).missing


def test_a_pci_address_may_have_capitals(library: Library) -> None:
    assert library
    recorder = open_recorder(BDF.upper())
    assert recorder.missing == ""
    recorder.close()
