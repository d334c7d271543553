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
  __attribute__((device, always_inline)) __hip_bfloat16(float f) : bits(greta::bfloat16_from_float(f)) {}
  __attribute__((device, always_inline)) __hip_bfloat16(double d) : bits(greta::bfloat16_from_double(d)) {}
  template <typename T, typename = typename greta::only_if<T, __is_integral(T)>::type>
  __attribute__((device, always_inline)) __hip_bfloat16(T i) : bits(greta::bfloat16_from_double(static_cast<double>(i))) {}
  __attribute__((device, always_inline)) operator float() const { return greta::bfloat16_to_float(bits); }
  GRETA_MEMBER operator __hip_bfloat16_raw() const { return {bits}; }
};
static_assert(sizeof(__hip_bfloat16) == 2 && alignof(__hip_bfloat16) == 2 && __is_trivially_copyable(__hip_bfloat16));

struct alignas(4) __hip_bfloat162 {
  __hip_bfloat16 x, y;

  __hip_bfloat162() = default;
  GRETA_MEMBER __hip_bfloat162(const __hip_bfloat16& low, const __hip_bfloat16& high) : x(low), y(high) {}
  __attribute__((device, always_inline)) __hip_bfloat162(float2 f) : x(f.x), y(f.y) {}
  __attribute__((device, always_inline)) operator float2() const { return make_float2(x, y); }
};

GRETA_DEVICE float __bfloat162float(__hip_bfloat16 b) { return b; }
GRETA_DEVICE __hip_bfloat16 __float2bfloat16(float f) { return f; }
GRETA_DEVICE __hip_bfloat16 __float2bfloat16_rn(float f) { return f; }
GRETA_DEVICE __hip_bfloat16 __double2bfloat16(double d) { return d; }
GRETA_DEVICE __hip_bfloat16 __int2bfloat16_rn(int i) { return i; }
GRETA_DEVICE short __bfloat16_as_short(__hip_bfloat16 b) { return static_cast<short>(b.bits); }
GRETA_DEVICE unsigned short __bfloat16_as_ushort(__hip_bfloat16 b) { return b.bits; }
GRETA_DEVICE __hip_bfloat16 __short_as_bfloat16(short s) { return __hip_bfloat16_raw{static_cast<unsigned short>(s)}; }
GRETA_DEVICE __hip_bfloat16 __ushort_as_bfloat16(unsigned short s) { return __hip_bfloat16_raw{s}; }
GRETA_DEVICE __hip_bfloat162 __float2bfloat162_rn(float f) { return {f, f}; }
GRETA_DEVICE __hip_bfloat162 __floats2bfloat162_rn(float x, float y) { return {x, y}; }
GRETA_DEVICE __hip_bfloat162 __float22bfloat162_rn(float2 f) { return f; }
GRETA_DEVICE float2 __bfloat1622float2(__hip_bfloat162 b) { return b; }
GRETA_DEVICE __hip_bfloat162 __bfloat162bfloat162(__hip_bfloat16 b) { return {b, b}; }
GRETA_DEVICE __hip_bfloat162 __halves2bfloat162(__hip_bfloat16 x, __hip_bfloat16 y) { return {x, y}; }
GRETA_DEVICE __hip_bfloat162 make_bfloat162(__hip_bfloat16 x, __hip_bfloat16 y) { return {x, y}; }
GRETA_DEVICE __hip_bfloat16 __low2bfloat16(__hip_bfloat162 b) { return b.x; }
GRETA_DEVICE __hip_bfloat16 __high2bfloat16(__hip_bfloat162 b) { return b.y; }
GRETA_DEVICE float __low2float(__hip_bfloat162 b) { return b.x; }
GRETA_DEVICE float __high2float(__hip_bfloat162 b) { return b.y; }

// Arithmetic is done in float and rounded once; a sum, product or quotient is then rounded correctly.
#define GRETA_BFLOAT16_BINARY(op, name, name2)                                                                        \
  GRETA_DEVICE __hip_bfloat16 operator op(__hip_bfloat16 a, __hip_bfloat16 b) { return float(a) op float(b); }        \
  GRETA_DEVICE __hip_bfloat16& operator op##=(__hip_bfloat16& a, __hip_bfloat16 b) { return a = a op b; }             \
  GRETA_DEVICE __hip_bfloat16 name(__hip_bfloat16 a, __hip_bfloat16 b) { return a op b; }                             \
  GRETA_DEVICE __hip_bfloat162 operator op(__hip_bfloat162 a, __hip_bfloat162 b) { return {a.x op b.x, a.y op b.y}; } \
  GRETA_DEVICE __hip_bfloat162& operator op##=(__hip_bfloat162& a, __hip_bfloat162 b) { return a = a op b; }          \
  GRETA_DEVICE __hip_bfloat162 name2(__hip_bfloat162 a, __hip_bfloat162 b) { return a op b; }
GRETA_BFLOAT16_BINARY(+, __hadd, __hadd2)
GRETA_BFLOAT16_BINARY(-, __hsub, __hsub2)
GRETA_BFLOAT16_BINARY(*, __hmul, __hmul2)
GRETA_BFLOAT16_BINARY(/, __hdiv, __h2div)
#undef GRETA_BFLOAT16_BINARY
#define GRETA_BFLOAT16_COMPARE(op, name)                                                                              \
  GRETA_DEVICE bool operator op(__hip_bfloat16 a, __hip_bfloat16 b) { return float(a) op float(b); }                  \
  GRETA_DEVICE bool name(__hip_bfloat16 a, __hip_bfloat16 b) { return a op b; }
GRETA_BFLOAT16_COMPARE(==, __heq)
GRETA_BFLOAT16_COMPARE(!=, __hne)
GRETA_BFLOAT16_COMPARE(<, __hlt)
GRETA_BFLOAT16_COMPARE(<=, __hle)
GRETA_BFLOAT16_COMPARE(>, __hgt)
GRETA_BFLOAT16_COMPARE(>=, __hge)
#undef GRETA_BFLOAT16_COMPARE
GRETA_DEVICE __hip_bfloat16 operator-(__hip_bfloat16 a) { return __ushort_as_bfloat16(a.bits ^ 0x8000); }
GRETA_DEVICE __hip_bfloat16 __hneg(__hip_bfloat16 a) { return -a; }
GRETA_DEVICE __hip_bfloat16 __habs(__hip_bfloat16 a) { return __ushort_as_bfloat16(a.bits & 0x7fff); }
GRETA_DEVICE __hip_bfloat16 __hmax(__hip_bfloat16 a, __hip_bfloat16 b) { return fmaxf(a, b); }
GRETA_DEVICE __hip_bfloat16 __hmin(__hip_bfloat16 a, __hip_bfloat16 b) { return fminf(a, b); }
GRETA_DEVICE bool __hisnan(__hip_bfloat16 a) { return isnan(float(a)); }
GRETA_DEVICE int __hisinf(__hip_bfloat16 a) { return isinf(float(a)) ? (float(a) > 0 ? 1 : -1) : 0; }
// The fused result is rounded to float and then to bfloat16, as in HIP.
GRETA_DEVICE __hip_bfloat16 __hfma(__hip_bfloat16 a, __hip_bfloat16 b, __hip_bfloat16 c) { return fmaf(a, b, c); }
GRETA_DEVICE __hip_bfloat162 __hfma2(__hip_bfloat162 a, __hip_bfloat162 b, __hip_bfloat162 c) {
  return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)};
}
GRETA_DEVICE __hip_bfloat16 hexp(__hip_bfloat16 a) { return expf(a); }
GRETA_DEVICE __hip_bfloat16 hexp2(__hip_bfloat16 a) { return exp2f(a); }
GRETA_DEVICE __hip_bfloat16 hlog(__hip_bfloat16 a) { return logf(a); }
GRETA_DEVICE __hip_bfloat16 hlog2(__hip_bfloat16 a) { return log2f(a); }
GRETA_DEVICE __hip_bfloat16 hsqrt(__hip_bfloat16 a) { return sqrtf(a); }
GRETA_DEVICE __hip_bfloat16 hrsqrt(__hip_bfloat16 a) { return rsqrtf(a); }
GRETA_DEVICE __hip_bfloat16 hrcp(__hip_bfloat16 a) { return 1.0f / float(a); }
GRETA_SHUFFLES(__hip_bfloat16)
GRETA_SHUFFLES(__hip_bfloat162)
