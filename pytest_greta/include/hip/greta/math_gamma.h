// The gamma function and its logarithm, for targets without a device library. Between 1.5 and 2.5 by the Taylor series of
// the logarithm around 2, whose coefficients are (-1)^k (zeta(k) - 1) / k; from there by Gamma(x + 1) = x Gamma(x),
// from 16 on by Stirling's series, below 0 by reflection (Abramowitz and Stegun, 6.1). Errors as measured by the tests.
#pragma once

namespace greta::own {

// ln Gamma(2 + e) for |e| <= 0.5. The linear term, 1 - Euler's constant, is a pair.
GRETA_DEVICE Pair log_gamma_series(double e) {
#pragma clang fp contract(off)
  constexpr double c[] = {
      0x1.4a34cc4a60fa6p-2, -0x1.13e001a557607p-4, 0x1.51322ac7d8483p-6, -0x1.e404fc218f5f2p-8, 0x1.7add6eadb6c30p-9,
      -0x1.38ac5c2bf8e08p-10, 0x1.0b36af86396e9p-11, -0x1.d3fd4c76d2fc8p-13, 0x1.a127b0f17d65ap-14, -0x1.78de5bd7c81efp-15,
      0x1.580dcee66eb02p-16, -0x1.3cbc963ce2243p-17, 0x1.2597a39f34aacp-18, -0x1.11b2eb7679541p-19, 0x1.0064cdeb22f0fp-20,
      -0x1.e2600d93cfd2fp-22, 0x1.c76bbb3f07a4dp-23, -0x1.af5a6cbbf8a97p-24, 0x1.99b93c2070b0fp-25, -0x1.862c734df3eacp-26,
      0x1.7469daccfadcdp-27, -0x1.6434a8447aeadp-28, 0x1.555a877ffd2c3p-29, -0x1.47b1679258d0ep-30, 0x1.3b15d2b2fc10cp-31,
      -0x1.2f69a9fabe3e0p-32};
  Pair first = two_product(0x1.b0ee6072093cep-2, e);
  return fast_two_sum(first.high, e * e * polynomial(c, e) + (first.low + 0x1.6cb90701fbfabp-58 * e));
}
// x = y + n with y in [1.5, 2.5) for x in (0, 16), and what Gamma(y) is multiplied by for Gamma(x), or divided.
struct Shifted { double y; Pair factor; bool divides; };
GRETA_DEVICE Shifted shift_to_two(double x) {
  if (x < 0.5) return {x + 2, multiply({x, 0}, two_sum(1, x)), true};
  if (x < 1.5) return {x + 1, {x, 0}, true};
  Pair product = {1, 0};
  while (x >= 2.5) {
    x -= 1;
    product = multiply(product, {x, 0});
  }
  return {x, product, false};
}
// y - 2, where y = x + n lost what x has below it.
GRETA_DEVICE double beyond_two(double x, double y) { return x < 0.5 ? x : x < 1.5 ? x - 1 : y - 2; }
// ln Gamma(x) for 0 < x < 2.55e305, to some 2^-60 of itself but near its zeros.
GRETA_DEVICE Pair log_gamma(double x) {
#pragma clang fp contract(off)
  if (x < 16) {
    Shifted v = shift_to_two(x);
    Pair l = log_pair(v.factor.high), s = log_gamma_series(beyond_two(x, v.y));
    l.low += v.factor.low / v.factor.high;
    if (v.divides) l = {-l.high, -l.low};
    Pair sum = two_sum(l.high, s.high);
    return fast_two_sum(sum.high, sum.low + (l.low + s.low));
  }
  constexpr double c[] = {1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188, -691.0 / 360360, 1.0 / 156};
  double r = 1 / x;
  Pair l = log_pair(x), product = multiply(two_sum(x, -0.5), l);
  Pair sum = two_sum(product.high, -x);
  Pair rest = two_sum(0x1.d67f1c864beb5p-1, r * polynomial(c, r * r));  // ln(2 pi) / 2
  Pair all = two_sum(sum.high, rest.high);
  return fast_two_sum(all.high, all.low + (sum.low + product.low + rest.low - 0x1.65b5a1b7ff5dfp-55));
}

GRETA_DEVICE double lgamma(double x) {  // 2 ulp for x > 0; below, where it has zeros, 4e-16 of the larger of 1 and itself
#pragma clang fp contract(off)
  double size = __builtin_fabs(x);
  if (x != x) return x;
  if (size >= 0x1.754d9278b51a6p+1014 || (x <= 0 && __builtin_trunc(x) == x)) return inf;
  if (size < 0x1p-60) return -own::log(size);
  Pair l = log_gamma(size);
  if (x > 0) return l.high;
  Pair s = log_pair(size * __builtin_fabs(own::sinpi(size)));
  Pair sum = two_sum(0x1.250d048e7a1bdp+0, -l.high), all = two_sum(sum.high, -s.high);  // ln pi
  return all.high + (all.low + (sum.low - l.low - s.low + 0x1.7abf2ad8d5088p-57));
}
GRETA_DEVICE double tgamma(double x) {  // 2 ulp for x > 0, 3 below
#pragma clang fp contract(off)
  double size = __builtin_fabs(x);
  if (size < 0x1p-54 || x != x) return 1 / x;
  if (x > 172) return inf;
  if (x < 0 && __builtin_trunc(x) == x) return __builtin_nan("");
  // Below 0 Gamma(x) = -pi / (x sin(pi x) Gamma(-x)).
  double reflected = x < 0 ? 0x1.921fb54442d18p+1 / (size * own::sinpi(x)) : 1;
  if (size < 16) {
    Shifted v = shift_to_two(size);
    double g = 1 + expm1_reduced(log_gamma_series(beyond_two(size, v.y)));
    g = v.divides ? g / v.factor.high : v.factor.high * g + v.factor.low * g;
    return x < 0 ? reflected / g : g;
  }
  Pair l = size < 200 ? log_gamma(size) : Pair{1000, 0};
  if (x < 0) l = {-l.high, -l.low};
  double k = __builtin_rint(l.high * log2e);
  return greta::ldexp((1 + expm1_reduced(reduce_exp(l, k))) * reflected, static_cast<int>(k));
}
GRETA_DEVICE float lgamma(float x) { return static_cast<float>(own::lgamma(static_cast<double>(x))); }
GRETA_DEVICE float tgamma(float x) { return static_cast<float>(own::tgamma(static_cast<double>(x))); }

}  // namespace greta::own
