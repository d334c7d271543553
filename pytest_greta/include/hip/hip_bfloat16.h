// hip_bfloat16, the older type: constructed explicitly, computed with in float.
#pragma once
#include "hip_runtime.h"
#include "greta/bfloat16.h"

struct hip_bfloat16 {
  unsigned short data;
  enum truncate_t { truncate };

  hip_bfloat16() = default;
  explicit __attribute__((host, device, always_inline)) hip_bfloat16(float f) : data(greta::bfloat16_from_float(f)) {}
  explicit __attribute__((host, device, always_inline)) hip_bfloat16(float f, truncate_t)
      : data(f != f ? greta::bfloat16_from_float(f) : static_cast<unsigned short>(__float_as_uint(f) >> 16)) {}
  __attribute__((host, device, always_inline)) operator float() const { return greta::bfloat16_to_float(data); }
  __attribute__((host, device, always_inline)) hip_bfloat16& operator=(float f) {
    data = greta::bfloat16_from_float(f);
    return *this;
  }
  static __attribute__((host, device, always_inline)) hip_bfloat16 round_to_bfloat16(float f) { return hip_bfloat16(f); }
  static __attribute__((host, device, always_inline)) hip_bfloat16 round_to_bfloat16(float f, truncate_t t) {
    return hip_bfloat16(f, t);
  }
};
static_assert(sizeof(hip_bfloat16) == 2 && __is_trivially_copyable(hip_bfloat16));

#define GRETA_BFLOAT16_BINARY(op)                                                                                    \
  GRETA_BOTH hip_bfloat16 operator op(hip_bfloat16 a, hip_bfloat16 b) { return hip_bfloat16(float(a) op float(b)); } \
  GRETA_BOTH hip_bfloat16& operator op##=(hip_bfloat16& a, hip_bfloat16 b) { return a = a op b; }
GRETA_BFLOAT16_BINARY(+)
GRETA_BFLOAT16_BINARY(-)
GRETA_BFLOAT16_BINARY(*)
GRETA_BFLOAT16_BINARY(/)
#undef GRETA_BFLOAT16_BINARY
GRETA_BOTH hip_bfloat16 operator-(hip_bfloat16 a) {
  a.data ^= 0x8000;
  return a;
}
GRETA_BOTH bool isnan(hip_bfloat16 a) { return isnan(float(a)); }
GRETA_BOTH bool isinf(hip_bfloat16 a) { return isinf(float(a)); }
GRETA_BOTH bool iszero(hip_bfloat16 a) { return float(a) == 0; }
GRETA_SHUFFLES(hip_bfloat16)
