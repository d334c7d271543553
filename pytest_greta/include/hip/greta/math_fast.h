// Fast intrinsics, arithmetic by rounding mode, and conversions between numbers and their bits.
#pragma once

// On amdgcn the hardware's approximations, as in HIP; on a CPU the accurate functions.
#if defined(__AMDGCN__)
GRETA_DEVICE float __exp2f(float x) { return __builtin_amdgcn_exp2f(x); }
GRETA_DEVICE float __log2f(float x) { return __builtin_amdgcn_logf(x); }
GRETA_DEVICE float __expf(float x) { return __builtin_amdgcn_exp2f(x * 1.44269504f); }
GRETA_DEVICE float __exp10f(float x) { return __builtin_amdgcn_exp2f(x * 3.32192809f); }
GRETA_DEVICE float __logf(float x) { return __builtin_amdgcn_logf(x) * 0.693147181f; }
GRETA_DEVICE float __log10f(float x) { return __builtin_amdgcn_logf(x) * 0.301029996f; }
GRETA_DEVICE float __sinf(float x) { return __builtin_amdgcn_sinf(__builtin_amdgcn_fractf(x * 0.159154943f)); }
GRETA_DEVICE float __cosf(float x) { return __builtin_amdgcn_cosf(__builtin_amdgcn_fractf(x * 0.159154943f)); }
GRETA_DEVICE float __powf(float x, float y) { return __builtin_amdgcn_exp2f(y * __builtin_amdgcn_logf(x)); }
GRETA_DEVICE float __fdividef(float x, float y) { return x * __builtin_amdgcn_rcpf(y); }
GRETA_DEVICE float __frsqrt_rn(float x) { return __builtin_amdgcn_rsqf(x); }
GRETA_DEVICE float __saturatef(float x) { return __builtin_amdgcn_fmed3f(x, 0.0f, 1.0f); }
#else
GRETA_DEVICE float __exp2f(float x) { return exp2f(x); }
GRETA_DEVICE float __log2f(float x) { return log2f(x); }
GRETA_DEVICE float __expf(float x) { return expf(x); }
GRETA_DEVICE float __exp10f(float x) { return exp10f(x); }
GRETA_DEVICE float __logf(float x) { return logf(x); }
GRETA_DEVICE float __log10f(float x) { return log10f(x); }
GRETA_DEVICE float __sinf(float x) { return sinf(x); }
GRETA_DEVICE float __cosf(float x) { return cosf(x); }
GRETA_DEVICE float __powf(float x, float y) { return powf(x, y); }
GRETA_DEVICE float __fdividef(float x, float y) { return x / y; }
GRETA_DEVICE float __frsqrt_rn(float x) { return rsqrtf(x); }
GRETA_DEVICE float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
#endif
GRETA_DEVICE float __tanf(float x) { return __fdividef(__sinf(x), __cosf(x)); }
GRETA_DEVICE void __sincosf(float x, float* s, float* c) {
  *s = __sinf(x);
  *c = __cosf(x);
}

// To nearest. The products and sums are never fused with a neighbour.
#define GRETA_ROUNDED(T, prefix, f)                                                  \
  GRETA_DEVICE T __##prefix##add_rn(T x, T y) {                                      \
    _Pragma("clang fp contract(off)") return x + y;                                  \
  }                                                                                  \
  GRETA_DEVICE T __##prefix##sub_rn(T x, T y) {                                      \
    _Pragma("clang fp contract(off)") return x - y;                                  \
  }                                                                                  \
  GRETA_DEVICE T __##prefix##mul_rn(T x, T y) {                                      \
    _Pragma("clang fp contract(off)") return x * y;                                  \
  }                                                                                  \
  GRETA_DEVICE T __##prefix##div_rn(T x, T y) { return x / y; }                      \
  GRETA_DEVICE T __##prefix##rcp_rn(T x) { return T(1) / x; }                        \
  GRETA_DEVICE T __##prefix##sqrt_rn(T x) { return __builtin_sqrt##f(x); }
GRETA_ROUNDED(float, f, f)
GRETA_ROUNDED(double, d, )
#undef GRETA_ROUNDED
GRETA_DEVICE float __fmaf_rn(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
GRETA_DEVICE double __fma_rn(double x, double y, double z) { return __builtin_fma(x, y, z); }

GRETA_DEVICE int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
GRETA_DEVICE unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
GRETA_DEVICE float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
GRETA_DEVICE float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }
GRETA_DEVICE long long __double_as_longlong(double x) { return __builtin_bit_cast(long long, x); }
GRETA_DEVICE double __longlong_as_double(long long x) { return __builtin_bit_cast(double, x); }
GRETA_DEVICE int __double2hiint(double x) { return static_cast<int>(__double_as_longlong(x) >> 32); }
GRETA_DEVICE int __double2loint(double x) { return static_cast<int>(__double_as_longlong(x)); }
GRETA_DEVICE double __hiloint2double(int high, int low) {
  return __longlong_as_double(static_cast<long long>(high) << 32 | static_cast<unsigned>(low));
}

// Numbers to integers: rn to nearest even, rz towards zero, rd down, ru up; and back, to nearest even.
#define GRETA_CONVERSIONS(T, type, f, I, name)                                                            \
  GRETA_DEVICE I __##type##2##name##_rn(T x) { return static_cast<I>(__builtin_rint##f(x)); }             \
  GRETA_DEVICE I __##type##2##name##_rz(T x) { return static_cast<I>(x); }                                \
  GRETA_DEVICE I __##type##2##name##_rd(T x) { return static_cast<I>(__builtin_floor##f(x)); }            \
  GRETA_DEVICE I __##type##2##name##_ru(T x) { return static_cast<I>(__builtin_ceil##f(x)); }             \
  GRETA_DEVICE T __##name##2##type##_rn(I x) { return static_cast<T>(x); }
GRETA_CONVERSIONS(float, float, f, int, int)
GRETA_CONVERSIONS(float, float, f, unsigned, uint)
GRETA_CONVERSIONS(float, float, f, long long, ll)
GRETA_CONVERSIONS(float, float, f, unsigned long long, ull)
GRETA_CONVERSIONS(double, double, , int, int)
GRETA_CONVERSIONS(double, double, , unsigned, uint)
GRETA_CONVERSIONS(double, double, , long long, ll)
GRETA_CONVERSIONS(double, double, , unsigned long long, ull)
#undef GRETA_CONVERSIONS
GRETA_DEVICE float __double2float_rn(double x) { return static_cast<float>(x); }
GRETA_DEVICE double __float2double_rn(float x) { return x; }

template <typename T> GRETA_DEVICE T __ldg(const T* p) { return *p; }
