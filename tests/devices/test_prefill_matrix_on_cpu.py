"""The variants on matrix instructions, on the CPU, which computes AMD's instructions lane for lane.

Waves of 64 run the layout of MFMA, waves of 32 that of RDNA 3's or RDNA 4's WMMA: what is proven here is which lane
and register holds what, with the index functions that the GPU code uses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from kernels.prefill.prefill import Prefill
from pytest_greta import contract
from pytest_greta.compiler.clang import Job
from pytest_greta.compiler.compiler import Compiler
from pytest_greta.compiler.toolchain import CPU_TARGET
from pytest_greta.device import BoundLaunch, run_once
from pytest_greta.device.cpu import CpuDevice
from pytest_greta.kernel import Problem
from tests.marks import crossing

Numbers = NDArray[Any]
FAMILY = Prefill()


@dataclass(frozen=True)
class Build:
    """A variant as it is compiled for the CPU."""

    variant: str
    wave: int
    head_dim: int = 128
    dtype: str = "fp16"
    defines: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        parts = [self.variant, str(self.wave), str(self.head_dim), self.dtype]
        return "-".join([*parts, *(v for _, v in self.defines)])

    def problem(self, heads: int, kv_heads: int, context: int) -> Problem:
        sizes: dict[str, int | str] = {
            "heads": heads,
            "kv_heads": kv_heads,
            "head_dim": self.head_dim,
            "dtype": self.dtype,
        }
        return FAMILY.problem(context, "cpu", sizes)


LADDER = ("v5", "v6", "v8")
BUILDS = [Build(variant, 64) for variant in LADDER] + [
    Build("v5", 32),
    Build("v6", 32, defines=(("MATRIX_SET", "3"),)),
    Build("v6", 64, head_dim=64),
    Build("v5", 32, head_dim=64, defines=(("MATRIX_SET", "3"),)),
    Build("v6", 32, dtype="bf16"),
    Build("v6", 64, dtype="bf16"),
    Build("v7", 64),
]

_USUAL = (
    "v5-64-128-fp16",
    "v6-64-128-fp16",
    "v8-64-128-fp16",
    "v7-64-128-fp16",
    "v6-32-128-fp16-3",
    "v6-64-128-bf16",
)
CASES = [
    pytest.param(build, marks=[] if str(build) in _USUAL else crossing, id=str(build)) for build in BUILDS
]

Attention = Callable[[Build, Numbers, Numbers, Numbers], Numbers]


@pytest.fixture(scope="module")
def attention(cpu_device: CpuDevice, code_cache: Path) -> Iterator[Attention]:
    """Run a build on q, k and v as they are, and return what it wrote."""
    modules: dict[Build, Any] = {}
    compiler = Compiler(code_cache)

    def run(build: Build, q: Numbers, k: Numbers, v: Numbers) -> Numbers:
        family, variant = FAMILY, FAMILY.variant(build.variant)
        problem = build.problem(q.shape[0], k.shape[0], q.shape[1])
        if build not in modules:
            defines = (*contract.defines(family, problem, variant), *build.defines)
            job = Job(family.source_path(variant), CPU_TARGET, defines, wave_size=build.wave)
            code = compiler.compile(job).code
            modules[build] = cpu_device.load(code)
        made = family.launch(problem, variant)
        launches = made if isinstance(made, list) else [made]
        out = np.full(q.shape, -1, np.int16).view(q.dtype)
        buffers = {
            name: cpu_device.allocate(x.nbytes) for name, x in (("q", q), ("k", k), ("v", v), ("out", out))
        }
        for name, array in family.workspaces(problem, variant).items():
            buffers[name] = cpu_device.allocate(math.prod(array.shape) * 4)
        for name, x in (("q", q), ("k", k), ("v", v), ("out", out)):
            cpu_device.write(buffers[name], 0, x.view(np.uint8).data)
        bound = []
        for launch in launches:
            arguments = tuple((buffers[a], 0) if isinstance(a, str) else a for a in launch.args)
            function = cpu_device.function(modules[build], launch.entry or variant.entry)
            bound.append(BoundLaunch(function, launch.grid, launch.block, arguments))
        run_once(cpu_device, bound)
        cpu_device.read(buffers["out"], 0, out.view(np.uint8).data)
        for buffer in buffers.values():
            cpu_device.free(buffer)
        return out

    yield run
    compiler.close()


def rounded(build: Build, values: Numbers) -> Numbers:
    return values.astype(np.float32).astype(ml_dtypes.bfloat16 if build.dtype == "bf16" else np.float16)


def draw(
    build: Build, heads: int, kv_heads: int, context: int, scale: float = 1.0
) -> tuple[Numbers, Numbers, Numbers]:
    rng = np.random.default_rng(context)
    d = build.head_dim
    q = rng.standard_normal((heads, context, d)) * scale
    k, v = (rng.standard_normal((kv_heads, context, d)) for _ in "kv")
    return rounded(build, q), rounded(build, k), rounded(build, v)


def exact_and_plain(build: Build, q: Numbers, k: Numbers, v: Numbers) -> tuple[Numbers, Numbers]:
    """The result in float64, and that of a plain implementation: 16-bit operands of both products, fp32 sums."""
    group = len(q) // len(k)
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    k, v = k.repeat(group, 0), v.repeat(group, 0)
    visible = np.tri(q.shape[1], dtype=bool)
    with np.errstate(invalid="ignore"):
        scores = np.where(visible, q @ k.swapaxes(1, 2) / math.sqrt(q.shape[2]), -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        exact = weights @ v / weights.sum(-1, keepdims=True)
        low = (q.astype(np.float32) @ k.swapaxes(1, 2).astype(np.float32)) / np.float32(math.sqrt(q.shape[2]))
        low = np.where(visible, low, np.float32(-np.inf))
        p = np.exp(low - low.max(-1, keepdims=True))
        plain = rounded(build, p).astype(np.float32) @ v.astype(np.float32) / p.sum(-1, keepdims=True)
    return exact, rounded(build, plain).astype(np.float64)


def row_error(found: Numbers, exact: Numbers) -> float:
    return float((np.abs(found - exact).max(-1) / np.abs(exact).max(-1)).max())


@pytest.mark.parametrize("build", CASES)
def test_error_is_at_most_twice_that_of_a_plain_implementation(attention: Attention, build: Build) -> None:
    for context, heads, kv_heads in [
        (1, 2, 1),
        (63, 4, 2),
        (64, 2, 2),
        (65, 4, 1),
        (129, 1, 1),
        (260, 1, 1),
    ]:
        q, k, v = draw(build, heads, kv_heads, context)
        exact, plain = exact_and_plain(build, q, k, v)
        found = attention(build, q, k, v).astype(np.float64)
        limit = 2 * max(row_error(plain, exact), 2.0**-9 if build.dtype == "bf16" else 2.0**-12)
        assert row_error(found, exact) <= limit, f"context {context}, {heads} heads, {kv_heads} of K and V"


@pytest.mark.parametrize(
    ("scale", "growth"), [(0.0, 1.0), (30.0, 1.0), (1.0, 20.0)], ids=["equal", "large", "growing"]
)
@pytest.mark.parametrize("build", CASES[:3])
def test_equal_large_and_growing_logits(
    attention: Attention, build: Build, scale: float, growth: float
) -> None:
    q, k, v = draw(build, 1, 1, 200, scale)
    k = rounded(build, k.astype(np.float64) * np.linspace(1.0, growth, 200)[:, None])
    exact, plain = exact_and_plain(build, q, k, v)
    found = attention(build, q, k, v).astype(np.float64)
    assert row_error(found, exact) <= 2 * max(row_error(plain, exact), 2.0**-11)


@pytest.mark.parametrize("build", CASES)
def test_equal_inputs_give_equal_bits(attention: Attention, build: Build) -> None:
    q, k, v = draw(build, 2, 1, 100)
    first, second = (attention(build, q, k, v) for _ in "ab")
    np.testing.assert_array_equal(first.view(np.uint16), second.view(np.uint16))


@pytest.mark.parametrize("build", CASES)
def test_what_is_not_finite_reaches_the_queries_that_see_it_and_no_others(
    attention: Attention, build: Build
) -> None:
    q, k, v = (x.astype(np.float64) for x in draw(build, 2, 2, 200))
    v[0, 70, 5], v[0, 130, 9], v[0, 199, 11] = np.nan, np.inf, -np.inf
    k[1, 150, 0] = np.nan
    q[1, 20, 3] = np.nan
    found = attention(build, *(rounded(build, x) for x in (q, k, v))).astype(np.float64)
    nan, infinite = np.zeros((2, *found.shape), bool)
    nan[0, 70:, 5] = True
    nan[1, 150:] = nan[1, 20] = True
    infinite[0, 130:, 9] = infinite[0, 199, 11] = True
    np.testing.assert_array_equal(np.isnan(found), nan)
    np.testing.assert_array_equal(np.isinf(found), infinite)
    assert found[0, 199, 11] == -np.inf
    assert found[0, 199, 9] == np.inf
