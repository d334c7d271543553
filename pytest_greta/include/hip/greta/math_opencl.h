// Elementary functions on SPIR-V: OpenCL C's, in single and double precision, by their mangled names. OpenCL bounds
// their errors (1 to 16 ulp, "Relative Error as ULPs" in its specification); CPU runtimes stay below 1 for most.
#pragma once

#define GRETA_OPENCL_UNARY(name, mangled)                                            \
  GRETA_OPENCL float mangled##f(float);                                              \
  GRETA_OPENCL double mangled##d(double);                                            \
  namespace greta::opencl {                                                          \
  GRETA_DEVICE float name(float x) { return mangled##f(x); }                         \
  GRETA_DEVICE double name(double x) { return mangled##d(x); }                       \
  }
#define GRETA_OPENCL_BINARY(name, mangled)                                           \
  GRETA_OPENCL float mangled##ff(float, float);                                      \
  GRETA_OPENCL double mangled##dd(double, double);                                   \
  namespace greta::opencl {                                                          \
  GRETA_DEVICE float name(float x, float y) { return mangled##ff(x, y); }            \
  GRETA_DEVICE double name(double x, double y) { return mangled##dd(x, y); }         \
  }

GRETA_OPENCL_UNARY(exp, _Z3exp)
GRETA_OPENCL_UNARY(exp2, _Z4exp2)
GRETA_OPENCL_UNARY(exp10, _Z5exp10)
GRETA_OPENCL_UNARY(expm1, _Z5expm1)
GRETA_OPENCL_UNARY(log, _Z3log)
GRETA_OPENCL_UNARY(log2, _Z4log2)
GRETA_OPENCL_UNARY(log10, _Z5log10)
GRETA_OPENCL_UNARY(log1p, _Z5log1p)
GRETA_OPENCL_UNARY(cbrt, _Z4cbrt)
GRETA_OPENCL_UNARY(sin, _Z3sin)
GRETA_OPENCL_UNARY(cos, _Z3cos)
GRETA_OPENCL_UNARY(tan, _Z3tan)
GRETA_OPENCL_UNARY(sinpi, _Z5sinpi)
GRETA_OPENCL_UNARY(cospi, _Z5cospi)
GRETA_OPENCL_UNARY(asin, _Z4asin)
GRETA_OPENCL_UNARY(acos, _Z4acos)
GRETA_OPENCL_UNARY(atan, _Z4atan)
GRETA_OPENCL_UNARY(sinh, _Z4sinh)
GRETA_OPENCL_UNARY(cosh, _Z4cosh)
GRETA_OPENCL_UNARY(tanh, _Z4tanh)
GRETA_OPENCL_UNARY(asinh, _Z5asinh)
GRETA_OPENCL_UNARY(acosh, _Z5acosh)
GRETA_OPENCL_UNARY(atanh, _Z5atanh)
GRETA_OPENCL_UNARY(erf, _Z3erf)
GRETA_OPENCL_UNARY(erfc, _Z4erfc)
GRETA_OPENCL_UNARY(lgamma, _Z6lgamma)
GRETA_OPENCL_UNARY(tgamma, _Z6tgamma)
GRETA_OPENCL_UNARY(rsqrt, _Z5rsqrt)
GRETA_OPENCL_BINARY(pow, _Z3pow)
GRETA_OPENCL_BINARY(atan2, _Z5atan2)
GRETA_OPENCL_BINARY(hypot, _Z5hypot)
#undef GRETA_OPENCL_UNARY
#undef GRETA_OPENCL_BINARY
