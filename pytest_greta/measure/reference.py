"""What the outputs must hold on one draw of inputs: all of them where a family says so at once, else sampled rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_greta import contract, contract_arrays
from pytest_greta.measure import correctness

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_greta.kernel import Array, Kernel, Problem
    from pytest_greta.measure.draws import Arrays


@dataclass(frozen=True)
class Reference:
    """The reference of one draw of inputs."""

    kernel: Kernel
    extent: correctness.Row
    """Of the leading axes that all outputs share."""
    rows: correctness.References
    """Sampled rows; none where `whole` is there."""
    whole: Mapping[str, NDArray[np.generic]] | None

    def error(self, outputs: Arrays) -> tuple[float, str]:
        """The largest error of outputs, and where it is: see `correctness.max_error`."""
        if self.whole is None:
            return correctness.max_error(self.rows, outputs, self.kernel.decode)
        return correctness.max_error_of_all(self.whole, len(self.extent), outputs, self.kernel.decode)

    @property
    def checked(self) -> str:
        """How much of the outputs is compared."""
        if self.whole is None:
            return f"{len(self.rows)} of {math.prod(self.extent)} rows checked"
        return f"all {sum(array.size for array in self.whole.values())} elements checked"


def reference_of(
    kernel: Kernel,
    problem: Problem,
    inputs: Arrays,
    outputs: Mapping[str, Array],
    rows: Sequence[correctness.Row],
) -> Reference:
    """The whole reference of a family, where it gives one, else that of `rows`. Raises KernelMistake."""
    extent = kernel.rows(problem)
    whole = contract_arrays.reference_all(kernel, problem, inputs, outputs)
    if whole is not None:
        return Reference(kernel, extent, {}, whole)
    found = {row: contract.reference(kernel, problem, inputs, row, outputs) for row in rows}
    return Reference(kernel, extent, found, None)
