// Complex numbers as float2 and double2.
#pragma once
#include "hip_runtime.h"
#if !defined(__HIPCC_RTC__)
#include <cmath>
#endif

#define GRETA_COMPLEX_NAMES(T, Complex, make, f)                                                                     \
  static GRETA_MEMBER T hipCreal##f(Complex z) { return z.x; }                                                       \
  static GRETA_MEMBER T hipCimag##f(Complex z) { return z.y; }                                                       \
  static GRETA_MEMBER Complex make(T x, T y) { return Complex(x, y); }                                               \
  static GRETA_MEMBER Complex hipConj##f(Complex z) { return Complex(z.x, -z.y); }                                   \
  static GRETA_MEMBER T hipCsqabs##f(Complex z) { return z.x * z.x + z.y * z.y; }                                    \
  static GRETA_MEMBER Complex hipCadd##f(Complex p, Complex q) { return Complex(p.x + q.x, p.y + q.y); }             \
  static GRETA_MEMBER Complex hipCsub##f(Complex p, Complex q) { return Complex(p.x - q.x, p.y - q.y); }             \
  static GRETA_MEMBER Complex hipCmul##f(Complex p, Complex q) {                                                     \
    return Complex(p.x * q.x - p.y * q.y, p.y * q.x + p.x * q.y);                                                    \
  }                                                                                                                  \
  static GRETA_MEMBER Complex hipCdiv##f(Complex p, Complex q) {                                                     \
    return Complex((p.x * q.x + p.y * q.y) / hipCsqabs##f(q), (p.y * q.x - p.x * q.y) / hipCsqabs##f(q));            \
  }                                                                                                                  \
  static GRETA_MEMBER Complex hipCfma##f(Complex p, Complex q, Complex r) {                                          \
    return Complex(-(p.y * q.y) + (p.x * q.x + r.x), p.x * q.y + (q.x * p.y + r.y));                                 \
  }                                                                                                                  \
  GRETA_BOTH T hipCabs##f(Complex z) { return sqrt##f(hipCsqabs##f(z)); }

using hipFloatComplex = float2;
using hipDoubleComplex = double2;
using hipComplex = hipFloatComplex;
GRETA_COMPLEX_NAMES(float, hipFloatComplex, make_hipFloatComplex, f)
GRETA_COMPLEX_NAMES(double, hipDoubleComplex, make_hipDoubleComplex, )
#undef GRETA_COMPLEX_NAMES
static GRETA_MEMBER hipComplex make_hipComplex(float x, float y) { return hipComplex(x, y); }
static GRETA_MEMBER hipFloatComplex hipComplexDoubleToFloat(hipDoubleComplex z) { return hipFloatComplex(z.x, z.y); }
static GRETA_MEMBER hipDoubleComplex hipComplexFloatToDouble(hipFloatComplex z) { return hipDoubleComplex(z.x, z.y); }
