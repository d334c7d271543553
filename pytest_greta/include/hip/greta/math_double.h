// Exponentials, logarithms and powers in double precision, for targets without a device library.
// Series are Taylor's, cut where the rest is below 2^-58 of the result; constants are split into a double and the
// double of what is left. Errors are in units in the last place (ulp), as measured by the tests on random arguments.
#pragma once

namespace greta::own {

constexpr double inf = __builtin_inf();
// ln 2 as 42 bits (so that k * ln2_high is exact for an exponent k) and the rest.
constexpr double ln2_high = 0x1.62e42fefa3800p-1, ln2_low = 0x1.ef35793c76730p-45;
constexpr double log2e = 0x1.71547652b82fep+0, log2e_low = 0x1.777d0ffda0d24p-56;

// A value as an unevaluated sum of two doubles, |low| <= ulp(high) / 2.
struct Pair { double high, low; };
// Exact sums: of any two, and of two with |a| >= |b| (Dekker; Knuth, TAOCP 2, 4.2.2). Exact product by fma.
GRETA_DEVICE Pair two_sum(double a, double b) {
  double s = a + b, t = s - a;
  return {s, (a - (s - t)) + (b - t)};
}
GRETA_DEVICE Pair fast_two_sum(double a, double b) {
  double s = a + b;
  return {s, b - (s - a)};
}
GRETA_DEVICE Pair two_product(double a, double b) {
#pragma clang fp contract(off)
  double p = a * b;
  return {p, __builtin_fma(a, b, -p)};
}
GRETA_DEVICE Pair multiply(Pair a, Pair b) {
#pragma clang fp contract(off)
  Pair p = two_product(a.high, b.high);
  return fast_two_sum(p.high, p.low + (a.high * b.low + a.low * b.high));
}

template <int n> GRETA_DEVICE double polynomial(const double (&c)[n], double x) {
  double y = c[n - 1];
  for (int i = n - 2; i >= 0; --i) y = __builtin_fma(y, x, c[i]);
  return y;
}

// e^(r.high + r.low) - 1 for |r| <= 0.35.
GRETA_DEVICE double expm1_reduced(Pair r) {
  constexpr double c[] = {1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880,
                          1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
  return r.high + __builtin_fma(r.high * r.high, polynomial(c, r.high), r.low);
}
// 2^k * e^r, rounded twice where the result is subnormal.
GRETA_DEVICE double scaled_exp(Pair r, double k) { return greta::ldexp(1.0 + expm1_reduced(r), static_cast<int>(k)); }
GRETA_DEVICE Pair reduce_exp(Pair x, double k) {
  return fast_two_sum(__builtin_fma(-k, ln2_high, x.high), __builtin_fma(-k, ln2_low, x.low));
}
GRETA_DEVICE double clamp(double x, double limit) { return x > limit ? limit : x < -limit ? -limit : x; }

GRETA_DEVICE double exp(double x) {  // 1 ulp
  x = clamp(x, 1100);
  double k = __builtin_rint(x * log2e);
  return x != x ? x : scaled_exp(reduce_exp({x, 0}, k), k);
}
GRETA_DEVICE double exp2(double x) {  // 1 ulp
  x = clamp(x, 1600);
  double k = __builtin_rint(x);
  return x != x ? x : scaled_exp(multiply({x - k, 0}, {ln2_high, ln2_low}), k);
}
GRETA_DEVICE double exp10(double x) {  // 1 ulp
  x = clamp(x, 500);
  double k = __builtin_rint(x * 0x1.a934f0979a371p+1);
  // log10(2), split as ln 2 is; then times ln 10.
  Pair f = fast_two_sum(__builtin_fma(-k, 0x1.34413509f7000p-2, x), -k * 0x1.3fde623e2566bp-43);
  return x != x ? x : scaled_exp(multiply(f, {0x1.26bb1bbb55516p+1, -0x1.f48ad494ea3e9p-53}), k);
}
GRETA_DEVICE double expm1(double x) {  // 2 ulp
  if (x != x || x == 0) return x;
  if (x > 40) return own::exp(x);
  if (x < -40) return -1;
  double k = __builtin_rint(x * log2e);
  double e = expm1_reduced(reduce_exp({x, 0}, k));
  double scale = greta::ldexp(1.0, static_cast<int>(k));
  return k == 0 ? e : __builtin_fma(scale, e, scale - 1);
}

// x = 2^k * (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2), for finite x > 0.
struct Split { double k, f; };
GRETA_DEVICE Split split(double x) {
  int bias = 1023;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    bias += 54;
  }
  unsigned long bits = __builtin_bit_cast(unsigned long, x);
  int k = static_cast<int>(bits >> 52) - bias;
  double m = __builtin_bit_cast(double, (bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    k += 1;
  }
  return {static_cast<double>(k), m - 1};
}
// What log gives for 0, negative numbers, infinity and NaN.
GRETA_DEVICE bool log_is_special(double x) { return !(x > 0 && x < inf); }
GRETA_DEVICE double log_special(double x) { return x == 0 ? -inf : x < 0 ? __builtin_nan("") : x; }

GRETA_DEVICE double log(double x) {  // 1 ulp
#pragma clang fp contract(off)
  if (log_is_special(x)) return log_special(x);
  Split v = split(x);
  // ln(1 + f) = 2 atanh(s) with s = f / (2 + f), arranged as f - f^2/2 + s * (f^2/2 + series).
  constexpr double c[] = {2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
  double s = v.f / (2 + v.f), z = s * s, half_square = 0.5 * v.f * v.f;
  double series = z * polynomial(c, z);
  return v.k * ln2_high - ((half_square - (s * (half_square + series) + v.k * ln2_low)) - v.f);
}

// ln(1 + f), f in (-0.3, 0.42), to about 2^-65: the same series with its first two terms as pairs.
GRETA_DEVICE Pair log1p_pair(double f) {
#pragma clang fp contract(off)
  constexpr double c[] = {2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23};
  double d = 2 + f, d_low = (2 - d) + f;
  double s_high = f / d;
  Pair s = {s_high, (__builtin_fma(-s_high, d, f) - s_high * d_low) / d};
  Pair z = multiply(s, s);
  Pair p = fast_two_sum(0x1.5555555555555p-1, z.high * polynomial(c, z.high));
  p.low += 0x1.5555555555555p-55;
  Pair cubic = multiply(s, multiply(z, p));
  Pair sum = fast_two_sum(2 * s.high, cubic.high);
  return fast_two_sum(sum.high, sum.low + (2 * s.low + cubic.low));
}
// ln x for finite x > 0.
GRETA_DEVICE Pair log_pair(double x) {
#pragma clang fp contract(off)
  Split v = split(x);
  Pair l = log1p_pair(v.f);
  Pair sum = two_sum(v.k * ln2_high, l.high);
  return fast_two_sum(sum.high, sum.low + (l.low + v.k * ln2_low));
}
GRETA_DEVICE double log2(double x) {  // 1 ulp
  if (log_is_special(x)) return log_special(x);
  Split v = split(x);
  Pair l = multiply(log1p_pair(v.f), {log2e, log2e_low});
  Pair sum = two_sum(v.k, l.high);
  return sum.high + (sum.low + l.low);
}
GRETA_DEVICE double log10(double x) {  // 1 ulp
  if (log_is_special(x)) return log_special(x);
  return multiply(log_pair(x), {0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57}).high;
}
GRETA_DEVICE double log1p(double x) {  // 2 ulp
#pragma clang fp contract(off)
  if (!(x > -1 && x < inf) || __builtin_fabs(x) < 0x1p-54) return x == -1 ? -inf : x < -1 ? __builtin_nan("") : x;
  Pair u = two_sum(1, x);
  return own::log(u.high) + u.low / u.high;
}

GRETA_DEVICE double pow(double x, double y) {  // 1 ulp
#pragma clang fp contract(off)
  if (y == 0 || x == 1) return 1;
  if (x != x || y != y) return x + y;
  double size = __builtin_fabs(x);
  if (__builtin_fabs(y) == inf) return size == 1 ? 1 : (size > 1) == (y > 0) ? inf : 0;
  bool is_integer = __builtin_trunc(y) == y;
  bool is_odd = is_integer && __builtin_fabs(y) < 0x1p53 && (static_cast<long>(y) & 1);
  double result;
  if (size == 0 || size == inf) {
    result = (size == 0) == (y < 0) ? inf : 0;
  } else if (x < 0 && !is_integer) {
    return __builtin_nan("");
  } else {
    Pair l = log_pair(size);
    double estimate = l.high * y;
    if (__builtin_fabs(estimate) > 1000) {
      result = estimate > 0 ? inf : 0;
    } else {
      Pair e = two_product(l.high, y);
      e.low += l.low * y;
      double k = __builtin_rint(e.high * log2e);
      result = scaled_exp(reduce_exp(e, k), k);
    }
  }
  return is_odd ? __builtin_copysign(result, x) : result;
}

GRETA_DEVICE double cbrt(double x) {  // 1 ulp: a step of Newton's method from e^(ln|x| / 3)
  double a = __builtin_fabs(x);
  if (log_is_special(a)) return x;
  bool small = a < 0x1p-900;  // where the residual below would underflow
  a *= small ? 0x1p162 : 1.0;
  double r = own::exp(own::log(a) * (1.0 / 3));
  Pair square = two_product(r, r);
  double excess = __builtin_fma(square.high, r, -a) + square.low * r;
  return __builtin_copysign((r - excess / (3 * square.high)) * (small ? 0x1p-54 : 1.0), x);
}

GRETA_DEVICE double sinh(double x) {  // 3 ulp
  double a = __builtin_fabs(x);
  double e = own::exp(0.5 * a);  // its square overflows only where sinh does
  double t = own::expm1(a);
  double y = a > 40 ? 0.5 * e * e : 0.5 * (t + t / (t + 1));
  return a < 0x1p-28 ? x : __builtin_copysign(y, x);
}
GRETA_DEVICE double cosh(double x) {  // 3 ulp
  double a = __builtin_fabs(x);
  double e = own::exp(a > 40 ? 0.5 * a : a);
  return a > 40 ? 0.5 * e * e : 0.5 * e + 0.5 / e;
}
GRETA_DEVICE double tanh(double x) {  // 2 ulp
  double a = __builtin_fabs(x);
  double t = own::expm1(2 * (a > 30 ? 30 : a));
  return x != x ? x : __builtin_copysign(t / (t + 2), x);
}
GRETA_DEVICE double asinh(double x) {  // 2 ulp
  double a = __builtin_fabs(x);
  if (a > 0x1p28) return __builtin_copysign(own::log(a) + (ln2_high + ln2_low), x);
  return __builtin_copysign(own::log1p(a + a * a / (1 + __builtin_sqrt(1 + a * a))), x);
}
GRETA_DEVICE double acosh(double x) {  // 2 ulp
  double t = x - 1;
  if (x < 1) return __builtin_nan("");
  if (x > 0x1p28) return own::log(x) + (ln2_high + ln2_low);
  return own::log1p(t + __builtin_sqrt(2 * t + t * t));
}
GRETA_DEVICE double atanh(double x) {  // 2 ulp
  double a = __builtin_fabs(x);
  return __builtin_copysign(0.5 * own::log1p(2 * a / (1 - a)), x);
}

GRETA_DEVICE double hypot(double x, double y) {  // 2 ulp
  double a = __builtin_fmax(__builtin_fabs(x), __builtin_fabs(y)), b = __builtin_fmin(__builtin_fabs(x), __builtin_fabs(y));
  if (a == inf) return inf;
  if (x != x || y != y) return x + y;
  double t = a == 0 ? 0 : b / a;
  return a * __builtin_sqrt(__builtin_fma(t, t, 1.0));
}

// erf(x) / x in x^2 on [0, 1] (Chebyshev interpolation, relative error 8e-18).
GRETA_DEVICE double erf_small(double x) {
  constexpr double c[] = {1.1283791670955126, -0.3761263890318354, 0.11283791670945006, -0.02686617064323777,
                          0.0052239776071164227, -0.00085483259753896921, 0.00012055294904839708, -1.492473690741966e-5,
                          1.6447424703317362e-6, -1.6208483801871706e-7, 1.3720064546777686e-8, -7.7958988270021422e-10};
  return x * polynomial(c, x * x);
}
// erfc on [0.45, 28]: (1 + 2x) e^(x^2) erfc(x) as a polynomial in (x - 4) / (x + 4) (the same, 4e-18).
GRETA_DEVICE double erfc_large(double x) {
  constexpr double c[] = {1.2329951186255525, -0.13962111684056255, 0.015379652102619097, 0.068097054254697496,
                          -0.10103906603625829, 0.093732834998186837, -0.066330365813495863, 0.03716751553991118,
                          -0.016197734039638547, 0.005031969959410359, -0.00075777343901777704, -0.00019925662176949879,
                          0.00015062245399856284, -2.4399309113143735e-5, -1.122462445098893e-5, 5.7093720410774906e-6,
                          2.9938795233219764e-7, -8.2356243901308047e-7, 6.7172263264330257e-8, 1.0645264965325899e-7,
                          -1.2278425705830675e-8, -1.0731846710149929e-8};
  if (x > 28) return 0;
  double scaled = polynomial(c, (x - 4) / (x + 4)) / (1 + 2 * x);
  Pair square = two_product(x, x);
  double y = scaled * own::exp(-square.high);
  return __builtin_fma(-y, square.low, y);
}
GRETA_DEVICE double erf(double x) {  // 2 ulp
  double a = __builtin_fabs(x);
  return a < 1 || x != x ? erf_small(x) : __builtin_copysign(1 - erfc_large(a), x);
}
GRETA_DEVICE double erfc(double x) {  // 5 ulp
  double a = __builtin_fabs(x);
  if (a < 0.5 || x != x) return 1 - erf_small(x);
  return x > 0 ? erfc_large(a) : 2 - erfc_large(a);
}

}  // namespace greta::own
