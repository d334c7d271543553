// Trigonometric functions in double precision, for targets without a device library; see math_double.h.
#pragma once

namespace greta::own {

// An angle as a multiple of pi/2 (modulo 4) and a rest in [-pi/4, pi/4].
struct Angle { Pair rest; int quadrant; };

constexpr double pi_half[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110};
constexpr double two_over_pi = 0x1.45f306dc9c883p-1;

// The bits of 2/pi after the binary point, behind a word of zeros.
static __attribute__((device)) const unsigned long long two_over_pi_bits[21] = {
    0,
    0xa2f9836e4e441529ull, 0xfc2757d1f534ddc0ull, 0xdb6295993c439041ull, 0xfe5163abdebbc561ull, 0xb7246e3a424dd2e0ull,
    0x06492eea09d1921cull, 0xfe1deb1cb129a73eull, 0xe88235f52ebb4484ull, 0xe99c7026b45f7e41ull, 0x3991d639835339f4ull,
    0x9c845f8bbdf9283bull, 0x1ff897ffde05980full, 0xef2f118b5a0a6d1full, 0x6d367ecf27cb09b7ull, 0x4f463f669e5fea2dull,
    0x7527bac7ebe5f17bull, 0x3d0739f78a5292eaull, 0x6bfb5fb11f8d5d08ull, 0x56033046fc7b6babull, 0xf0cfbc209af4361dull};

// 64 bits of that string from bit `position` on.
GRETA_DEVICE unsigned long long window(int position) {
  int word = position >> 6, shift = position & 63;
  unsigned long long bits = two_over_pi_bits[word] << shift;
  return shift == 0 ? bits : bits | two_over_pi_bits[word + 1] >> (64 - shift);
}

// Payne and Hanek's reduction (SIGNUM Newsletter 18, 1983) for 2^30 <= |x| < inf. With x = m * 2^e, only the bits of
// 2/pi whose product with 2^e is below 4 matter, and 192 of them leave over 60 bits after the worst cancellation.
GRETA_DEVICE Angle reduce_large(double x) {
  unsigned long long bits = __builtin_bit_cast(unsigned long long, x);
  unsigned long long m = (bits & 0xfffffffffffffull) | 0x10000000000000ull;
  int position = static_cast<int>(bits >> 52 & 0x7ff) - 1075 + 62;
  unsigned long long w0 = window(position), w1 = window(position + 64), w2 = window(position + 128);
  unsigned long long p2 = m * w2, p1 = m * w1, carry = __umul64hi(m, w2);
  p1 += carry;
  unsigned long long p0 = m * w0 + __umul64hi(m, w1) + (p1 < carry);
  int quadrant = static_cast<int>(p0 >> 62);
  // The fraction, 128 bits; above one half it counts down from the next quadrant.
  unsigned long long high = p0 << 2 | p1 >> 62, low = p1 << 2 | p2 >> 62;
  bool negative = high >> 63;
  if (negative) {
    quadrant += 1;
    low = ~low + 1;
    high = ~high + (low == 0);
  }
  int shift = __clzll(static_cast<long long>(high));
  if (shift > 0 && shift < 64) {
    high = high << shift | low >> (64 - shift);
    low <<= shift;
  }
  Pair fraction = {greta::ldexp(static_cast<double>(high >> 11), -53 - shift),
                   greta::ldexp(static_cast<double>((high & 0x7ff) << 53 | low >> 11), -117 - shift)};
  Pair rest = multiply(fraction, {pi_half[0], pi_half[1]});
  if (negative != (x < 0)) rest = {-rest.high, -rest.low};
  return {rest, x < 0 ? -quadrant : quadrant};
}

// pi/2 in three parts (Cody and Waite) up to 2^30, exact enough because every product is.
GRETA_DEVICE Angle reduce(double x) {
  if (__builtin_fabs(x) >= 0x1p30) return reduce_large(x);
  double n = __builtin_rint(x * two_over_pi);
  Pair p = two_product(n, pi_half[0]), q = two_product(n, pi_half[1]);
  Pair a = two_sum(x - p.high, -p.low);
  Pair b = two_sum(a.high, -q.high);
  return {fast_two_sum(b.high, a.low + b.low - q.low - n * pi_half[2]), static_cast<int>(n)};
}

GRETA_DEVICE double sin_reduced(Pair r) {
  constexpr double c[] = {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800.0,
                          -1.0 / 1307674368000.0, 1.0 / 355687428096000.0};
  double z = r.high * r.high;
  return r.high + __builtin_fma(r.high * z, polynomial(c, z), __builtin_fma(-0.5 * z, r.low, r.low));
}
GRETA_DEVICE double cos_reduced(Pair r) {
#pragma clang fp contract(off)
  constexpr double c[] = {1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200.0,
                          1.0 / 20922789888000.0, -1.0 / 6402373705728000.0};
  double z = r.high * r.high, half = 0.5 * z, w = 1 - half;
  return w + (((1 - w) - half) + (z * z * polynomial(c, z) - r.high * r.low));
}

GRETA_DEVICE double sin(double x) {  // 1 ulp
  if (!(__builtin_fabs(x) < inf)) return __builtin_nan("");
  if (__builtin_fabs(x) < 0x1p-27) return x;
  Angle a = reduce(x);
  double y = a.quadrant & 1 ? cos_reduced(a.rest) : sin_reduced(a.rest);
  return a.quadrant & 2 ? -y : y;
}
GRETA_DEVICE double cos(double x) {  // 1 ulp
  if (!(__builtin_fabs(x) < inf)) return __builtin_nan("");
  Angle a = reduce(x);
  double y = a.quadrant & 1 ? sin_reduced(a.rest) : cos_reduced(a.rest);
  return (a.quadrant + 1) & 2 ? -y : y;
}
GRETA_DEVICE double tan(double x) {  // 2 ulp
  if (!(__builtin_fabs(x) < inf)) return __builtin_nan("");
  if (__builtin_fabs(x) < 0x1p-27) return x;
  Angle a = reduce(x);
  double s = sin_reduced(a.rest), c = cos_reduced(a.rest);
  return a.quadrant & 1 ? -c / s : s / c;
}
// sin(pi x) and cos(pi x): the reduction is exact.
GRETA_DEVICE Angle reduce_pi(double x) {
  double y = x - 2 * __builtin_trunc(0.5 * x), n = __builtin_rint(2 * y);
  return {multiply({y - 0.5 * n, 0}, {2 * pi_half[0], 2 * pi_half[1]}), static_cast<int>(n)};
}
GRETA_DEVICE double sinpi(double x) {  // 2 ulp
  if (!(__builtin_fabs(x) < inf)) return __builtin_nan("");
  Angle a = reduce_pi(x);
  double y = a.quadrant & 1 ? cos_reduced(a.rest) : sin_reduced(a.rest);
  return a.quadrant & 2 ? -y : y;
}
GRETA_DEVICE double cospi(double x) {  // 2 ulp
  if (!(__builtin_fabs(x) < inf)) return __builtin_nan("");
  Angle a = reduce_pi(x);
  double y = a.quadrant & 1 ? sin_reduced(a.rest) : cos_reduced(a.rest);
  return (a.quadrant + 1) & 2 ? -y : y;
}

GRETA_DEVICE double atan(double x) {  // 2 ulp
  // (atan(t) / t - 1) / t^2 in t^2 up to tan(pi/8) (Chebyshev interpolation, relative error 3e-18).
  constexpr double c[] = {-0.33333333333333333, 0.19999999999999804, -0.14285714285659749, 0.11111111105147764,
                          -0.090909087531185938, 0.0769229636397995, -0.066664246872464856, 0.05878926715756587,
                          -0.052304374642507849, 0.045515165635866285, -0.034568590668521222, 0.016283572356395895};
  double a = __builtin_fabs(x), t = a;
  Pair base = {0, 0};
  if (a > 2.414213562373095) {
    t = -1 / a;
    base = {pi_half[0], pi_half[1]};
  } else if (a > 0.4142135623730950) {
    t = (a - 1) / (a + 1);
    base = {0.5 * pi_half[0], 0.5 * pi_half[1]};
  }
  double z = t * t;
  return __builtin_copysign(base.high + (t + (t * z * polynomial(c, z) + base.low)), x);
}
GRETA_DEVICE double atan2(double y, double x) {  // 2 ulp
  if (x != x || y != y) return x + y;
  double ax = __builtin_fabs(x), ay = __builtin_fabs(y);
  double a = ax == ay ? (ax == 0 ? 0 : 0.5 * pi_half[0]) : own::atan(ay / ax);
  if (__builtin_signbit(x)) a = 2 * pi_half[0] - (a - 2 * pi_half[1]);
  return __builtin_copysign(a, y);
}

// (asin(t) / t - 1) in t^2 up to 1/4 (Chebyshev interpolation, relative error 5e-18).
GRETA_DEVICE double asin_excess(double z) {
  constexpr double c[] = {0.16666666666666667, 0.075000000000001178, 0.044642857142551893, 0.03038194447553234,
                          0.022372157443507222, 0.0173528165403255, 0.013963780012203493, 0.011566459612122493,
                          0.0096218429700941476, 0.0093195607947991162, 0.0030448799093443394, 0.019554513336377579,
                          -0.019241671747082861, 0.029612011265156983};
  return z * polynomial(c, z);
}
// 2 asin(sqrt((1 - a) / 2)) for 1/2 < a <= 1, which is acos(a).
GRETA_DEVICE double acos_near_one(double a) {
  double z = 0.5 * (1 - a), s = __builtin_sqrt(z);
  double s_low = s == 0 ? 0 : __builtin_fma(-s, s, z) / (2 * s);
  return 2 * (s + __builtin_fma(s, asin_excess(z), s_low));
}
GRETA_DEVICE double asin(double x) {  // 2 ulp
  double a = __builtin_fabs(x);
  if (a <= 0.5) return __builtin_fma(x, asin_excess(x * x), x);
  return __builtin_copysign(pi_half[0] - (acos_near_one(a) - pi_half[1]), x);
}
GRETA_DEVICE double acos(double x) {  // 2 ulp
  if (__builtin_fabs(x) <= 0.5) return pi_half[0] - (x - (pi_half[1] - x * asin_excess(x * x)));
  double y = acos_near_one(__builtin_fabs(x));
  return x < 0 ? 2 * pi_half[0] - (y - 2 * pi_half[1]) : y;
}

}  // namespace greta::own
