// The math functions by the names kernels call them: expf, exp(double) and C++'s exp(float). <cmath> puts them into std.
#pragma once

// GRETA_OWN_MATH replaces OpenCL's functions by the ones for amdgcn, which is how these are tested on a CPU.
#if defined(__SPIRV__)
#include "math_opencl.h"
#endif
#if defined(__AMDGCN__) || defined(GRETA_OWN_MATH)
#include "math_double.h"
#include "math_trig.h"
#include "math_float.h"
#include "math_gamma.h"
namespace greta { namespace elementary = own; }
#else
namespace greta { namespace elementary = opencl; }
#endif

// The float, the double, C++'s overload for float, and the one that takes integers to double.
#define GRETA_MATH_UNARY(name, float_function, double_function)                                             \
  GRETA_DEVICE float name##f(float x) { return float_function(x); }                                         \
  GRETA_DEVICE double name(double x) { return double_function(x); }                                         \
  GRETA_DEVICE float name(float x) { return float_function(x); }                                            \
  template <typename T> GRETA_DEVICE typename greta::only_if<double, __is_integral(T)>::type name(T x) {    \
    return double_function(static_cast<double>(x));                                                         \
  }
// The same for two arguments; where they differ in type, both become double.
#define GRETA_MATH_BINARY(name, float_function, double_function)                                            \
  GRETA_DEVICE float name##f(float x, float y) { return float_function(x, y); }                             \
  GRETA_DEVICE double name(double x, double y) { return double_function(x, y); }                            \
  GRETA_DEVICE float name(float x, float y) { return float_function(x, y); }                                \
  template <typename T, typename U>                                                                         \
  GRETA_DEVICE typename greta::only_if<double, __is_arithmetic(T) && __is_arithmetic(U)>::type name(T x, U y) { \
    return double_function(static_cast<double>(x), static_cast<double>(y));                                 \
  }
#define GRETA_MATH_BUILTIN(name) GRETA_MATH_UNARY(name, __builtin_##name##f, __builtin_##name)
#define GRETA_MATH_ELEMENTARY(name) GRETA_MATH_UNARY(name, greta::elementary::name, greta::elementary::name)

GRETA_MATH_BUILTIN(sqrt)
GRETA_MATH_BUILTIN(fabs)
GRETA_MATH_BUILTIN(floor)
GRETA_MATH_BUILTIN(ceil)
GRETA_MATH_BUILTIN(trunc)
GRETA_MATH_BUILTIN(rint)
GRETA_MATH_BUILTIN(nearbyint)
GRETA_MATH_BUILTIN(round)
GRETA_MATH_ELEMENTARY(exp)
GRETA_MATH_ELEMENTARY(exp2)
GRETA_MATH_ELEMENTARY(exp10)
GRETA_MATH_ELEMENTARY(expm1)
GRETA_MATH_ELEMENTARY(log)
GRETA_MATH_ELEMENTARY(log2)
GRETA_MATH_ELEMENTARY(log10)
GRETA_MATH_ELEMENTARY(log1p)
GRETA_MATH_ELEMENTARY(cbrt)
GRETA_MATH_ELEMENTARY(sin)
GRETA_MATH_ELEMENTARY(cos)
GRETA_MATH_ELEMENTARY(tan)
GRETA_MATH_ELEMENTARY(sinpi)
GRETA_MATH_ELEMENTARY(cospi)
GRETA_MATH_ELEMENTARY(asin)
GRETA_MATH_ELEMENTARY(acos)
GRETA_MATH_ELEMENTARY(atan)
GRETA_MATH_ELEMENTARY(sinh)
GRETA_MATH_ELEMENTARY(cosh)
GRETA_MATH_ELEMENTARY(tanh)
GRETA_MATH_ELEMENTARY(asinh)
GRETA_MATH_ELEMENTARY(acosh)
GRETA_MATH_ELEMENTARY(atanh)
GRETA_MATH_ELEMENTARY(erf)
GRETA_MATH_ELEMENTARY(erfc)
GRETA_MATH_BINARY(fmod, __builtin_fmodf, __builtin_fmod)
GRETA_MATH_BINARY(fmin, __builtin_fminf, __builtin_fmin)
GRETA_MATH_BINARY(fmax, __builtin_fmaxf, __builtin_fmax)
GRETA_MATH_BINARY(copysign, __builtin_copysignf, __builtin_copysign)
GRETA_MATH_BINARY(pow, greta::elementary::pow, greta::elementary::pow)
GRETA_MATH_BINARY(atan2, greta::elementary::atan2, greta::elementary::atan2)
GRETA_MATH_BINARY(hypot, greta::elementary::hypot, greta::elementary::hypot)

namespace greta {

GRETA_DEVICE double reciprocal_sqrt(double x) { return 1.0 / __builtin_sqrt(x); }  // 1 ulp
GRETA_DEVICE float reciprocal_sqrt(float x) {
#if defined(__AMDGCN__)  // v_rsq_f32, 1 ulp; it takes subnormal arguments for 0, so these are scaled
  bool small = x < 0x1p-126f;
  return __builtin_amdgcn_rsqf(small ? x * 0x1p24f : x) * (small ? 0x1p12f : 1.0f);
#else
  return 1.0f / __builtin_sqrtf(x);
#endif
}
template <typename T> GRETA_DEVICE T difference(T x, T y) { return x <= y ? T(0) : x - y; }
// x - n * y with n the integer nearest x / y, even on a tie.
GRETA_DEVICE double remainder(double x, double y) {
  double size = __builtin_fabs(y), r = __builtin_fabs(__builtin_fmod(x, 2 * size));
  if (size > 0x1p1022) r = __builtin_fabs(x);  // 2y overflows
  if (!(__builtin_fabs(x) < __builtin_inf()) || size == 0 || y != y) return __builtin_nan("");
  if (r > 0.5 * size) r = r - size >= 0.5 * size ? (r - size) - size : r - size;
  return __builtin_signbit(x) ? -r : r;
}
GRETA_DEVICE float remainder(float x, float y) {
  return static_cast<float>(remainder(static_cast<double>(x), static_cast<double>(y)));
}

}  // namespace greta

GRETA_MATH_UNARY(rsqrt, greta::reciprocal_sqrt, greta::reciprocal_sqrt)
GRETA_MATH_UNARY(rcbrt, 1.0f / greta::elementary::cbrt, 1.0 / greta::elementary::cbrt)
GRETA_MATH_BINARY(fdim, greta::difference, greta::difference)
GRETA_MATH_BINARY(remainder, greta::remainder, greta::remainder)

GRETA_MATH_ELEMENTARY(lgamma)
GRETA_MATH_ELEMENTARY(tgamma)

#define GRETA_MATH_MISSING(name)                                                                                  \
  __attribute__((device, unavailable("pytest-greta's HIP header has no " #name "; compile with ROCm"))) double name(double); \
  __attribute__((device, unavailable("pytest-greta's HIP header has no " #name "f; compile with ROCm"))) float name##f(float);
GRETA_MATH_MISSING(j0)
GRETA_MATH_MISSING(j1)
GRETA_MATH_MISSING(erfinv)
GRETA_MATH_MISSING(erfcinv)
GRETA_MATH_MISSING(normcdfinv)
#undef GRETA_MATH_MISSING
#undef GRETA_MATH_UNARY
#undef GRETA_MATH_BINARY
#undef GRETA_MATH_BUILTIN
#undef GRETA_MATH_ELEMENTARY

#define GRETA_MATH_BOTH(T, f, bits_type)                                                                          \
  GRETA_DEVICE T fma##f(T x, T y, T z) { return __builtin_fma##f(x, y, z); }                                      \
  GRETA_DEVICE T ldexp##f(T x, int n) { return greta::ldexp(x, n); }                                        \
  GRETA_DEVICE T scalbn##f(T x, int n) { return greta::ldexp(x, n); }                                       \
  GRETA_DEVICE long lrint##f(T x) { return static_cast<long>(__builtin_rint##f(x)); }                             \
  GRETA_DEVICE long lround##f(T x) { return static_cast<long>(__builtin_round##f(x)); }                           \
  GRETA_DEVICE long long llrint##f(T x) { return static_cast<long long>(__builtin_rint##f(x)); }                  \
  GRETA_DEVICE long long llround##f(T x) { return static_cast<long long>(__builtin_round##f(x)); }                \
  GRETA_DEVICE T modf##f(T x, T* whole) {                                                                         \
    *whole = __builtin_trunc##f(x);                                                                               \
    return __builtin_copysign##f(__builtin_isinf(x) ? 0 : x - *whole, x);                                         \
  }                                                                                                               \
  GRETA_DEVICE void sincos##f(T x, T* s, T* c) {                                                                  \
    *s = greta::elementary::sin(x);                                                                               \
    *c = greta::elementary::cos(x);                                                                               \
  }                                                                                                               \
  GRETA_DEVICE T normcdf##f(T x) {                                                                                \
    return static_cast<T>(0.5 * greta::elementary::erfc(-0.70710678118654752440 * static_cast<double>(x)));       \
  }
GRETA_MATH_BOTH(float, f, unsigned)
GRETA_MATH_BOTH(double, , unsigned long)
#undef GRETA_MATH_BOTH
GRETA_DEVICE float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
GRETA_DEVICE float ldexp(float x, int n) { return greta::ldexp(x, n); }
GRETA_DEVICE float fdividef(float x, float y) { return x / y; }
GRETA_DEVICE float nanf(const char*) { return __builtin_nanf(""); }
GRETA_DEVICE double nan(const char*) { return __builtin_nan(""); }

#define GRETA_CLASSIFY(T)                                                                \
  GRETA_DEVICE bool isnan(T x) { return __builtin_isnan(x); }                            \
  GRETA_DEVICE bool isinf(T x) { return __builtin_isinf(x); }                            \
  GRETA_DEVICE bool isfinite(T x) { return !__builtin_isnan(x) && !__builtin_isinf(x); } \
  GRETA_DEVICE bool signbit(T x) { return __builtin_signbit(x); }                        \
  GRETA_DEVICE T abs(T x) { return x < 0 ? -x : x == 0 ? T(0) : x; }
GRETA_CLASSIFY(float)
GRETA_CLASSIFY(double)
#undef GRETA_CLASSIFY
GRETA_DEVICE int abs(int x) { return x < 0 ? -x : x; }
GRETA_DEVICE long abs(long x) { return x < 0 ? -x : x; }
GRETA_DEVICE long long abs(long long x) { return x < 0 ? -x : x; }
GRETA_DEVICE long labs(long x) { return abs(x); }
GRETA_DEVICE long long llabs(long long x) { return abs(x); }

// Of any two numbers, in their common type; of floats, the one that is not NaN.
#define GRETA_MIN_MAX(name, order)                                                                               \
  template <typename T, typename U, typename = typename greta::only_if<T, __is_arithmetic(T) && __is_arithmetic(U)>::type> \
  GRETA_DEVICE auto name(T x, U y) -> decltype(true ? T() : U()) {                                               \
    using Common = decltype(true ? T() : U());                                                                   \
    if constexpr (__is_floating_point(Common)) return GRETA_##name(Common(x), Common(y));                         \
    else return Common(x) order Common(y) ? Common(x) : Common(y);                                               \
  }
GRETA_MIN_MAX(min, <)
GRETA_MIN_MAX(max, >)
#undef GRETA_MIN_MAX

namespace std {
using ::isinf;
using ::isnan;
}  // namespace std
