"""Kernels that misbehave, one way each, for the tests of what greta catches.

All compute, or fail to compute, the running total out[row] = x[0] + ... + x[row] in fp32: every row depends
on the whole context before it, as in causal attention. `good` is the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 64


def _own(name: str) -> Variant:
    """The variant whose source and `__global__` function have its name."""
    return Variant(name, f"{name}.hip", name)


class Faulty(Kernel):
    """Running total; x and out are `[context]` fp32."""

    name = "faulty"
    variants = (
        _own("good"),
        # wrong output: each is caught by one of the built-in checks
        _own("noop"),
        _own("skips_last_row"),
        _own("half_written"),
        _own("writes_past_end"),
        _own("writes_before_start"),
        _own("modifies_input"),
        _own("returns_nan"),
        _own("inaccurate"),
        _own("truncates"),
        _own("nondeterministic"),
        _own("remembers"),
        # right output, but caught by a gate: scratch_bytes and vgpr_spills, vgprs, speedup
        _own("spills"),
        _own("many_vgprs"),
        _own("slow"),
        # no output at all
        _own("endless"),
        _own("crashes"),
        _own("traps"),
        _own("does_not_compile"),
        Variant("missing_entry", "good.hip", "not_in_good"),
        Variant("out_of_memory", "good.hip", "good"),
        Variant("block_too_large", "good.hip", "good"),
        # right, within limits
        Variant("limited", "good.hip", "good", max_context=2048),
        _own("prints"),
    )

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """x, uniform in [0.5, 1.5): positive, so that no total is small beside its terms."""
        return {"x": rng.random(problem.context, np.float32) + np.float32(0.5)}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """out, of x's shape and dtype."""
        return {"out": Array((problem.context,), np.float32)}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """`(context,)`: a row is one total."""
        return (problem.context,)

    def reference(
        self,
        problem: Problem,
        inputs: Mapping[str, NDArray[np.generic]],
        row: tuple[int, ...],
    ) -> dict[str, NDArray[np.float64]]:
        """The total of one row, `[]`."""
        return {"out": np.asarray(inputs["x"][: row[0] + 1].sum(dtype=np.float64))}

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        """One thread a row."""
        block = 1024 if variant.name == "block_too_large" else BLOCK
        blocks = -(-problem.context // block)
        return Launch((blocks, 1, 1), (block, 1, 1), ("x", "out", np.int32(problem.context)))

    def workspaces(self, problem: Problem, variant: Variant) -> dict[str, Array]:
        """More than any device has, for the variant that is about that."""
        return {"hoard": Array((1 << 50,), np.uint8)} if variant.name == "out_of_memory" else {}

    def flops(self, problem: Problem) -> float:
        """An addition for every row and input before it."""
        return problem.context * (problem.context + 1) / 2

    def bytes_moved(self, problem: Problem) -> float:
        """Input read once, out written once."""
        return 2.0 * problem.context * np.dtype(np.float32).itemsize
