// v8: sums are scaled down only where they must be.
//
// The idea: v6 multiplies all outputs of a wave by 2^(old maximum - new maximum) in every tile, mostly by 1. Any number
// near the maximum serves as well, as long as no weight overflows: here the old one stays until the maximum of a query
// has grown by more than a factor of 2^8, which after the first tiles hardly ever happens.
//
// Who owns what: as in v6, and the loop is that of v6, but for its end: to leave before the last barrier, as v6 does, costs
// 2 % here on an H100.
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>
#include "attention.h"

extern "C" __global__ BOUNDS void v8_lazy(
    const Element* __restrict__ q, const Element* __restrict__ k, const Element* __restrict__ v,
    Element* __restrict__ out, int context, int heads_per_kv_head) {
  __shared__ __align__(1024) uint4 sK[KEYS * D / 8];
  __shared__ __align__(1024) uint4 sV[KEYS * D / 8];

  const int first = (gridDim.x - 1 - blockIdx.x) * BLOCK;  // the blocks with most keys start first
  const int mine = first + threadIdx.x / matrix::WAVE * matrix::QUERIES;
  const int end = min(first + BLOCK, context);  // keys that the block needs
  const size_t head = ((size_t)blockIdx.y * context + mine) * D;
  k += (size_t)(blockIdx.y / heads_per_kv_head) * context * D;
  v += (size_t)(blockIdx.y / heads_per_kv_head) * context * D;

  KeyCopy keys;
  ValueCopy values;
  keys.begin(sK, k, end);
  Queries queries(q + head, mine, context - mine);
  keys.finish(sK);
  __syncthreads();  // K has arrived
  bool nonfinite = false;  // in tiles on the diagonal
  for (int key = 0; key < end; key += KEYS) {
    const bool needed = queries.need(key);
    Weights weights;
    values.begin(sV, v + (size_t)key * D, end - key);
    if (needed) {
      queries.scores(weights, sK, key);
      queries.soften<true>(weights);
    }
    values.finish(sV);
    __syncthreads();  // V has arrived, K is no longer read
    if (key + KEYS > first) nonfinite |= tile::clear_nonfinite<Number, KEYS * D / 8, THREADS>(sV);
    if (key + KEYS < end) keys.begin(sK, k + (size_t)(key + KEYS) * D, end - key - KEYS);
    if (needed) queries.add(weights, sV);
    if (key + KEYS < end) keys.finish(sK);
    __syncthreads();  // the next K has arrived, V is no longer read
  }
  if (nonfinite) queries.add_nonfinite(v, first / KEYS * KEYS, end);
  queries.store(out + head, context - mine);
}
