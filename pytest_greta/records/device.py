"""The device of a session that measures nothing: the one that the records are of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_greta.device.session_device import SessionDevice
from pytest_greta.errors import DeviceUnavailable

if TYPE_CHECKING:
    from pytest_greta.device.worker import Worker
    from pytest_greta.records.recordings import Recordings


class RecordedDevice(SessionDevice):
    """Has the kind of the device that the records are of, and cannot be opened."""

    def __init__(self, recordings: Recordings, wanted: str) -> None:
        """`wanted` is `hip`, `cpu`, or `auto`: hip, where any run was recorded on it."""
        kinds = recordings.kinds
        super().__init__(wanted if wanted != "auto" else kinds[0] if kinds else "cpu", Path())
        self._recordings = recordings

    @property
    def stated(self) -> Mapping[str, Any] | None:
        """What the device of all records says of itself; None where there are several."""
        devices = self._recordings.devices
        return devices[0] if len(devices) == 1 else None

    def worker(self) -> Worker:
        """Raises DeviceUnavailable."""
        raise DeviceUnavailable("nothing is measured with --greta-replay")

    def identity(self) -> str:
        """The devices of the records."""
        return self.device_name() or "none"

    def device_name(self) -> str:
        """The devices of the records; empty where none ran anything."""
        return "; ".join(
            f"{identity} (recorded)" for identity in (one["identity"] for one in self._recordings.devices)
        )

    def describe(self) -> str:
        """For the headline."""
        return f"{self.device_name() or self.kind}; replayed: {self._recordings.names}"
