// v7: the keys of a query block are split among several blocks.
//
// The idea: v6 starts one block for 128 queries of a head. Few heads at a short context are fewer blocks than a device
// has compute units, and the longest of them decides the time. Here `parts` blocks share the keys of 128 queries; each
// leaves its maximum, its sum and its outputs, not yet divided, in device memory, and a second launch merges them, always
// in the same order. With one part nothing is left to merge, and this is v6.
//
// Who owns what: as in v6, of the part's keys. When merging, a thread owns four columns of one query.
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>
#include "attention.h"

extern "C" __global__ BOUNDS void v7_split(
    const Element* __restrict__ q, const Element* __restrict__ k, const Element* __restrict__ v,
    Element* __restrict__ out, float* __restrict__ outputs, float* __restrict__ sums, int context,
    int heads_per_kv_head) {
  __shared__ __align__(1024) uint4 sK[KEYS * D / 8];
  __shared__ __align__(1024) uint4 sV[KEYS * D / 8];

  const int parts = gridDim.z, part = blockIdx.z;
  const int first = (gridDim.x - 1 - blockIdx.x) * BLOCK;  // the blocks with most keys start first
  const int mine = first + threadIdx.x / matrix::WAVE * matrix::QUERIES;
  const int last = min(first + BLOCK, context);  // keys that the queries need, and of them this part's:
  const int length = ((last + KEYS - 1) / KEYS + parts - 1) / parts * KEYS;
  const int begin = part * length, end = min(begin + length, last);
  const size_t row = (size_t)blockIdx.y * context + mine;
  k += (size_t)(blockIdx.y / heads_per_kv_head) * context * D;
  v += (size_t)(blockIdx.y / heads_per_kv_head) * context * D;

  KeyCopy keys;
  ValueCopy values;
  if (begin < end) keys.begin(sK, k + (size_t)begin * D, end - begin);
  Queries queries(q + row * D, mine, context - mine);
  if (begin < end) keys.finish(sK);
  __syncthreads();  // K has arrived
  bool nonfinite = false;  // in tiles on the diagonal
  for (int key = begin; key < end; key += KEYS) {
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
  if (nonfinite) queries.add_nonfinite(v, max(first / KEYS * KEYS, begin), end);
  if (parts == 1) {
    queries.store(out + row * D, context - mine);
  } else {
    const size_t at = (size_t)part * gridDim.y * context + row;
    queries.store_part(outputs + at * D, sums + at * 2, context - mine);
  }
}

// out = sum of 2^(m_part - m) outputs_part / sum of 2^(m_part - m) l_part, for `rows` = heads * context queries.
extern "C" __global__ __launch_bounds__(256) void v7_merge(
    const float* __restrict__ outputs, const float* __restrict__ sums, Element* __restrict__ out, int rows, int parts) {
  const int n = blockIdx.x * 256 + threadIdx.x, row = n / (D / 4), column = n % (D / 4) * 4;
  if (row >= rows) return;
  float m = MASKED, l = 0.0f, o[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int part = 0; part < parts; ++part) m = fmaxf(m, sums[((size_t)part * rows + row) * 2]);
  for (int part = 0; part < parts; ++part) {
    const size_t at = (size_t)part * rows + row;
    const float weight = matrix::exp2(sums[at * 2] - m);
    const float4 partial = *reinterpret_cast<const float4*>(outputs + at * D + column);
    l += weight * sums[at * 2 + 1];
    o[0] += weight * partial.x, o[1] += weight * partial.y, o[2] += weight * partial.z, o[3] += weight * partial.w;
  }
  unsigned* to = reinterpret_cast<unsigned*>(out + (size_t)row * D + column);
  to[0] = Number::pack(o[0] / l, o[1] / l);
  to[1] = Number::pack(o[2] / l, o[3] / l);
}
