// Elementary functions in single precision, for targets without a device library.
// exp, exp2, exp10, log, log2 and log10 are LLVM's own code for amdgcn (1 to 2 ulp). Those that kernels use most are
// single precision throughout; the others are the double function rounded once, within 0.51 ulp.
#pragma once

namespace greta::own {

#if defined(__AMDGCN__)
GRETA_DEVICE float exp(float x) { return __builtin_expf(x); }
GRETA_DEVICE float exp2(float x) { return __builtin_exp2f(x); }
GRETA_DEVICE float exp10(float x) { return __builtin_exp10f(x); }
GRETA_DEVICE float log(float x) { return __builtin_logf(x); }
GRETA_DEVICE float log2(float x) { return __builtin_log2f(x); }
GRETA_DEVICE float log10(float x) { return __builtin_log10f(x); }
#else
GRETA_DEVICE float exp(float x) { return opencl::exp(x); }
GRETA_DEVICE float exp2(float x) { return opencl::exp2(x); }
GRETA_DEVICE float exp10(float x) { return opencl::exp10(x); }
GRETA_DEVICE float log(float x) { return opencl::log(x); }
GRETA_DEVICE float log2(float x) { return opencl::log2(x); }
GRETA_DEVICE float log10(float x) { return opencl::log10(x); }
#endif

// The angle is reduced in double (float arguments need no more), the series is single precision.
struct AngleFloat { float rest; int quadrant; };
GRETA_DEVICE AngleFloat reduce_float(float x) {
  if (__builtin_fabsf(x) >= 0x1p30f) {
    Angle a = reduce_large(x);
    return {static_cast<float>(a.rest.high), a.quadrant};
  }
  double n = __builtin_rint(x * two_over_pi);
  double rest = __builtin_fma(-n, pi_half[1], __builtin_fma(-n, pi_half[0], static_cast<double>(x)));
  return {static_cast<float>(rest), static_cast<int>(n)};
}
GRETA_DEVICE float sin_reduced(float r) {
  float z = r * r;
  float p = __builtin_fmaf(z, 2.7557319e-6f, -1.9841270e-4f);
  p = __builtin_fmaf(z, __builtin_fmaf(z, p, 8.3333333e-3f), -1.6666667e-1f);
  return __builtin_fmaf(r * z, p, r);
}
GRETA_DEVICE float cos_reduced(float r) {
  float z = r * r;
  float p = __builtin_fmaf(z, -2.7557319e-7f, 2.4801587e-5f);
  p = __builtin_fmaf(z, __builtin_fmaf(z, p, -1.3888889e-3f), 4.1666667e-2f);
  return __builtin_fmaf(z, __builtin_fmaf(z, p, -0.5f), 1.0f);
}
GRETA_DEVICE float sin(float x) {  // 1.5 ulp
  if (!(__builtin_fabsf(x) < __builtin_inff())) return __builtin_nanf("");
  AngleFloat a = reduce_float(x);
  float y = a.quadrant & 1 ? cos_reduced(a.rest) : sin_reduced(a.rest);
  return x == 0 ? x : a.quadrant & 2 ? -y : y;
}
GRETA_DEVICE float cos(float x) {  // 1.5 ulp
  if (!(__builtin_fabsf(x) < __builtin_inff())) return __builtin_nanf("");
  AngleFloat a = reduce_float(x);
  float y = a.quadrant & 1 ? sin_reduced(a.rest) : cos_reduced(a.rest);
  return (a.quadrant + 1) & 2 ? -y : y;
}

GRETA_DEVICE float tanh(float x) {  // 2 ulp
  float a = __builtin_fabsf(x), z = x * x;
  // (tanh(x) / x - 1) / x^2 in x^2 up to 0.625 (Chebyshev interpolation, relative error 5e-9).
  float p = __builtin_fmaf(z, 0.00229180942f, -0.00834311964f);
  p = __builtin_fmaf(z, __builtin_fmaf(z, p, 0.0217686663f), -0.0539592286f);
  p = __builtin_fmaf(z, __builtin_fmaf(z, p, 0.133333034f), -0.333333332f);
  float large = 1.0f - 2.0f / (own::exp(2.0f * a) + 1.0f);
  return a < 0.625f ? __builtin_fmaf(x * z, p, x) : __builtin_copysignf(large, x);
}

GRETA_DEVICE float erf(float x) {  // 2 ulp
  float a = __builtin_fabsf(x), z = x * x;
  if (!(a >= 1.0f)) {  // erf(x) / x - 1 in x^2 (Chebyshev interpolation, relative error 2e-9)
    float p = __builtin_fmaf(z, 1.05893806e-6f, -1.390934e-5f);
    p = __builtin_fmaf(z, __builtin_fmaf(z, p, 0.000119565626f), -0.0008542638f);
    p = __builtin_fmaf(z, __builtin_fmaf(z, p, 0.00522378348f), -0.0268661332f);
    p = __builtin_fmaf(z, __builtin_fmaf(z, p, 0.112837917f), -0.376126389f);
    return __builtin_fmaf(x, __builtin_fmaf(z, p, 0.128379167f), x);
  }
  if (a > 4.0f) a = 4.0f;  // 1 in single precision
  // -ln(erfc(x)) / x on [1, 4] (the same, 1.5e-8).
  float p = __builtin_fmaf(a, -2.16618044e-7f, 3.23675458e-6f);
  p = __builtin_fmaf(a, __builtin_fmaf(a, p, -1.58438845e-6f), -0.000331685447f);
  p = __builtin_fmaf(a, __builtin_fmaf(a, p, 0.00383551133f), -0.0243323056f);
  p = __builtin_fmaf(a, __builtin_fmaf(a, p, 0.107022514f), 0.634617255f);
  p = __builtin_fmaf(a, p, 1.12879281f);
  return __builtin_copysignf(1.0f - own::exp(-a * p), x);
}

#define GRETA_FLOAT_FROM_DOUBLE(name) \
  GRETA_DEVICE float name(float x) { return static_cast<float>(own::name(static_cast<double>(x))); }
GRETA_FLOAT_FROM_DOUBLE(expm1)
GRETA_FLOAT_FROM_DOUBLE(log1p)
GRETA_FLOAT_FROM_DOUBLE(cbrt)
GRETA_FLOAT_FROM_DOUBLE(tan)
GRETA_FLOAT_FROM_DOUBLE(sinpi)
GRETA_FLOAT_FROM_DOUBLE(cospi)
GRETA_FLOAT_FROM_DOUBLE(asin)
GRETA_FLOAT_FROM_DOUBLE(acos)
GRETA_FLOAT_FROM_DOUBLE(atan)
GRETA_FLOAT_FROM_DOUBLE(sinh)
GRETA_FLOAT_FROM_DOUBLE(cosh)
GRETA_FLOAT_FROM_DOUBLE(asinh)
GRETA_FLOAT_FROM_DOUBLE(acosh)
GRETA_FLOAT_FROM_DOUBLE(atanh)
GRETA_FLOAT_FROM_DOUBLE(erfc)
#undef GRETA_FLOAT_FROM_DOUBLE
GRETA_DEVICE float atan2(float y, float x) { return static_cast<float>(own::atan2(double(y), double(x))); }
GRETA_DEVICE float hypot(float x, float y) { return static_cast<float>(own::hypot(double(x), double(y))); }
GRETA_DEVICE float pow(float x, float y) { return static_cast<float>(own::pow(double(x), double(y))); }

}  // namespace greta::own
