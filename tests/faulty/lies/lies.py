"""Kernels that lie, by kind, with what catches each: `LIES`. `python -m tests.faulty.lies.try_all` tries them with many
seeds; docs/checks.md has the count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIES: Mapping[str, Mapping[str, str]] = {
    "outputs": {
        **dict.fromkeys(
            ("wrong_element", "wrong_first", "wrong_last", "wrong_tile", "wrong_head", "wrong_lane"),
            "max_error of y <= 1.00e-05 * FAIL (largest error in 'y' at row",
        ),
        **dict.fromkeys(
            (
                "slightly_wrong",
                "wrong_sign",
                "zero_element",
                "swapped_heads",
                "other_element",
                "half_precision",
            ),
            "max_error of y <= 1.00e-05 * FAIL (largest error in 'y' at row",
        ),
        **dict.fromkeys(("nan_element", "inf_element"), "max_error of y * measured inf"),
        **dict.fromkeys(
            ("rank_plus_one", "rank_one_off", "rank_as_float"), "max_error of rank, big * measured inf"
        ),
        **dict.fromkeys(("big_one_off", "big_as_double"), "max_error of rank, big * measured inf"),
        "noop": "8192 of 8192 elements of 'y' were not written, the first at [0, 0]",
        "skips_last": "1 of 8192 elements of 'y' were not written, the first at [31, 255]",
        "skips_half": "4096 of 8192 elements of 'y' were not written, the first at [0, 0]",
        "skips_head": "256 of 8192 elements of 'y' were not written, the first at [17, 0]",
        "skips_rank": "8192 of 8192 elements of 'rank' were not written",
        "skips_one_rank": "1 of 8192 elements of 'rank' were not written, the first at [0, 77]",
    },
    "launches": {
        "idle_from_fourth": "deterministic is true * elements of 'y' differ between two launches on equal inputs",
        "wrong_from_fourth": "deterministic is true * elements of 'y' differ between two launches on equal inputs",
        "wrong_once": "1 of 8192 elements of 'y' differ between two launches on equal inputs, the first at [0, 9]",
        "wrong_every_other": "max_error of y * FAIL (largest error in 'y' at row [0, 9]",
        "half_from_fourth": "4096 of 8192 elements of 'y' differ between two launches",
        "nan_late": "1 of 8192 elements of 'y' differ between two launches on equal inputs, the first at [31, 255]",
        "last_bit_differs": "elements of 'y' differ between two launches on equal inputs, the first at [0, 3]",
        "rank_late": "1 of 8192 elements of 'rank' differ between two launches on equal inputs, the first at [0, 3]",
        "remembers_output": "max_error of y <= 1.00e-05 * FAIL",
        "damages_input_late": "bytes of 'x' were modified",
        "writes_past_end_late": "bytes past the end of 'y' (nearest: byte 8 past it) were overwritten",
    },
    "memory": {
        **dict.fromkeys(
            ("reads_before_input", "reads_past_input", "reads_far_past_input"),
            "max_error of y * measured inf",
        ),
        "takes_larger_past_input": "max_error of y <= 1.00e-05 * FAIL",
        **dict.fromkeys(("reads_workspace", "counts_in_workspace"), "max_error of y * measured inf"),
        "reads_past_workspace": "max_error of y <= 1.00e-05 * FAIL",
        "adds_to_output": "max_error of rank, big * measured inf",
        "keeps_output": "1 of 8192 elements of 'y' were not written, the first at [0, 5]",
        "reads_before_output": "max_error of y * measured inf",
        "writes_past_end": "4 bytes past the end of 'y' (nearest: byte 0 past it) were overwritten",
        "writes_far_past_end": "4 bytes past the end of 'y' (nearest: byte 4160 past it) were overwritten",
        "writes_a_block_past_end": "1024 bytes past the end of 'y' (nearest: byte 16384 past it) were overwritten",
        "writes_before_start": "4 bytes before 'y' (nearest: 1 bytes before it) were overwritten",
        "writes_past_rank": "bytes past the end of 'rank' (nearest: byte 0 past it) were overwritten",
        "writes_past_workspace": "bytes past the end of 'scratch' (nearest: byte 0 past it) were overwritten",
        "writes_past_input": "4 bytes past the end of 'x' (nearest: byte 0 past it) were overwritten",
        "writes_before_input": "4 bytes before 'x' (nearest: 1 bytes before it) were overwritten",
        "damages_input": "bytes of 'x' were modified",
    },
}
"""By source, and by name of the variant: a part of the line that says what is wrong; `*` is anything."""

VARYING: Mapping[str, str] = {
    "varies_wrong_once": "max_error of y <= 1.00e-05 * FAIL (largest error in 'y' at row [0, 9]",
    "varies_nan_once": "max_error of y * measured inf",
    "varies_rank_once": "max_error of rank, big * measured inf",
    "varies_idle_once": "max_error of y * FAIL (largest error in 'y' at row",
}
"""Kernels that are right but for the last bits, which are others in every launch, and wrong in the 18th, likewise."""


class Lies(Kernel):
    """y = 3 x of `[heads, context]` fp32; rank and big, of its shape, number the elements."""

    name = "lies"
    sizes: ClassVar = {"heads": 32}
    max_error: ClassVar = {"y": 1e-5}
    variants = (
        Variant("right", "outputs.hip", "right"),
        *(Variant(name, f"{kind}.hip", name) for kind, names in LIES.items() for name in names),
    )

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """x, uniform in [0.5, 1.5)."""
        return {"x": rng.random(self.rows(problem), np.float32) + np.float32(0.5)}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """y fp32, rank int32, big int64, all `[heads, context]`."""
        shape = self.rows(problem)
        return {"y": Array(shape, np.float32), "rank": Array(shape, np.int32), "big": Array(shape, np.int64)}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """`(heads, context)`."""
        return problem["heads"], problem.context

    def reference(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
    ) -> dict[str, NDArray[np.generic]]:
        """Of one element; whole numbers as such."""
        head, place = row
        number = head * problem.context + place
        return {
            "y": 3 * inputs["x"][row].astype(np.float64),
            "rank": np.int64(number),
            "big": np.int64((1 << 60) + number),
        }

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        """One thread an element."""
        heads, context = self.rows(problem)
        args = ("x", "y", "rank", "big", "scratch", np.int32(context))
        return Launch((context // 256, heads, 1), (256, 1, 1), args)

    def workspaces(self, problem: Problem, variant: Variant) -> dict[str, Array]:
        """What `reads_workspace` and its like read."""
        return {"scratch": Array(self.rows(problem), np.float32)}


_RIGHT = ("varies", "varies_far", "varies_late", "varies_late_too")


class Varying(Lies):
    """The same, of kernels whose results are others in every launch."""

    variants = (
        *Lies.variants[:1],
        *(Variant(name, "varying.hip", name) for name in (*_RIGHT, *VARYING)),
    )
