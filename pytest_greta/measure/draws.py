"""What kernels read: inputs drawn for all variants of a family, and those that a variant derives from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta import contract, contract_arrays
from pytest_greta.device.shared import SharedMemory
from pytest_greta.kernel import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_greta.kernel import Kernel, Problem, Variant

DRAWS = ("first", "second")
"""Inputs are drawn twice, and couples of rounds take them in turn: code that remembers its last answer is wrong, and no
times are of one set of numbers only."""

Arrays = Mapping[str, "NDArray[np.generic]"]
"""Arrays by the names of inputs or outputs."""


class Inputs:
    """One draw of inputs, in shared memory, from where the worker copies it to the device."""

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

    @property
    def layout(self) -> dict[str, Array]:
        """Shapes and dtypes."""
        return {name: Array(array.shape, array.dtype) for name, array in self.arrays.items()}

    def close(self) -> None:
        """Let go of the memory."""
        for memory in self.memory.values():
            memory.close()


ByDraw = Mapping[str, Inputs]
"""Inputs of the same names, shapes and dtypes, by `DRAWS`."""


@dataclass(frozen=True)
class Draws:
    """The inputs of one measurement."""

    shared: ByDraw
    """The family's: what the reference is computed from, and every variant may read."""
    own: Mapping[str, ByDraw]
    """Those of a variant alone, by its name; they stand before the family's of the same name."""

    @property
    def layout(self) -> dict[str, Array]:
        """Shapes and dtypes of the family's inputs."""
        return self.shared[DRAWS[0]].layout

    def own_of(self, variant: Variant | None) -> ByDraw:
        """What a variant derives; nothing for code that is of none."""
        return self.own[variant.name] if variant else {}

    def layout_for(self, variant: Variant | None) -> dict[str, Array]:
        """Shapes and dtypes of what a variant reads."""
        own = self.own_of(variant)
        return {**self.layout, **(own[DRAWS[0]].layout if own else {})}


def draw_shared(
    kernel: Kernel, problem: Problem, rng: np.random.Generator, count: int, stack: ExitStack
) -> dict[str, Inputs]:
    """Draw a kernel's inputs once or twice, in memory that lives as long as the stack. Raises KernelMistake."""
    shared: dict[str, Inputs] = {}
    for draw in DRAWS[:count]:
        shared[draw] = stack.enter_context(closing(Inputs(contract.inputs(kernel, problem, rng))))
        contract.same_arrays(kernel, "inputs", shared[DRAWS[0]].arrays, shared[draw].arrays)
    return shared


def derive(
    kernel: Kernel, problem: Problem, shared: ByDraw, variants: Sequence[Variant], stack: ExitStack
) -> Draws:
    """The inputs of a measurement, with those that its variants derive. Raises KernelMistake."""
    own: dict[str, dict[str, Inputs]] = {variant.name: {} for variant in variants}
    for variant in {variant.name: variant for variant in variants}.values():
        derived = own[variant.name]
        for draw, inputs in shared.items():
            given = contract_arrays.variant_inputs(kernel, problem, variant, inputs.arrays)
            derived[draw] = stack.enter_context(closing(Inputs(given)))
            contract.same_arrays(kernel, "variant_inputs", derived[DRAWS[0]].arrays, derived[draw].arrays)
    return Draws(shared, own)
