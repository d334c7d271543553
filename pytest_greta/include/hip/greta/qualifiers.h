// Function and variable qualifiers, launch bounds, and the refusal of host compilation.
#pragma once

#if !defined(__HIP__) || !defined(__clang__)
#error "pytest-greta's <hip/...> headers are for clang compiling HIP (-x hip); install ROCm for anything else."
#endif
#if !defined(__HIP_DEVICE_COMPILE__)
#error "pytest-greta's <hip/...> headers hold device code only; add --cuda-device-only, or use ROCm's headers."
#endif
#if !defined(__AMDGCN__) && !defined(__SPIRV__)
#error "pytest-greta's <hip/...> headers support the targets amdgcn and spirv64 only."
#endif

#include "../hip_version.h"
// Lets a source tell this header from ROCm's.
#define __HIP_GRETA_HEADER__ 1

#ifndef __HIP_PLATFORM_AMD__
#define __HIP_PLATFORM_AMD__ 1
#endif
#ifndef __HIPCC__
#define __HIPCC__ 1
#endif

// Lanes of a wavefront as a constant, which clang no longer defines and libraries ask for: the target's own number, so
// that -mwavefrontsize64 takes -D__AMDGCN_WAVEFRONT_SIZE=64 beside it.
#if defined(__AMDGCN__) && !defined(__AMDGCN_WAVEFRONT_SIZE)
#if defined(__GFX10__) || defined(__GFX11__) || defined(__GFX12__)
#define __AMDGCN_WAVEFRONT_SIZE 32
#else
#define __AMDGCN_WAVEFRONT_SIZE 64
#endif
#endif
#if defined(__AMDGCN__) && !defined(__AMDGCN_WAVEFRONT_SIZE__)
#define __AMDGCN_WAVEFRONT_SIZE__ __AMDGCN_WAVEFRONT_SIZE
#endif

#define __host__ __attribute__((host))
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#if defined(__SPIRV__)  // memory that a kernel can write to: one of greta's fills it by name (compiler/spirv.py)
#define __constant__ __attribute__((device))
#else
#define __constant__ __attribute__((constant))
#endif
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))
#define __managed__ \
  _Pragma("GCC error \"__managed__ variables need ROCm: greta gives a kernel its memory as arguments and __constant__\"")
#define __hip_pinned_shadow__
#define __grid_constant__
#define HIP_DYNAMIC_SHARED(type, variable) extern __shared__ type variable[];
#define HIP_DYNAMIC_SHARED_ATTRIBUTE
#define HIP_KERNEL_NAME(...) __VA_ARGS__

// How every function of these headers is declared: inlined always, so no call and no symbol remains.
#define GRETA_DEVICE static inline __attribute__((device, always_inline))
// The same where host code calls it too.
#define GRETA_BOTH static inline __attribute__((host, device, always_inline))
// The same for member functions and constructors, which may also be evaluated at compile time.
#define GRETA_MEMBER constexpr __attribute__((device, host, always_inline))

// __launch_bounds__(threads) and __launch_bounds__(threads, waves). Clang's own attribute of this name does not reach the
// AMDGPU backend: without the flat work-group size it allots registers for blocks of 1024 threads.
#if defined(__AMDGCN__)
#define GRETA_LAUNCH_BOUNDS_1(threads) __attribute__((amdgpu_flat_work_group_size(1, threads)))
#define GRETA_LAUNCH_BOUNDS_2(threads, waves) \
  __attribute__((amdgpu_flat_work_group_size(1, threads), amdgpu_waves_per_eu(waves)))
#else
#define GRETA_LAUNCH_BOUNDS_1(threads) __attribute__((launch_bounds(threads)))
#define GRETA_LAUNCH_BOUNDS_2(threads, waves) __attribute__((launch_bounds(threads, waves)))
#endif
#define GRETA_SELECT_3(a, b, chosen, ...) chosen
#define __launch_bounds__(...) \
  GRETA_SELECT_3(__VA_ARGS__, GRETA_LAUNCH_BOUNDS_2, GRETA_LAUNCH_BOUNDS_1, )(__VA_ARGS__)

// The smaller and the larger of two numbers; of a number and a NaN, the number. Older compilers (clang 19) know these
// built-ins by the names without "num".
#if __has_builtin(__builtin_elementwise_minnum)
#define GRETA_min(x, y) __builtin_elementwise_minnum(x, y)
#define GRETA_max(x, y) __builtin_elementwise_maxnum(x, y)
#else
#define GRETA_min(x, y) __builtin_elementwise_min(x, y)
#define GRETA_max(x, y) __builtin_elementwise_max(x, y)
#endif
