// 8-bit floats: e4m3 and e5m2, as OCP has them ("OCP 8-bit Floating Point Specification") and as fnuz (no infinity, one
// NaN and no negative zero), which gfx942 computes with. Every target has all four; gfx942 and gfx12 convert the ones that
// they have instructions for with these. Rounding is to nearest, even on a tie; a NaN stays one.
#pragma once
#include "hip_runtime.h"
#include "hip_bf16.h"

using __hip_fp8_storage_t = unsigned char;
using __hip_fp8x2_storage_t = unsigned short;
using __hip_fp8x4_storage_t = unsigned;
enum __hip_fp8_interpretation_t { __HIP_E4M3 = 0, __HIP_E5M2 = 1, __HIP_E4M3_FNUZ = 2, __HIP_E5M2_FNUZ = 3 };
enum __hip_saturation_t { __HIP_NOSAT = 0, __HIP_SATFINITE = 1 };

#define HIP_FP8_TYPE_OCP 1
#define HIP_FP8_TYPE_FNUZ 1
#if defined(__gfx942__) || defined(__gfx940__) || defined(__gfx941__)
#define GRETA_FP8_INSTRUCTIONS(kind) ((kind) == __HIP_E4M3_FNUZ || (kind) == __HIP_E5M2_FNUZ)
#elif defined(__gfx1200__) || defined(__gfx1201__) || defined(__gfx950__)
#define GRETA_FP8_INSTRUCTIONS(kind) ((kind) == __HIP_E4M3 || (kind) == __HIP_E5M2)
#endif

namespace greta {

struct Fp8 {
  int mantissa, bias;
  bool is_fnuz;
  float largest;
  unsigned char largest_bits;
  unsigned char beyond;
  // What a number beyond the largest becomes where it does not saturate.
};
GRETA_BOTH constexpr Fp8 fp8_format(__hip_fp8_interpretation_t kind) {
  switch (kind) {
    case __HIP_E4M3: return {3, 7, false, 448, 0x7e, 0x7f};
    case __HIP_E5M2: return {2, 15, false, 57344, 0x7b, 0x7c};
    case __HIP_E4M3_FNUZ: return {3, 8, true, 240, 0x7f, 0x80};
    default: return {2, 16, true, 57344, 0x7f, 0x80};
  }
}

template <typename T>
GRETA_BOTH unsigned char to_fp8(T x, __hip_saturation_t saturation, __hip_fp8_interpretation_t kind) {
  const Fp8 format = fp8_format(kind);
  T size = x < 0 ? -x : x;
  unsigned char sign = __builtin_signbit(x) ? 0x80 : 0;
  if (x != x) return format.is_fnuz ? 0x80 : sign | 0x7f;
  if (size > static_cast<T>(format.largest)) {
    if (saturation == __HIP_SATFINITE) return sign | format.largest_bits;
    return format.is_fnuz ? 0x80 : sign | format.beyond;
  }
  int lowest = 1 - format.bias, e = size == 0 ? lowest : exponent_of(size);
  e = e < lowest ? lowest : e;
  // In units of the last place; 2^mantissa and more where the result is normal.
  int units = static_cast<int>(__builtin_elementwise_rint(scale_by_power(size, format.mantissa - e)));
  unsigned char bits = static_cast<unsigned char>(units + (e - lowest) * (1 << format.mantissa));
  return bits == 0 && format.is_fnuz ? 0 : sign | bits;
}

GRETA_BOTH float from_fp8(unsigned char bits, __hip_fp8_interpretation_t kind) {
  const Fp8 format = fp8_format(kind);
  int exponent = (bits & 0x7f) >> format.mantissa, units = bits & ((1 << format.mantissa) - 1);
  if (format.is_fnuz ? bits == 0x80 : kind == __HIP_E4M3 ? (bits & 0x7f) == 0x7f : (bits & 0x7f) > 0x7c) return __builtin_nanf("");
  float size = kind == __HIP_E5M2 && (bits & 0x7f) == 0x7c
                   ? __builtin_inff()
                   : scale_by_power(static_cast<float>(exponent == 0 ? units : units + (1 << format.mantissa)),
                                    (exponent == 0 ? 1 : exponent) - format.bias - format.mantissa);
  return bits & 0x80 ? -size : size;
}

}  // namespace greta

GRETA_BOTH __hip_fp8_storage_t __hip_cvt_float_to_fp8(float x, __hip_saturation_t saturation,
                                                      __hip_fp8_interpretation_t kind) {
#if defined(GRETA_FP8_INSTRUCTIONS)
  if (GRETA_FP8_INSTRUCTIONS(kind) && saturation == __HIP_SATFINITE) {
    float largest = greta::fp8_format(kind).largest;
    float within = x != x ? x : __builtin_amdgcn_fmed3f(x, largest, -largest);
    bool is_e4m3 = kind == __HIP_E4M3 || kind == __HIP_E4M3_FNUZ;
    return static_cast<unsigned char>(is_e4m3 ? __builtin_amdgcn_cvt_pk_fp8_f32(within, within, 0, false)
                                              : __builtin_amdgcn_cvt_pk_bf8_f32(within, within, 0, false));
  }
#endif
  return greta::to_fp8(x, saturation, kind);
}
GRETA_BOTH float __hip_cvt_fp8_to_float(__hip_fp8_storage_t x, __hip_fp8_interpretation_t kind) {
#if defined(GRETA_FP8_INSTRUCTIONS)
  if (GRETA_FP8_INSTRUCTIONS(kind)) {
    bool is_e4m3 = kind == __HIP_E4M3 || kind == __HIP_E4M3_FNUZ;
    return is_e4m3 ? __builtin_amdgcn_cvt_f32_fp8(x, 0) : __builtin_amdgcn_cvt_f32_bf8(x, 0);
  }
#endif
  return greta::from_fp8(x, kind);
}
GRETA_BOTH __hip_fp8_storage_t __hip_cvt_double_to_fp8(double x, __hip_saturation_t saturation,
                                                       __hip_fp8_interpretation_t kind) {
  return greta::to_fp8(x, saturation, kind);
}
GRETA_BOTH __hip_fp8_storage_t __hip_cvt_halfraw_to_fp8(__half_raw x, __hip_saturation_t saturation,
                                                        __hip_fp8_interpretation_t kind) {
  return __hip_cvt_float_to_fp8(static_cast<float>(x.data), saturation, kind);
}
GRETA_BOTH __hip_fp8_storage_t __hip_cvt_bfloat16raw_to_fp8(__hip_bfloat16_raw x, __hip_saturation_t saturation,
                                                            __hip_fp8_interpretation_t kind) {
  return __hip_cvt_float_to_fp8(greta::bfloat16_to_float(x.x), saturation, kind);
}
GRETA_BOTH __half_raw __hip_cvt_fp8_to_halfraw(__hip_fp8_storage_t x, __hip_fp8_interpretation_t kind) {
  return __half_raw{{static_cast<_Float16>(__hip_cvt_fp8_to_float(x, kind))}};
}
GRETA_BOTH __half2_raw __hip_cvt_fp8x2_to_halfraw2(__hip_fp8x2_storage_t x, __hip_fp8_interpretation_t kind) {
  return __half2_raw{__hip_cvt_fp8_to_halfraw(x & 0xff, kind), __hip_cvt_fp8_to_halfraw(x >> 8, kind)};
}
// Two at once: the first lies in the low byte.
#define GRETA_FP8_PAIR(name, Pair, one, low, high)                                                                \
  GRETA_BOTH __hip_fp8x2_storage_t name(Pair p, __hip_saturation_t saturation, __hip_fp8_interpretation_t kind) { \
    return static_cast<unsigned short>(one(low, saturation, kind) | one(high, saturation, kind) << 8);            \
  }
GRETA_FP8_PAIR(__hip_cvt_float2_to_fp8x2, float2, __hip_cvt_float_to_fp8, p.x, p.y)
GRETA_FP8_PAIR(__hip_cvt_double2_to_fp8x2, double2, __hip_cvt_double_to_fp8, p.x, p.y)
GRETA_FP8_PAIR(__hip_cvt_halfraw2_to_fp8x2, __half2_raw, __hip_cvt_float_to_fp8, static_cast<float>(p.x.data),
               static_cast<float>(p.y.data))
GRETA_FP8_PAIR(__hip_cvt_bfloat16raw2_to_fp8x2, __hip_bfloat162_raw, __hip_cvt_float_to_fp8, greta::bfloat16_to_float(p.x),
               greta::bfloat16_to_float(p.y))
#undef GRETA_FP8_PAIR

#define GRETA_FP8_TYPES(name, name2, name4, kind)                                                                 \
  struct name {                                                                                                   \
    __hip_fp8_storage_t __x;                                                                                      \
    static constexpr __hip_saturation_t __default_saturation = __HIP_SATFINITE;                                   \
    static constexpr __hip_fp8_interpretation_t __default_interpret = kind;                                       \
    name() = default;                                                                                             \
    GRETA_FP8_MEMBER name(float x) : __x(__hip_cvt_float_to_fp8(x, __HIP_SATFINITE, kind)) {}                     \
    GRETA_FP8_MEMBER name(double x) : __x(__hip_cvt_double_to_fp8(x, __HIP_SATFINITE, kind)) {}                   \
    GRETA_FP8_MEMBER name(__half x) : name(__half2float(x)) {}                                                    \
    GRETA_FP8_MEMBER name(__hip_bfloat16 x) : name(__bfloat162float(x)) {}                                        \
    template <typename T, typename = typename greta::only_if<T, __is_integral(T)>::type>                          \
    GRETA_FP8_MEMBER name(T x) : name(static_cast<double>(x)) {}                                                  \
    GRETA_FP8_MEMBER operator float() const { return __hip_cvt_fp8_to_float(__x, kind); }                         \
    GRETA_FP8_MEMBER explicit operator __half() const { return __float2half(float(*this)); }                      \
    GRETA_FP8_MEMBER explicit operator __hip_bfloat16() const { return __float2bfloat16(float(*this)); }          \
  };                                                                                                              \
  struct alignas(2) name2 {                                                                                       \
    __hip_fp8x2_storage_t __x;                                                                                    \
    name2() = default;                                                                                            \
    GRETA_FP8_MEMBER name2(float2 x) : __x(__hip_cvt_float2_to_fp8x2(x, __HIP_SATFINITE, kind)) {}                \
    GRETA_FP8_MEMBER name2(double2 x) : __x(__hip_cvt_double2_to_fp8x2(x, __HIP_SATFINITE, kind)) {}              \
    GRETA_FP8_MEMBER name2(__half2 x) : name2(__half22float2(x)) {}                                               \
    GRETA_FP8_MEMBER operator float2() const {                                                                    \
      return float2(__hip_cvt_fp8_to_float(__x & 0xff, kind), __hip_cvt_fp8_to_float(__x >> 8, kind));            \
    }                                                                                                             \
  };                                                                                                              \
  struct alignas(4) name4 {                                                                                       \
    __hip_fp8x4_storage_t __x;                                                                                    \
    name4() = default;                                                                                            \
    GRETA_FP8_MEMBER name4(float4 x)                                                                              \
        : __x(__hip_cvt_float2_to_fp8x2(float2(x.x, x.y), __HIP_SATFINITE, kind) |                                \
              static_cast<unsigned>(__hip_cvt_float2_to_fp8x2(float2(x.z, x.w), __HIP_SATFINITE, kind)) << 16) {} \
    GRETA_FP8_MEMBER operator float4() const {                                                                    \
      return float4(__hip_cvt_fp8_to_float(__x & 0xff, kind), __hip_cvt_fp8_to_float(__x >> 8 & 0xff, kind),      \
                    __hip_cvt_fp8_to_float(__x >> 16 & 0xff, kind), __hip_cvt_fp8_to_float(__x >> 24, kind));     \
    }                                                                                                             \
  };
#define GRETA_FP8_MEMBER __attribute__((host, device, always_inline))
GRETA_FP8_TYPES(__hip_fp8_e4m3, __hip_fp8x2_e4m3, __hip_fp8x4_e4m3, __HIP_E4M3)
GRETA_FP8_TYPES(__hip_fp8_e5m2, __hip_fp8x2_e5m2, __hip_fp8x4_e5m2, __HIP_E5M2)
GRETA_FP8_TYPES(__hip_fp8_e4m3_fnuz, __hip_fp8x2_e4m3_fnuz, __hip_fp8x4_e4m3_fnuz, __HIP_E4M3_FNUZ)
GRETA_FP8_TYPES(__hip_fp8_e5m2_fnuz, __hip_fp8x2_e5m2_fnuz, __hip_fp8x4_e5m2_fnuz, __HIP_E5M2_FNUZ)
#undef GRETA_FP8_TYPES
#undef GRETA_FP8_MEMBER
static_assert(sizeof(__hip_fp8_e4m3) == 1 && sizeof(__hip_fp8x2_e4m3) == 2 && sizeof(__hip_fp8x4_e4m3) == 4);
