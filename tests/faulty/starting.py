"""Kernels whose arrays start with something: in-place, accumulating, counting; right, and wrong in one way each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 64


class InPlace(Kernel):
    """y = 3 x, computed where x was copied to; both are `[context]` fp32."""

    name = "in_place"
    variants = (Variant("triples", "starts.hip", "triples"), Variant("idles", "starts.hip", "idles"))

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """x, uniform in [0.5, 1.5)."""
        return {"x": rng.random(problem.context, np.float32) + np.float32(0.5)}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """y, which starts as x."""
        return {"y": Array((problem.context,), np.float32, initial="x")}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """`(context,)`."""
        return (problem.context,)

    def reference(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
    ) -> dict[str, NDArray[np.float64]]:
        """One element, `[]`."""
        return {"y": 3.0 * inputs["x"][row].astype(np.float64)}

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        """One thread an element."""
        blocks = -(-problem.context // BLOCK)
        return Launch((blocks, 1, 1), (BLOCK, 1, 1), (*self.arrays(), np.int32(problem.context)))

    def arrays(self) -> tuple[str, ...]:
        """The arguments that are arrays."""
        return ("y",)

    def flops(self, problem: Problem) -> float:
        """A multiplication an element."""
        return problem.context

    def bytes_moved(self, problem: Problem) -> float:
        """Read once, written once."""
        return 8.0 * problem.context


class Starts(InPlace):
    """Also s = 0.5 + x, and p = x by way of a counter that is 0 at the start."""

    name = "starts"
    variants = (
        Variant("starts", "starts.hip", "starts"),
        Variant("spoils_input", "starts.hip", "spoils_input"),
    )

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """y, which starts as x, s at 0.5, and p without a start."""
        shape = (problem.context,)
        started = {**super().outputs(problem), "s": Array(shape, np.float32, initial=0.5)}
        return {**started, "p": Array(shape, np.float32)}

    def workspaces(self, problem: Problem, variant: Variant) -> dict[str, Array]:
        """A counter an element, which every launch finds at 0."""
        return {"counter": Array((problem.context,), np.int32, initial=0)}

    def reference(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
    ) -> dict[str, NDArray[np.float64]]:
        """One element of each, `[]`."""
        x = inputs["x"][row].astype(np.float64)
        return {"y": 3.0 * x, "s": 0.5 + x, "p": x}

    def arrays(self) -> tuple[str, ...]:
        """The arguments that are arrays."""
        return ("x", "y", "s", "p", "counter")


class Whole(InPlace):
    """InPlace, held against a reference of all elements."""

    name = "whole"
    variants = (
        Variant("triples", "starts.hip", "triples"),
        Variant("misses_one", "starts.hip", "misses_one"),
    )

    def reference(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
    ) -> dict[str, NDArray[np.float64]]:
        """Nobody asks."""
        raise NotImplementedError

    def reference_all(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]]
    ) -> dict[str, NDArray[np.float64]]:
        """All of y, `[context]`."""
        return {"y": 3.0 * inputs["x"].astype(np.float64)}
