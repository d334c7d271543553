// v1: LDS tiling.
//
// The idea: in the baseline every thread reads every key and value from global memory. Here the threads of a
// block first copy a tile of 32 keys and values into LDS together, then all of them read it there.
//
// Who owns what: a block is 64 queries of one head, a thread is one query with its Q and its 128
// accumulators in registers, as in the baseline. The tile (8 KB of K, 8 KB of V) belongs to the block:
// barriers fence its filling.
//
// On MI300X: 206.7 s at 4096, 0.11x of the baseline: a regression. All threads of a wavefront want the same
// key at the same time, so a read from global memory was already shared; LDS adds the copy and two barriers
// a tile.
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>

constexpr int D = 128;      // head dimension
constexpr int BLOCK = 64;   // queries, and threads, of a block
constexpr int TILE = 32;    // keys staged in LDS at a time
constexpr float MASKED = -1e30f;  // below every score, yet finite: MASKED - MASKED is 0 and never NaN
constexpr float SCALE = 0.08838834764831845f * 1.4426950408889634f;  // 1/sqrt(D), and log2(e) for exp2f

extern "C" __global__ __launch_bounds__(BLOCK) void v1_lds_tiling(
    const __half* __restrict__ q, const __half* __restrict__ k, const __half* __restrict__ v,
    __half* __restrict__ out, int context) {
  __shared__ __half sK[TILE][D];
  __shared__ __half sV[TILE][D];

  const int first = blockIdx.x * BLOCK;
  const int row = first + threadIdx.x;
  const int last = min(first + BLOCK, context) - 1;  // last query of this block; later keys are not needed
  const int mine = min(row, last);  // threads beyond the last query help with the copy and store nothing
  const size_t head = (size_t)blockIdx.y * context * D;

  float query[D];
  float acc[D];
#pragma unroll
  for (int d = 0; d < D; ++d) {
    query[d] = SCALE * __half2float(q[head + (size_t)mine * D + d]);
    acc[d] = 0.0f;
  }

  float m = MASKED;
  float l = 0.0f;
  for (int tile = 0; tile <= last; tile += TILE) {
    const int keys = min(TILE, last + 1 - tile);
    __syncthreads();  // the previous tile is no longer read
    for (int i = threadIdx.x; i < keys * D; i += BLOCK) {
      sK[i / D][i % D] = k[head + (size_t)tile * D + i];
      sV[i / D][i % D] = v[head + (size_t)tile * D + i];
    }
    __syncthreads();

    for (int j = 0; j < keys; ++j) {
      float score = 0.0f;
#pragma unroll
      for (int d = 0; d < D; ++d) score += query[d] * __half2float(sK[j][d]);
      score = tile + j <= mine ? score : MASKED;

      const float larger = fmaxf(m, score);
      const float shrink = exp2f(m - larger);
      const float p = exp2f(score - larger);
      m = larger;
      l = l * shrink + p;
#pragma unroll
      for (int d = 0; d < D; ++d) acc[d] = acc[d] * shrink + p * __half2float(sV[j][d]);
    }
  }

  if (row > last) return;
  const float share = 1.0f / l;
#pragma unroll
  for (int d = 0; d < D; ++d) out[head + (size_t)row * D + d] = __float2half(acc[d] * share);
}
