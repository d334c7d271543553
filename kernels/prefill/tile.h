// Tiles of K and V in LDS: how they get there, how they lie there, and how operands of matrix.h are read from them.
//
// A tile of K is KEYS rows of D, as in memory. A tile of V is the same on NVIDIA, whose ldmatrix transposes while it
// reads. AMD's instruction sets want a lane's numbers next to each other, which in V^T are keys: there V is transposed
// on its way, four keys by eight columns a thread, into D rows of KEYS.
//
// LDS has 32 banks of 4 bytes, and a row of 128 bytes or a multiple begins at the same bank as every other. So rows are
// cut into 128 bytes, and within these the 16-byte chunks change places: chunk c of row r lies at c ^ (r % 8). Eight
// lanes that read the same chunk of eight rows then read all 32 banks, each once.
#pragma once
#include "matrix.h"

// wgmma is only in code for sm_90a; without it, mma.
#if MATRIX_SET == MMA && defined(__CUDA_ARCH_FEAT_SM90_ALL) && !defined(NO_WGMMA)
#define WGMMA 1
#endif

namespace tile {

// Queries of the waves that multiply together.
#if defined(WGMMA)
constexpr int TEAM = 64;
#else
constexpr int TEAM = matrix::QUERIES;
#endif

using matrix::Operand;
using Element = unsigned short;  // fp16 or bf16, as bits

// Where chunk `chunk` of row `row` lies in a tile of ROWS rows of CHUNKS chunks.
template <int ROWS, int CHUNKS> constexpr __device__ int place(int row, int chunk) {
  if (CHUNKS < 8) return row * CHUNKS + (chunk ^ (row * CHUNKS / 8 % CHUNKS));
  return (chunk / 8 * ROWS + row) * 8 + (chunk % 8 ^ row % 8);
}

#if MATRIX_SET == MMA
// One 16-byte chunk from global memory to LDS, past the registers.
FUNCTION void copy_async(uint4* to, const void* from) {
  const unsigned address = (unsigned)__cvta_generic_to_shared(to);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
}
FUNCTION void wait_for_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
#if defined(WGMMA)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");  // what reads LDS next is the matrix unit
#endif
}

template <bool transposed> FUNCTION Operand load_matrix(const uint4* row) {
  const unsigned address = (unsigned)__cvta_generic_to_shared(row);
  Operand o;
  if constexpr (transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(o[0]), "=r"(o[1]), "=r"(o[2]), "=r"(o[3]) : "r"(address) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(o[0]), "=r"(o[1]), "=r"(o[2]), "=r"(o[3]) : "r"(address) : "memory");
  return o;
}
#endif

FUNCTION uint4 zero() { return make_uint4(0, 0, 0, 0); }
FUNCTION uint4 load16(const Element* from) { return *reinterpret_cast<const uint4*>(from); }

// A copy of rows into LDS in two halves, with work between them: `begin` asks memory for the tile, `finish` has it in
// LDS. Between them the tile is neither read nor written by anyone else. `keys` is how many keys are left, at least one:
// the last is repeated in the place of those behind it, which are masked.
template <int KEYS, int D, int THREADS> struct KeyCopy {
  static constexpr int CHUNKS = D / 8, PER_THREAD = KEYS * CHUNKS / THREADS;
  static_assert(KEYS * CHUNKS % THREADS == 0);
#if MATRIX_SET == MMA
  __device__ __forceinline__ void begin(uint4* tile, const Element* from, int keys) {
    UNROLL for (int i = 0; i < PER_THREAD; ++i) {
      const int n = threadIdx.x + i * THREADS, key = n / CHUNKS, chunk = n % CHUNKS;
      copy_async(tile + place<KEYS, CHUNKS>(key, chunk), from + min(key, keys - 1) * D + chunk * 8);
    }
  }
  __device__ __forceinline__ void finish(uint4*) { wait_for_copies(); }
#else
  uint4 held[PER_THREAD];
  __device__ __forceinline__ void begin(uint4*, const Element* from, int keys) {
    UNROLL for (int i = 0; i < PER_THREAD; ++i) {
      const int n = threadIdx.x + i * THREADS;
      held[i] = load16(from + min(n / CHUNKS, keys - 1) * D + n % CHUNKS * 8);
    }
  }
  __device__ __forceinline__ void finish(uint4* tile) {
    UNROLL for (int i = 0; i < PER_THREAD; ++i) {
      const int n = threadIdx.x + i * THREADS;
      tile[place<KEYS, CHUNKS>(n / CHUNKS, n % CHUNKS)] = held[i];
    }
  }
#endif
};

#if MATRIX_SET == MMA
template <int KEYS, int D, int THREADS> using ValueCopy = KeyCopy<KEYS, D, THREADS>;
#else
// Four keys are 8 bytes of a row of V^T. Where they lie in the row is chosen so that the 16 bytes a lane reads for a
// step of 16 keys are those its values of the scores have: with MFMA, lanes 0-31 hold keys 0-3 and 8-11, the others
// 4-7 and 12-15.
constexpr __device__ int place_of_four(int four) {
#if MATRIX_SET == MFMA
  return four / 4 * 4 + four % 2 * 2 + four / 2 % 2;
#else
  return four;
#endif
}

template <int KEYS, int D, int THREADS> struct ValueCopy {
  static constexpr int CHUNKS = D / 8, FOURS = KEYS / 4, PER_THREAD = (FOURS * CHUNKS + THREADS - 1) / THREADS;
  static constexpr bool FULL = FOURS * CHUNKS % THREADS == 0;
  uint4 held[PER_THREAD][4];
  __device__ __forceinline__ void begin(uint4*, const Element* from, int keys) {
    UNROLL for (int i = 0; i < PER_THREAD; ++i) {
      const int n = threadIdx.x + i * THREADS, four = n % FOURS, chunk = n / FOURS;
      if (!FULL && chunk >= CHUNKS) break;
      UNROLL for (int j = 0; j < 4; ++j) held[i][j] = load16(from + min(four * 4 + j, keys - 1) * D + chunk * 8);
    }
  }
  __device__ __forceinline__ void finish(uint4* tile) {
    UNROLL for (int i = 0; i < PER_THREAD; ++i) {
      const int n = threadIdx.x + i * THREADS, four = n % FOURS, chunk = n / FOURS;
      if (!FULL && chunk >= CHUNKS) break;
      const int at = place_of_four(four);
      UNROLL for (int j = 0; j < 4; ++j) {  // columns 2 j and 2 j + 1 of the chunk
        const unsigned a = word(held[i][0], j), b = word(held[i][1], j), c = word(held[i][2], j), d = word(held[i][3], j);
        store(tile, chunk * 8 + 2 * j, at, (a & 0xffffu) | b << 16, (c & 0xffffu) | d << 16);
        store(tile, chunk * 8 + 2 * j + 1, at, a >> 16 | (b & 0xffff0000u), c >> 16 | (d & 0xffff0000u));
      }
    }
  }
  static __device__ __forceinline__ unsigned word(const uint4& chunk, int i) {
    return i == 0 ? chunk.x : i == 1 ? chunk.y : i == 2 ? chunk.z : chunk.w;
  }
  static __device__ __forceinline__ void store(uint4* tile, int column, int at, unsigned low, unsigned high) {
    reinterpret_cast<uint2*>(tile)[place<D, KEYS / 8>(column, at / 2) * 2 + at % 2] = make_uint2(low, high);
  }
};
#endif

// 16 bytes, or with WMMA11 32, of row `row`, from the 16 numbers of step `step`.
template <int ROWS, int CHUNKS> FUNCTION Operand load_row(const uint4* tile, int row, int step) {
#if MATRIX_SET == WMMA11
  const uint4 a = tile[place<ROWS, CHUNKS>(row, 2 * step)], b = tile[place<ROWS, CHUNKS>(row, 2 * step + 1)];
  return Operand{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#else
  const uint4 a = tile[place<ROWS, CHUNKS>(row, 2 * step + threadIdx.x % matrix::WAVE / matrix::ROWS)];
  return Operand{a.x, a.y, a.z, a.w};
#endif
}

// Keys `first` .. + ROWS - 1 of a tile of K, columns 16 * step .. + 15.
template <int KEYS, int D> FUNCTION Operand load_keys(const uint4* tile, int first, int step) {
  const int lane = threadIdx.x % matrix::WAVE;
#if MATRIX_SET == MMA
  return load_matrix<false>(tile + place<KEYS, D / 8>(first + lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2));
#else
  return load_row<KEYS, D / 8>(tile, first + lane % matrix::ROWS, step);
#endif
}

// Columns `first` .. + ROWS - 1 of a tile of V, keys 16 * step .. + 15.
template <int KEYS, int D> FUNCTION Operand load_values(const uint4* tile, int first, int step) {
  const int lane = threadIdx.x % matrix::WAVE;
#if MATRIX_SET == MMA
  return load_matrix<true>(tile + place<KEYS, D / 8>(16 * step + lane % 16, first / 8 + lane / 16));
#else
  return load_row<D, KEYS / 8>(tile, first + lane % matrix::ROWS, step);
#endif
}

// -- the products of a wave's queries with a whole tile ----------------------------------------------------------------

#if defined(WGMMA)
// wgmma: four waves together, and the tile is read by the matrix unit itself. Its layouts of registers are those of mma;
// the 128-byte rows with chunks at c ^ (r % 8) are its "128-byte swizzle". Offsets in a descriptor are in 16 bytes.
FUNCTION unsigned long long descriptor(const uint4* at, int leading, int stride) {
  const unsigned long long address = (unsigned)__cvta_generic_to_shared(at);
  return (address & 0x3ffff) >> 4 | (unsigned long long)leading << 16 | (unsigned long long)stride << 32 | 1ull << 62;
}
#define EIGHT(v) "+f"((v)[0]), "+f"((v)[1]), "+f"((v)[2]), "+f"((v)[3]), "+f"((v)[4]), "+f"((v)[5]), "+f"((v)[6]), "+f"((v)[7])
#define WGMMA_64(type)                                                                                                     \
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type                                                 \
               " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,"  \
               "%28,%29,%30,%31}, {%32,%33,%34,%35}, %36, 1, 1, 1, %37;"                                                   \
               : EIGHT(v[0]), EIGHT(v[1]), EIGHT(v[2]), EIGHT(v[3])                                                        \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(transposed))
#define WGMMA_128(type)                                                                                                    \
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type                                                \
               " {%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,"  \
               "%28,%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,"  \
               "%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, {%64,%65,%66,%67}, %68, 1, 1, 1, %69;"                           \
               : EIGHT(v[0]), EIGHT(v[1]), EIGHT(v[2]), EIGHT(v[3]), EIGHT(v[4]), EIGHT(v[5]), EIGHT(v[6]), EIGHT(v[7])    \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(transposed))
template <class T, int transposed, int N>
FUNCTION void wgmma(matrix::Values (&v)[N], const Operand& a, unsigned long long b) {
  static_assert(N == 4 || N == 8);
  constexpr bool fp16 = T::EXPONENT == matrix::Fp16::EXPONENT;
  if constexpr (N == 4 && fp16) WGMMA_64("f16");
  if constexpr (N == 4 && !fp16) WGMMA_64("bf16");
  if constexpr (N == 8 && fp16) WGMMA_128("f16");
  if constexpr (N == 8 && !fp16) WGMMA_128("bf16");
}
// wgmma runs on its own from its issue to the wait; the compiler must not move what reads or writes `v` in between.
template <int N> FUNCTION void hold(matrix::Values (&v)[N]) {
  UNROLL for (int n = 0; n < N; ++n) asm volatile("" : EIGHT(v[n]) :: "memory");
}
template <int N> FUNCTION void begin_products(matrix::Values (&v)[N]) {
  hold(v);
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
template <int N> FUNCTION void finish_products(matrix::Values (&v)[N]) {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  hold(v);
}
#endif

// Operands are read from LDS while so many products before them are computed.
constexpr int AHEAD = MATRIX_SET == WMMA11 ? 1 : 2;  // WMMA11 takes twice the registers

// scores[key][query] += K Q^T
template <class T, int KEYS, int D> FUNCTION void multiply_keys(
    matrix::Values (&scores)[KEYS / matrix::ROWS], const uint4* tile, const Operand (&queries)[D / matrix::DEPTH]) {
#if defined(WGMMA)
  begin_products(scores);
  UNROLL for (int step = 0; step < D / matrix::DEPTH; ++step)  // 64 columns are a half of the tile; 8 keys are 1024 bytes
    wgmma<T, 0>(scores, queries[step], descriptor(tile + step / 4 * KEYS * 8 + step % 4 * 2, 1, 64));
  finish_products(scores);
#else
  constexpr int N = KEYS / matrix::ROWS, PRODUCTS = N * (D / matrix::DEPTH);
  Operand keys[2][AHEAD];
  UNROLL for (int i = -AHEAD; i < PRODUCTS; i += AHEAD) {
    UNROLL for (int j = i + AHEAD; j < i + 2 * AHEAD && j < PRODUCTS; ++j)
      keys[j / AHEAD % 2][j % AHEAD] = load_keys<KEYS, D>(tile, j % N * matrix::ROWS, j / N);
    UNROLL for (int j = i; j >= 0 && j < i + AHEAD; ++j)
      matrix::multiply<T>(scores[j % N], keys[j / AHEAD % 2][j % AHEAD], queries[j / N]);
    matrix::end_of_step();
  }
#endif
}

// output[column][query] += V^T P^T; the weights are rounded to the operand's 16 bits where they are.
template <class T, int KEYS, int D> FUNCTION void multiply_values(
    matrix::Values (&output)[D / matrix::ROWS], const uint4* tile, const matrix::Values (&weights)[KEYS / matrix::ROWS]) {
#if defined(WGMMA)
  Operand w[KEYS / matrix::DEPTH];
  UNROLL for (int step = 0; step < KEYS / matrix::DEPTH; ++step) w[step] = matrix::from_values<T>(weights[step], 0);
  begin_products(output);
  UNROLL for (int step = 0; step < KEYS / matrix::DEPTH; ++step)
    wgmma<T, 1>(output, w[step], descriptor(tile + step * 16 * 8, KEYS * 8, 64));
  finish_products(output);
#else
  constexpr int N = D / matrix::ROWS, PRODUCTS = N * (KEYS / matrix::DEPTH), STEPS = matrix::ROWS / matrix::DEPTH;
  Operand values[2][AHEAD], w;
  UNROLL for (int i = -AHEAD; i < PRODUCTS; i += AHEAD) {
    UNROLL for (int j = i + AHEAD; j < i + 2 * AHEAD && j < PRODUCTS; ++j)
      values[j / AHEAD % 2][j % AHEAD] = load_values<KEYS, D>(tile, j % N * matrix::ROWS, j / N);
    UNROLL for (int j = i; j >= 0 && j < i + AHEAD; ++j) {
      if (j % N == 0) w = matrix::from_values<T>(weights[j / N / STEPS], j / N % STEPS);
      matrix::multiply<T>(output[j % N], values[j / AHEAD % 2][j % AHEAD], w);
    }
    matrix::end_of_step();
  }
#endif
}

// Columns 16 * step .. + 15 of the wave's queries, from global memory; zeros behind the last of `queries`.
template <int D> FUNCTION Operand load_queries(const Element* first, int queries, int step) {
  const int lane = threadIdx.x % matrix::WAVE;
#if MATRIX_SET == MMA
  Operand o;
  UNROLL for (int i = 0; i < 4; ++i) {
    const int query = i % 2 * 8 + lane / 4, column = 16 * step + i / 2 * 8 + lane % 4 * 2;
    o[i] = query < queries ? *reinterpret_cast<const unsigned*>(first + query * D + column) : 0;
  }
  return o;
#else
  const int query = lane % matrix::QUERIES;
  const Element* from = first + query * D + 16 * step;
#if MATRIX_SET == WMMA11
  const uint4 a = query < queries ? load16(from) : zero(), b = query < queries ? load16(from + 8) : zero();
  return Operand{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#else
  const uint4 a = query < queries ? load16(from + lane / matrix::QUERIES * 8) : zero();
  return Operand{a.x, a.y, a.z, a.w};
#endif
#endif
}

// The masked weights of a tile on the diagonal are 0, and 0 times an infinite or NaN value is NaN: a query would see keys
// that come after it. So such values become 0 here, which tells true (to all threads of the block), and `add_nonfinite`
// puts them where they belong in the end.
template <class T> FUNCTION unsigned finite_half(unsigned word, unsigned half) {
  return (word & half & T::EXPONENT * 0x10001u) == (half & T::EXPONENT * 0x10001u) ? 0u : half;
}
template <class T, int CHUNKS, int THREADS> FUNCTION bool clear_nonfinite(uint4* tile) {
  unsigned* words = reinterpret_cast<unsigned*>(tile);
  bool found = false;
#if MATRIX_SET == MMA
  constexpr int SCANNED_BY = THREADS;
#else
  constexpr int SCANNED_BY = matrix::WAVE;  // every wave scans all of it: to tell the others takes LDS, which is full
#endif
  KEEP_LOOP for (int n = threadIdx.x % SCANNED_BY; n < CHUNKS; n += SCANNED_BY) {
    const uint4 c = tile[n];
    const unsigned w[] = {c.x, c.y, c.z, c.w};
    UNROLL for (int i = 0; i < 4; ++i)
      found |= !finite_half<T>(w[i], 0xffffu) | !finite_half<T>(w[i], 0xffff0000u);
  }
#if MATRIX_SET == MMA
  found = __syncthreads_or(found);
#else
  found = __any(found);
#endif
  if (!found) return false;
  __syncthreads();  // all have seen it
  KEEP_LOOP for (int n = threadIdx.x; n < CHUNKS * 4; n += THREADS)
    words[n] &= finite_half<T>(words[n], 0xffffu) | finite_half<T>(words[n], 0xffff0000u);
#if defined(WGMMA)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
  __syncthreads();
  return true;
}

// A value that is not finite makes the output of every query that sees it what it is itself, whatever its weight.
template <class T, int D> FUNCTION void add_nonfinite(
    matrix::Values (&output)[D / matrix::ROWS], const Element* values, int first_key, int keys, int first_query) {
  const int lane = threadIdx.x % matrix::WAVE;
  UNROLL for (int d = 0; d < D / matrix::ROWS; ++d)
    UNROLL for (int i = 0; i < matrix::VALUES; ++i) {
      const Element* column = values + d * matrix::ROWS + matrix::row_of(lane, i);
      const int seen = min(keys, first_query + matrix::query_of(lane, i) - first_key + 1);
      KEEP_LOOP for (int key = 0; key < seen; ++key)
        if ((column[key * D] & T::EXPONENT) == T::EXPONENT) output[d][i] += T::widen(column[key * D]);
    }
}

// Rows of the output: `scale` of each of the lane's queries times its values, rounded.
template <class T, int D> FUNCTION void store_output(
    Element* first, int queries, const matrix::Values (&output)[D / matrix::ROWS], const float (&scale)[matrix::OWN]) {
  const int lane = threadIdx.x % matrix::WAVE;
  UNROLL for (int d = 0; d < D / matrix::ROWS; ++d)
    UNROLL for (int i = 0; i < matrix::VALUES; i += matrix::RUN) {
      const int query = matrix::query_of(lane, i);
      if (query >= queries) continue;
      Element* to = first + query * D + d * matrix::ROWS + matrix::row_of(lane, i);
      const float by = scale[matrix::own_of(i)];
      if constexpr (matrix::RUN == 1) {
        *to = (Element)T::pack(output[d][i] * by, 0.0f);
      } else {
        UNROLL for (int j = 0; j < matrix::RUN; j += 2)
          reinterpret_cast<unsigned*>(to)[j / 2] = T::pack(output[d][i + j] * by, output[d][i + j + 1] * by);
      }
    }
}

}  // namespace tile
