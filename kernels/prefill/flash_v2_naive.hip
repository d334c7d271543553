// baseline: online softmax, one thread a query.
//
// The idea: a thread walks the keys of its query once and keeps a running maximum m and a running sum l of
// the softmax. When a larger score arrives, what was summed so far is scaled down to it, so the scores are
// never stored (Milakov and Gimelshein, arXiv 1805.02867).
//
// Who owns what: a block is 64 queries of one head, a thread is one query. Its 128 values of Q, scaled once,
// and its 128 accumulators stay in registers: 256 fp32 values, which the 512 registers a lane of gfx942 and
// gfx90a hold and the 256 of gfx1100 do not. K and V are read from global memory, again by every block; all
// threads of a block want the same key at the same time, so one read serves the wavefront.
//
// On MI300X: stable, and the reference of every speedup. Keeping Q and the accumulators in registers is also
// what the fastest published kernels do.
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>

constexpr int D = 128;      // head dimension
constexpr int BLOCK = 64;   // queries, and threads, of a block
constexpr float SCALE = 0.08838834764831845f * 1.4426950408889634f;  // 1/sqrt(D), and log2(e) for exp2f

extern "C" __global__ __launch_bounds__(BLOCK) void flash_v2_naive(
    const __half* __restrict__ q, const __half* __restrict__ k, const __half* __restrict__ v,
    __half* __restrict__ out, int context) {
  const int row = blockIdx.x * BLOCK + threadIdx.x;
  if (row >= context) return;
  const size_t head = (size_t)blockIdx.y * context * D;

  float query[D];
  float acc[D];
#pragma unroll
  for (int d = 0; d < D; ++d) {
    query[d] = SCALE * __half2float(q[head + (size_t)row * D + d]);
    acc[d] = 0.0f;
  }

  float m = -1e30f;  // below every score, yet finite: m - m is 0 and never NaN
  float l = 0.0f;
  for (int key = 0; key <= row; ++key) {
    const size_t at = head + (size_t)key * D;
    float score = 0.0f;
#pragma unroll
    for (int d = 0; d < D; ++d) score += query[d] * __half2float(k[at + d]);

    const float larger = fmaxf(m, score);
    const float shrink = exp2f(m - larger);
    const float p = exp2f(score - larger);
    m = larger;
    l = l * shrink + p;
#pragma unroll
    for (int d = 0; d < D; ++d) acc[d] = acc[d] * shrink + p * __half2float(v[at + d]);
  }

  const float share = 1.0f / l;
#pragma unroll
  for (int d = 0; d < D; ++d) out[head + (size_t)row * D + d] = __float2half(acc[d] * share);
}
