// Functions of C's <math.h> and HIP's that take numbers apart, and norms.
#pragma once

namespace greta {

template <typename T> struct FloatBits;
template <> struct FloatBits<float> {
  using Bits = unsigned;
  static constexpr int mantissa = 23, bias = 127, exponents = 0xff;
};
template <> struct FloatBits<double> {
  using Bits = unsigned long long;
  static constexpr int mantissa = 52, bias = 1023, exponents = 0x7ff;
};
template <typename T> GRETA_BOTH typename FloatBits<T>::Bits to_bits(T x) {
  return __builtin_bit_cast(typename FloatBits<T>::Bits, x);
}
template <typename T> GRETA_BOTH bool is_finite(T x) { return x - x == 0; }

// The exponent of a number that is finite and not 0: 2^e <= |x| < 2^(e+1).
template <typename T> GRETA_BOTH int exponent_of(T x) {
  using F = FloatBits<T>;
  int e = static_cast<int>(to_bits(x) >> F::mantissa) & F::exponents;
  if (e != 0) return e - F::bias;
  T scaled = x * static_cast<T>(1ull << F::mantissa);  // subnormal
  return (static_cast<int>(to_bits(scaled) >> F::mantissa) & F::exponents) - F::bias - F::mantissa;
}
// x * 2^n for an n that is itself the exponent of a normal number.
template <typename T> GRETA_BOTH T scale_by_power(T x, int n) {
  using F = FloatBits<T>;
  return x * __builtin_bit_cast(T, static_cast<typename F::Bits>(n + F::bias) << F::mantissa);
}
template <typename T> GRETA_DEVICE T take_apart(T x, int* exponent) {
  if (x == 0 || !is_finite(x)) return *exponent = 0, x;
  int e = exponent_of(x) + 1;
  *exponent = e;
  return greta::ldexp(greta::ldexp(x, -(e / 2)), -(e - e / 2));
}
template <typename T> GRETA_DEVICE T exponent_as_number(T x) {
  if (x == 0) return -T(1) / (x * x);
  return is_finite(x) ? static_cast<T>(exponent_of(x)) : x * x;
}
template <typename T> GRETA_DEVICE int exponent_as_integer(T x) {
  if (x == 0 || x != x) return -__INT_MAX__ - 1;
  return is_finite(x) ? exponent_of(x) : __INT_MAX__;
}
template <typename T> GRETA_DEVICE T next_after(T x, T y) {
  using Bits = typename FloatBits<T>::Bits;
  if (x != x || y != y) return x + y;
  if (x == y) return y;
  Bits bits = to_bits(x);
  if (x == 0) return __builtin_bit_cast(T, Bits(to_bits(y) >> (sizeof(T) * 8 - 1) << (sizeof(T) * 8 - 1) | 1));
  return __builtin_bit_cast(T, Bits((x < y) == (x > 0) ? bits + 1 : bits - 1));
}
// The remainder, and the last three bits of the quotient with its sign.
template <typename T> GRETA_DEVICE T remainder_and_quotient(T x, T y, int* quotient) {
  T rest = greta::remainder(x, y), size = __builtin_elementwise_abs(y);
  *quotient = 0;
  if (rest != rest || !is_finite(size)) return rest;
  T magnitude = __builtin_elementwise_abs(x);
  T part = is_finite(8 * size) ? static_cast<T>(fmod(magnitude, 8 * size)) : magnitude;
  int n = static_cast<int>(__builtin_elementwise_rint((part - greta::remainder(part, size)) / size)) & 7;
  *quotient = (x < 0) == (y < 0) ? n : -n;
  return rest;
}
// The root of a sum of squares, without overflow on the way: 1 ulp in single precision, 2 in double.
GRETA_DEVICE float root_of_squares(const float* p, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) {
    if (__builtin_isinf(p[i])) return __builtin_inff();
    sum += static_cast<double>(p[i]) * p[i];
  }
  return static_cast<float>(__builtin_sqrt(sum));
}
GRETA_DEVICE double root_of_squares(const double* p, int n) {
  double largest = 0, sum = 0;
  for (int i = 0; i < n; ++i) {
    if (__builtin_isinf(p[i])) return __builtin_inf();
    double size = __builtin_fabs(p[i]);
    largest = size > largest || size != size ? size : largest;
  }
  if (largest == 0 || largest != largest) return largest;
  int e = exponent_of(largest);
  for (int i = 0; i < n; ++i) {
    double x = greta::ldexp(p[i], -e);
    sum = __builtin_fma(x, x, sum);
  }
  return greta::ldexp(__builtin_sqrt(sum), e);
}

}  // namespace greta

#define GRETA_MATH_MORE(T, f)                                                                                 \
  GRETA_DEVICE T frexp##f(T x, int* exponent) { return greta::take_apart(x, exponent); }                      \
  GRETA_DEVICE T logb##f(T x) { return greta::exponent_as_number(x); }                                        \
  GRETA_DEVICE int ilogb##f(T x) { return greta::exponent_as_integer(x); }                                    \
  GRETA_DEVICE T nextafter##f(T x, T y) { return greta::next_after(x, y); }                                   \
  GRETA_DEVICE T remquo##f(T x, T y, int* quotient) { return greta::remainder_and_quotient(x, y, quotient); } \
  GRETA_DEVICE T scalbln##f(T x, long n) {                                                                    \
    return greta::ldexp(x, n > 5000 ? 5000 : n < -5000 ? -5000 : static_cast<int>(n));                        \
  }                                                                                                           \
  GRETA_DEVICE T powi##f(T x, int n) {                                                                        \
    return static_cast<T>(pow(static_cast<double>(x), static_cast<double>(n)));                               \
  }                                                                                                           \
  GRETA_DEVICE T rhypot##f(T x, T y) { return 1 / hypot(x, y); }                                              \
  GRETA_DEVICE T norm##f(int n, const T* p) { return greta::root_of_squares(p, n); }                          \
  GRETA_DEVICE T rnorm##f(int n, const T* p) { return 1 / greta::root_of_squares(p, n); }                     \
  GRETA_DEVICE T norm3d##f(T x, T y, T z) {                                                                   \
    T p[] = {x, y, z};                                                                                        \
    return greta::root_of_squares(p, 3);                                                                      \
  }                                                                                                           \
  GRETA_DEVICE T norm4d##f(T x, T y, T z, T w) {                                                              \
    T p[] = {x, y, z, w};                                                                                     \
    return greta::root_of_squares(p, 4);                                                                      \
  }                                                                                                           \
  GRETA_DEVICE T rnorm3d##f(T x, T y, T z) { return 1 / norm3d##f(x, y, z); }                                 \
  GRETA_DEVICE T rnorm4d##f(T x, T y, T z, T w) { return 1 / norm4d##f(x, y, z, w); }                         \
  GRETA_DEVICE void sincospi##f(T x, T* s, T* c) {                                                            \
    *s = sinpi(x);                                                                                            \
    *c = cospi(x);                                                                                            \
  }
GRETA_MATH_MORE(float, f)
GRETA_MATH_MORE(double, )
#undef GRETA_MATH_MORE
// C++'s overloads for float.
GRETA_DEVICE float frexp(float x, int* exponent) { return frexpf(x, exponent); }
GRETA_DEVICE float logb(float x) { return logbf(x); }
GRETA_DEVICE int ilogb(float x) { return ilogbf(x); }
GRETA_DEVICE float nextafter(float x, float y) { return nextafterf(x, y); }
GRETA_DEVICE float remquo(float x, float y, int* quotient) { return remquof(x, y, quotient); }
GRETA_DEVICE float scalbln(float x, long n) { return scalblnf(x, n); }
