// Arithmetic and conversions rounded down (rd), up (ru) and towards zero (rz): to nearest first, with the error that this
// made, then one step back where it went the wrong way. Sums, products, quotients and roots have errors that floating
// point can tell exactly (Dekker; Muller et al., Handbook of Floating-Point Arithmetic, chapter 4). Where a product is
// subnormal, only the sign of its error counts.
#pragma once

namespace greta {

enum class Round { down, up, zero };

// A value rounded to nearest, and the sign of the exact result less that value.
template <typename T> struct Nearest { T value, rest; };

template <typename T> GRETA_DEVICE T next_up(T x) { return next_after(x, static_cast<T>(__builtin_inff())); }
template <typename T> GRETA_DEVICE T next_down(T x) { return next_after(x, -static_cast<T>(__builtin_inff())); }

template <Round way, typename T> GRETA_DEVICE T direct(Nearest<T> n, bool is_exact_infinity = false) {
  T x = n.value;
  if (x != x || is_exact_infinity) return x;
  if (__builtin_isinf(x)) {  // finite numbers that overflowed
    bool back = way == Round::zero || (way == Round::down) == (x > 0);
    return back ? (x > 0 ? next_down(x) : next_up(x)) : x;
  }
  if constexpr (way == Round::down) return n.rest < 0 ? next_down(x) : x;
  if constexpr (way == Round::up) return n.rest > 0 ? next_up(x) : x;
  if constexpr (way == Round::zero) return x > 0 && n.rest < 0 ? next_down(x) : x < 0 && n.rest > 0 ? next_up(x) : x;
}

template <typename T> GRETA_DEVICE Nearest<T> nearest_sum(T x, T y) {
#pragma clang fp contract(off)
#pragma clang fp reassociate(off)
  T s = x + y, t = s - x;
  return {s, (x - (s - t)) + (y - t)};
}
GRETA_DEVICE Nearest<double> nearest_product(double x, double y) {
#pragma clang fp contract(off)
  double p = x * y;
  if (__builtin_fabs(p) > 0x1p-960 || x == 0 || y == 0) return {p, __builtin_fma(x, y, -p)};
  if (p == 0) return {p, (x < 0) == (y < 0) ? 0x1p-1074 : -0x1p-1074};
  double rest = __builtin_fma(x * 0x1p120, y, -(p * 0x1p120)), unscaled = rest * 0x1p-120;
  return {p, unscaled == 0 && rest != 0 ? __builtin_copysign(0x1p-1074, rest) : unscaled};
}
// A double whose error has the sign of `rest`, as a float: what is lost now counts before what was lost then.
GRETA_DEVICE Nearest<float> narrowed(double x, double rest) {
  float f = static_cast<float>(x);
  double lost = x - static_cast<double>(f);
  lost = lost == 0 ? rest : lost;
  return {f, lost > 0 ? 1.0f : lost < 0 ? -1.0f : 0.0f};
}
GRETA_DEVICE Nearest<float> nearest_product(float x, float y) { return narrowed(static_cast<double>(x) * y, 0); }
template <typename T> GRETA_DEVICE Nearest<T> nearest_quotient(T x, T y) {
  T q = x / y, rest = __builtin_elementwise_fma(-q, y, x);
  return {q, y < 0 ? -rest : rest};
}
template <typename T> GRETA_DEVICE Nearest<T> nearest_root(T x) {
  T s = __builtin_elementwise_sqrt(x);
  return {s, __builtin_elementwise_fma(-s, s, x)};
}
// The error of a fused product and sum (Boldo and Muller, "Exact and approximated error of the FMA", 2011).
GRETA_DEVICE Nearest<double> nearest_fma(double x, double y, double z) {
#pragma clang fp contract(off)
#pragma clang fp reassociate(off)
  double r = __builtin_fma(x, y, z);
  Nearest<double> product = nearest_product(x, y), low = nearest_sum(z, product.rest);
  Nearest<double> high = nearest_sum(product.value, low.value);
  return {r, ((high.value - r) + high.rest) + low.rest};
}
GRETA_DEVICE Nearest<float> nearest_fma(float x, float y, float z) {
  Nearest<double> sum = nearest_sum(static_cast<double>(x) * y, static_cast<double>(z));
  return narrowed(sum.value, sum.rest);
}

}  // namespace greta

#define GRETA_DIRECTED_WAY(T, prefix, fma_name, rd, way)                                                                 \
  GRETA_DEVICE T __##prefix##add_##rd(T x, T y) {                                                                        \
    return greta::direct<way>(greta::nearest_sum(x, y), !greta::is_finite(x) || !greta::is_finite(y));                   \
  }                                                                                                                      \
  GRETA_DEVICE T __##prefix##sub_##rd(T x, T y) { return __##prefix##add_##rd(x, -y); }                                  \
  GRETA_DEVICE T __##prefix##mul_##rd(T x, T y) {                                                                        \
    return greta::direct<way>(greta::nearest_product(x, y), !greta::is_finite(x) || !greta::is_finite(y));               \
  }                                                                                                                      \
  GRETA_DEVICE T __##prefix##div_##rd(T x, T y) {                                                                        \
    return greta::direct<way>(greta::nearest_quotient(x, y), !greta::is_finite(x) || y == 0);                            \
  }                                                                                                                      \
  GRETA_DEVICE T __##prefix##rcp_##rd(T x) { return __##prefix##div_##rd(T(1), x); }                                     \
  GRETA_DEVICE T __##prefix##sqrt_##rd(T x) { return greta::direct<way>(greta::nearest_root(x), !greta::is_finite(x)); } \
  GRETA_DEVICE T fma_name##_##rd(T x, T y, T z) {                                                                        \
    return greta::direct<way>(greta::nearest_fma(x, y, z),                                                               \
                              !greta::is_finite(x) || !greta::is_finite(y) || !greta::is_finite(z));                     \
  }
#define GRETA_DIRECTED(T, prefix, fma_name)                                \
  GRETA_DIRECTED_WAY(T, prefix, fma_name, rd, greta::Round::down)          \
  GRETA_DIRECTED_WAY(T, prefix, fma_name, ru, greta::Round::up)            \
  GRETA_DIRECTED_WAY(T, prefix, fma_name, rz, greta::Round::zero)
GRETA_DIRECTED(float, f, __fmaf)
GRETA_DIRECTED(double, d, __fma)
#undef GRETA_DIRECTED
#undef GRETA_DIRECTED_WAY

// From integers and doubles. A sum of two exact halves keeps an integer of 64 bits whole.
#define GRETA_CONVERSION_WAY(rd, way)                                                                                \
  GRETA_DEVICE float __double2float_##rd(double x) {                                                                 \
    return greta::direct<way>(greta::narrowed(x, 0), !greta::is_finite(x));                                          \
  }                                                                                                                  \
  GRETA_DEVICE float __int2float_##rd(int x) { return __double2float_##rd(x); }                                      \
  GRETA_DEVICE float __uint2float_##rd(unsigned x) { return __double2float_##rd(x); }                                \
  GRETA_DEVICE double __ll2double_##rd(long long x) {                                                                \
    return __dadd_##rd(static_cast<double>(x >> 32) * 0x1p32, static_cast<double>(static_cast<unsigned>(x)));        \
  }                                                                                                                  \
  GRETA_DEVICE double __ull2double_##rd(unsigned long long x) {                                                      \
    return __dadd_##rd(static_cast<double>(x >> 32) * 0x1p32, static_cast<double>(static_cast<unsigned>(x)));        \
  }                                                                                                                  \
  GRETA_DEVICE float __ll2float_##rd(long long x) { return greta::from_wide<way>(__ll2double_rz(x), x); }            \
  GRETA_DEVICE float __ull2float_##rd(unsigned long long x) { return greta::from_wide<way>(__ull2double_rz(x), x); }

namespace greta {
// An integer whose double `d` was rounded towards zero: rounded away once more where digits were lost that `way` counts.
template <Round way, typename I> GRETA_DEVICE float from_wide(double d, I x) {
  I back = static_cast<I>(d);
  return direct<way>(narrowed(d, back == x ? 0 : x > back ? 1 : -1));
}
}  // namespace greta

GRETA_CONVERSION_WAY(rz, greta::Round::zero)
GRETA_CONVERSION_WAY(rd, greta::Round::down)
GRETA_CONVERSION_WAY(ru, greta::Round::up)
#undef GRETA_CONVERSION_WAY
