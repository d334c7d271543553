"""Causal attention prefill, softmax(Q K^T / sqrt(D)) V, in the variants of `kernels/README.md`.

q, k, v and out are `[heads, context, head_dim]` in fp16; scores, softmax and sums are fp32 in the kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class AttentionVariant(Variant):
    """A variant whose blocks are `block` queries of one head, one thread a query."""

    block: int = 64


class Prefill(Kernel):
    """Causal attention with head_dim 128, any context and any number of heads."""

    name = "prefill"
    sizes: ClassVar = {"heads": 32, "head_dim": 128}
    cpu_sizes: ClassVar = {"heads": 1}
    # Rounding to fp16 costs up to 2^-11 = 4.9e-4 of the row's largest value; the fp32 sums add little.
    max_error = 1e-3
    variants = (
        AttentionVariant("baseline", "flash_v2_naive.hip", "flash_v2_naive", block=64),
        AttentionVariant("v1", "v1_lds_tiling.hip", "v1_lds_tiling", block=64),
        AttentionVariant("v2", "v2_segmented.hip", "v2_segmented", block=32),
        AttentionVariant("v3", "v3_q_lds.hip", "v3_q_lds", block=32),
        AttentionVariant("v4", "v4_ql_v_lds.hip", "v4_ql_v_lds", block=32),
    )

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """q, k and v, `[heads, context, head_dim]` fp16, from the standard normal distribution."""
        return {name: _normal_fp16(_shape(problem), rng) for name in ("q", "k", "v")}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """out, `[heads, context, head_dim]` fp16."""
        return {"out": Array(_shape(problem), np.float16)}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """`(heads, context)`: a row is one query of one head."""
        return problem["heads"], problem.context

    def reference(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
    ) -> dict[str, NDArray[np.float64]]:
        """The output of one query, `[head_dim]`: it sees the keys up to itself."""
        head, query = row
        q = inputs["q"][head, query].astype(np.float64)
        k = inputs["k"][head, : query + 1].astype(np.float64)
        v = inputs["v"][head, : query + 1].astype(np.float64)
        scores = k @ q / np.sqrt(problem["head_dim"])
        weights = np.exp(scores - scores.max())
        return {"out": weights @ v / weights.sum()}

    def launch(self, problem: Problem, variant: Variant) -> Launch:
        """One block for every `block` queries of a head: grid `(ceil(context / block), heads, 1)`."""
        assert isinstance(variant, AttentionVariant)
        blocks = -(-problem.context // variant.block)
        return Launch(
            grid=(blocks, problem["heads"], 1),
            block=(variant.block, 1, 1),
            args=("q", "k", "v", "out", np.int32(problem.context)),
        )

    def flops(self, problem: Problem) -> float:
        """A multiply and an add per column for Q K^T and for P V, over context * (context + 1) / 2 pairs."""
        pairs = problem.context * (problem.context + 1) / 2
        return 4.0 * problem["heads"] * problem["head_dim"] * pairs

    def bytes_moved(self, problem: Problem) -> float:
        """q, k and v read once, out written once."""
        return 4.0 * np.prod(_shape(problem), dtype=np.float64) * np.dtype(np.float16).itemsize


def _shape(problem: Problem) -> tuple[int, int, int]:
    return problem["heads"], problem.context, problem["head_dim"]


def _normal_fp16(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.generic]:
    """Standard normal fp16, one head at a time: 32 heads at 131072 would take 2 GB more in fp32 at once."""
    values = np.empty(shape, np.float16)
    for head in values:
        head[:] = rng.standard_normal(head.shape, np.float32)
    return values
