// __half: a 16-bit float (IEEE binary16) with HIP's implicit conversions and operators.
#pragma once

struct __half_raw {
  union {
    _Float16 data;
    unsigned short x;
  };
};

namespace greta {
template <typename T> constexpr bool is_float = __is_floating_point(T);
template <typename T> constexpr bool is_integer = __is_integral(T);
}  // namespace greta

struct __half {
  _Float16 data;

  __half() = default;
  GRETA_MEMBER __half(const __half_raw& raw) : data(raw.data) {}
#if !defined(__HIP_NO_HALF_CONVERSIONS__)
  template <typename T, typename = typename greta::only_if<T, __is_arithmetic(T)>::type>
  GRETA_MEMBER __half(T value) : data(static_cast<_Float16>(value)) {}
  template <typename T, typename = typename greta::only_if<T, __is_arithmetic(T)>::type>
  GRETA_MEMBER operator T() const { return static_cast<T>(data); }
#else
  GRETA_MEMBER explicit __half(_Float16 value) : data(value) {}
#endif
  GRETA_MEMBER operator __half_raw() const { return __half_raw{{data}}; }

#if !defined(__HIP_NO_HALF_OPERATORS__)
  GRETA_MEMBER __half& operator+=(const __half& y) { data += y.data; return *this; }
  GRETA_MEMBER __half& operator-=(const __half& y) { data -= y.data; return *this; }
  GRETA_MEMBER __half& operator*=(const __half& y) { data *= y.data; return *this; }
  GRETA_MEMBER __half& operator/=(const __half& y) { data /= y.data; return *this; }
  GRETA_MEMBER __half& operator++() { data += 1; return *this; }
  GRETA_MEMBER __half& operator--() { data -= 1; return *this; }
  GRETA_MEMBER __half operator++(int) { __half old = *this; data += 1; return old; }
  GRETA_MEMBER __half operator--(int) { __half old = *this; data -= 1; return old; }
  GRETA_MEMBER __half operator+() const { return *this; }
  GRETA_MEMBER __half operator-() const { return __half_raw{{static_cast<_Float16>(-data)}}; }
  friend GRETA_MEMBER __half operator+(__half x, const __half& y) { return x += y; }
  friend GRETA_MEMBER __half operator-(__half x, const __half& y) { return x -= y; }
  friend GRETA_MEMBER __half operator*(__half x, const __half& y) { return x *= y; }
  friend GRETA_MEMBER __half operator/(__half x, const __half& y) { return x /= y; }
  friend GRETA_MEMBER bool operator==(const __half& x, const __half& y) { return x.data == y.data; }
  friend GRETA_MEMBER bool operator!=(const __half& x, const __half& y) { return x.data != y.data; }
  friend GRETA_MEMBER bool operator<(const __half& x, const __half& y) { return x.data < y.data; }
  friend GRETA_MEMBER bool operator>(const __half& x, const __half& y) { return x.data > y.data; }
  friend GRETA_MEMBER bool operator<=(const __half& x, const __half& y) { return x.data <= y.data; }
  friend GRETA_MEMBER bool operator>=(const __half& x, const __half& y) { return x.data >= y.data; }
#endif
};
using half = __half;
static_assert(sizeof(__half) == 2 && alignof(__half) == 2 && __is_trivially_copyable(__half));

namespace greta {

GRETA_BOTH __half make_half(_Float16 value) { return __half_raw{{value}}; }
GRETA_BOTH __half half_of_bits(unsigned short bits) { return make_half(__builtin_bit_cast(_Float16, bits)); }
GRETA_BOTH unsigned short half_bits(__half h) { return __builtin_bit_cast(unsigned short, h.data); }

// The next half away from zero (step 1) or towards it (step -1).
GRETA_BOTH __half half_step(__half h, int step) { return half_of_bits(half_bits(h) + step); }

// Directed rounding: to nearest first, then one step back where that went too far.
GRETA_BOTH __half half_down(float f) {
  __half h = make_half(f);
  if (static_cast<float>(h.data) <= f || f != f) return h;
  if (half_bits(h) == 0) return half_of_bits(0x8001);
  return half_step(h, h.data > 0 ? -1 : 1);
}

}  // namespace greta

GRETA_BOTH float __half2float(__half h) { return static_cast<float>(h.data); }
GRETA_BOTH __half __float2half(float f) { return greta::make_half(static_cast<_Float16>(f)); }
GRETA_BOTH __half __float2half_rn(float f) { return __float2half(f); }
GRETA_BOTH __half __float2half_rd(float f) { return greta::half_down(f); }
GRETA_BOTH __half __float2half_ru(float f) { return greta::make_half(-greta::half_down(-f).data); }
GRETA_BOTH __half __float2half_rz(float f) { return f < 0 ? __float2half_ru(f) : __float2half_rd(f); }
GRETA_BOTH __half __double2half(double d) { return greta::make_half(static_cast<_Float16>(d)); }
GRETA_BOTH short __half_as_short(__half h) { return static_cast<short>(greta::half_bits(h)); }
GRETA_BOTH unsigned short __half_as_ushort(__half h) { return greta::half_bits(h); }
GRETA_BOTH __half __short_as_half(short bits) { return greta::half_of_bits(static_cast<unsigned short>(bits)); }
GRETA_BOTH __half __ushort_as_half(unsigned short bits) { return greta::half_of_bits(bits); }

// Between half and integers: rn to nearest even, rz towards zero, rd down, ru up. Every half fits a float.
#define GRETA_HALF_INTEGER(T, name)                                                                       \
  GRETA_BOTH T __half2##name##_rn(__half h) { return static_cast<T>(__builtin_rintf(__half2float(h))); }  \
  GRETA_BOTH T __half2##name##_rz(__half h) { return static_cast<T>(__half2float(h)); }                   \
  GRETA_BOTH T __half2##name##_rd(__half h) { return static_cast<T>(__builtin_floorf(__half2float(h))); } \
  GRETA_BOTH T __half2##name##_ru(__half h) { return static_cast<T>(__builtin_ceilf(__half2float(h))); }  \
  GRETA_BOTH __half __##name##2half_rn(T i) { return greta::make_half(static_cast<_Float16>(i)); }
GRETA_HALF_INTEGER(int, int)
GRETA_HALF_INTEGER(unsigned, uint)
GRETA_HALF_INTEGER(short, short)
GRETA_HALF_INTEGER(unsigned short, ushort)
GRETA_HALF_INTEGER(long long, ll)
GRETA_HALF_INTEGER(unsigned long long, ull)
#undef GRETA_HALF_INTEGER

#define GRETA_HALF_BINARY(name, op) \
  GRETA_BOTH __half name(__half x, __half y) { return greta::make_half(x.data op y.data); }
GRETA_HALF_BINARY(__hadd, +)
GRETA_HALF_BINARY(__hsub, -)
GRETA_HALF_BINARY(__hmul, *)
GRETA_HALF_BINARY(__hdiv, /)
GRETA_HALF_BINARY(__hadd_rn, +)
GRETA_HALF_BINARY(__hsub_rn, -)
GRETA_HALF_BINARY(__hmul_rn, *)
#undef GRETA_HALF_BINARY
GRETA_BOTH __half __hfma(__half x, __half y, __half z) { return greta::make_half(__builtin_fmaf16(x.data, y.data, z.data)); }
GRETA_BOTH __half __hneg(__half x) { return greta::make_half(-x.data); }
GRETA_BOTH __half __habs(__half x) { return greta::half_of_bits(greta::half_bits(x) & 0x7fff); }
GRETA_BOTH bool __hisnan(__half x) { return x.data != x.data; }
GRETA_BOTH int __hisinf(__half x) { return (greta::half_bits(x) & 0x7fff) == 0x7c00 ? (x.data > 0 ? 1 : -1) : 0; }
GRETA_BOTH __half __hmax(__half x, __half y) { return greta::make_half(__builtin_fmaxf16(x.data, y.data)); }
GRETA_BOTH __half __hmin(__half x, __half y) { return greta::make_half(__builtin_fminf16(x.data, y.data)); }
GRETA_BOTH __half __hmax_nan(__half x, __half y) { return __hisnan(x) ? x : __hisnan(y) ? y : __hmax(x, y); }
GRETA_BOTH __half __hmin_nan(__half x, __half y) { return __hisnan(x) ? x : __hisnan(y) ? y : __hmin(x, y); }
// Into [0, 1]; a NaN becomes 0.
GRETA_BOTH __half __hsat(__half x) { return __hmin(__hmax(x, greta::make_half(0)), greta::make_half(1)); }
GRETA_BOTH __half __hadd_sat(__half x, __half y) { return __hsat(__hadd(x, y)); }
GRETA_BOTH __half __hsub_sat(__half x, __half y) { return __hsat(__hsub(x, y)); }
GRETA_BOTH __half __hmul_sat(__half x, __half y) { return __hsat(__hmul(x, y)); }
GRETA_BOTH __half __hfma_sat(__half x, __half y, __half z) { return __hsat(__hfma(x, y, z)); }
GRETA_BOTH __half __hfma_relu(__half x, __half y, __half z) { return __hmax_nan(__hfma(x, y, z), greta::make_half(0)); }

// Comparisons; the u forms are also true where an operand is NaN.
#define GRETA_HALF_COMPARE(name, op)                                    \
  GRETA_BOTH bool name(__half x, __half y) { return x.data op y.data; } \
  GRETA_BOTH bool name##u(__half x, __half y) { return __hisnan(x) || __hisnan(y) || x.data op y.data; }
GRETA_HALF_COMPARE(__heq, ==)
GRETA_HALF_COMPARE(__hlt, <)
GRETA_HALF_COMPARE(__hle, <=)
GRETA_HALF_COMPARE(__hgt, >)
GRETA_HALF_COMPARE(__hge, >=)
#undef GRETA_HALF_COMPARE
GRETA_BOTH bool __hne(__half x, __half y) { return __heq(x, x) && __heq(y, y) && x.data != y.data; }
GRETA_BOTH bool __hneu(__half x, __half y) { return x.data != y.data; }

// Elementary functions, computed in float and rounded once.
#define GRETA_HALF_MATH(name, function) \
  GRETA_BOTH __half name(__half x) { return __float2half(function(__half2float(x))); }
GRETA_HALF_MATH(hexp, expf)
GRETA_HALF_MATH(hexp2, exp2f)
GRETA_HALF_MATH(hexp10, exp10f)
GRETA_HALF_MATH(hlog, logf)
GRETA_HALF_MATH(hlog2, log2f)
GRETA_HALF_MATH(hlog10, log10f)
GRETA_HALF_MATH(hsqrt, sqrtf)
GRETA_HALF_MATH(hrsqrt, rsqrtf)
GRETA_HALF_MATH(hrcp, 1.0f /)
GRETA_HALF_MATH(hsin, sinf)
GRETA_HALF_MATH(hcos, cosf)
GRETA_HALF_MATH(hfloor, floorf)
GRETA_HALF_MATH(hceil, ceilf)
GRETA_HALF_MATH(htrunc, truncf)
GRETA_HALF_MATH(hrint, rintf)
#undef GRETA_HALF_MATH

GRETA_BOTH __half __ldg(const __half* p) { return *p; }
GRETA_SHUFFLES(__half)
