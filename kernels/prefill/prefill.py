"""Causal attention prefill, softmax(Q K^T / sqrt(D)) V, in the variants of `kernels/README.md`.

q and out are `[heads, context, head_dim]`, k and v `[kv_heads, context, head_dim]`, in fp16 or bf16 (`dtype`): these
are the axes of the family. Scores, softmax and sums are fp32 in the kernels. numpy has bf16 from ml_dtypes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import ml_dtypes
import numpy as np

from pytest_greta.kernel import Array, Kernel, Launch, Problem, Variant

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class AttentionVariant(Variant):
    """A variant whose blocks are `block` queries of one head, one thread a query."""

    block: int = 64
    threads: int = 0
    """Threads of a block where they are not its queries."""
    grouped: bool = False
    """True where fewer heads of K and V than of Q are supported: the last argument is how many share one."""
    split: bool = False
    """True where several blocks share the keys of a block of queries, and a second launch merges what they found."""


def _matrix(name: str, source: str, entry: str, split: bool = False) -> AttentionVariant:
    """A variant on matrix instructions: blocks of 256 threads and 128 queries on every target."""
    return AttentionVariant(name, source, entry, block=128, threads=256, grouped=True, split=split)


SPLIT_BELOW = 256
"""Blocks that fill a device: with fewer, the keys are split."""
_LONGEST_TILE = 128
"""Keys of a tile, where a tile has most: a part is one tile at least."""


class Prefill(Kernel):
    """Causal attention, any context and any number of heads.

    `heads` of Q, of which `heads / kv_heads` share one of K and V; `head_dim` 128 or 64; `dtype` fp16 or bf16. The
    variants before v5 take head_dim 128 in fp16, and as many heads of K and V as of Q.
    """

    name = "prefill"
    sizes: ClassVar = {"heads": 32, "kv_heads": 32, "head_dim": 128, "dtype": "fp16"}
    cpu_sizes: ClassVar = {"heads": 1, "kv_heads": 1}
    # Rounding to fp16 costs up to 2^-11 = 4.9e-4 of the row's largest value; the fp32 sums add little. gates.yaml has
    # the limit of bf16.
    max_error = 1e-3
    variants = (
        AttentionVariant("baseline", "flash_v2_naive.hip", "flash_v2_naive", block=64),
        AttentionVariant("v1", "v1_lds_tiling.hip", "v1_lds_tiling", block=64),
        AttentionVariant("v2", "v2_segmented.hip", "v2_segmented", block=32),
        AttentionVariant("v3", "v3_q_lds.hip", "v3_q_lds", block=32),
        AttentionVariant("v4", "v4_ql_v_lds.hip", "v4_ql_v_lds", block=32),
        _matrix("v5", "v5_matrix.hip", "v5_matrix"),
        _matrix("v6", "v6_turns.hip", "v6_turns"),
        _matrix("v7", "v7_split.hip", "v7_split", split=True),
        _matrix("v8", "v8_lazy.hip", "v8_lazy"),
    )

    def refuses(self, problem: Problem, variant: Variant) -> str:
        """Whole queries of 128 numbers in fp16 before v5; and v7 is for grids that do not fill a device."""
        assert isinstance(variant, AttentionVariant)
        first = (
            problem["head_dim"] == 128
            and problem.text("dtype") == "fp16"
            and _heads_per_kv_head(problem) == 1
        )
        if not variant.grouped and not first:
            return "it takes head_dim 128 in fp16, and as many heads of K and V as of Q"
        if variant.split and _parts(problem, variant) == 1:
            return f"{_blocks(problem, variant)} blocks fill the device, and where it does not split it is v6"
        return ""

    def defines(self, problem: Problem, variant: Variant) -> Mapping[str, str | int]:
        """The form of the problem, where it is not the one that the sources have anyway."""
        form: dict[str, str | int] = {}
        if problem["head_dim"] != 128:
            form["HEAD_DIM"] = problem["head_dim"]
        if problem.text("dtype") == "bf16":
            form["NUMBER"] = "Bf16"
        return form

    def inputs(self, problem: Problem, rng: np.random.Generator) -> dict[str, NDArray[np.generic]]:
        """Standard normal q of `[heads, context, head_dim]`, k and v of `[kv_heads, context, head_dim]`."""
        dtype = dtype_of(problem)
        return {name: _normal(shape, rng, dtype) for name, shape in _input_shapes(problem).items()}

    def outputs(self, problem: Problem) -> dict[str, Array]:
        """out, `[heads, context, head_dim]`, fp16 or bf16."""
        return {"out": Array(_shape(problem), dtype_of(problem))}

    def rows(self, problem: Problem) -> tuple[int, ...]:
        """`(heads, context)`: a row is one query of one head."""
        return problem["heads"], problem.context

    def reference(
        self, problem: Problem, inputs: Mapping[str, NDArray[np.generic]], row: tuple[int, ...]
    ) -> dict[str, NDArray[np.float64]]:
        """The output of one query, `[head_dim]`: it sees the keys up to itself."""
        head, query = row
        kv_head = head // _heads_per_kv_head(problem)
        q = inputs["q"][head, query].astype(np.float64)
        k = inputs["k"][kv_head, : query + 1].astype(np.float64)
        v = inputs["v"][kv_head, : query + 1].astype(np.float64)
        scores = k @ q / np.sqrt(problem["head_dim"])
        weights = np.exp(scores - scores.max())
        return {"out": weights @ v / weights.sum()}

    def launch(self, problem: Problem, variant: Variant) -> Launch | list[Launch]:
        """One block for every `block` queries of a head: grid `(ceil(context / block), heads, 1)`.

        Where the keys are split, that many blocks for each of `parts`, and a second launch.
        """
        assert isinstance(variant, AttentionVariant)
        blocks = -(-problem.context // variant.block)
        args: tuple[str | np.generic, ...] = ("q", "k", "v", "out", np.int32(problem.context))
        block = (variant.threads or variant.block, 1, 1)
        if variant.grouped:
            args += (np.int32(_heads_per_kv_head(problem)),)
        if not variant.split:
            return Launch((blocks, problem["heads"], 1), block, args)
        parts, rows = _parts(problem, variant), problem["heads"] * problem.context
        split = Launch((blocks, problem["heads"], parts), block, (*args[:4], "outputs", "sums", *args[4:]))
        merged = ("outputs", "sums", "out", np.int32(rows), np.int32(parts))
        merge = Launch((-(-rows * problem["head_dim"] // 1024), 1, 1), (256, 1, 1), merged, entry="v7_merge")
        return [split, merge] if parts > 1 else [split]

    def workspaces(self, problem: Problem, variant: Variant) -> dict[str, Array]:
        """What the parts of a split leave: outputs `[parts, heads, context, head_dim]`, and maximum and sum of each."""
        assert isinstance(variant, AttentionVariant)
        if not variant.split:
            return {}
        parts = _parts(problem, variant)
        rows = (parts, *_shape(problem)[:2]) if parts > 1 else (1,)
        return {
            "outputs": Array((*rows, problem["head_dim"]), np.float32),
            "sums": Array((*rows, 2), np.float32),
        }

    def flops(self, problem: Problem) -> float:
        """A multiply and an add per column for Q K^T and for P V, over context * (context + 1) / 2 pairs."""
        pairs = problem.context * (problem.context + 1) / 2
        return 4.0 * problem["heads"] * problem["head_dim"] * pairs

    def bytes_moved(self, problem: Problem) -> float:
        """q, k and v read once, out written once."""
        values = sum(np.prod(shape, dtype=np.float64) for shape in _input_shapes(problem).values())
        return float(values + np.prod(_shape(problem), dtype=np.float64)) * 2.0


def dtype_of(problem: Problem) -> np.dtype[np.generic]:
    """The dtype of inputs and outputs."""
    return np.dtype(ml_dtypes.bfloat16 if problem.text("dtype") == "bf16" else np.float16)


def _shape(problem: Problem) -> tuple[int, int, int]:
    return problem["heads"], problem.context, problem["head_dim"]


def _input_shapes(problem: Problem) -> dict[str, tuple[int, int, int]]:
    kv = problem["kv_heads"], problem.context, problem["head_dim"]
    return {"q": _shape(problem), "k": kv, "v": kv}


def _heads_per_kv_head(problem: Problem) -> int:
    return problem["heads"] // problem["kv_heads"]


def _blocks(problem: Problem, variant: AttentionVariant) -> int:
    """Blocks of queries."""
    return -(-problem.context // variant.block) * problem["heads"]


def _parts(problem: Problem, variant: AttentionVariant) -> int:
    """Blocks that share the keys of one block of queries: as many as fill the device."""
    return max(1, min(-(-SPLIT_BELOW // _blocks(problem, variant)), -(-problem.context // _LONGEST_TILE), 8))


def _normal(
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    dtype: np.dtype[np.generic],
) -> NDArray[np.generic]:
    """Standard normal numbers, a few heads at a time: 32 heads at 131072 would take 2 GB more in fp32 at once."""
    values = np.empty(shape, dtype)

    def fill(head: int, source: np.random.Generator) -> None:
        values[head] = source.standard_normal(shape[1:], np.float32).astype(dtype)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for _ in pool.map(fill, range(shape[0]), rng.spawn(shape[0])):
            pass
    return values
