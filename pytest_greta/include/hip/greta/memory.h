// Memory in device code: memcpy, memset; what ends a kernel. Nothing is allocated there.
#pragma once

GRETA_DEVICE void* memcpy(void* to, const void* from, __SIZE_TYPE__ bytes) { return __builtin_memcpy(to, from, bytes); }
GRETA_DEVICE void* memset(void* to, int value, __SIZE_TYPE__ bytes) { return __builtin_memset(to, value, bytes); }
GRETA_DEVICE void __trap() { greta::trap(); }
GRETA_BOTH void __greta_failed() { greta::trap(); }  // an assertion, in host code too
GRETA_DEVICE void abort() { greta::trap(); }
extern "C" __attribute__((device, unavailable("device code allocates nothing without ROCm's device library"))) void* malloc(__SIZE_TYPE__);
extern "C" __attribute__((device, unavailable("device code allocates nothing without ROCm's device library"))) void free(void*);
