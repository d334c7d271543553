"""The device's memory during one measurement: inputs, outputs, workspaces, and the bands around them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.device.protocol import BAND_BYTES, LARGE_BYTE, NAN_BYTE, NEAR, SPARE, BufferPlan
from pytest_greta.device.shared import SharedMemory
from pytest_greta.device.worker import Worker
from pytest_greta.dtypes import dtype_of
from pytest_greta.measure import correctness
from pytest_greta.measure.draws import DRAWS, ByDraw
from pytest_greta.measure.executable import array_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.kernel import Array

_BANDS_OF_INPUTS = dict(zip(DRAWS, (NAN_BYTE, LARGE_BYTE), strict=True))
"""A kernel that reads past its inputs meets NaN in one draw, and a large number in the other."""


class Buffers:
    """What a measurement has allocated on the worker's device.

    Every slot has memory of its own, so that what one damages is no other's fault. Its inputs are called
    `slot/draw/name`, its outputs and workspaces `slot/name`.
    """

    def __init__(
        self,
        worker: Worker,
        inputs: Mapping[str, Mapping[str, ByDraw]],
        outputs: Mapping[str, Array],
        workspaces: Mapping[str, Mapping[str, Array]],
    ) -> None:
        """Allocate inputs, outputs and workspaces of each slot, and copy the inputs. Raises DeviceFault.

        `inputs` holds those that stand in for others of the same name after them: of the family, of the variant.
        """
        self._worker, self._outputs = worker, outputs
        self._plans: dict[str, BufferPlan] = {}
        self._sources: dict[str, tuple[SharedMemory, NDArray[np.generic]]] = {}
        """What the buffers of inputs hold, in memory and as an array."""
        for slot, groups in inputs.items():
            for group in groups.values():
                self._plan_inputs(slot, group)
            draws = list(next(iter(groups.values())))
            for name, output in outputs.items():
                origins = {draw: self._family(slot, draw, output.initial) for draw in draws}
                self._plans[f"{slot}/{name}"] = _plan(slot, output, origins, is_output=True)
            for name, workspace in workspaces[slot].items():
                origins = {draw: f"{slot}/{draw}/{workspace.initial}" for draw in draws}
                self._plans[f"{slot}/{name}"] = _plan(slot, workspace, origins)
        for name, output in outputs.items():
            size_bytes = math.prod(output.shape) * dtype_of(output.dtype).itemsize
            self._plans[f"{SPARE}/{name}"] = BufferPlan(size_bytes, SPARE, is_output=True)
        worker.allocate(self._plans)
        written: dict[SharedMemory, str] = {}
        for name, (memory, _) in self._sources.items():
            if memory in written:  # what slots share crosses to the device once
                worker.copy(written[memory], name)
            else:
                worker.write(name, memory)
            written.setdefault(memory, name)
        self._marks = worker.marks(list(inputs))

    def keep(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Keep arrays on the device that outputs are held against, `near/slot/draw/name ...`, in the place of those of
        these names. Raises DeviceFault.
        """
        plans = {name: BufferPlan(array.nbytes, NEAR) for name, array in arrays.items()}
        self._worker.add({name: plan for name, plan in plans.items() if name not in self._plans})
        self._plans |= plans
        for name, array in arrays.items():
            with SharedMemory(array.nbytes) as memory:
                memory.view[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
                self._worker.write(name, memory)
        self._marks |= {name: mark for name, mark in self._worker.marks([NEAR]).items() if name in arrays}

    @property
    def is_alive(self) -> bool:
        """Whether the worker can still be asked."""
        return self._worker.alive

    def _plan_inputs(self, slot: str, draws: ByDraw) -> None:
        for draw, inputs in draws.items():
            for name, array in inputs.arrays.items():
                full, band = f"{slot}/{draw}/{name}", _BANDS_OF_INPUTS[draw]
                if (
                    full in self._plans
                ):  # the family's, which the variant replaces: an output may start from it
                    kept = f"{slot}/{draw}/{name} of the family"
                    self._plans[kept], self._sources[kept] = self._plans[full], self._sources[full]
                self._plans[full] = BufferPlan(array.nbytes, slot, bands=(band, band))
                self._sources[full] = inputs.memory[name], array

    def _family(self, slot: str, draw: str, initial: object) -> str:
        """The buffer of an input as the family draws it, whatever the variant derives from it."""
        kept = f"{slot}/{draw}/{initial} of the family"
        return kept if kept in self._plans else f"{slot}/{draw}/{initial}"

    def exchange(self, one: str, other: str) -> None:
        """Let two slots change the places of what both have alike: outputs, and inputs that hold the same."""
        pairs = []
        for name, plan in self._plans.items():
            slot, _, rest = name.partition("/")
            twin = f"{other}/{rest}"
            source, its_source = self._sources.get(name), self._sources.get(twin)
            if slot == one and plan.size_bytes == getattr(self._plans.get(twin), "size_bytes", None):
                same = plan.is_output or (
                    source is not None and its_source is not None and source[0] is its_source[0]
                )
                if same and plan.bands == self._plans[twin].bands:
                    pairs.append((name, twin))
        self._worker.exchange(pairs)

    def outputs(self, slot: str) -> dict[str, NDArray[np.generic]]:
        """Copies of the outputs of a slot; those of `SPARE` are what the device kept of a launch."""
        found = {}
        for name, array in self._outputs.items():
            raw = self._raw(f"{slot}/{name}")  # no later launch comes near this memory
            found[name] = correctness.body(raw).view(dtype_of(array.dtype)).reshape(array.shape)
        return found

    def misuse(self, slot: str) -> tuple[list[str], list[str]]:
        """How inputs of a slot differ from what was written to them, and what was written outside of its buffers."""
        changes: list[str] = []
        damage: list[str] = []
        for name, mark in self._worker.marks([slot, NEAR]).items():
            plan = self._plans[name]
            if mark == self._marks[name] or (plan.slot == NEAR and not name.startswith(f"{NEAR}/{slot}/")):
                continue
            short = name.partition(" ")[0].rpartition("/")[2]
            if plan.slot == NEAR:
                damage.append(f"what launches are held against in '{short}' was overwritten")
                continue
            raw = self._raw(name)
            damage.append(correctness.damaged_bands(short, raw, plan.bands))
            _, array = self._sources.get(name, (None, None))
            if array is not None and not correctness.same_bytes(correctness.body(raw), array):
                differ = int((correctness.body(raw) != array.reshape(-1).view(np.uint8)).sum())
                changes.append(f"{differ} bytes of '{short}' were modified")
        return list(dict.fromkeys(changes)), [text for text in dict.fromkeys(damage) if text]

    def _raw(self, name: str) -> NDArray[np.uint8]:
        """What a buffer holds now, with its bands."""
        memory, raw = self._worker.pool.take(self._plans[name].size_bytes + 2 * BAND_BYTES)
        self._worker.read(name, memory)
        return raw


def _plan(slot: str, array: Array, origins: Mapping[str, str], is_output: bool = False) -> BufferPlan:
    """The buffer of an output or workspace, with what it holds before every launch; `origins` are by draw."""
    size_bytes = math.prod(array.shape) * dtype_of(array.dtype).itemsize
    if isinstance(array.initial, str):
        return BufferPlan(size_bytes, slot, is_output=is_output, starts_from=origins)
    if array.initial is None:
        return BufferPlan(size_bytes, slot, is_output=is_output, poisoned=True)
    return BufferPlan(size_bytes, slot, is_output=is_output, element=array_number(array).tobytes())
