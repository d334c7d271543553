// Clocks, printf, and the types that hiprtc knows without an include. The others are in <stddef.h> and <stdint.h>.
#pragma once

using size_t = __SIZE_TYPE__;
using ptrdiff_t = __PTRDIFF_TYPE__;
using int32_t = __INT32_TYPE__;
using uint32_t = __UINT32_TYPE__;
using int64_t = __INT64_TYPE__;
using uint64_t = __UINT64_TYPE__;
using uint = unsigned;
using ushort = unsigned short;
using uchar = unsigned char;
using ulong = unsigned long;

#if defined(__AMDGCN__)
GRETA_DEVICE long long clock64() { return __builtin_readcyclecounter(); }
GRETA_DEVICE long long wall_clock64() { return __builtin_readsteadycounter(); }
GRETA_DEVICE long long clock() { return clock64(); }
GRETA_DEVICE long long __clock64() { return clock64(); }
GRETA_DEVICE long long __clock() { return clock64(); }
// Without ROCm's device library nothing is printed; `__greta_drops_printf` in the code object tells that something was to be.
template <typename... T> GRETA_DEVICE int printf(const char*, T...) {
  static __attribute__((device, used)) char __greta_drops_printf;
  return 0;
}
#else
extern "C" __attribute__((device, unavailable("the cpu device has no cycle counter"))) long long clock64();
extern "C" __attribute__((device, unavailable("the cpu device has no clock"))) long long wall_clock64();
extern "C" __attribute__((device)) int printf(const char*, ...);
#endif

// Loads and stores with a hint on caching, which is left out.
#define GRETA_LOAD(name) \
  template <typename T> GRETA_DEVICE T name(const T* p) { return *p; }
#define GRETA_STORE(name) \
  template <typename T> GRETA_DEVICE void name(T* p, T value) { *p = value; }
GRETA_LOAD(__ldcg)
GRETA_LOAD(__ldca)
GRETA_LOAD(__ldcs)
GRETA_LOAD(__ldlu)
GRETA_LOAD(__ldcv)
GRETA_STORE(__stwb)
GRETA_STORE(__stcg)
GRETA_STORE(__stcs)
GRETA_STORE(__stwt)
#undef GRETA_LOAD
#undef GRETA_STORE
