"""The device's memory during one measurement: inputs, outputs, workspaces, and the bands around them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.device.protocol import BAND_BYTES, BufferPlan
from pytest_greta.device.shared import SharedMemory
from pytest_greta.device.worker import Worker
from pytest_greta.measure import correctness
from pytest_greta.measure.draws import ByDraw
from pytest_greta.measure.executable import array_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.kernel import Array


class Buffers:
    """What a measurement has allocated on the worker's device.

    Inputs of the family are called `draw/name`, and all slots share them. What is of one slot alone has it in
    front: the inputs of its variant are called `slot/draw/name`, outputs and workspaces `slot/name`.
    """

    def __init__(
        self,
        worker: Worker,
        shared: ByDraw,
        own: Mapping[str, ByDraw],
        outputs: Mapping[str, Array],
        workspaces: Mapping[str, Mapping[str, Array]],
    ) -> None:
        """Allocate for the draws of inputs, and outputs and workspaces for each slot. Raises DeviceFault.

        `own` are the inputs, and `workspaces` the workspaces, of each slot.
        """
        self._worker, self._outputs = worker, outputs
        self._plans: dict[str, BufferPlan] = {}
        self._sources: dict[str, tuple[SharedMemory, NDArray[np.generic]]] = {}
        """What the buffers of inputs hold, in memory and as an array."""
        self._plan_inputs(shared)
        for slot, derived in own.items():
            self._plan_inputs(derived, slot)
        for slot, needed in workspaces.items():
            for name, output in outputs.items():
                plan = _plan(slot, output, {draw: f"{draw}/{output.initial}" for draw in shared})
                self._plans[f"{slot}/{name}"] = replace(plan, poisoned=output.initial is None)
            for name, workspace in needed.items():
                origins = {draw: self._seen(slot, draw, workspace.initial) for draw in shared}
                self._plans[f"{slot}/{name}"] = _plan(slot, workspace, origins)
        worker.allocate(self._plans)

    def write_inputs(self) -> None:
        """Copy every draw of the inputs to the device."""
        for name, (memory, _) in self._sources.items():
            self._worker.write(name, memory)

    def _plan_inputs(self, draws: ByDraw, slot: str | None = None) -> None:
        for draw, inputs in draws.items():
            for name, array in inputs.arrays.items():
                full = f"{slot}/{draw}/{name}" if slot else f"{draw}/{name}"
                self._plans[full] = BufferPlan(array.nbytes, slot)
                self._sources[full] = inputs.memory[name], array

    def _seen(self, slot: str, draw: str, name: object) -> str:
        """The buffer of an input as a slot sees it: its variant's, else the family's."""
        own = f"{slot}/{draw}/{name}"
        return own if own in self._plans else f"{draw}/{name}"

    def outputs(self, slot: str) -> dict[str, NDArray[np.generic]]:
        """Copies of the outputs of a slot."""
        found = {}
        for name, array in self._outputs.items():
            with self._raw(f"{slot}/{name}") as raw:
                found[name] = correctness.body(raw).copy().view(array.dtype).reshape(array.shape)
        return found

    def misuse(self, slot: str) -> tuple[list[str], list[str]]:
        """How the device's inputs differ from what was written to them, and what was written outside of buffers: of
        those of a slot, and of the inputs, which all share.
        """
        changes, damage = [], []
        for name, plan in self._plans.items():
            if plan.slot not in (None, slot):
                continue
            short = name.rpartition("/")[2]
            with self._raw(name) as raw:
                damage.append(correctness.damaged_bands(short, raw))
                _, array = self._sources.get(name, (None, None))
                if array is not None and not correctness.same_bytes(correctness.body(raw), array):
                    differ = int((correctness.body(raw) != array.reshape(-1).view(np.uint8)).sum())
                    changes.append(f"{differ} bytes of '{short}' were modified")
        return list(dict.fromkeys(changes)), [text for text in dict.fromkeys(damage) if text]

    @contextmanager
    def _raw(self, name: str) -> Iterator[NDArray[np.uint8]]:
        with SharedMemory(self._plans[name].size_bytes + 2 * BAND_BYTES) as memory:
            self._worker.read(name, memory)
            yield np.frombuffer(memory.view, np.uint8)


def _plan(slot: str, array: Array, origins: Mapping[str, str]) -> BufferPlan:
    """The buffer of an output or workspace, with what it holds before every launch; `origins` are by draw."""
    size_bytes = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    if isinstance(array.initial, str):
        return BufferPlan(size_bytes, slot, starts_from=origins)
    return BufferPlan(
        size_bytes, slot, element=b"" if array.initial is None else array_number(array).tobytes()
    )
