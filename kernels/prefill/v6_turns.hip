// v6: K and V take turns.
//
// The idea: v5 waits for every tile. Here one of the two LDS buffers is filled while the other is multiplied: the tile
// of V is on its way while scores are computed from K, the next tile of K while outputs are computed from V. A buffer
// each is enough, so a compute unit still has room for two blocks, and there are two barriers a tile, as before. The
// second stands at the end of the loop: at its top, compilers lose the wait that makes it one (docs/barriers.md).
//
// Who owns what: as in v5. What is on its way lies in registers of the thread that will write it to LDS (AMD), or goes
// to LDS past the registers (NVIDIA's cp.async).
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>
#include "attention.h"

extern "C" __global__ BOUNDS void v6_turns(
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
  for (int key = 0;; key += KEYS) {
    const bool needed = queries.need(key);
    Weights weights;
    values.begin(sV, v + (size_t)key * D, end - key);
    if (needed) {
      queries.scores(weights, sK, key);
      queries.soften(weights);
    }
    values.finish(sV);
    __syncthreads();  // V has arrived, K is no longer read
    if (key + KEYS > first) nonfinite |= tile::clear_nonfinite<Number, KEYS * D / 8, THREADS>(sV);
    if (key + KEYS < end) keys.begin(sK, k + (size_t)(key + KEYS) * D, end - key - KEYS);
    if (needed) queries.add(weights, sV);
    if (key + KEYS >= end) break;
    keys.finish(sK);
    __syncthreads();  // the next K has arrived, V is no longer read
  }
  if (nonfinite) queries.add_nonfinite(v, first / KEYS * KEYS, end);
  queries.store(out + head, context - mine);
}
