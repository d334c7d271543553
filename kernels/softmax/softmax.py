"""Row softmax in fp32: the smallest complete kernel family, and the one to copy from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 64  # threads of a block in both sources


class Softmax(Kernel):
    """out[row, i] = exp(x[row, i]) / sum over j of exp(x[row, j]); x and out are `[rows, context]` fp32."""

    name = "softmax"
    sizes: ClassVar = {"rows": 4096}
    cpu_sizes: ClassVar = {"rows": 256}
    variants = (
        Variant("naive", "naive.hip", "softmax_naive"),
        Variant("wave", "wave.hip", "softmax_wave"),
    )

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """x, from the standard normal distribution."""
        return {"x": rng.standard_normal((problem["rows"], problem.context), np.float32)}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """out, of x's shape and dtype."""
        return {"out": Array((problem["rows"], problem.context), np.float32)}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """`(rows,)`."""
        return (problem["rows"],)

    def reference(
        self,
        problem: Problem,
        inputs: Mapping[str, NDArray[np.generic]],
        row: tuple[int, ...],
    ) -> dict[str, NDArray[np.float64]]:
        """The softmax of one row, `[context]`."""
        x = inputs["x"][row].astype(np.float64)
        weights = np.exp(x - x.max())
        return {"out": weights / weights.sum()}

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        """naive: one block for every 64 rows. wave: one block a row, which a wavefront of 64 lanes fills."""
        rows = problem["rows"]
        blocks = -(-rows // BLOCK) if variant.name == "naive" else rows
        return Launch(
            grid=(blocks, 1, 1),
            block=(BLOCK, 1, 1),
            args=("x", "out", np.int32(rows), np.int32(problem.context)),
        )

    def flops(self, problem: Problem) -> float:
        """A subtraction, an exponential, an addition and a division a value."""
        return 4.0 * problem["rows"] * problem.context

    def bytes_moved(self, problem: Problem) -> float:
        """Input read once, out written once."""
        return 2.0 * problem["rows"] * problem.context * np.dtype(np.float32).itemsize
