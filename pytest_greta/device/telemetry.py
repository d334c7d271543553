"""Clocks, temperature, power and VRAM of an AMD GPU while its kernels run, through amdsmi; was it throttled?

Runs in the worker process, beside the hip device. Everything here only reads; nothing read here is needed to
measure, so a reading that cannot be had is None, and where amdsmi itself is missing nothing is recorded.

Field names are those of amdsmi's Python interface of ROCm 6 and 7 (rocm.docs.amd.com/projects/amdsmi,
"Python API reference"). A value the GPU does not give reads "N/A", or all ones in older releases.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import statistics
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_greta.errors import ToolMissing
from pytest_greta.remedies import AMDSMI, amdsmi_command

PERIOD_SECONDS = 0.25
"""Time between two readings. A reading makes the GPU's firmware copy a table, so a few in a second are enough;
the firmware renews its values every 100 ms."""

HEAT_PERCENT = 1.0
"""Share of a measurement spent throttled by heat from which it counts as throttled. amdsmi's own rule is "over
0 %" in whole percents ("GPU violations" in its documentation)."""

LOW_CLOCK = 0.75
"""A shader clock under this part of the highest one is taken for throttling where the driver does not say.
nvbench discards samples by the same rule and number (its option --throttle-threshold)."""

WINDOW_COUNTER = "accumulation_counter"
HEAT_COUNTERS = {
    "prochot_residency_acc": "PROCHOT",
    "socket_thm_residency_acc": "socket temperature",
    "vr_thm_residency_acc": "voltage regulator temperature",
    "hbm_thm_residency_acc": "HBM temperature",
}
POWER_COUNTER = "ppt_residency_acc"
"""Counters of the firmware (MI300 and later, ROCm 6.3 and later): ticks spent in each state; `accumulation_counter`
counts all ticks. What `amdsmi_get_violation_status` makes of them it takes from two readings 100 ms apart;
the difference over the whole measurement is exact, and nothing has to wait for it."""

HEAT_BITS = range(32, 48)
"""Bits of `indep_throttle_status` that stand for temperatures (MI100, MI200, Radeon); 0 to 7 are power and 16 to
23 current limits (SMU_THROTTLER_* of the amdgpu driver, amdgpu_smu.h)."""

_ALL_ONES = (0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
_MIB = 1 << 20


@dataclass(frozen=True)
class Sample:
    """One reading. None stands for "this GPU or this driver does not say"."""

    launching: bool = False
    """Read while a launch ran; else before, between or after launches, where an idle GPU lowers its clock."""
    shader_clock_mhz: float | None = None
    """The median of the compute dies, where a GPU has several."""
    temperature_celsius: float | None = None
    """The hottest place of the die (junction), else its edge."""
    power_watts: float | None = None
    vram_bytes: int | None = None
    """Memory in use on the whole GPU, by all processes."""
    counters: Mapping[str, int] = field(default_factory=dict)
    throttle_bits: int | None = None
    throttle_flag: bool | None = None
    """The driver says that something limits the clock, but not what."""


@dataclass(frozen=True)
class Range:
    """How one reading went in a measurement."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class Telemetry:
    """What a measurement's readings come to. Plain values: it crosses the process boundary and goes into history."""

    samples: int = 0
    shader_clock_mhz: Range | None = None
    """Of the readings taken during launches; of all readings where no launch was long enough to have one."""
    max_shader_clock_mhz: float | None = None
    temperature_celsius: Range | None = None
    power_watts: Range | None = None
    vram_peak_bytes: int | None = None
    power_limited_percent: float | None = None
    """Share of the time in which the power limit held the clock down: what a GPU at full load does, no fault."""
    throttled: str = ""
    """Why the times of this measurement are those of a throttled GPU; empty if they are not."""
    missing: str = ""
    """Why nothing was recorded, in one sentence; empty if something was."""

    @property
    def is_throttled(self) -> bool:
        """Whether to measure again."""
        return bool(self.throttled)


def summarize(samples: Sequence[Sample], max_shader_clock_mhz: float | None = None) -> Telemetry:
    """What readings come to; the first and the last one enclose the measurement."""

    def spread(values: Sequence[float | None]) -> Range | None:
        known = [value for value in values if value is not None]
        return Range(min(known), statistics.median(known), max(known)) if known else None

    clocks = [s.shader_clock_mhz for s in samples if s.launching]
    vram = [s.vram_bytes for s in samples if s.vram_bytes is not None]
    return Telemetry(
        samples=len(samples),
        shader_clock_mhz=spread(clocks) or spread([s.shader_clock_mhz for s in samples]),
        max_shader_clock_mhz=max_shader_clock_mhz,
        temperature_celsius=spread([s.temperature_celsius for s in samples]),
        power_watts=spread([s.power_watts for s in samples]),
        vram_peak_bytes=max(vram, default=None),
        power_limited_percent=_residencies_percent(samples).get(POWER_COUNTER),
        throttled=throttling(samples, max_shader_clock_mhz),
    )


def throttling(samples: Sequence[Sample], max_shader_clock_mhz: float | None) -> str:
    """Why the GPU was throttled during these readings; empty if it was not, or nothing tells.

    Heat counts, the power limit does not: under matrix arithmetic an Instinct GPU runs at its power limit as its
    normal state, which measuring again would only find again. The first of these that the driver gives decides:
    the firmware's residency counters, the independent throttle bits, the clock against the highest one.
    """
    residencies = _residencies_percent(samples)
    if residencies:
        hot = [
            f"{HEAT_COUNTERS[name]} in {percent:.0f} % of the time"
            for name, percent in residencies.items()
            if name in HEAT_COUNTERS and percent >= HEAT_PERCENT
        ]
        return f"throttled by {', '.join(hot)}" if hot else ""
    running = [s for s in samples if s.launching] or list(samples)
    bits = [s.throttle_bits for s in running if s.throttle_bits is not None]
    if bits:
        hot_bits = sorted({bit for value in bits for bit in HEAT_BITS if value >> bit & 1})
        numbers = ", ".join(map(str, hot_bits))
        return f"throttled by temperature (indep_throttle_status, bit {numbers})" if hot_bits else ""
    clocks = [s.shader_clock_mhz for s in samples if s.launching and s.shader_clock_mhz is not None]
    if not clocks or not max_shader_clock_mhz:
        return ""
    clock = statistics.median(clocks)
    if clock >= LOW_CLOCK * max_shader_clock_mhz:
        return ""
    flagged = "; the driver says that it is throttled" if any(s.throttle_flag for s in running) else ""
    return (
        f"shader clock of {clock:.0f} MHz during launches, under {LOW_CLOCK:.0%} of "
        f"{max_shader_clock_mhz:.0f} MHz{flagged}"
    )


def _residencies_percent(samples: Sequence[Sample]) -> dict[str, float]:
    """Share of the time between the first and the last reading spent in each state; empty if unknown."""
    counted = [s.counters for s in samples if WINDOW_COUNTER in s.counters]
    if len(counted) < 2 or counted[-1][WINDOW_COUNTER] <= counted[0][WINDOW_COUNTER]:
        return {}
    first, last = counted[0], counted[-1]
    ticks = last[WINDOW_COUNTER] - first[WINDOW_COUNTER]
    names = [name for name in (POWER_COUNTER, *HEAT_COUNTERS) if name in first and name in last]
    return {name: 100.0 * (last[name] - first[name]) / ticks for name in names}


class Recorder:
    """Takes readings while a measurement runs: `begin`, launches inside `launching`, `summary`.

    A thread reads every `period_seconds`. hip-python 10 lets it run during a launch; 6.4 and 7 hold the interpreter's
    lock meanwhile, so there readings come right after a launch, and only the counters tell of the time in it.
    Without `source` nothing is read and `summary` carries `missing`.
    """

    def __init__(
        self, source: AmdSmi | None, missing: str = "", period_seconds: float = PERIOD_SECONDS
    ) -> None:
        self.missing = missing
        self._source, self._period_seconds = source, period_seconds
        self._samples: list[Sample] = []
        self._launching = False
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Forget earlier readings, take the first one, and read on in a thread."""
        self._end_thread()
        self._samples = []
        if self._source is None:
            return
        self.sample()
        self._stop.clear()
        self._thread = threading.Thread(target=self._read_on, name="greta telemetry", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def launching(self) -> Iterator[None]:
        """Readings taken inside belong to a launch."""
        self._launching = True
        try:
            yield
        finally:
            self._launching = False

    def sample(self) -> None:
        """Take one reading now."""
        if self._source is not None:
            with self._lock:
                before = self._launching
                reading = self._source.read()
                # A reading that began or ended outside of a launch may be that of an idle GPU.
                in_launch = before and self._launching
                self._samples.append(replace(reading, launching=in_launch))

    def summary(self) -> Telemetry:
        """Take the last reading, end the thread, and say what all of them come to."""
        self._end_thread()
        if self._source is None:
            return Telemetry(missing=self.missing)
        if not self._samples:
            return Telemetry(missing="nothing was recorded: the measurement did not begin")
        self.sample()
        if all(s == Sample(launching=s.launching) for s in self._samples):
            return Telemetry(missing=_lost("amdsmi gives no readings of this GPU"))
        return summarize(self._samples, self._source.max_shader_clock_mhz)

    def close(self) -> None:
        """End the thread and amdsmi. Safe to call twice."""
        self._end_thread()
        if self._source is not None:
            self._source.close()
            self._source, self.missing = None, "telemetry was closed"

    def _read_on(self) -> None:
        while not self._stop.wait(self._period_seconds):
            self.sample()

    def _end_thread(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def open_recorder(pci_address: str) -> Recorder:
    """A recorder for the GPU at a PCI address (`0000:0c:00.0`: domain, bus, device, function). Raises nothing.

    Where amdsmi is missing or does not know the GPU, the recorder records nothing and `missing` says why.
    """
    try:
        return Recorder(AmdSmi(pci_address))
    except ToolMissing as error:
        return Recorder(None, str(error))


class AmdSmi:
    """One GPU seen through amdsmi, the only place that knows it. Raises ToolMissing, with one sentence."""

    def __init__(self, pci_address: str) -> None:
        self._smi = smi = import_amdsmi()
        try:
            smi.amdsmi_init(smi.AmdSmiInitFlags.INIT_AMD_GPUS)
        except smi.AmdSmiException as error:
            raise ToolMissing(_lost(f"amdsmi does not start: {_line(error)}")) from error
        try:
            addresses = {
                str(smi.amdsmi_get_gpu_device_bdf(handle)).lower(): handle
                for handle in smi.amdsmi_get_processor_handles()
            }
        except smi.AmdSmiException as error:
            self.close()
            raise ToolMissing(_lost(f"amdsmi lists no GPUs: {_line(error)}")) from error
        if pci_address.lower() not in addresses:
            self.close()
            known = ", ".join(sorted(addresses)) or "none"
            raise ToolMissing(_lost(f"amdsmi does not know the GPU at {pci_address} (it knows {known})"))
        self._handle = addresses[pci_address.lower()]
        self.max_shader_clock_mhz = _number(self._clock().get("max_clk"))

    def read(self) -> Sample:
        """Read everything once. What the GPU does not give is None."""
        smi = self._smi
        metrics = self._ask(smi.amdsmi_get_gpu_metrics_info) or {}
        clock = _first(metrics, "current_gfxclks", "current_gfxclk", "average_gfxclk_frequency")
        temperature = _first(metrics, "temperature_hotspot", "temperature_edge")
        power = _first(metrics, "current_socket_power", "average_socket_power")
        # A virtual machine, or a GPU of before 2018, has no table of metrics; single values may be there.
        if clock is None:
            clock = _first(self._clock(), "clk", "cur_clk")
        if temperature is None:
            sensor, current = smi.AmdSmiTemperatureType.HOTSPOT, smi.AmdSmiTemperatureMetric.CURRENT
            temperature = _number(self._ask(smi.amdsmi_get_temp_metric, sensor, current))
        if power is None:
            info = self._ask(smi.amdsmi_get_power_info) or {}
            power = _first(info, "socket_power", "current_socket_power", "average_socket_power")
        vram = self._ask(smi.amdsmi_get_gpu_vram_usage)  # in MiB
        bits = metrics.get("indep_throttle_status")
        flag = metrics.get("throttle_status")
        return Sample(
            shader_clock_mhz=clock,
            temperature_celsius=temperature,
            power_watts=power,
            vram_bytes=int(vram["vram_used"]) * _MIB if vram else None,
            counters={
                name: int(metrics[name])
                for name in (WINDOW_COUNTER, POWER_COUNTER, *HEAT_COUNTERS)
                if isinstance(metrics.get(name), int) and metrics[name] != _ALL_ONES[-1]
            },
            # Newer releases tell only whether any bit is set.
            throttle_bits=bits if type(bits) is int and bits != _ALL_ONES[-1] else None,
            throttle_flag=bool(flag) if isinstance(flag, int) and flag not in _ALL_ONES else None,
        )

    def close(self) -> None:
        """Shut amdsmi down; an error of it then changes nothing."""
        with contextlib.suppress(self._smi.AmdSmiException):
            self._smi.amdsmi_shut_down()

    def _clock(self) -> Mapping[str, Any]:
        smi = self._smi
        return self._ask(smi.amdsmi_get_clock_info, smi.AmdSmiClkType.GFX) or {}

    def _ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(self._handle, *arguments)
        except self._smi.AmdSmiException:
            return None


def import_amdsmi() -> Any:
    """The package amdsmi. Raises ToolMissing, with one sentence."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):  # amdsmi prints why it does not find its library
            return importlib.import_module("amdsmi")
    except ModuleNotFoundError:
        cause = f"amdsmi is not installed (it comes with ROCm: {AMDSMI})"
        raise ToolMissing(_lost(cause), amdsmi_command()) from None
    except (ImportError, OSError, LookupError, AttributeError) as error:
        # Without its library it fails with a KeyError, with one of another release with an AttributeError.
        reason = " ".join(printed.getvalue().split()) or f"{type(error).__name__}: {error}"
        raise ToolMissing(_lost(f"amdsmi is installed but does not load: {reason}")) from error


def _lost(cause: str) -> str:
    return f"no telemetry: {cause}; clocks, temperature and power are not recorded"


def _line(error: Exception) -> str:
    """The text of an error of amdsmi, which may have several lines, in one."""
    return str(getattr(error, "err_info", "")) or " ".join(str(error).split()) or type(error).__name__


def _number(value: Any) -> float | None:
    """A reading above zero; the median of those of several dies. None for "N/A" and its older form, all ones."""
    if isinstance(value, (list, tuple)):
        known = [number for number in map(_number, value) if number is not None]
        return statistics.median(known) if known else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value in _ALL_ONES:
        return None
    return float(value) if value > 0 else None


def _first(values: Mapping[str, Any], *names: str) -> float | None:
    return next((n for n in (_number(values.get(name)) for name in names) if n is not None), None)
