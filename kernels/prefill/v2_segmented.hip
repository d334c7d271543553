// v2: segmented output.
//
// The idea: v1 needs 128 accumulators a thread. Here the output is computed in segments of SEG = 8 columns,
// one after the other, so that 8 accumulators are enough. The price: the scores are computed anew for every
// segment, and K is read 128 / 8 = 16 times.
//
// Who owns what: a block is 32 queries of one head, a thread is one query with its Q in registers. The tile
// of 32 keys (8 KB) and of 32 x 8 values (512 B) in LDS belongs to the block.
//
// On MI300X: spilled to scratch memory and ran over 180 s at 4096, a timeout; it failed the strict no-spill
// gate. A block of 32 also leaves half of each wavefront of 64 empty.
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>

constexpr int D = 128;      // head dimension
constexpr int SEG = 8;      // output columns computed at a time
constexpr int BLOCK = 32;   // queries, and threads, of a block
constexpr int TILE = 32;    // keys staged in LDS at a time
constexpr float MASKED = -1e30f;  // below every score, yet finite: MASKED - MASKED is 0 and never NaN
constexpr float SCALE = 0.08838834764831845f * 1.4426950408889634f;  // 1/sqrt(D), and log2(e) for exp2f

extern "C" __global__ __launch_bounds__(BLOCK) void v2_segmented(
    const __half* __restrict__ q, const __half* __restrict__ k, const __half* __restrict__ v,
    __half* __restrict__ out, int context) {
  __shared__ __half sK[TILE][D];
  __shared__ __half sV[TILE][SEG];

  const int first = blockIdx.x * BLOCK;
  const int row = first + threadIdx.x;
  const int last = min(first + BLOCK, context) - 1;  // last query of this block; later keys are not needed
  const int mine = min(row, last);  // threads beyond the last query help with the copy and store nothing
  const size_t head = (size_t)blockIdx.y * context * D;

  float query[D];
#pragma unroll
  for (int d = 0; d < D; ++d) query[d] = SCALE * __half2float(q[head + (size_t)mine * D + d]);

  for (int segment = 0; segment < D; segment += SEG) {
    float acc[SEG] = {};
    float m = MASKED;
    float l = 0.0f;
    for (int tile = 0; tile <= last; tile += TILE) {
      const int keys = min(TILE, last + 1 - tile);
      __syncthreads();  // the previous tile is no longer read
      for (int i = threadIdx.x; i < keys * D; i += BLOCK) sK[i / D][i % D] = k[head + (size_t)tile * D + i];
      for (int i = threadIdx.x; i < keys * SEG; i += BLOCK)
        sV[i / SEG][i % SEG] = v[head + (size_t)(tile + i / SEG) * D + segment + i % SEG];
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
        for (int c = 0; c < SEG; ++c) acc[c] = acc[c] * shrink + p * __half2float(sV[j][c]);
      }
    }

    if (row <= last) {
      const float share = 1.0f / l;
#pragma unroll
      for (int c = 0; c < SEG; ++c) out[head + (size_t)row * D + segment + c] = __float2half(acc[c] * share);
    }
  }
}
