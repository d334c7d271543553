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
extern "C" __attribute__((device, unavailable("printf on a GPU needs ROCm's device library"))) int printf(const char*, ...);
#else
extern "C" __attribute__((device, unavailable("the cpu device has no cycle counter"))) long long clock64();
extern "C" __attribute__((device, unavailable("the cpu device has no clock"))) long long wall_clock64();
extern "C" __attribute__((device)) int printf(const char*, ...);
#endif
