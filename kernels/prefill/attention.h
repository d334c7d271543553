// The part of causal attention that one wave computes, in registers: what v5 and the variants after it share.
#pragma once
#include "tile.h"

#ifndef HEAD_DIM
#define HEAD_DIM 128
#endif
#ifndef NUMBER
#define NUMBER Fp16
#endif
// Registers are allotted so that 2 waves a SIMD fit (AMD), or RESIDENT blocks a multiprocessor (NVIDIA).
#if MATRIX_SET == MMA
#ifndef RESIDENT
#define RESIDENT 1
#endif
#else
#define RESIDENT 2
#endif
#define BOUNDS __launch_bounds__(THREADS, RESIDENT)

using Number = matrix::NUMBER;
using tile::Element;

constexpr int D = HEAD_DIM;
#if defined(KEYS_OF_A_TILE)
constexpr int KEYS = KEYS_OF_A_TILE;
#elif defined(WGMMA)
constexpr int KEYS = D == 128 ? 128 : 64;  // the longer the products, the less their waits cost
#elif MATRIX_SET == WMMA11  // operands take twice the registers, and rounding to bf16 some more
constexpr int KEYS = D == 128 && Number::EXPONENT == matrix::Bf16::EXPONENT ? 16 : 32;
#else
constexpr int KEYS = 64;
#endif
constexpr int THREADS = 256;
constexpr int BLOCK = THREADS / matrix::WAVE * matrix::QUERIES;  // queries of a block
constexpr float MASKED = -1e30f;  // below every score, yet finite: MASKED - MASKED is 0 and never NaN
constexpr float SCALE = (D == 64 ? 0.125f : 0.08838834764831845f) * 1.4426950408889634f;  // 1/sqrt(D), log2(e)
constexpr float SLACK = 8.0f;  // how much a maximum may grow, as a power of 2, before sums are scaled down (LAZY)
static_assert((D == 64 || D == 128) && BLOCK == 128);

using KeyCopy = tile::KeyCopy<KEYS, D, THREADS>;
using ValueCopy = tile::ValueCopy<KEYS, D, THREADS>;
using Weights = matrix::Values[KEYS / matrix::ROWS];

// The queries of a wave: their Q, and of each the running maximum, its part of the running sum and of the outputs.
struct Queries {
  matrix::Operand query[D / matrix::DEPTH];
  matrix::Values output[D / matrix::ROWS];
  float m[matrix::OWN], l[matrix::OWN];
  int first;  // first query of the wave
  int lane;

  // q points to row `first`; queries from the `left`-th on are behind the context and become zeros.
  __device__ __forceinline__ Queries(const Element* q, int first_query, int left)
      : output{}, first(first_query), lane(threadIdx.x % matrix::WAVE) {
    UNROLL for (int step = 0; step < D / matrix::DEPTH; ++step) query[step] = tile::load_queries<D>(q, left, step);
    UNROLL for (int o = 0; o < matrix::OWN; ++o) m[o] = MASKED, l[o] = 0.0f;
  }

  // False where all of the tile comes after the last query of this wave and of those it multiplies together with.
  __device__ __forceinline__ bool need(int key) const { return key <= (first | (tile::TEAM - 1)); }

  // S^T = K Q^T of a tile whose first key is `key`; keys that come after a query are masked.
  __device__ __forceinline__ void scores(Weights& score, const uint4* sK, int key) const {
    UNROLL for (int n = 0; n < KEYS / matrix::ROWS; ++n) score[n] = matrix::Values{};
    tile::multiply_keys<Number, KEYS, D>(score, sK, query);
    if (key + KEYS <= first + 1) return;
    int last[matrix::OWN];  // last row that the query sees, counted from the lane's first
    UNROLL for (int i = 0; i < matrix::VALUES; ++i)
      last[matrix::own_of(i)] = first + matrix::query_of(lane, i) - key - matrix::row_of(lane, 0);
    UNROLL for (int n = 0; n < KEYS / matrix::ROWS; ++n)
      UNROLL for (int i = 0; i < matrix::VALUES; ++i)
        if (n * matrix::ROWS + matrix::row_of(0, i) > last[matrix::own_of(i)]) score[n][i] = -__builtin_inff();
  }

  // Scores become weights, 2^(score - maximum); what was summed so far is scaled down to a larger maximum. LAZY: only where
  // the maximum of any query of the wave has grown by more than SLACK. Weights are then up to 2^SLACK, which fp16 holds as
  // exactly as 1, and the division by their sum in the end makes up for it.
  template <bool LAZY = false> __device__ __forceinline__ void soften(Weights& score) {
    float larger[matrix::OWN], shrink[matrix::OWN];
    UNROLL for (int o = 0; o < matrix::OWN; ++o) larger[o] = -__builtin_inff();
    UNROLL for (int n = 0; n < KEYS / matrix::ROWS; ++n)
      UNROLL for (int i = 0; i < matrix::VALUES; ++i)
        larger[matrix::own_of(i)] = fmaxf(larger[matrix::own_of(i)], score[n][i]);
    bool grows = false;
    UNROLL for (int o = 0; o < matrix::OWN; ++o) {
      larger[o] = fmaxf(m[o], matrix::max_over_lanes(larger[o]) * SCALE);
      grows |= larger[o] > m[o] + SLACK;
    }
    if (!LAZY || __any(grows)) {
      UNROLL for (int o = 0; o < matrix::OWN; ++o) {
        shrink[o] = matrix::exp2(m[o] - larger[o]);
        m[o] = larger[o];
        l[o] *= shrink[o];
      }
      UNROLL for (int d = 0; d < D / matrix::ROWS; ++d)
        UNROLL for (int i = 0; i < matrix::VALUES; ++i) output[d][i] *= shrink[matrix::own_of(i)];
    }
    UNROLL for (int n = 0; n < KEYS / matrix::ROWS; ++n)
      UNROLL for (int i = 0; i < matrix::VALUES; ++i) {
        score[n][i] = matrix::exp2(score[n][i] * SCALE - m[matrix::own_of(i)]);
        l[matrix::own_of(i)] += score[n][i];
      }
  }

  // O^T += V^T P^T
  __device__ __forceinline__ void add(const Weights& weight, const uint4* sV) {
    tile::multiply_values<Number, KEYS, D>(output, sV, weight);
  }

  // Values of keys `key` .. end - 1 that are infinite or NaN, which tile::clear_nonfinite took out of the tiles on the
  // diagonal; v points to row 0.
  __device__ __forceinline__ void add_nonfinite(const Element* v, int key, int end) {
    tile::add_nonfinite<Number, D>(output, v + (size_t)key * D, key, end - key, first);
  }

  // Divide by the sums and write `left` rows at most; out points to row `first`.
  __device__ __forceinline__ void store(Element* out, int left) {
    UNROLL for (int o = 0; o < matrix::OWN; ++o) l[o] = 1.0f / matrix::sum_over_lanes(l[o]);
    tile::store_output<Number, D>(out, left, output, l);
  }

  // Without the division: `left` rows of outputs at most, and of each query its maximum and its sum.
  __device__ __forceinline__ void store_part(float* outputs, float* sums, int left) {
    UNROLL for (int o = 0; o < matrix::OWN; ++o) l[o] = matrix::sum_over_lanes(l[o]);
    UNROLL for (int i = 0; i < matrix::VALUES; i += matrix::RUN) {
      const int query = matrix::query_of(lane, i);
      if (query >= left) continue;
      UNROLL for (int d = 0; d < D / matrix::ROWS; ++d)
        UNROLL for (int j = 0; j < matrix::RUN; ++j)
          outputs[query * D + d * matrix::ROWS + matrix::row_of(lane, i) + j] = output[d][i + j];
      if (matrix::row_of(lane, i) != 0) continue;  // one lane for each query
      sums[query * 2] = m[matrix::own_of(i)];
      sums[query * 2 + 1] = l[matrix::own_of(i)];
    }
  }
};
