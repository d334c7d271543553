// Rounding to bfloat16, which is a float without its low 16 bits. Kept as an integer: SPIR-V has no such type.
#pragma once

namespace greta {

GRETA_BOTH float bfloat16_to_float(unsigned short bits) {
  return __builtin_bit_cast(float, static_cast<unsigned>(bits) << 16);
}
// To nearest, even on a tie; a NaN stays a (quiet) NaN.
GRETA_BOTH unsigned short bfloat16_from_float(float f) {
#if defined(__AMDGCN__)  // the compiler knows the targets that have an instruction for it
  return __builtin_bit_cast(unsigned short, static_cast<__bf16>(f));
#else
  unsigned bits = __builtin_bit_cast(unsigned, f);
  if (f != f) return static_cast<unsigned short>(bits >> 16 | 0x40);
  return static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
#endif
}
// Through a float rounded to odd, so that the second rounding is the only one that counts.
GRETA_BOTH unsigned short bfloat16_from_double(double d) {
  float f = static_cast<float>(d);
  if (static_cast<double>(f) != d && d == d) {
    unsigned bits = __builtin_bit_cast(unsigned, f);
    bool away = __builtin_fabs(static_cast<double>(f)) > __builtin_fabs(d);
    bits = (away ? bits - 1 : bits) | 1;  // towards zero, then odd
    f = __builtin_bit_cast(float, bits);
  }
  return bfloat16_from_float(f);
}

}  // namespace greta
