// What the other headers need from SPIR-V: OpenCL C's built-in functions, by their mangled names.
#pragma once

#ifndef GRETA_WAVE_SIZE
#define GRETA_WAVE_SIZE 64
#endif

#define GRETA_OPENCL extern "C" __attribute__((device, const, nothrow))
#define GRETA_OPENCL_CONVERGENT extern "C" __attribute__((device, convergent, nothrow))

GRETA_OPENCL unsigned long _Z12get_local_idj(unsigned);
GRETA_OPENCL unsigned long _Z12get_group_idj(unsigned);
GRETA_OPENCL unsigned long _Z14get_local_sizej(unsigned);
GRETA_OPENCL unsigned long _Z14get_num_groupsj(unsigned);
GRETA_OPENCL unsigned _Z22get_sub_group_local_idv();
GRETA_OPENCL unsigned long _Z6mul_himm(unsigned long, unsigned long);
GRETA_OPENCL float _Z5ldexpfi(float, int);
GRETA_OPENCL double _Z5ldexpdi(double, int);
GRETA_OPENCL_CONVERGENT void _Z7barrierj(unsigned);
GRETA_OPENCL_CONVERGENT int _Z17sub_group_shuffleij(int, unsigned);

namespace greta {

using OpenclUint4 = unsigned __attribute__((ext_vector_type(4)));

}  // namespace greta

GRETA_OPENCL_CONVERGENT greta::OpenclUint4 _Z16sub_group_balloti(int);
GRETA_OPENCL_CONVERGENT void _Z22__spirv_ControlBarrierjjj(unsigned, unsigned, unsigned);

namespace greta {

// CPU runtimes form sub-groups along the x axis alone. A block of more axes keeps HIP's waves (lanes in linear order)
// when it is launched as one of x*y*z threads on the x axis and compiled with its shape in GRETA_BLOCK_X, _Y and _Z.
#if defined(GRETA_BLOCK_X)
template <int axis> GRETA_DEVICE unsigned block_size() {
  constexpr unsigned sizes[] = {GRETA_BLOCK_X, GRETA_BLOCK_Y, GRETA_BLOCK_Z};
  return sizes[axis];
}
template <int axis> GRETA_DEVICE unsigned thread_index() {
  unsigned linear = _Z12get_local_idj(0);
  if constexpr (axis == 0) return linear % GRETA_BLOCK_X;
  if constexpr (axis == 1) return linear / GRETA_BLOCK_X % GRETA_BLOCK_Y;
  if constexpr (axis == 2) return linear / (GRETA_BLOCK_X * GRETA_BLOCK_Y);
}
#else
template <int axis> GRETA_DEVICE unsigned block_size() { return _Z14get_local_sizej(axis); }
template <int axis> GRETA_DEVICE unsigned thread_index() { return _Z12get_local_idj(axis); }
#endif
template <int axis> GRETA_DEVICE unsigned block_index() { return _Z12get_group_idj(axis); }
template <int axis> GRETA_DEVICE unsigned grid_blocks() { return _Z14get_num_groupsj(axis); }

GRETA_DEVICE float ldexp(float x, int n) { return _Z5ldexpfi(x, n); }
GRETA_DEVICE double ldexp(double x, int n) { return _Z5ldexpdi(x, n); }

GRETA_DEVICE int wave_size() { return GRETA_WAVE_SIZE; }
GRETA_DEVICE unsigned lane_id() { return _Z22get_sub_group_local_idv(); }

// The value `v` has in lane `lane`; the lane number wraps at the wave's size.
GRETA_DEVICE int read_lane(int v, int lane) {
  return _Z17sub_group_shuffleij(v, static_cast<unsigned>(lane) & (GRETA_WAVE_SIZE - 1));
}

// One bit a lane, for the active lanes only.
GRETA_DEVICE unsigned long long ballot(bool p) {
  OpenclUint4 bits = _Z16sub_group_balloti(p);
  return static_cast<unsigned long long>(bits.y) << 32 | bits.x;
}

// Ends the kernel with a fault; what it does is added where SPIR-V is made. Clang's own trap never returns, and the code
// of wavefronts around what never returns is wrong.
extern "C" __attribute__((device)) void __greta_trap();
GRETA_DEVICE void trap() { __greta_trap(); }
#define __builtin_trap() greta::trap()

GRETA_DEVICE void fence_block() { __scoped_atomic_thread_fence(__ATOMIC_SEQ_CST, __MEMORY_SCOPE_WRKGRP); }
GRETA_DEVICE void fence_device() { __scoped_atomic_thread_fence(__ATOMIC_SEQ_CST, __MEMORY_SCOPE_DEVICE); }
GRETA_DEVICE void fence_system() { __scoped_atomic_thread_fence(__ATOMIC_SEQ_CST, __MEMORY_SCOPE_SYSTEM); }

// OpenCL's flags: 1 orders LDS, 2 orders global memory.
GRETA_DEVICE void barrier() { _Z7barrierj(1 | 2); }
// Execution and memory scope 3 is the sub-group; acquire and release, of LDS and global memory.
GRETA_DEVICE void wave_barrier() { _Z22__spirv_ControlBarrierjjj(3, 3, 0x8 | 0x100 | 0x200); }

}  // namespace greta
