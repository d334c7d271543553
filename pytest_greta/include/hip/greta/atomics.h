// Atomic operations on global memory and LDS: relaxed, at device scope (`_system`: at system scope), as in HIP.
#pragma once

#if defined(__SPIRV__)
#define GRETA_OPENCL_ATOMIC extern "C" __attribute__((device, nothrow))
#define GRETA_GLOBAL __attribute__((address_space(1)))
GRETA_OPENCL_ATOMIC unsigned _Z14atomic_cmpxchgPU3AS1Vjjj(GRETA_GLOBAL volatile unsigned*, unsigned, unsigned);
GRETA_OPENCL_ATOMIC unsigned long _Z12atom_cmpxchgPU3AS1Vmmm(GRETA_GLOBAL volatile unsigned long*, unsigned long,
                                                             unsigned long);
#endif

namespace greta {

#if defined(__SPIRV__)
// OpenCL runtimes on CPUs have no atomics on generic pointers, their to_local() takes every pointer for LDS, and their
// atomics on LDS are no atomics on global memory. But all their address spaces are one memory, so a global atomic does
// for both. The pointer goes through an integer because a cast from LDS to global memory is no valid one.
template <typename T> using GlobalPointer = GRETA_GLOBAL T*;
template <typename T> GRETA_DEVICE GlobalPointer<T> as_global(T* p) {
  return (GlobalPointer<T>)reinterpret_cast<unsigned long>(p);
}
GRETA_DEVICE unsigned opencl_compare_and_swap(GlobalPointer<unsigned> p, unsigned expected, unsigned desired) {
  return _Z14atomic_cmpxchgPU3AS1Vjjj(p, expected, desired);
}
GRETA_DEVICE unsigned long opencl_compare_and_swap(GlobalPointer<unsigned long> p, unsigned long expected,
                                                   unsigned long desired) {
  return _Z12atom_cmpxchgPU3AS1Vmmm(p, expected, desired);
}
#define GRETA_ATOMIC_CALL(call, p, ...) return call(as_global(p), __VA_ARGS__, __ATOMIC_RELAXED, scope)
#else
#define GRETA_ATOMIC_CALL(call, p, ...) return call(p, __VA_ARGS__, __ATOMIC_RELAXED, scope)
#endif

#define GRETA_ATOMIC_TEMPLATE template <int scope = __MEMORY_SCOPE_DEVICE, typename T> GRETA_DEVICE T

GRETA_ATOMIC_TEMPLATE fetch_add(T* p, T v) { GRETA_ATOMIC_CALL(__scoped_atomic_fetch_add, p, v); }
GRETA_ATOMIC_TEMPLATE fetch_sub(T* p, T v) { GRETA_ATOMIC_CALL(__scoped_atomic_fetch_sub, p, v); }
GRETA_ATOMIC_TEMPLATE fetch_min(T* p, T v) { GRETA_ATOMIC_CALL(__scoped_atomic_fetch_min, p, v); }
GRETA_ATOMIC_TEMPLATE fetch_max(T* p, T v) { GRETA_ATOMIC_CALL(__scoped_atomic_fetch_max, p, v); }
GRETA_ATOMIC_TEMPLATE fetch_and(T* p, T v) { GRETA_ATOMIC_CALL(__scoped_atomic_fetch_and, p, v); }
GRETA_ATOMIC_TEMPLATE fetch_or(T* p, T v) { GRETA_ATOMIC_CALL(__scoped_atomic_fetch_or, p, v); }
GRETA_ATOMIC_TEMPLATE fetch_xor(T* p, T v) { GRETA_ATOMIC_CALL(__scoped_atomic_fetch_xor, p, v); }
GRETA_ATOMIC_TEMPLATE exchange(T* p, T v) { GRETA_ATOMIC_CALL(__scoped_atomic_exchange_n, p, v); }
#undef GRETA_ATOMIC_CALL

template <int bytes> struct bits_of;
template <> struct bits_of<4> { using type = unsigned; };
template <> struct bits_of<8> { using type = unsigned long; };

// Stores `desired` where the bits of `*p` are those of `expected`, and returns what `*p` was.
GRETA_ATOMIC_TEMPLATE compare_and_swap(T* p, T expected, T desired) {
  using Bits = typename bits_of<sizeof(T)>::type;
  Bits seen = __builtin_bit_cast(Bits, expected), next = __builtin_bit_cast(Bits, desired);
#if defined(__SPIRV__)
  // OpenCL's function and not the compiler's built-in, whose pair of value and flag makes phis that clang's SPIR-V
  // writer gets wrong.
  return __builtin_bit_cast(T, opencl_compare_and_swap(as_global((Bits*)p), seen, next));
#else
  __scoped_atomic_compare_exchange_n((Bits*)p, &seen, next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED, scope);
  return __builtin_bit_cast(T, seen);
#endif
}

// Any read-modify-write, as a loop of compare and swap on the value's bits.
template <int scope = __MEMORY_SCOPE_DEVICE, typename T, typename F> GRETA_DEVICE T fetch_update(T* p, F change) {
  using Bits = typename bits_of<sizeof(T)>::type;
  Bits* address = reinterpret_cast<Bits*>(p);
  Bits seen = *const_cast<volatile Bits*>(address);  // only a first guess, so it need not be atomic
  for (;;) {
    T next = change(__builtin_bit_cast(T, seen));
    Bits was = compare_and_swap<scope>(address, seen, __builtin_bit_cast(Bits, next));
    if (was == seen) return __builtin_bit_cast(T, was);
    seen = was;
  }
}

template <int scope = __MEMORY_SCOPE_DEVICE, typename T> GRETA_DEVICE T fetch_add_float(T* p, T v) {
#if defined(__AMDGCN__)
  return __scoped_atomic_fetch_add(p, v, __ATOMIC_RELAXED, scope);
#else  // needs an extension that CPU runtimes lack
  return fetch_update<scope>(p, [v](T old) { return old + v; });
#endif
}

}  // namespace greta

#define GRETA_ATOMIC_INTEGER(T, suffix, scope)                                                                  \
  GRETA_DEVICE T atomicAdd##suffix(T* p, T v) { return greta::fetch_add<scope>(p, v); }                         \
  GRETA_DEVICE T atomicSub##suffix(T* p, T v) { return greta::fetch_sub<scope>(p, v); }                         \
  GRETA_DEVICE T atomicMin##suffix(T* p, T v) { return greta::fetch_min<scope>(p, v); }                         \
  GRETA_DEVICE T atomicMax##suffix(T* p, T v) { return greta::fetch_max<scope>(p, v); }                         \
  GRETA_DEVICE T atomicAnd##suffix(T* p, T v) { return greta::fetch_and<scope>(p, v); }                         \
  GRETA_DEVICE T atomicOr##suffix(T* p, T v) { return greta::fetch_or<scope>(p, v); }                           \
  GRETA_DEVICE T atomicXor##suffix(T* p, T v) { return greta::fetch_xor<scope>(p, v); }                         \
  GRETA_DEVICE T atomicExch##suffix(T* p, T v) { return greta::exchange<scope>(p, v); }                         \
  GRETA_DEVICE T atomicCAS##suffix(T* p, T expected, T v) { return greta::compare_and_swap<scope>(p, expected, v); }
// Minimum and maximum: where old and new differ by more than a NaN, as fmin and fmax order them.
#define GRETA_ATOMIC_FLOAT(T, suffix, scope)                                                                    \
  GRETA_DEVICE T atomicAdd##suffix(T* p, T v) { return greta::fetch_add_float<scope>(p, v); }                   \
  GRETA_DEVICE T atomicSub##suffix(T* p, T v) { return greta::fetch_add_float<scope>(p, -v); }                  \
  GRETA_DEVICE T atomicMin##suffix(T* p, T v) {                                                                 \
    return greta::fetch_update<scope>(p, [v](T old) { return GRETA_min(old, v); });                             \
  }                                                                                                             \
  GRETA_DEVICE T atomicMax##suffix(T* p, T v) {                                                                 \
    return greta::fetch_update<scope>(p, [v](T old) { return GRETA_max(old, v); });                             \
  }                                                                                                             \
  GRETA_DEVICE T atomicExch##suffix(T* p, T v) {                                                                \
    using Bits = typename greta::bits_of<sizeof(T)>::type;                                                      \
    return __builtin_bit_cast(T, greta::exchange<scope>((Bits*)p, __builtin_bit_cast(Bits, v)));                \
  }                                                                                                             \
  GRETA_DEVICE T atomicCAS##suffix(T* p, T expected, T v) { return greta::compare_and_swap<scope>(p, expected, v); }
#define GRETA_ATOMICS(suffix, scope)                      \
  GRETA_ATOMIC_INTEGER(int, suffix, scope)                \
  GRETA_ATOMIC_INTEGER(unsigned, suffix, scope)           \
  GRETA_ATOMIC_INTEGER(long, suffix, scope)               \
  GRETA_ATOMIC_INTEGER(unsigned long, suffix, scope)      \
  GRETA_ATOMIC_INTEGER(long long, suffix, scope)          \
  GRETA_ATOMIC_INTEGER(unsigned long long, suffix, scope) \
  GRETA_ATOMIC_FLOAT(float, suffix, scope)                \
  GRETA_ATOMIC_FLOAT(double, suffix, scope)

GRETA_ATOMICS(, __MEMORY_SCOPE_DEVICE)
GRETA_ATOMICS(_system, __MEMORY_SCOPE_SYSTEM)
#undef GRETA_ATOMICS
#undef GRETA_ATOMIC_INTEGER
#undef GRETA_ATOMIC_FLOAT
#undef GRETA_ATOMIC_TEMPLATE

// Counts up to `limit` and wraps to 0; counts down to 0 and wraps to `limit`.
GRETA_DEVICE unsigned atomicInc(unsigned* p, unsigned limit) {
#if defined(__AMDGCN__)
  return __builtin_amdgcn_atomic_inc32(p, limit, __ATOMIC_RELAXED, "agent");
#else
  return greta::fetch_update(p, [limit](unsigned old) { return old >= limit ? 0 : old + 1; });
#endif
}
GRETA_DEVICE unsigned atomicDec(unsigned* p, unsigned limit) {
#if defined(__AMDGCN__)
  return __builtin_amdgcn_atomic_dec32(p, limit, __ATOMIC_RELAXED, "agent");
#else
  return greta::fetch_update(p, [limit](unsigned old) { return old == 0 || old > limit ? limit : old - 1; });
#endif
}

// The hardware's own add, which may ignore fine-grained memory and denormals; the plain atomicAdd is always right.
template <typename T> GRETA_DEVICE T unsafeAtomicAdd(T* p, T v) {
#if defined(__AMDGCN__)
  [[clang::atomic(no_remote_memory, no_fine_grained_memory, ignore_denormal_mode)]] {
    return __scoped_atomic_fetch_add(p, v, __ATOMIC_RELAXED, __MEMORY_SCOPE_DEVICE);
  }
#else
  return atomicAdd(p, v);
#endif
}
template <typename T> GRETA_DEVICE T safeAtomicAdd(T* p, T v) { return atomicAdd(p, v); }
template <typename T> GRETA_DEVICE T unsafeAtomicMin(T* p, T v) { return atomicMin(p, v); }
template <typename T> GRETA_DEVICE T unsafeAtomicMax(T* p, T v) { return atomicMax(p, v); }
template <typename T> GRETA_DEVICE T safeAtomicMin(T* p, T v) { return atomicMin(p, v); }
template <typename T> GRETA_DEVICE T safeAtomicMax(T* p, T v) { return atomicMax(p, v); }
GRETA_DEVICE void atomicAddNoRet(float* p, float v) { atomicAdd(p, v); }
