"""The device's memory during one measurement: inputs, outputs, workspaces, and the bands around them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_greta.device.protocol import BAND_BYTES, BufferPlan
from pytest_greta.device.shared import SharedMemory
from pytest_greta.device.worker import Worker
from pytest_greta.measure import correctness as checks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.kernel import Array

Arrays = Mapping[str, "NDArray[np.generic]"]
"""Arrays by the names of inputs or outputs."""


class Inputs:
    """One draw of a kernel's inputs, in shared memory, from where the worker copies it to the device."""

    def __init__(self, drawn: Arrays) -> None:
        self.memory: dict[str, SharedMemory] = {}
        self.arrays: dict[str, NDArray[np.generic]] = {}
        """Read-only: what the device's inputs and the reference are held against."""
        for name, values in drawn.items():
            memory = self.memory[name] = SharedMemory(values.nbytes)
            array: NDArray[np.generic] = np.frombuffer(memory.view, values.dtype).reshape(values.shape)
            array[...] = values
            array.flags.writeable = False
            self.arrays[name] = array

    def close(self) -> None:
        """Let go of the memory."""
        for memory in self.memory.values():
            memory.close()


class Buffers:
    """What a measurement has allocated on the worker's device.

    Inputs are called `draw/name`, and all programs share them; outputs and workspaces are called `slot/name`.
    """

    def __init__(
        self,
        worker: Worker,
        draws: Mapping[str, Inputs],
        outputs: Mapping[str, Array],
        workspaces: Mapping[str, Mapping[str, Array]],
    ) -> None:
        """Allocate for the draws of inputs, and outputs and workspaces for each slot. Raises DeviceFault.

        `workspaces` are those of each slot.
        """
        self._worker, self._draws = worker, draws
        self._outputs = {name: _Layout.of(array) for name, array in outputs.items()}
        self._plans: dict[str, BufferPlan] = {}
        for draw, inputs in draws.items():
            for name, array in inputs.arrays.items():
                self._plans[f"{draw}/{name}"] = BufferPlan(array.nbytes)
        for slot, needed in workspaces.items():
            for name, layout in self._outputs.items():
                self._plans[f"{slot}/{name}"] = BufferPlan(layout.size_bytes, slot, poisoned=True)
            for name, workspace in needed.items():
                self._plans[f"{slot}/{name}"] = BufferPlan(_Layout.of(workspace).size_bytes, slot)
        worker.allocate(self._plans)

    def write_inputs(self) -> None:
        """Copy every draw of the inputs to the device."""
        for draw, inputs in self._draws.items():
            for name, memory in inputs.memory.items():
                self._worker.write(f"{draw}/{name}", memory)

    def outputs(self, slot: str) -> dict[str, NDArray[np.generic]]:
        """Copies of the outputs of a slot."""
        found = {}
        for name, layout in self._outputs.items():
            with self._raw(f"{slot}/{name}") as raw:
                found[name] = checks.body(raw).copy().view(layout.dtype).reshape(layout.shape)
        return found

    def misuse(self, slot: str) -> tuple[list[str], list[str]]:
        """How the device's inputs differ from what was written to them, and what was written outside of buffers: of
        those of a slot, and of the inputs, which all share.
        """
        changes, damage = [], []
        for name, plan in self._plans.items():
            if plan.slot not in (None, slot):
                continue
            owner, short = name.split("/")
            with self._raw(name) as raw:
                damage.append(checks.damaged_bands(short, raw))
                array = None if plan.slot else self._draws[owner].arrays[short]
                if array is not None and not checks.same_bytes(checks.body(raw), array):
                    differ = int((checks.body(raw) != array.reshape(-1).view(np.uint8)).sum())
                    changes.append(f"{differ} bytes of '{short}' were modified")
        return list(dict.fromkeys(changes)), [text for text in dict.fromkeys(damage) if text]

    @contextmanager
    def _raw(self, name: str) -> Iterator[NDArray[np.uint8]]:
        with SharedMemory(self._plans[name].size_bytes + 2 * BAND_BYTES) as memory:
            self._worker.read(name, memory)
            yield np.frombuffer(memory.view, np.uint8)


@dataclass(frozen=True)
class _Layout:
    shape: Sequence[int]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, array: Array) -> _Layout:
        return cls(tuple(array.shape), np.dtype(array.dtype))

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize
