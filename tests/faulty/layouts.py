"""One family whose variants read its input in layouts of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 64


def _variant(name: str, entry: str) -> Variant:
    return Variant(name, "layouts.hip", entry)


class Layouts(Kernel):
    """y[i] = sum of w[i]; w is `[context, 4]` and y `[context]`, fp32."""

    name = "layouts"
    variants = (
        _variant("plain", "plain"),
        _variant("replaced", "transposed"),  # w itself is another one for it
        _variant("packed", "transposed"),  # an input that it alone has
        _variant("in_workspace", "sums_in_place"),  # in memory that starts as that input
        # wrong
        _variant("not_replaced", "transposed"),
        _variant("spoils_packed", "sums_in_place"),
        _variant("unknown", "transposed"),
        _variant("no_array", "transposed"),
    )

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """w, uniform in [0.5, 1.5)."""
        return {"w": rng.random((problem.context, 4), np.float32) + np.float32(0.5)}

    def variant_inputs(
        self, problem: Problem, variant: Variant, inputs: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, NDArray[np.generic]]:
        """w, `[4, context]`, for those that want it so."""
        if variant.name == "replaced":
            return {"w": inputs["w"].T}
        if variant.name == "no_array":
            return {"packed": inputs["w"].tolist()}
        return (
            {"packed": inputs["w"].T} if variant.name in ("packed", "in_workspace", "spoils_packed") else {}
        )

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """y, `[context]`."""
        return {"y": Array((problem.context,), np.float32)}

    def workspaces(self, problem: Problem, variant: Variant) -> dict[str, Array]:
        """Where one variant sums."""
        start = Array((4, problem.context), np.float32, initial="packed")
        return {"sums": start} if variant.name == "in_workspace" else {}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """`(context,)`."""
        return (problem.context,)

    def reference_all(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, NDArray[np.float64]]:
        """All of y: from w as the family draws it."""
        return {"y": inputs["w"].sum(axis=1, dtype=np.float64)}

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        """One thread a row."""
        reads = {"plain": "w", "replaced": "w", "not_replaced": "w", "in_workspace": "sums"}
        blocks = -(-problem.context // BLOCK)
        args = (reads.get(variant.name, "packed"), "y", np.int32(problem.context))
        return Launch((blocks, 1, 1), (BLOCK, 1, 1), args)

    def flops(self, problem: Problem) -> float:
        """Three additions a row."""
        return 3.0 * problem.context

    def bytes_moved(self, problem: Problem) -> float:
        """w read, y written."""
        return 20.0 * problem.context
