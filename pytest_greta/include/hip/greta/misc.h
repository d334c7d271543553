// Clocks, printf, assert, and the integer types that kernels expect without an include.
#pragma once

#include <stddef.h>
#include <stdint.h>

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
