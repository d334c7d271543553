"""What one measurement found."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_greta.errors import DeviceFault
from pytest_greta.gates.model import Quantity
from pytest_greta.kernel import Array
from pytest_greta.measure.batches import Manner, Round
from pytest_greta.measure.executable import BASELINE, CANDIDATE
from pytest_greta.stats.pairs import PairedTest

if TYPE_CHECKING:
    from pytest_greta.device import DeviceInfo
    from pytest_greta.device.telemetry import Telemetry
    from pytest_greta.measure.plan import Plan


@dataclass
class PairedTimes:
    """A counterpart's times, each paired with one of the candidate's."""

    pairs: PairedTest = field(default_factory=PairedTest)
    """The log-ratios, and when they were enough: baseline over candidate, candidate over accepted code."""
    seconds: list[float] = field(default_factory=list)
    """`seconds[i]` is paired with the i-th of the candidate."""
    problem: str = ""
    """Why it is not timed against after all."""


@dataclass
class Run:
    """What was found, as far as it came: it is filled while measuring, so that a fault loses nothing."""

    plan: Plan
    device: DeviceInfo
    seconds: list[float] = field(default_factory=list)
    """Device seconds of a launch of the candidate, by rounds."""
    rounds: list[Round] = field(default_factory=list)
    """These rounds: the order of their launches, and what they read."""
    manner: Manner = field(default_factory=Manner)
    """How launches were timed."""
    warm_up: str = ""
    """What was done before launches were timed, in words."""
    baseline: PairedTimes = field(default_factory=PairedTimes)
    accepted: PairedTimes = field(default_factory=PairedTimes)
    buffers: dict[str, Array] = field(default_factory=dict)
    """Shapes and dtypes of inputs and outputs."""
    slowest_wall_seconds: float = 0.0
    checked: str = ""
    """How much of the outputs was compared, in words."""
    quantities: dict[str, Quantity] = field(default_factory=dict)
    telemetry: Telemetry | None = None
    """Clocks, temperature and power while the times were taken."""
    fault: DeviceFault | None = None
    fault_of: str = CANDIDATE
    """The slot that was launched when the fault came."""
    worker_output: str = ""
    """What kernels and libraries printed meanwhile."""

    @property
    def prefill_seconds(self) -> float:
        """Median device time of one launch of the candidate."""
        return statistics.median(self.seconds)

    def paired(self, slot: str) -> PairedTimes:
        """The times of a counterpart."""
        return self.baseline if slot == BASELINE else self.accepted
