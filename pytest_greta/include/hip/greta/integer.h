// Integer and bit intrinsics.
#pragma once

GRETA_DEVICE int __popc(unsigned x) { return __builtin_popcount(x); }
GRETA_DEVICE int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
GRETA_DEVICE int __clz(int x) { return x == 0 ? 32 : __builtin_clz(x); }
GRETA_DEVICE int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(x); }
GRETA_DEVICE int __ffs(unsigned x) { return x == 0 ? 0 : __builtin_ctz(x) + 1; }
GRETA_DEVICE int __ffs(int x) { return __ffs(static_cast<unsigned>(x)); }
GRETA_DEVICE int __ffsll(unsigned long long x) { return x == 0 ? 0 : __builtin_ctzll(x) + 1; }
GRETA_DEVICE int __ffsll(long long x) { return __ffsll(static_cast<unsigned long long>(x)); }

GRETA_DEVICE unsigned __brev(unsigned x) {
#if defined(__AMDGCN__)
  return __builtin_bitreverse32(x);
#else  // OpenCL's SPIR-V has no bit reversal, and clang would make one of the usual shifts and masks
  unsigned result = 0;
  for (int i = 0; i < 32; i += 4) {
    // Four bits at a time: nibble n of the constant is n reversed.
    result |= static_cast<unsigned>(0xf7b3d591e6a2c480ull >> 4 * (x >> i & 15) & 15) << (28 - i);
  }
  return result;
#endif
}
GRETA_DEVICE unsigned long long __brevll(unsigned long long x) {
  return static_cast<unsigned long long>(__brev(static_cast<unsigned>(x))) << 32 | __brev(static_cast<unsigned>(x >> 32));
}

// Byte i of the result is byte (selector >> 4i & 7) of the eight bytes of x (0 to 3) and y (4 to 7).
GRETA_DEVICE unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  unsigned long long bytes = static_cast<unsigned long long>(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= static_cast<unsigned>(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
  }
  return result;
}

// Funnel shifts of hi:lo; the plain forms take the shift modulo 32, the c forms clamp it to 32.
GRETA_DEVICE unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned shift) {
  return static_cast<unsigned>((static_cast<unsigned long long>(hi) << 32 | lo) << (shift & 31) >> 32);
}
GRETA_DEVICE unsigned __funnelshift_lc(unsigned lo, unsigned hi, unsigned shift) {
  return shift >= 32 ? lo : __funnelshift_l(lo, hi, shift);
}
GRETA_DEVICE unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned shift) {
  return static_cast<unsigned>((static_cast<unsigned long long>(hi) << 32 | lo) >> (shift & 31));
}
GRETA_DEVICE unsigned __funnelshift_rc(unsigned lo, unsigned hi, unsigned shift) {
  return shift >= 32 ? hi : __funnelshift_r(lo, hi, shift);
}

// Products of the low 24 bits, and the high halves of full products.
GRETA_DEVICE int __mul24(int x, int y) { return (x << 8 >> 8) * (y << 8 >> 8); }
GRETA_DEVICE unsigned __umul24(unsigned x, unsigned y) { return (x & 0xffffff) * (y & 0xffffff); }
GRETA_DEVICE int __mulhi(int x, int y) { return static_cast<int>(static_cast<long long>(x) * y >> 32); }
GRETA_DEVICE unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>(static_cast<unsigned long long>(x) * y >> 32);
}
GRETA_DEVICE unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
#if defined(__AMDGCN__)
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(x) * y >> 64);
#else
  return _Z6mul_himm(x, y);
#endif
}
GRETA_DEVICE long long __mul64hi(long long x, long long y) {
  unsigned long long high = __umul64hi(x, y);
  return static_cast<long long>(high - (x < 0 ? y : 0) - (y < 0 ? x : 0));
}

// Averages without overflow: rounded down, and rounded up (r).
GRETA_DEVICE int __hadd(int x, int y) { return (x & y) + ((x ^ y) >> 1); }
GRETA_DEVICE int __rhadd(int x, int y) { return (x | y) - ((x ^ y) >> 1); }
GRETA_DEVICE unsigned __uhadd(unsigned x, unsigned y) { return (x & y) + ((x ^ y) >> 1); }
GRETA_DEVICE unsigned __urhadd(unsigned x, unsigned y) { return (x | y) - ((x ^ y) >> 1); }
GRETA_DEVICE unsigned __sad(int x, int y, unsigned z) {
  return z + (x > y ? static_cast<unsigned>(x) - y : static_cast<unsigned>(y) - x);
}
GRETA_DEVICE unsigned __usad(unsigned x, unsigned y, unsigned z) { return z + (x > y ? x - y : y - x); }

// `width` bits from bit `offset` on, taken out or put in; both count modulo the number of bits.
GRETA_DEVICE unsigned __bitextract_u32(unsigned x, unsigned offset, unsigned width) {
  offset &= 31, width &= 31;
  return width == 0 ? 0 : x << ((32 - offset - width) & 31) >> (32 - width);
}
GRETA_DEVICE unsigned long __bitextract_u64(unsigned long x, unsigned offset, unsigned width) {
  offset &= 63, width &= 63;
  return width == 0 ? 0 : x << ((64 - offset - width) & 63) >> (64 - width);
}
GRETA_DEVICE unsigned __bitinsert_u32(unsigned x, unsigned bits, unsigned offset, unsigned width) {
  unsigned mask = (1u << (width & 31)) - 1;
  offset &= 31;
  return (x & ~(mask << offset)) | (bits & mask) << offset;
}
GRETA_DEVICE unsigned long __bitinsert_u64(unsigned long x, unsigned long bits, unsigned offset, unsigned width) {
  unsigned long mask = (1ul << (width & 63)) - 1;
  offset &= 63;
  return (x & ~(mask << offset)) | (bits & mask) << offset;
}

// The lowest bit that is set, or -1.
GRETA_DEVICE unsigned __lastbit_u32_u64(unsigned long x) { return x == 0 ? ~0u : __builtin_ctzll(x); }

namespace greta {
// The n-th set bit from bit `base` on, upwards (n > 0) or downwards (n < 0), bit `base` itself where n is 0; -1 if none.
template <typename T> GRETA_DEVICE int find_nth_set(T mask, unsigned base, int n) {
  constexpr int bits = sizeof(T) * 8;
  if (n == 0) return mask >> base & 1 ? static_cast<int>(base) : -1;
  int step = n > 0 ? 1 : -1, wanted = n > 0 ? n : -n;
  for (int i = static_cast<int>(base); i >= 0 && i < bits; i += step)
    if (mask >> i & 1 && --wanted == 0) return i;
  return -1;
}
}  // namespace greta
GRETA_DEVICE int __fns64(unsigned long mask, unsigned base, int n) { return greta::find_nth_set(mask, base, n); }
GRETA_DEVICE int __fns32(unsigned mask, unsigned base, int n) { return greta::find_nth_set(mask, base, n); }
GRETA_DEVICE int __fns(unsigned mask, unsigned base, int n) { return __fns32(mask, base, n); }

// CUDA's names.
GRETA_DEVICE unsigned umin(unsigned x, unsigned y) { return x < y ? x : y; }
GRETA_DEVICE unsigned umax(unsigned x, unsigned y) { return x > y ? x : y; }
GRETA_DEVICE unsigned long long ullmin(unsigned long long x, unsigned long long y) { return x < y ? x : y; }
GRETA_DEVICE unsigned long long ullmax(unsigned long long x, unsigned long long y) { return x > y ? x : y; }
GRETA_DEVICE long long llmin(long long x, long long y) { return x < y ? x : y; }
GRETA_DEVICE long long llmax(long long x, long long y) { return x > y ? x : y; }
