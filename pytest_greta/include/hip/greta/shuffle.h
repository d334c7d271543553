// Barriers, fences, and what the lanes of a wave tell each other.
#pragma once

GRETA_DEVICE void __syncthreads() { greta::barrier(); }
GRETA_DEVICE void __syncwarp(unsigned long long = ~0ull) { greta::wave_barrier(); }

// A barrier that also tells every thread for how many threads of the block the predicate holds.
GRETA_DEVICE int __syncthreads_count(int predicate) {
  __shared__ int total;
  if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0) total = 0;
  greta::barrier();
  if (predicate) atomicAdd(&total, 1);
  greta::barrier();
  int count = total;
  greta::barrier();  // nobody clears `total` for the next call before all have read it
  return count;
}
GRETA_DEVICE int __syncthreads_or(int predicate) { return __syncthreads_count(predicate) != 0; }
GRETA_DEVICE int __syncthreads_and(int predicate) { return __syncthreads_count(!predicate) == 0; }

GRETA_DEVICE void __threadfence_block() { greta::fence_block(); }
GRETA_DEVICE void __threadfence() { greta::fence_device(); }
GRETA_DEVICE void __threadfence_system() { greta::fence_system(); }

GRETA_DEVICE unsigned __lane_id() { return greta::lane_id(); }

// Ballots are 64 bits on every target; inactive lanes are 0.
GRETA_DEVICE unsigned long long __ballot(int predicate) { return greta::ballot(predicate != 0); }
GRETA_DEVICE unsigned long long __ballot64(int predicate) { return __ballot(predicate); }
GRETA_DEVICE unsigned long long __activemask() { return __ballot(1); }
GRETA_DEVICE int __any(int predicate) { return __ballot(predicate) != 0; }
GRETA_DEVICE int __all(int predicate) { return __ballot(!predicate) == 0; }
GRETA_DEVICE unsigned long long __ballot_sync(unsigned long long mask, int predicate) { return __ballot(predicate) & mask; }
GRETA_DEVICE int __any_sync(unsigned long long mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
GRETA_DEVICE int __all_sync(unsigned long long mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

// Which lanes are this one, before it and behind it; of the last two only the active ones, as in HIP.
GRETA_DEVICE unsigned long __lanemask_eq() { return 1ul << greta::lane_id(); }
GRETA_DEVICE unsigned long __lanemask_lt() { return (__lanemask_eq() - 1) & __ballot(1); }
GRETA_DEVICE unsigned long __lanemask_gt() { return ~(__lanemask_eq() | (__lanemask_eq() - 1)) & __ballot(1); }

namespace greta {

// A value of any size that is trivially copyable, read from another lane in pieces of 32 bits.
template <typename T> GRETA_DEVICE T read_lane_of(T value, int lane) {
  constexpr int words = (sizeof(T) + 3) / 4;
  int in[words] = {}, out[words];
  __builtin_memcpy(in, &value, sizeof(T));
  for (int i = 0; i < words; ++i) out[i] = read_lane(in[i], lane);
  __builtin_memcpy(&value, out, sizeof(T));
  return value;
}

// The four rules of HIP for the lane that is read; a width is a power of two up to the wave's size.
GRETA_DEVICE int shuffle_lane(int self, int source, int width) {
  return (source & (width - 1)) + (self & ~(width - 1));
}
GRETA_DEVICE int shuffle_up_lane(int self, unsigned delta, int width) {
  int lane = self - static_cast<int>(delta);
  return lane < (self & ~(width - 1)) ? self : lane;
}
GRETA_DEVICE int shuffle_down_lane(int self, unsigned delta, int width) {
  int lane = self + static_cast<int>(delta);
  return static_cast<int>((self & (width - 1)) + delta) >= width ? self : lane;
}
GRETA_DEVICE int shuffle_xor_lane(int self, int mask, int width) {
  int lane = self ^ mask;
  return lane >= ((self + width) & ~(width - 1)) ? self : lane;
}

}  // namespace greta

#define GRETA_SHUFFLES(T)                                                                       \
  GRETA_DEVICE T __shfl(T v, int source, int width = warpSize) {                                \
    return greta::read_lane_of(v, greta::shuffle_lane(greta::lane_id(), source, width));        \
  }                                                                                             \
  GRETA_DEVICE T __shfl_up(T v, unsigned delta, int width = warpSize) {                         \
    return greta::read_lane_of(v, greta::shuffle_up_lane(greta::lane_id(), delta, width));      \
  }                                                                                             \
  GRETA_DEVICE T __shfl_down(T v, unsigned delta, int width = warpSize) {                       \
    return greta::read_lane_of(v, greta::shuffle_down_lane(greta::lane_id(), delta, width));    \
  }                                                                                             \
  GRETA_DEVICE T __shfl_xor(T v, int mask, int width = warpSize) {                              \
    return greta::read_lane_of(v, greta::shuffle_xor_lane(greta::lane_id(), mask, width));      \
  }                                                                                             \
  GRETA_DEVICE T __shfl_sync(unsigned long long, T v, int source, int width = warpSize) {       \
    return __shfl(v, source, width);                                                            \
  }                                                                                             \
  GRETA_DEVICE T __shfl_up_sync(unsigned long long, T v, unsigned delta, int width = warpSize) {   \
    return __shfl_up(v, delta, width);                                                          \
  }                                                                                             \
  GRETA_DEVICE T __shfl_down_sync(unsigned long long, T v, unsigned delta, int width = warpSize) { \
    return __shfl_down(v, delta, width);                                                        \
  }                                                                                             \
  GRETA_DEVICE T __shfl_xor_sync(unsigned long long, T v, int mask, int width = warpSize) {     \
    return __shfl_xor(v, mask, width);                                                          \
  }

// Which active lanes hold the same value, bit for bit as `==` has it; and whether all do.
template <typename T> GRETA_DEVICE unsigned long long __match_any(T value) {
  unsigned long long left = __ballot(1), found = 0;
  while (left != 0) {  // one value in each turn, the same in all lanes
    int first = __builtin_ctzll(left);
    unsigned long long same = __ballot(greta::read_lane_of(value, first) == value);
    if (same >> greta::lane_id() & 1) found = same;
    left &= ~(same | 1ull << first);
  }
  return found;
}
template <typename T> GRETA_DEVICE unsigned long long __match_all(T value, int* predicate) {
  unsigned long long active = __ballot(1);
  *predicate = __ballot(greta::read_lane_of(value, __builtin_ctzll(active)) == value) == active;
  return *predicate ? active : 0;
}
template <typename T> GRETA_DEVICE unsigned long long __match_any_sync(unsigned long long mask, T value) {
  return __match_any(value) & mask;
}
template <typename T>
GRETA_DEVICE unsigned long long __match_all_sync(unsigned long long mask, T value, int* predicate) {
  return __match_all(value, predicate) & mask;
}

GRETA_SHUFFLES(int)
GRETA_SHUFFLES(unsigned)
GRETA_SHUFFLES(long)
GRETA_SHUFFLES(unsigned long)
GRETA_SHUFFLES(long long)
GRETA_SHUFFLES(unsigned long long)
GRETA_SHUFFLES(float)
GRETA_SHUFFLES(double)

// The hardware's own moves between lanes: by the address of a lane (4 times its number) that is read or written.
GRETA_DEVICE int __hip_ds_bpermute(int address, int v) { return greta::read_lane(v, address >> 2); }
GRETA_DEVICE float __hip_ds_bpermutef(int address, float v) {
  return __builtin_bit_cast(float, greta::read_lane(__builtin_bit_cast(int, v), address >> 2));
}
#if defined(__AMDGCN__)
GRETA_DEVICE int __hip_ds_permute(int address, int v) { return __builtin_amdgcn_ds_permute(address, v); }
GRETA_DEVICE float __hip_ds_permutef(int address, float v) {
  return __builtin_bit_cast(float, __builtin_amdgcn_ds_permute(address, __builtin_bit_cast(int, v)));
}
GRETA_DEVICE unsigned __mbcnt_lo(unsigned mask, unsigned base) { return __builtin_amdgcn_mbcnt_lo(mask, base); }
GRETA_DEVICE unsigned __mbcnt_hi(unsigned mask, unsigned base) { return __builtin_amdgcn_mbcnt_hi(mask, base); }
#else
GRETA_DEVICE unsigned __mbcnt_lo(unsigned mask, unsigned base) {
  return base + __builtin_popcountll(mask & ((1ull << greta::lane_id()) - 1));
}
GRETA_DEVICE unsigned __mbcnt_hi(unsigned mask, unsigned base) {
  return base + __builtin_popcountll(static_cast<unsigned long long>(mask) << 32 & ((1ull << greta::lane_id()) - 1));
}
#endif
GRETA_DEVICE void __named_sync() { greta::barrier(); }
