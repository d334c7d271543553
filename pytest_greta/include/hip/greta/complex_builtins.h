// What clang calls for a product and a quotient of complex numbers: C's Annex G (G.5.1), which finds the infinities that
// the plain formulas turn into NaN.
#pragma once

#define GRETA_COMPLEX(T, product, quotient, f)                                                                      \
  extern "C" inline __attribute__((device, used)) T _Complex product(T a, T b, T c, T d) {                          \
    T x = a * c - b * d, y = a * d + b * c;                                                                         \
    if (x != x && y != y) {                                                                                         \
      bool again = false;                                                                                           \
      auto box = [](T v) { return __builtin_copysign##f(__builtin_isinf(v) ? T(1) : T(0), v); };                    \
      auto zero = [](T v) { return v != v ? __builtin_copysign##f(T(0), v) : v; };                                  \
      if (__builtin_isinf(a) || __builtin_isinf(b)) a = box(a), b = box(b), c = zero(c), d = zero(d), again = true; \
      if (__builtin_isinf(c) || __builtin_isinf(d)) c = box(c), d = box(d), a = zero(a), b = zero(b), again = true; \
      if (!again && (__builtin_isinf(a * c) || __builtin_isinf(b * d) || __builtin_isinf(a * d) ||                  \
                     __builtin_isinf(b * c)))                                                                       \
        a = zero(a), b = zero(b), c = zero(c), d = zero(d), again = true;                                           \
      if (again) x = __builtin_inf##f() * (a * c - b * d), y = __builtin_inf##f() * (a * d + b * c);                \
    }                                                                                                               \
    T _Complex z;                                                                                                   \
    __real__ z = x;                                                                                                 \
    __imag__ z = y;                                                                                                 \
    return z;                                                                                                       \
  }                                                                                                                 \
  extern "C" inline __attribute__((device, used)) T _Complex quotient(T a, T b, T c, T d) {                         \
    T largest = __builtin_fmax##f(__builtin_fabs##f(c), __builtin_fabs##f(d));                                      \
    int scale = largest > 0 && largest < __builtin_inf##f() ? -greta::exponent(largest) : 0;                        \
    T p = greta::ldexp(c, scale), q = greta::ldexp(d, scale), size = p * p + q * q;                                 \
    T x = greta::ldexp((a * p + b * q) / size, scale), y = greta::ldexp((b * p - a * q) / size, scale);             \
    if (x != x && y != y) {                                                                                         \
      auto box = [](T v) { return __builtin_copysign##f(__builtin_isinf(v) ? T(1) : T(0), v); };                    \
      if (size == 0 && (a == a || b == b)) {                                                                        \
        x = __builtin_copysign##f(__builtin_inf##f(), c) * a;                                                       \
        y = __builtin_copysign##f(__builtin_inf##f(), c) * b;                                                       \
      } else if ((__builtin_isinf(a) || __builtin_isinf(b)) && __builtin_isfinite(c) && __builtin_isfinite(d)) {    \
        a = box(a), b = box(b);                                                                                     \
        x = __builtin_inf##f() * (a * c + b * d);                                                                   \
        y = __builtin_inf##f() * (b * c - a * d);                                                                   \
      } else if (largest == __builtin_inf##f() && __builtin_isfinite(a) && __builtin_isfinite(b)) {                 \
        c = box(c), d = box(d);                                                                                     \
        x = T(0) * (a * c + b * d);                                                                                 \
        y = T(0) * (b * c - a * d);                                                                                 \
      }                                                                                                             \
    }                                                                                                               \
    T _Complex z;                                                                                                   \
    __real__ z = x;                                                                                                 \
    __imag__ z = y;                                                                                                 \
    return z;                                                                                                       \
  }

namespace greta {
GRETA_DEVICE int exponent(float x) { return static_cast<int>(__builtin_bit_cast(unsigned, x) >> 23 & 0xff) - 127; }
GRETA_DEVICE int exponent(double x) {
  return static_cast<int>(__builtin_bit_cast(unsigned long long, x) >> 52 & 0x7ff) - 1023;
}
}  // namespace greta

GRETA_COMPLEX(float, __mulsc3, __divsc3, f)
GRETA_COMPLEX(double, __muldc3, __divdc3, )
#undef GRETA_COMPLEX
