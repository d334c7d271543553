// __hip_bfloat16 and __hip_bfloat162.
#pragma once
#include "hip_runtime.h"
#include "greta/bfloat16.h"

struct __hip_bfloat16_raw { unsigned short x; };
struct __hip_bfloat162_raw { unsigned short x, y; };

struct __hip_bfloat16 {
  unsigned short bits;

  __hip_bfloat16() = default;
  GRETA_MEMBER __hip_bfloat16(const __hip_bfloat16_raw& raw) : bits(raw.x) {}
  __attribute__((host, device, always_inline)) __hip_bfloat16(float f) : bits(greta::bfloat16_from_float(f)) {}
  __attribute__((host, device, always_inline)) __hip_bfloat16(double d) : bits(greta::bfloat16_from_double(d)) {}
  template <typename T, typename = typename greta::only_if<T, __is_integral(T)>::type>
  __attribute__((host, device, always_inline)) __hip_bfloat16(T i) : bits(greta::bfloat16_from_double(static_cast<double>(i))) {}
  __attribute__((host, device, always_inline)) operator float() const { return greta::bfloat16_to_float(bits); }
  GRETA_MEMBER operator __hip_bfloat16_raw() const { return {bits}; }
};
static_assert(sizeof(__hip_bfloat16) == 2 && alignof(__hip_bfloat16) == 2 && __is_trivially_copyable(__hip_bfloat16));

struct alignas(4) __hip_bfloat162 {
  __hip_bfloat16 x, y;

  __hip_bfloat162() = default;
  GRETA_MEMBER __hip_bfloat162(const __hip_bfloat16& low, const __hip_bfloat16& high) : x(low), y(high) {}
  __attribute__((host, device, always_inline)) __hip_bfloat162(float2 f) : x(f.x), y(f.y) {}
  __attribute__((host, device, always_inline)) operator float2() const { return make_float2(x, y); }
};

GRETA_BOTH float __bfloat162float(__hip_bfloat16 b) { return b; }
GRETA_BOTH __hip_bfloat16 __float2bfloat16(float f) { return f; }
GRETA_BOTH __hip_bfloat16 __float2bfloat16_rn(float f) { return f; }
GRETA_BOTH __hip_bfloat16 __double2bfloat16(double d) { return d; }
GRETA_BOTH __hip_bfloat16 __int2bfloat16_rn(int i) { return i; }
GRETA_BOTH short __bfloat16_as_short(__hip_bfloat16 b) { return static_cast<short>(b.bits); }
GRETA_BOTH unsigned short __bfloat16_as_ushort(__hip_bfloat16 b) { return b.bits; }
GRETA_BOTH __hip_bfloat16 __short_as_bfloat16(short s) { return __hip_bfloat16_raw{static_cast<unsigned short>(s)}; }
GRETA_BOTH __hip_bfloat16 __ushort_as_bfloat16(unsigned short s) { return __hip_bfloat16_raw{s}; }
GRETA_BOTH __hip_bfloat162 __float2bfloat162_rn(float f) { return {f, f}; }
GRETA_BOTH __hip_bfloat162 __floats2bfloat162_rn(float x, float y) { return {x, y}; }
GRETA_BOTH __hip_bfloat162 __float22bfloat162_rn(float2 f) { return f; }
GRETA_BOTH float2 __bfloat1622float2(__hip_bfloat162 b) { return b; }
GRETA_BOTH __hip_bfloat162 __bfloat162bfloat162(__hip_bfloat16 b) { return {b, b}; }
GRETA_BOTH __hip_bfloat162 __halves2bfloat162(__hip_bfloat16 x, __hip_bfloat16 y) { return {x, y}; }
GRETA_BOTH __hip_bfloat162 make_bfloat162(__hip_bfloat16 x, __hip_bfloat16 y) { return {x, y}; }
GRETA_BOTH __hip_bfloat16 __low2bfloat16(__hip_bfloat162 b) { return b.x; }
GRETA_BOTH __hip_bfloat16 __high2bfloat16(__hip_bfloat162 b) { return b.y; }
GRETA_BOTH float __low2float(__hip_bfloat162 b) { return b.x; }
GRETA_BOTH float __high2float(__hip_bfloat162 b) { return b.y; }

// Arithmetic is done in float and rounded once; a sum, product or quotient is then rounded correctly.
#define GRETA_BFLOAT16_BINARY(op, name, name2)                                                                      \
  GRETA_BOTH __hip_bfloat16 operator op(__hip_bfloat16 a, __hip_bfloat16 b) { return float(a) op float(b); }        \
  GRETA_BOTH __hip_bfloat16& operator op##=(__hip_bfloat16& a, __hip_bfloat16 b) { return a = a op b; }             \
  GRETA_BOTH __hip_bfloat16 name(__hip_bfloat16 a, __hip_bfloat16 b) { return a op b; }                             \
  GRETA_BOTH __hip_bfloat162 operator op(__hip_bfloat162 a, __hip_bfloat162 b) { return {a.x op b.x, a.y op b.y}; } \
  GRETA_BOTH __hip_bfloat162& operator op##=(__hip_bfloat162& a, __hip_bfloat162 b) { return a = a op b; }          \
  GRETA_BOTH __hip_bfloat162 name2(__hip_bfloat162 a, __hip_bfloat162 b) { return a op b; }
GRETA_BFLOAT16_BINARY(+, __hadd, __hadd2)
GRETA_BFLOAT16_BINARY(-, __hsub, __hsub2)
GRETA_BFLOAT16_BINARY(*, __hmul, __hmul2)
GRETA_BFLOAT16_BINARY(/, __hdiv, __h2div)
#undef GRETA_BFLOAT16_BINARY
GRETA_BOTH bool __hisnan(__hip_bfloat16 a) { return float(a) != float(a); }
// Comparisons, of pairs as 1 or 0 for each and (hb) whether both hold; the u forms are also true where one is NaN.
#define GRETA_BFLOAT16_COMPARE(op, name)                                                                              \
  GRETA_BOTH bool operator op(__hip_bfloat16 a, __hip_bfloat16 b) { return float(a) op float(b); }                    \
  GRETA_BOTH bool __h##name(__hip_bfloat16 a, __hip_bfloat16 b) { return a op b; }                                    \
  GRETA_BOTH bool __h##name##u(__hip_bfloat16 a, __hip_bfloat16 b) { return __hisnan(a) || __hisnan(b) || a op b; }   \
  GRETA_BOTH __hip_bfloat162 __h##name##2(__hip_bfloat162 a, __hip_bfloat162 b) {                                     \
    return {a.x op b.x ? 1.0f : 0.0f, a.y op b.y ? 1.0f : 0.0f};                                                      \
  }                                                                                                                   \
  GRETA_BOTH __hip_bfloat162 __h##name##u2(__hip_bfloat162 a, __hip_bfloat162 b) {                                    \
    return {__h##name##u(a.x, b.x) ? 1.0f : 0.0f, __h##name##u(a.y, b.y) ? 1.0f : 0.0f};                              \
  }                                                                                                                   \
  GRETA_BOTH bool __hb##name##2(__hip_bfloat162 a, __hip_bfloat162 b) { return a.x op b.x && a.y op b.y; }            \
  GRETA_BOTH bool __hb##name##u2(__hip_bfloat162 a, __hip_bfloat162 b) {                                              \
    return __h##name##u(a.x, b.x) && __h##name##u(a.y, b.y);                                                          \
  }
GRETA_BFLOAT16_COMPARE(==, eq)
GRETA_BFLOAT16_COMPARE(!=, ne)
GRETA_BFLOAT16_COMPARE(<, lt)
GRETA_BFLOAT16_COMPARE(<=, le)
GRETA_BFLOAT16_COMPARE(>, gt)
GRETA_BFLOAT16_COMPARE(>=, ge)
GRETA_BOTH bool operator==(__hip_bfloat162 a, __hip_bfloat162 b) { return __hbeq2(a, b); }
GRETA_BOTH bool operator!=(__hip_bfloat162 a, __hip_bfloat162 b) { return !__hbeq2(a, b); }
#undef GRETA_BFLOAT16_COMPARE
GRETA_BOTH __hip_bfloat16 operator-(__hip_bfloat16 a) { return __ushort_as_bfloat16(a.bits ^ 0x8000); }
GRETA_BOTH __hip_bfloat16 __hneg(__hip_bfloat16 a) { return -a; }
GRETA_BOTH __hip_bfloat16 __habs(__hip_bfloat16 a) { return __ushort_as_bfloat16(a.bits & 0x7fff); }
GRETA_BOTH __hip_bfloat16 __hmax(__hip_bfloat16 a, __hip_bfloat16 b) { return __builtin_fmaxf(a, b); }
GRETA_BOTH __hip_bfloat16 __hmin(__hip_bfloat16 a, __hip_bfloat16 b) { return __builtin_fminf(a, b); }
GRETA_BOTH int __hisinf(__hip_bfloat16 a) { return __builtin_isinf(float(a)) ? (float(a) > 0 ? 1 : -1) : 0; }
// The fused result is rounded to float and then to bfloat16, as in HIP.
GRETA_BOTH __hip_bfloat16 __hfma(__hip_bfloat16 a, __hip_bfloat16 b, __hip_bfloat16 c) { return __builtin_fmaf(a, b, c); }
GRETA_BOTH __hip_bfloat162 __hfma2(__hip_bfloat162 a, __hip_bfloat162 b, __hip_bfloat162 c) {
  return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
GRETA_BOTH __hip_bfloat162 __hneg2(__hip_bfloat162 a) { return {-a.x, -a.y}; }
GRETA_BOTH __hip_bfloat162 operator-(__hip_bfloat162 a) { return __hneg2(a); }
GRETA_BOTH __hip_bfloat162 __habs2(__hip_bfloat162 a) { return {__habs(a.x), __habs(a.y)}; }
GRETA_BOTH __hip_bfloat162 __hmax2(__hip_bfloat162 a, __hip_bfloat162 b) { return {__hmax(a.x, b.x), __hmax(a.y, b.y)}; }
GRETA_BOTH __hip_bfloat162 __hmin2(__hip_bfloat162 a, __hip_bfloat162 b) { return {__hmin(a.x, b.x), __hmin(a.y, b.y)}; }
GRETA_BOTH __hip_bfloat162 __hisnan2(__hip_bfloat162 a) {
  return {__hisnan(a.x) ? 1.0f : 0.0f, __hisnan(a.y) ? 1.0f : 0.0f};
}
GRETA_BOTH __hip_bfloat162 __low2bfloat162(__hip_bfloat162 a) { return {a.x, a.x}; }
GRETA_BOTH __hip_bfloat162 __high2bfloat162(__hip_bfloat162 a) { return {a.y, a.y}; }
GRETA_BOTH __hip_bfloat162 __lows2bfloat162(__hip_bfloat162 a, __hip_bfloat162 b) { return {a.x, b.x}; }
GRETA_BOTH __hip_bfloat162 __highs2bfloat162(__hip_bfloat162 a, __hip_bfloat162 b) { return {a.y, b.y}; }
GRETA_BOTH __hip_bfloat162 __lowhigh2highlow(__hip_bfloat162 a) { return {a.y, a.x}; }

// Elementary functions, computed in float and rounded once.
#define GRETA_BFLOAT16_MATH(name, function)                                          \
  GRETA_BOTH __hip_bfloat16 h##name(__hip_bfloat16 a) { return function(float(a)); } \
  GRETA_BOTH __hip_bfloat162 h2##name(__hip_bfloat162 a) { return {h##name(a.x), h##name(a.y)}; }
GRETA_BFLOAT16_MATH(exp, expf)
GRETA_BFLOAT16_MATH(exp2, exp2f)
GRETA_BFLOAT16_MATH(exp10, exp10f)
GRETA_BFLOAT16_MATH(log, logf)
GRETA_BFLOAT16_MATH(log2, log2f)
GRETA_BFLOAT16_MATH(log10, log10f)
GRETA_BFLOAT16_MATH(sqrt, sqrtf)
GRETA_BFLOAT16_MATH(rsqrt, rsqrtf)
GRETA_BFLOAT16_MATH(rcp, 1.0f /)
GRETA_BFLOAT16_MATH(sin, sinf)
GRETA_BFLOAT16_MATH(cos, cosf)
GRETA_BFLOAT16_MATH(floor, floorf)
GRETA_BFLOAT16_MATH(ceil, ceilf)
GRETA_BFLOAT16_MATH(trunc, truncf)
GRETA_BFLOAT16_MATH(rint, rintf)
#undef GRETA_BFLOAT16_MATH
GRETA_SHUFFLES(__hip_bfloat16)
GRETA_SHUFFLES(__hip_bfloat162)
