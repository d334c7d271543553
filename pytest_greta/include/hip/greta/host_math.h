// The C library's functions that host code may call with nothing but hip_runtime.h: declarations, as in <math.h>,
// <stdlib.h>, <string.h> and <stdio.h>. A type or a macro comes with those headers alone.
#pragma once

extern "C" {
#define GRETA_HOST_UNARY(name) \
  double name(double);         \
  float name##f(float);
#define GRETA_HOST_BINARY(name) \
  double name(double, double);  \
  float name##f(float, float);
GRETA_HOST_UNARY(acos)
GRETA_HOST_UNARY(acosh)
GRETA_HOST_UNARY(asin)
GRETA_HOST_UNARY(asinh)
GRETA_HOST_UNARY(atan)
GRETA_HOST_UNARY(atanh)
GRETA_HOST_UNARY(cbrt)
GRETA_HOST_UNARY(ceil)
GRETA_HOST_UNARY(cos)
GRETA_HOST_UNARY(cosh)
GRETA_HOST_UNARY(erf)
GRETA_HOST_UNARY(erfc)
GRETA_HOST_UNARY(exp)
GRETA_HOST_UNARY(exp2)
GRETA_HOST_UNARY(exp10)
GRETA_HOST_UNARY(expm1)
GRETA_HOST_UNARY(fabs)
GRETA_HOST_UNARY(floor)
GRETA_HOST_UNARY(lgamma)
GRETA_HOST_UNARY(log)
GRETA_HOST_UNARY(log10)
GRETA_HOST_UNARY(log1p)
GRETA_HOST_UNARY(log2)
GRETA_HOST_UNARY(logb)
GRETA_HOST_UNARY(nearbyint)
GRETA_HOST_UNARY(rint)
GRETA_HOST_UNARY(round)
GRETA_HOST_UNARY(sin)
GRETA_HOST_UNARY(sinh)
GRETA_HOST_UNARY(sqrt)
GRETA_HOST_UNARY(tan)
GRETA_HOST_UNARY(tanh)
GRETA_HOST_UNARY(tgamma)
GRETA_HOST_UNARY(trunc)
GRETA_HOST_BINARY(atan2)
GRETA_HOST_BINARY(copysign)
GRETA_HOST_BINARY(fdim)
GRETA_HOST_BINARY(fmax)
GRETA_HOST_BINARY(fmin)
GRETA_HOST_BINARY(fmod)
GRETA_HOST_BINARY(hypot)
GRETA_HOST_BINARY(nextafter)
GRETA_HOST_BINARY(pow)
GRETA_HOST_BINARY(remainder)
#undef GRETA_HOST_UNARY
#undef GRETA_HOST_BINARY
double fma(double, double, double);
float fmaf(float, float, float);
double ldexp(double, int);
float ldexpf(float, int);
double frexp(double, int*);
float frexpf(float, int*);
double modf(double, double*);
float modff(float, float*);
int abs(int);
long labs(long);
void* malloc(size_t);
void free(void*);
__attribute__((noreturn)) void exit(int);
__attribute__((noreturn)) void abort();
int rand();
void srand(unsigned);
int atoi(const char*);
double atof(const char*);
int printf(const char* __restrict, ...);
void* memcpy(void* __restrict, const void* __restrict, size_t);
void* memset(void*, int, size_t);
int memcmp(const void*, const void*, size_t);
}  // extern "C"

// The smaller and the larger of two numbers, in host code too.
#define GRETA_HOST_ORDER(T)                                                    \
  static inline __attribute__((host)) T min(T x, T y) { return y < x ? y : x; } \
  static inline __attribute__((host)) T max(T x, T y) { return x < y ? y : x; }
GRETA_HOST_ORDER(int)
GRETA_HOST_ORDER(unsigned)
GRETA_HOST_ORDER(long)
GRETA_HOST_ORDER(unsigned long)
GRETA_HOST_ORDER(long long)
GRETA_HOST_ORDER(unsigned long long)
GRETA_HOST_ORDER(float)
GRETA_HOST_ORDER(double)
#undef GRETA_HOST_ORDER
