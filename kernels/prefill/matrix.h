// The matrix instructions of five instruction sets behind one interface: what a kernel needs to know of them.
//
// One product is   values[row][query] += sum over depth of rows[row][depth] * queries[query][depth].
// Both operands are 16-bit numbers, the sums are fp32. `rows` are keys (scores = K Q^T, depth is the head dimension) or
// columns of V (output = V^T P^T, depth is the keys). A wave holds ROWS x QUERIES values of a product; how they are
// spread over its lanes is what instruction sets disagree on, and what the functions below answer:
//
//   row_of(lane, i), query_of(lane, i)   the place of value i of a lane, of VALUES
//                                        row_of(lane, i) is row_of(lane, 0) + row_of(0, i)
//   own_of(i)                            which of the lane's OWN queries value i belongs to
//   from_values(values, step)            scores as the query operand of the next product: they stay in their lanes
//
// The instruction sets, and the documents their layouts are from:
//   MFMA     CDNA 2 and 3, 64 lanes: v_mfma_f32_32x32x8, twice for a depth of 16     "AMD matrix instruction calculator"
//   WMMA11   RDNA 3, 32 lanes: v_wmma_f32_16x16x16, operands in both halves of a wave    the same, and GPUOpen's WMMA guide
//   WMMA12   RDNA 4, 32 lanes: v_wmma_f32_16x16x16                                      the RDNA 4 ISA manual
//   MMA      NVIDIA, 32 lanes: two mma.sync.m16n8k16, ldmatrix, cp.async                the PTX ISA manual
// A sum over depth does not ask for its order: operands hold it as tiles and values hand it over, both in the same order,
// which need not be that of the instruction set's manual.
//
// Where none is there, one of AMD's is computed lane for lane in plain arithmetic: the CPU runs the indexing of a GPU,
// that of MFMA in waves of 64 and of WMMA11 in waves of 32, or the one -DMATRIX_SET names.
#pragma once
#include <hip/hip_runtime.h>
#include <hip/hip_fp16.h>

#define MFMA 1
#define WMMA11 2
#define WMMA12 3
#define MMA 4
#if defined(__CUDA_ARCH__)
#define MATRIX_SET MMA
#elif defined(__gfx90a__) || defined(__gfx942__) || defined(__gfx950__)
#define MATRIX_SET MFMA
#elif defined(__GFX11__)
#define MATRIX_SET WMMA11
#elif defined(__GFX12__)
#define MATRIX_SET WMMA12
#else
#define MATRIX_EMULATED 1
#ifndef MATRIX_SET
#if defined(__gfx908__) || defined(__gfx906__) || defined(__gfx900__) || (defined(GRETA_WAVE_SIZE) && GRETA_WAVE_SIZE == 64)
#define MATRIX_SET MFMA
#else
#define MATRIX_SET WMMA11
#endif
#endif
#endif

// Indices into arrays of registers must be known when compiling: these loops are unrolled, except on a CPU.
#if defined(__SPIRV__)
#define UNROLL _Pragma("nounroll")
#else
#define UNROLL _Pragma("unroll")
#endif
#define KEEP_LOOP _Pragma("unroll 1")
#define FUNCTION static __device__ __forceinline__

namespace matrix {

constexpr int DEPTH = 16;
#if MATRIX_SET == MFMA
constexpr int WAVE = 64, ROWS = 32, QUERIES = 32, VALUES = 16, OWN = 1, WORDS = 4;
constexpr int RUN = 4;  // consecutive values that lie in consecutive rows
constexpr __device__ int row_of(int lane, int i) { return i / 4 * 8 + lane / 32 * 4 + i % 4; }
constexpr __device__ int query_of(int lane, int) { return lane % 32; }
constexpr __device__ int own_of(int) { return 0; }
#elif MATRIX_SET == WMMA11
constexpr int WAVE = 32, ROWS = 16, QUERIES = 16, VALUES = 8, OWN = 1, WORDS = 8;
constexpr int RUN = 1;
constexpr __device__ int row_of(int lane, int i) { return i * 2 + lane / 16; }
constexpr __device__ int query_of(int lane, int) { return lane % 16; }
constexpr __device__ int own_of(int) { return 0; }
#elif MATRIX_SET == WMMA12
constexpr int WAVE = 32, ROWS = 16, QUERIES = 16, VALUES = 8, OWN = 1, WORDS = 4;
constexpr int RUN = 8;
constexpr __device__ int row_of(int lane, int i) { return lane / 16 * 8 + i; }
constexpr __device__ int query_of(int lane, int) { return lane % 16; }
constexpr __device__ int own_of(int) { return 0; }
#else
constexpr int WAVE = 32, ROWS = 16, QUERIES = 16, VALUES = 8, OWN = 2, WORDS = 4;
constexpr int RUN = 2;
constexpr __device__ int row_of(int lane, int i) { return i / 4 * 8 + lane % 4 * 2 + i % 2; }
constexpr __device__ int query_of(int lane, int i) { return i / 2 % 2 * 8 + lane / 4; }
constexpr __device__ int own_of(int i) { return i / 2 % 2; }
#endif

#if defined(__clang__)
using Values = float __attribute__((ext_vector_type(VALUES)));
using Operand = unsigned __attribute__((ext_vector_type(WORDS)));
#else
template <class T, int N> struct Vector {
  T v[N];
  __device__ T& operator[](int i) { return v[i]; }
  __device__ const T& operator[](int i) const { return v[i]; }
};
using Values = Vector<float, VALUES>;
using Operand = Vector<unsigned, WORDS>;
#endif

// -- 16-bit numbers, carried as their bits ----------------------------------------------------------------------------

struct Fp16 {
  static constexpr unsigned EXPONENT = 0x7c00;  // all set: infinity or NaN
  static __device__ __forceinline__ float widen(unsigned short bits) {
#if defined(__clang__)
    return __builtin_bit_cast(_Float16, bits);
#else
    return __half2float(__ushort_as_half(bits));
#endif
  }
  static __device__ __forceinline__ unsigned pack(float low, float high) {  // to nearest
#if defined(__clang__)
    using Pair = _Float16 __attribute__((ext_vector_type(2)));
    return __builtin_bit_cast(unsigned, Pair{(_Float16)low, (_Float16)high});
#else
    unsigned word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#endif
  }
};

struct Bf16 {
  static constexpr unsigned EXPONENT = 0x7f80;
  static __device__ __forceinline__ float widen(unsigned short bits) { return __uint_as_float((unsigned)bits << 16); }
  static __device__ __forceinline__ unsigned pack(float low, float high) {
#if defined(__clang__)
    return round(low) >> 16 | (round(high) & 0xffff0000u);
#else
    unsigned word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#endif
  }
  static __device__ __forceinline__ unsigned round(float f) {  // in the upper half; a NaN stays one
    const unsigned bits = __float_as_uint(f);
    return f == f ? bits + 0x7fffu + (bits >> 16 & 1) : bits | 0x400000u;
  }
};

// -- one product ------------------------------------------------------------------------------------------------------

#if defined(MATRIX_EMULATED)
#if MATRIX_SET == MFMA  // v_mfma_f32_32x32x8: lane l holds row l % 32, depth l / 32 * 4 .. + 3, in 4 elements
constexpr int INSTRUCTION_DEPTH = 8, INSTRUCTION_WORDS = 2;
constexpr __device__ int holder(int row, int depth) { return depth / 4 * 32 + row; }
constexpr __device__ int element(int depth) { return depth % 4; }
#elif MATRIX_SET == WMMA11  // lane l holds row l % 16, depth 0 .. 15; the upper half of the wave repeats the lower
constexpr int INSTRUCTION_DEPTH = 16, INSTRUCTION_WORDS = 8;
constexpr __device__ int holder(int row, int) { return row; }
constexpr __device__ int element(int depth) { return depth; }
#else  // WMMA12: lane l holds row l % 16, depth l / 16 * 4 .. + 3 and 8 more
constexpr int INSTRUCTION_DEPTH = 16, INSTRUCTION_WORDS = 4;
constexpr __device__ int holder(int row, int depth) { return depth / 4 % 2 * 16 + row; }
constexpr __device__ int element(int depth) { return depth / 8 * 4 + depth % 4; }
#endif

// One instruction, from operand word `first` on: every lane reads the elements it needs from the lanes that hold them.
template <class T> FUNCTION void instruction(Values& values, const Operand& rows, const Operand& queries, int first) {
  const int lane = threadIdx.x % WAVE;
  UNROLL for (int k = 0; k < INSTRUCTION_DEPTH; ++k) {
    const int word = first + element(k) / 2, shift = element(k) % 2 * 16;
    const unsigned query = __shfl(queries[word], holder(query_of(lane, 0), k));
    UNROLL for (int i = 0; i < VALUES; ++i) {
      const unsigned row = __shfl(rows[word], holder(row_of(lane, i), k));
      values[i] += T::widen((unsigned short)(row >> shift)) * T::widen((unsigned short)(query >> shift));
    }
  }
}
#endif

template <class T> FUNCTION void multiply(Values& values, const Operand& rows, const Operand& queries) {
#if defined(MATRIX_EMULATED)
  UNROLL for (int first = 0; first < WORDS; first += INSTRUCTION_WORDS) instruction<T>(values, rows, queries, first);
#elif MATRIX_SET == MFMA
  using Words = unsigned __attribute__((ext_vector_type(2)));
  using Halves = _Float16 __attribute__((ext_vector_type(4)));
  using Shorts = short __attribute__((ext_vector_type(4)));
  UNROLL for (int i = 0; i < WORDS; i += 2) {
    const Words a = {rows[i], rows[i + 1]}, b = {queries[i], queries[i + 1]};
    if constexpr (T::EXPONENT == Fp16::EXPONENT)
      values = __builtin_amdgcn_mfma_f32_32x32x8f16(__builtin_bit_cast(Halves, a), __builtin_bit_cast(Halves, b), values, 0, 0, 0);
    else
      values = __builtin_amdgcn_mfma_f32_32x32x8bf16_1k(__builtin_bit_cast(Shorts, a), __builtin_bit_cast(Shorts, b), values, 0, 0, 0);
  }
#elif MATRIX_SET == WMMA11 || MATRIX_SET == WMMA12
  using Halves = _Float16 __attribute__((ext_vector_type(2 * WORDS)));
  using Shorts = short __attribute__((ext_vector_type(2 * WORDS)));
#if MATRIX_SET == WMMA11
#define WMMA(type) __builtin_amdgcn_wmma_f32_16x16x16_##type##_w32
#else
#define WMMA(type) __builtin_amdgcn_wmma_f32_16x16x16_##type##_w32_gfx12
#endif
  if constexpr (T::EXPONENT == Fp16::EXPONENT)
    values = WMMA(f16)(__builtin_bit_cast(Halves, rows), __builtin_bit_cast(Halves, queries), values);
  else
    values = WMMA(bf16)(__builtin_bit_cast(Shorts, rows), __builtin_bit_cast(Shorts, queries), values);
#undef WMMA
#else
  // Queries are mma's A (16 x 16), rows its B: two of 8 x 16.
  UNROLL for (int n = 0; n < 2; ++n) {
#define MMA_SYNC(type)                                                                                                    \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "      \
               "{%0,%1,%2,%3};"                                                                                           \
               : "+f"(values[4 * n]), "+f"(values[4 * n + 1]), "+f"(values[4 * n + 2]), "+f"(values[4 * n + 3])           \
               : "r"(queries[0]), "r"(queries[1]), "r"(queries[2]), "r"(queries[3]), "r"(rows[2 * n]), "r"(rows[2 * n + 1]))
    if constexpr (T::EXPONENT == Fp16::EXPONENT)
      MMA_SYNC("f16");
    else
      MMA_SYNC("bf16");
#undef MMA_SYNC
  }
#endif
}

// Rows 16 * step .. + 15 of a product's values, rounded, as the query operand of a product whose depth they are.
template <class T> FUNCTION Operand from_values(const Values& values, int step) {
  Operand operand;
#if MATRIX_SET == WMMA11
  // A lane holds every second row and needs all: the other half of the wave has the others.
  const bool upper = threadIdx.x % WAVE >= 16;
  UNROLL for (int i = 0; i < VALUES; i += 2) {
    const unsigned mine = T::pack(values[i], values[i + 1]);
#if defined(MATRIX_EMULATED)
    const unsigned other = __shfl_xor(mine, 16);
#else
    const unsigned other = __builtin_amdgcn_permlanex16(mine, mine, 0x76543210, 0xfedcba98, false, false);
#endif
    const unsigned even = upper ? other : mine, odd = upper ? mine : other;
    operand[i] = (even & 0xffffu) | odd << 16;
    operand[i + 1] = even >> 16 | (odd & 0xffff0000u);
  }
#else
  UNROLL for (int i = 0; i < WORDS; ++i) operand[i] = T::pack(values[8 * step + 2 * i], values[8 * step + 2 * i + 1]);
#endif
  return operand;
}

// The maximum and the sum over the lanes that hold values of the same query.
FUNCTION float max_over_lanes(float x) {
#if MATRIX_SET == MMA
  x = fmaxf(x, __shfl_xor(x, 1));
  return fmaxf(x, __shfl_xor(x, 2));
#else
  return fmaxf(x, __shfl_xor(x, QUERIES));
#endif
}
FUNCTION float sum_over_lanes(float x) {
#if MATRIX_SET == MMA
  x += __shfl_xor(x, 1);
  return x + __shfl_xor(x, 2);
#else
  return x + __shfl_xor(x, QUERIES);
#endif
}

// Nothing moves over this. AMD's compiler would load all operands of a tile before the first product and run out of
// registers, or load each right before its product and wait for it.
FUNCTION void end_of_step() {
#if defined(__AMDGCN__)
  __builtin_amdgcn_sched_barrier(0);
#endif
}

// 2^x, from 0 for -infinity. An x that gives a subnormal may give 0.
FUNCTION float exp2(float x) {
#if defined(__AMDGCN__)
  return __builtin_amdgcn_exp2f(x);
#elif defined(__CUDA_ARCH__)
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return exp2f(x);
#endif
}

}  // namespace matrix
