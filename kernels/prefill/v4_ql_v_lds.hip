// v4: wider segments.
//
// The idea: v3 reads K anew for every segment of 16 output columns. Here a segment is SEG = 32 columns, so K
// is read 128 / 32 = 4 times and the scores are computed 4 times instead of 8, for 32 accumulators a thread
// instead of 16.
//
// Who owns what: as in v3. The tile of values is sV[32][32], 4 KB of fp32 instead of 2: 36 KB of LDS, about
// as v3.
//
// On MI300X: 1.75x of v3 at 8192 and 1.78x at 16384, and still slower than the baseline: 0.20x and 0.16x.
// Fewer passes over K help in proportion; the two operands from LDS in every multiply remain.
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>

constexpr int D = 128;      // head dimension
constexpr int SEG = 32;     // output columns computed at a time
constexpr int BLOCK = 32;   // queries, and threads, of a block
constexpr int TILE = 32;    // keys staged in LDS at a time
constexpr float MASKED = -1e30f;  // below every score, yet finite: MASKED - MASKED is 0 and never NaN
constexpr float SCALE = 0.08838834764831845f * 1.4426950408889634f;  // 1/sqrt(D), and log2(e) for exp2f

extern "C" __global__ __launch_bounds__(BLOCK) void v4_ql_v_lds(
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
