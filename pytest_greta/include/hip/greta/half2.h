// __half2: two halves in 32 bits. Arithmetic is on both at once, which GPUs have packed instructions for.
#pragma once

namespace greta {
using Half2Vector = _Float16 __attribute__((ext_vector_type(2)));
}

struct alignas(4) __half2_raw { __half_raw x, y; };

struct alignas(4) __half2 {
  __half x, y;

  __half2() = default;
  GRETA_MEMBER __half2(const __half2_raw& raw) : x(raw.x), y(raw.y) {}
  GRETA_MEMBER operator __half2_raw() const { return {x, y}; }
  GRETA_MEMBER __half2(const __half& both) : x(both), y(both) {}
  GRETA_MEMBER __half2(const __half& low, const __half& high) : x(low), y(high) {}
};
using half2 = __half2;

namespace greta {
GRETA_BOTH Half2Vector vector_of(__half2 h) { return __builtin_bit_cast(Half2Vector, h); }
GRETA_BOTH __half2 make_half2(Half2Vector v) { return __builtin_bit_cast(__half2, v); }
}  // namespace greta

GRETA_BOTH __half2 make_half2(__half x, __half y) { return __half2(x, y); }
GRETA_BOTH __half2 __halves2half2(__half x, __half y) { return __half2(x, y); }
GRETA_BOTH __half2 __half2half2(__half x) { return __half2(x, x); }
GRETA_BOTH __half __low2half(__half2 h) { return h.x; }
GRETA_BOTH __half __high2half(__half2 h) { return h.y; }
GRETA_BOTH __half2 __low2half2(__half2 h) { return __half2(h.x, h.x); }
GRETA_BOTH __half2 __high2half2(__half2 h) { return __half2(h.y, h.y); }
GRETA_BOTH __half2 __lows2half2(__half2 a, __half2 b) { return __half2(a.x, b.x); }
GRETA_BOTH __half2 __highs2half2(__half2 a, __half2 b) { return __half2(a.y, b.y); }
GRETA_BOTH __half2 __lowhigh2highlow(__half2 h) { return __half2(h.y, h.x); }
GRETA_BOTH float __low2float(__half2 h) { return __half2float(h.x); }
GRETA_BOTH float __high2float(__half2 h) { return __half2float(h.y); }
GRETA_BOTH __half2 __float2half2_rn(float f) { return __half2half2(__float2half(f)); }
GRETA_BOTH __half2 __floats2half2_rn(float x, float y) { return __half2(__float2half(x), __float2half(y)); }
GRETA_BOTH __half2 __float22half2_rn(float2 f) { return __floats2half2_rn(f.x, f.y); }
GRETA_BOTH float2 __half22float2(__half2 h) { return make_float2(__low2float(h), __high2float(h)); }

#define GRETA_HALF2_BINARY(name, op) \
  GRETA_BOTH __half2 name(__half2 x, __half2 y) { return greta::make_half2(greta::vector_of(x) op greta::vector_of(y)); }
GRETA_HALF2_BINARY(__hadd2, +)
GRETA_HALF2_BINARY(__hsub2, -)
GRETA_HALF2_BINARY(__hmul2, *)
GRETA_HALF2_BINARY(__h2div, /)
GRETA_HALF2_BINARY(__hadd2_rn, +)
GRETA_HALF2_BINARY(__hsub2_rn, -)
GRETA_HALF2_BINARY(__hmul2_rn, *)
#if !defined(__HIP_NO_HALF_OPERATORS__)
#define GRETA_HALF2_OPERATOR(op)      \
  GRETA_HALF2_BINARY(operator op, op) \
  GRETA_BOTH __half2& operator op##=(__half2& x, const __half2& y) { return x = x op y; }
GRETA_HALF2_OPERATOR(+)
GRETA_HALF2_OPERATOR(-)
GRETA_HALF2_OPERATOR(*)
GRETA_HALF2_OPERATOR(/)
GRETA_BOTH __half2 operator-(const __half2& x) { return greta::make_half2(-greta::vector_of(x)); }
GRETA_BOTH bool operator==(const __half2& x, const __half2& y) { return x.x.data == y.x.data && x.y.data == y.y.data; }
GRETA_BOTH bool operator!=(const __half2& x, const __half2& y) { return !(x == y); }
#undef GRETA_HALF2_OPERATOR
#endif
#undef GRETA_HALF2_BINARY

GRETA_BOTH __half2 __hfma2(__half2 x, __half2 y, __half2 z) {
  return greta::make_half2(__builtin_elementwise_fma(greta::vector_of(x), greta::vector_of(y), greta::vector_of(z)));
}
GRETA_BOTH __half2 __hneg2(__half2 x) { return greta::make_half2(-greta::vector_of(x)); }
GRETA_BOTH __half2 __hisnan2(__half2 x) {
  return __floats2half2_rn(__hisnan(x.x) ? 1.0f : 0.0f, __hisnan(x.y) ? 1.0f : 0.0f);
}
GRETA_BOTH __half2 __habs2(__half2 x) { return __half2(__habs(x.x), __habs(x.y)); }
GRETA_BOTH __half2 __hmax2(__half2 x, __half2 y) {
  return greta::make_half2(GRETA_max(greta::vector_of(x), greta::vector_of(y)));
}
GRETA_BOTH __half2 __hmin2(__half2 x, __half2 y) {
  return greta::make_half2(GRETA_min(greta::vector_of(x), greta::vector_of(y)));
}

// Comparisons: 1 or 0 for each half, and (hb) whether both hold.
#define GRETA_HALF2_COMPARE(name)                                                                   \
  GRETA_BOTH __half2 __h##name##2(__half2 x, __half2 y) {                                           \
    return __floats2half2_rn(__h##name(x.x, y.x) ? 1.0f : 0.0f, __h##name(x.y, y.y) ? 1.0f : 0.0f); \
  }                                                                                                 \
  GRETA_BOTH bool __hb##name##2(__half2 x, __half2 y) { return __h##name(x.x, y.x) && __h##name(x.y, y.y); }
GRETA_HALF2_COMPARE(eq)
GRETA_HALF2_COMPARE(ne)
GRETA_HALF2_COMPARE(lt)
GRETA_HALF2_COMPARE(le)
GRETA_HALF2_COMPARE(gt)
GRETA_HALF2_COMPARE(ge)
GRETA_HALF2_COMPARE(equ)
GRETA_HALF2_COMPARE(neu)
GRETA_HALF2_COMPARE(ltu)
GRETA_HALF2_COMPARE(leu)
GRETA_HALF2_COMPARE(gtu)
GRETA_HALF2_COMPARE(geu)
#undef GRETA_HALF2_COMPARE

#define GRETA_HALF2_MATH(name) \
  GRETA_BOTH __half2 h2##name(__half2 x) { return __half2(h##name(x.x), h##name(x.y)); }
GRETA_HALF2_MATH(exp)
GRETA_HALF2_MATH(exp2)
GRETA_HALF2_MATH(exp10)
GRETA_HALF2_MATH(log)
GRETA_HALF2_MATH(log2)
GRETA_HALF2_MATH(log10)
GRETA_HALF2_MATH(sqrt)
GRETA_HALF2_MATH(rsqrt)
GRETA_HALF2_MATH(rcp)
GRETA_HALF2_MATH(sin)
GRETA_HALF2_MATH(cos)
GRETA_HALF2_MATH(floor)
GRETA_HALF2_MATH(ceil)
GRETA_HALF2_MATH(trunc)
GRETA_HALF2_MATH(rint)
#undef GRETA_HALF2_MATH

GRETA_BOTH __half2 __ldg(const __half2* p) { return *p; }
GRETA_SHUFFLES(__half2)

GRETA_BOTH __half2 atomicAdd(__half2* p, __half2 v) {
  return greta::fetch_update(p, [v](__half2 old) { return __hadd2(old, v); });
}
GRETA_BOTH __half2 unsafeAtomicAdd(__half2* p, __half2 v) { return atomicAdd(p, v); }
