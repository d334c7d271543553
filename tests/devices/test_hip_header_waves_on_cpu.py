"""Waves, barriers, atomics and vectors of the HIP header on the CPU device, against numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Run = Callable[..., None]
Numbers = NDArray[Any]

EACH = "int i = blockIdx.x * blockDim.x + threadIdx.x;"
THREADS = 128


def shuffled(kind: str, argument: int, wave: int, width: int) -> Numbers:
    """The thread each of the block's threads reads from, by HIP's definition of the four shuffles."""
    thread = np.arange(THREADS)
    lane, base = thread % wave, thread // wave * wave
    first = lane // width * width
    if kind == "":
        source = first + argument % width
    elif kind == "_up":
        source = np.where(lane - argument < first, lane, lane - argument)
    elif kind == "_down":
        source = np.where(lane % width + argument >= width, lane, lane + argument)
    else:
        source = np.where((lane ^ argument) >= first + width, lane, lane ^ argument)
    return base + source


@pytest.mark.parametrize("wave", [16, 32, 64])
def test_shuffles_read_the_right_lane(run_hip: Run, wave: int) -> None:
    widths = [w for w in (2, 8, 16, 32, 64) if w <= wave]
    cases = [(kind, n, w) for kind in ("", "_up", "_down", "_xor") for w in widths for n in (1, 3, w - 1)]
    out = np.zeros((len(cases), THREADS), np.int32)
    body = "".join(f"o[{n * THREADS} + i] = __shfl{k}(i, {a}, {w});" for n, (k, a, w) in enumerate(cases))
    source = f'extern "C" __global__ void k(int* o) {{ {EACH} {body} }}'
    run_hip(source, out, block=(THREADS, 1, 1), wave=wave)
    for got, (kind, argument, width) in zip(out, cases, strict=True):
        expected = shuffled(kind, argument, wave, width)
        np.testing.assert_array_equal(got, expected, err_msg=f"__shfl{kind}({argument}, {width})")


def test_shuffles_of_every_type(run_hip: Run) -> None:
    types = ["int", "unsigned", "long", "unsigned long", "long long", "unsigned long long", "float", "double"]
    types += ["__half", "__hip_bfloat16"]
    out = np.zeros((len(types), THREADS))
    body = "".join(
        f"o[{n * THREADS} + i] = (float)__shfl_xor_sync(~0ull, ({t})(float)i, 5);"
        for n, t in enumerate(types)
    )
    body += "double wide = __shfl_down(1.0 / (i + 1), 1); p[i] = wide;"
    exact = np.zeros(THREADS)
    source = f'extern "C" __global__ void k(double* o, double* p) {{ {EACH} {body} }}'
    run_hip(source, out, exact, block=(THREADS, 1, 1))
    for name, got in zip(types, out, strict=True):
        np.testing.assert_array_equal(got, np.arange(THREADS) ^ 5, err_msg=name)
    np.testing.assert_array_equal(exact[:63], 1.0 / np.arange(2, 65))


@pytest.mark.parametrize("wave", [16, 32, 64])
def test_ballots_and_votes(run_hip: Run, wave: int) -> None:
    ballots, votes = np.zeros((3, THREADS), np.uint64), np.zeros((5, THREADS), np.int32)
    run_hip(
        f"""extern "C" __global__ void k(unsigned long long* b, int* v) {{ {EACH}
        b[i] = __ballot(i % 3 == 0);
        if (i % 2) b[{THREADS} + i] = __activemask(); else b[{THREADS} + i] = 7;
        b[{2 * THREADS} + i] = __ballot_sync(0xf0, i % 3 == 0);
        v[i] = __any(i == 100);
        v[{THREADS} + i] = __all(i != 100);
        v[{2 * THREADS} + i] = __lane_id();
        v[{3 * THREADS} + i] = warpSize;
        __syncwarp();
        v[{4 * THREADS} + i] = __popcll(__ballot(1)); }}""",
        ballots,
        votes,
        block=(THREADS, 1, 1),
        wave=wave,
    )
    thread = np.arange(THREADS)
    for start in range(0, THREADS, wave):
        part = slice(start, start + wave)
        thirds = sum(1 << lane for lane in range(wave) if (start + lane) % 3 == 0)
        odd = sum(1 << lane for lane in range(1, wave, 2))
        assert set(ballots[0, part].tolist()) == {thirds}
        assert set(ballots[1, part].tolist()) == {odd, 7}
        assert set(ballots[2, part].tolist()) == {thirds & 0xF0}
        holds = start <= 100 < start + wave
        assert set(votes[0, part].tolist()) == {int(holds)}
        assert set(votes[1, part].tolist()) == {int(not holds)}
    np.testing.assert_array_equal(votes[2], thread % wave)
    assert set(votes[3].tolist()) == set(votes[4].tolist()) == {wave}


def test_a_block_of_two_axes_keeps_the_waves_of_hip_when_launched_flat(run_hip: Run) -> None:
    out = np.zeros((4, 64), np.int32)
    shape = [("GRETA_BLOCK_X", "8"), ("GRETA_BLOCK_Y", "4"), ("GRETA_BLOCK_Z", "2")]
    run_hip(
        """extern "C" __global__ void k(int* o) {
        int linear = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        dim3 me = threadIdx;
        o[linear] = __lane_id(); o[64 + linear] = __shfl_xor(linear, 33);
        o[128 + linear] = me.x + 10 * me.y + 100 * me.z;
        o[192 + linear] = blockDim.x * 100 + blockDim.y * 10 + blockDim.z; }""",
        out,
        defines=shape,
    )
    linear = np.arange(64)
    np.testing.assert_array_equal(out[0], linear)
    np.testing.assert_array_equal(out[1], linear ^ 33)
    np.testing.assert_array_equal(out[2], linear % 8 + 10 * (linear // 8 % 4) + 100 * (linear // 32))
    assert set(out[3].tolist()) == {842}


@pytest.mark.parametrize("place", ["global", "LDS"])
def test_atomics_under_contention(run_hip: Run, place: str) -> None:
    blocks, total = 8, 8 * THREADS
    integers = np.zeros((blocks, 16), np.int32)
    wide = np.zeros((blocks, 4), np.uint64)
    floats, doubles = np.zeros((blocks, 4), np.float32), np.zeros((blocks, 4))
    integers[:, 4] = -1  # all bits set, for atomicAnd
    integers[:, 2], floats[:, 2], wide[:, 1] = 10**6, 1e6, 10**6  # for the minima
    lds = "" if place == "global" else "__shared__"
    run_hip(
        f"""template <typename T> __device__ T* place(T* p, T* local, int n) {{
          if (!{int(place == "LDS")}) return p;
          if (threadIdx.x < n) local[threadIdx.x] = p[blockIdx.x * n + threadIdx.x];
          __syncthreads();
          return local;
        }}
        extern "C" __global__ void k(int* gi, unsigned long long* gu, float* gf, double* gd) {{ {EACH}
          {lds} int li[16]; {lds} unsigned long long lu[4]; {lds} float lf[4]; {lds} double ld[4];
          int* n = place(gi, li, 16); unsigned long long* u = place(gu, lu, 4);
          float* f = place(gf, lf, 4); double* d = place(gd, ld, 4);
          atomicAdd(&n[0], 3); atomicSub(&n[1], 2); atomicMin(&n[2], i); atomicMax(&n[3], i);
          atomicAnd(&n[4], ~(1 << i % 32)); atomicOr(&n[5], 1 << i % 31); atomicXor(&n[6], 1 << i % 5);
          atomicInc((unsigned*)&n[7], 9); atomicDec((unsigned*)&n[8], 9);
          atomicAdd((unsigned*)&n[9], (unsigned)(atomicExch(&n[10], 1) == 0));
          atomicAdd(&n[11], (int)(atomicCAS(&n[12], 0, i + 1) == 0));
          atomicAdd(&u[0], 1ull << 33); atomicMin(&u[1], (unsigned long long)i + 5);
          atomicMax(&u[2], 1ull << i % 60);
          atomicAdd(&f[0], 0.5f); atomicMax(&f[1], (float)i); atomicMin(&f[2], (float)i + 2);
          unsafeAtomicAdd(&f[3], 1.0f);
          atomicAdd(&d[0], 0.25); atomicMax(&d[1], (double)i); atomicAdd_system(&d[2], 1.0);
          __syncthreads();
          if (n != gi && threadIdx.x < 16) gi[blockIdx.x * 16 + threadIdx.x] = n[threadIdx.x];
          if (n != gi && threadIdx.x < 4) {{
            int at = blockIdx.x * 4 + threadIdx.x;
            gu[at] = u[threadIdx.x]; gf[at] = f[threadIdx.x]; gd[at] = d[threadIdx.x];
          }} }}""",
        integers,
        wide,
        floats,
        doubles,
        grid=blocks,
        block=(THREADS, 1, 1),
    )
    groups = [(0, 0, total)] if place == "global" else [(b, b * THREADS, THREADS) for b in range(blocks)]
    for row, first, count in groups:
        last = first + count - 1
        # Every thread flips bit i % 5, so a bit is left set where an odd number of threads shares it.
        flipped = sum((np.bincount(np.arange(first, last + 1) % 5)[bit] % 2) << bit for bit in range(5))
        cas = integers[row, 12] - 1
        assert first <= cas <= last
        down = -count % 10  # 0 wraps to 9
        expected = [3 * count, -2 * count, first, last, 0, 2**31 - 1, flipped, count % 10, down, 1, 1, 1]
        assert integers[row, :12].tolist() == expected
        assert wide[row, :3].tolist() == [count << 33, first + 5, 1 << 59]
        assert floats[row].tolist() == [count / 2, last, first + 2, count]
        assert doubles[row, :3].tolist() == [count / 4, last, count]


def test_barriers_count_and_order(run_hip: Run) -> None:
    reversed_, counts = np.zeros(2 * THREADS, np.int32), np.zeros((3, 2 * THREADS), np.int32)
    run_hip(
        f"""extern "C" __global__ void k(int* r, int* c) {{ {EACH}
        __shared__ int s[{THREADS}];
        for (int round = 0; round < 3; ++round) {{
          s[threadIdx.x] = i + round; __syncthreads();
          r[i] = s[blockDim.x - 1 - threadIdx.x]; __syncthreads();
        }}
        c[i] = __syncthreads_count(i % 3 == 0);
        c[{2 * THREADS} + i] = __syncthreads_or(i == 200);
        c[{4 * THREADS} + i] = __syncthreads_and(i != 200);
        __threadfence(); __threadfence_block(); __threadfence_system(); }}""",
        reversed_,
        counts,
        grid=2,
        block=(THREADS, 1, 1),
    )
    thread = np.arange(2 * THREADS).reshape(2, THREADS)
    np.testing.assert_array_equal(reversed_.reshape(2, THREADS), thread[:, ::-1] + 2)
    third = np.repeat((thread % 3 == 0).sum(axis=1), THREADS)
    np.testing.assert_array_equal(counts[0], third)
    np.testing.assert_array_equal(counts[1], np.repeat([0, 1], THREADS))
    np.testing.assert_array_equal(counts[2], np.repeat([1, 0], THREADS))


def test_vector_loads_and_arithmetic(run_hip: Run) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(64, 4)).astype(np.float32)
    triples = rng.normal(size=(64, 3)).astype(np.float32)
    bytes_ = rng.integers(0, 256, (64, 4), dtype=np.uint8)
    out, out3, out_bytes = (
        np.zeros((64, 4), np.float32),
        np.zeros((64, 3), np.float32),
        np.zeros((64, 4), np.uint8),
    )
    run_hip(
        f"""extern "C" __global__ void k(const float4* x, const float3* t, const uchar4* b,
                                         float4* o, float3* p, uchar4* q) {{ {EACH}
        __shared__ float4 s[64];
        s[threadIdx.x] = x[i]; __syncthreads();
        float4 v = 2.0f * s[63 - threadIdx.x] - make_float4(1, 2, 3, 4);
        v += x[i]; v /= 4.0f;
        o[i] = -v;
        p[i] = t[i] * t[i] + 1.0f;
        uchar4 c = b[i] & make_uchar4(15, 31, 63, 127);
        q[i] = c == b[i] ? c : c + make_uchar4(1, 1, 1, 1); }}""",
        x,
        triples,
        bytes_,
        out,
        out3,
        out_bytes,
    )
    expected = -((2 * x[::-1] - np.array([1, 2, 3, 4], np.float32) + x) / 4)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out3, triples * triples + 1, rtol=1e-6)
    masked = bytes_ & np.array([15, 31, 63, 127], np.uint8)
    unchanged = (masked == bytes_).all(axis=1, keepdims=True)
    np.testing.assert_array_equal(out_bytes, np.where(unchanged, masked, masked + 1))


GROUPS = """
#include <hip/hip_cooperative_groups.h>
namespace cg = cooperative_groups;
__device__ int any_group(const cg::thread_group& g) { g.sync(); return g.thread_rank() * 1000 + g.size(); }
extern "C" __global__ void k(long* all) {
  long* o = all + threadIdx.x * 20;
  int v = threadIdx.x * 10, predicate;
  cg::thread_block block = cg::this_thread_block();
  cg::thread_block_tile<16> tile = cg::tiled_partition<16>(block);
  o[0] = any_group(block), o[1] = any_group(tile), o[2] = any_group(cg::tiled_partition(block, 32));
  o[3] = tile.meta_group_rank() * 100 + tile.meta_group_size();
  o[4] = tile.shfl_down(v, 2), o[5] = tile.shfl_up(v, 3), o[6] = tile.shfl_xor(v, 5), o[7] = tile.shfl(v, 4);
  o[8] = tile.ballot(threadIdx.x % 3 == 0), o[9] = tile.any(threadIdx.x == 20) * 2 + tile.all(threadIdx.x < 32);
  o[10] = __match_any((int)threadIdx.x % 5), o[11] = __match_all(7, &predicate), o[12] = predicate;
  if (threadIdx.x % 2) {
    cg::coalesced_group odd = cg::coalesced_threads();
    o[13] = any_group(odd), o[14] = odd.shfl(v, 3), o[15] = odd.shfl_down(v, 1);
    o[16] = odd.ballot(threadIdx.x % 4 == 1);
  }
  o[17] = any_group(cg::binary_partition(tile, threadIdx.x % 16 < 5));
  cg::thread_block_tile<4> four = cg::tiled_partition<4>(tile);
  o[18] = four.meta_group_rank() * 10 + four.thread_rank(), o[19] = tile.match_any((int)threadIdx.x & 1);
}
"""


def _bits(lanes: Numbers) -> int:
    return sum(1 << int(lane) for lane in np.flatnonzero(lanes))


def test_cooperative_groups_and_matches(run_hip: Run) -> None:
    found, expected = np.zeros((128, 20), np.int64), np.zeros((128, 20), np.int64)
    thread = np.arange(128)
    for i, row in enumerate(expected):
        first, wave, rank = i // 16 * 16, i // 64 * 64, i % 16
        tile, lanes = thread[first : first + 16], thread[wave : wave + 64]
        row[:4] = i * 1000 + 128, rank * 1000 + 16, i % 32 * 1000 + 32, i // 16 * 100 + 8
        row[4] = 10 * (i + 2 if rank + 2 < 16 else i)
        row[5:8] = 10 * (i - 3 if rank >= 3 else i), 10 * (first + (rank ^ 5)), 10 * (first + 4)
        row[8:10] = _bits(tile % 3 == 0), 2 * (first == 16) + (first < 32)
        row[10] = np.uint64(_bits(lanes % 5 == i % 5)).astype(np.int64)
        row[11:13] = -1, 1
        if i % 2:
            row[13:15] = i % 64 // 2 * 1000 + 32, 10 * (wave + 7)
            row[15:17] = 10 * (i + 2 if i % 64 < 63 else i), _bits(lanes[1::2] % 4 == 1)
        row[17] = rank * 1000 + 5 if rank < 5 else (rank - 5) * 1000 + 11
        row[18:20] = rank // 4 * 10 + i % 4, _bits((tile & 1) == (i & 1))
    run_hip(GROUPS, found, block=(128, 1, 1))
    np.testing.assert_array_equal(found, expected)


def test_an_assertion_that_holds_changes_nothing(run_hip: Run) -> None:
    """Code of wavefronts around a trap of clang's, which never returns, gave other results."""
    source = """
    #include <cassert>
    extern "C" __global__ void k(const float* x, float* y) {
      __shared__ float s[64];
      const int i = threadIdx.x;
      const float v = __shfl_xor(x[i], 1);
      assert(i < 64);
      s[i] = v;
      __syncthreads();
      for (int n = 0; n < 64; ++n) {
        if (s[n] > 1e30f) __builtin_trap();
        __syncthreads();
      }
      y[i] = s[i ^ 1];
    }
    """
    x, y = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    run_hip(source, x, y)
    np.testing.assert_array_equal(y, x)
