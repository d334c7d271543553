// v5: matrix instructions.
//
// The idea: tiles of queries meet tiles of keys, so both products of attention are products of matrices and go to the
// matrix units. Scores are computed transposed, keys by queries (S^T = K Q^T). Every instruction set then hands a lane
// all it needs of one query (NVIDIA's: of two): the softmax runs in registers, in base 2, and the weights P are in
// place as an operand of the second product, O^T = V^T P^T. Scores and weights never leave the registers.
//
// Who owns what: a block is 256 threads and 128 queries of one head. A wave owns 32 of them with MFMA, 16 with the other
// instruction sets: their Q, their running maximum and sum, and their outputs stay in its registers (`Queries` in
// attention.h). The tile of 64 keys and 64 values in LDS belongs to the block, which fills it with 16-byte loads. Tiles
// that come after all queries of a wave are skipped, and only tiles on the diagonal are masked.
//
// matrix.h says which value is in which lane, tile.h how tiles lie in LDS.
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>
#include "attention.h"

extern "C" __global__ BOUNDS void v5_matrix(
    const Element* __restrict__ q, const Element* __restrict__ k, const Element* __restrict__ v,
    Element* __restrict__ out, int context, int heads_per_kv_head) {
  __shared__ __align__(1024) uint4 sK[KEYS * D / 8];
  __shared__ __align__(1024) uint4 sV[KEYS * D / 8];

  const int first = (gridDim.x - 1 - blockIdx.x) * BLOCK;  // the blocks with most keys start first
  const int mine = first + threadIdx.x / matrix::WAVE * matrix::QUERIES;
  const int end = min(first + BLOCK, context);  // keys that the block needs
  const size_t head = ((size_t)blockIdx.y * context + mine) * D;
  const size_t kv_head = (size_t)(blockIdx.y / heads_per_kv_head) * context * D;

  Queries queries(q + head, mine, context - mine);
  KeyCopy keys;
  ValueCopy values;
  bool nonfinite = false;  // in tiles on the diagonal
  for (int key = 0; key < end; key += KEYS) {
    const size_t at = kv_head + (size_t)key * D;
    __syncthreads();  // the previous tiles are no longer read
    keys.begin(sK, k + at, end - key);
    values.begin(sV, v + at, end - key);
    keys.finish(sK);
    values.finish(sV);
    __syncthreads();
    if (key + KEYS > first) nonfinite |= tile::clear_nonfinite<Number, KEYS * D / 8, THREADS>(sV);
    if (!queries.need(key)) continue;

    Weights weights;
    queries.scores(weights, sK, key);
    queries.soften(weights);
    queries.add(weights, sV);
  }
  if (nonfinite) queries.add_nonfinite(v + kv_head, first / KEYS * KEYS, end);
  queries.store(out + head, context - mine);
}
