// v3: Q, K and V all in LDS.
//
// The idea: v2 holds 128 values of Q a thread in registers and spilled. Here Q lies in LDS too, as fp32 and
// scaled once, so that a thread needs little more than its SEG = 16 accumulators. K is read 128 / 16 = 8
// times.
//
// Who owns what: a block is 32 queries of one head, a thread is one query. Row t of sQ is read by thread t
// only; the tile of 32 keys and of 32 x 16 values belongs to the block. 34 KB of LDS: one such block fills a
// compute unit.
//
// On MI300X: scratch 0 and 19 VGPRs, about 18.7 s at 4096: 1.21x of the baseline on the first run, which did
// not last: 0.11x at 8192 and 0.09x at 16384 a few days later. Every multiply now reads two operands from
// LDS.
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>

constexpr int D = 128;      // head dimension
constexpr int SEG = 16;     // output columns computed at a time
constexpr int BLOCK = 32;   // queries, and threads, of a block
constexpr int TILE = 32;    // keys staged in LDS at a time
constexpr float MASKED = -1e30f;  // below every score, yet finite: MASKED - MASKED is 0 and never NaN
constexpr float SCALE = 0.08838834764831845f * 1.4426950408889634f;  // 1/sqrt(D), and log2(e) for exp2f

extern "C" __global__ __launch_bounds__(BLOCK) void v3_q_lds(
    const __half* __restrict__ q, const __half* __restrict__ k, const __half* __restrict__ v,
    __half* __restrict__ out, int context) {
  __shared__ float sQ[BLOCK][D + 1];  // one more column, so that the threads' rows begin in different banks
  __shared__ float sK[TILE][D];
  __shared__ float sV[TILE][SEG];

  const int t = threadIdx.x;
  const int first = blockIdx.x * BLOCK;
  const int queries = min(BLOCK, context - first);
  const int last = first + queries - 1;  // last query of this block; later keys are not needed
  const size_t head = (size_t)blockIdx.y * context * D;

  for (int i = t; i < BLOCK * D; i += BLOCK)
    sQ[i / D][i % D] = i / D < queries ? SCALE * __half2float(q[head + (size_t)first * D + i]) : 0.0f;

  for (int segment = 0; segment < D; segment += SEG) {
    float acc[SEG] = {};
    float m = MASKED;
    float l = 0.0f;
    for (int tile = 0; tile <= last; tile += TILE) {
      const int keys = min(TILE, last + 1 - tile);
      __syncthreads();  // the previous tile is no longer read
      for (int i = t; i < keys * D; i += BLOCK)
        sK[i / D][i % D] = __half2float(k[head + (size_t)tile * D + i]);
      for (int i = t; i < keys * SEG; i += BLOCK)
        sV[i / SEG][i % SEG] = __half2float(v[head + (size_t)(tile + i / SEG) * D + segment + i % SEG]);
      __syncthreads();

      for (int j = 0; j < keys; ++j) {
        float score = 0.0f;
#pragma unroll 8
        for (int d = 0; d < D; ++d) score += sQ[t][d] * sK[j][d];
        score = tile + j <= first + t ? score : MASKED;

        const float larger = fmaxf(m, score);
        const float shrink = exp2f(m - larger);
        const float p = exp2f(score - larger);
        m = larger;
        l = l * shrink + p;
#pragma unroll
        for (int c = 0; c < SEG; ++c) acc[c] = acc[c] * shrink + p * sV[j][c];
      }
    }

    if (t < queries) {
      const float share = 1.0f / l;
#pragma unroll
      for (int c = 0; c < SEG; ++c)
        out[head + (size_t)(first + t) * D + segment + c] = __float2half(acc[c] * share);
    }
  }
}
