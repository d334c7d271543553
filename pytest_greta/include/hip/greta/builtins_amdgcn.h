// What the other headers need from amdgcn: indices, barriers, fences, lanes. Compiler built-ins only, no device library.
#pragma once

namespace greta {

template <int axis> GRETA_DEVICE unsigned thread_index() {
  if constexpr (axis == 0) return __builtin_amdgcn_workitem_id_x();
  if constexpr (axis == 1) return __builtin_amdgcn_workitem_id_y();
  if constexpr (axis == 2) return __builtin_amdgcn_workitem_id_z();
}

template <int axis> GRETA_DEVICE unsigned block_index() {
  if constexpr (axis == 0) return __builtin_amdgcn_workgroup_id_x();
  if constexpr (axis == 1) return __builtin_amdgcn_workgroup_id_y();
  if constexpr (axis == 2) return __builtin_amdgcn_workgroup_id_z();
}

template <int axis> GRETA_DEVICE unsigned block_size() {
  if constexpr (axis == 0) return __builtin_amdgcn_workgroup_size_x();
  if constexpr (axis == 1) return __builtin_amdgcn_workgroup_size_y();
  if constexpr (axis == 2) return __builtin_amdgcn_workgroup_size_z();
}

// hidden_block_count_x/y/z open the implicit kernel arguments since code object version 5 (LLVM's AMDGPUUsage).
template <int axis> GRETA_DEVICE unsigned grid_blocks() {
  return ((const __attribute__((address_space(4))) unsigned*)__builtin_amdgcn_implicitarg_ptr())[axis];
}

GRETA_DEVICE float ldexp(float x, int n) { return __builtin_ldexpf(x, n); }
GRETA_DEVICE double ldexp(double x, int n) { return __builtin_ldexp(x, n); }

GRETA_DEVICE int wave_size() { return __builtin_amdgcn_wavefrontsize(); }

GRETA_DEVICE unsigned lane_id() {
  return __builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0u));
}

// The value `v` has in lane `lane`; the lane number wraps at the wave's size.
GRETA_DEVICE int read_lane(int v, int lane) { return __builtin_amdgcn_ds_bpermute(lane << 2, v); }

// One bit a lane, for the active lanes only.
GRETA_DEVICE unsigned long long ballot(bool p) {
#if defined(__GFX10__) || defined(__GFX11__) || defined(__GFX12__)
  if (wave_size() == 32) return __builtin_amdgcn_ballot_w32(p);
#endif
  return __builtin_amdgcn_ballot_w64(p);
}

// Ends the kernel with a fault. For gfx11 and later clang 22 makes no code of a kernel that has its own trap twice.
GRETA_DEVICE void trap() {
#if defined(__GFX11__) || defined(__GFX12__)
  asm volatile("s_trap 2");
  __builtin_amdgcn_endpgm();
#else
  __builtin_trap();
#endif
}

GRETA_DEVICE void fence_block() { __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, "workgroup"); }
GRETA_DEVICE void fence_device() { __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, "agent"); }
GRETA_DEVICE void fence_system() { __builtin_amdgcn_fence(__ATOMIC_SEQ_CST, ""); }

GRETA_DEVICE void barrier() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

GRETA_DEVICE void wave_barrier() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
  __builtin_amdgcn_wave_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
}

}  // namespace greta
