// Cooperative groups: a block, tiles of it, and the lanes that run together. Groups of a whole grid need a cooperative
// launch, which greta does not make, and are refused.
#pragma once
#include "hip_runtime.h"

namespace cooperative_groups {

#define GRETA_GROUP __attribute__((device, always_inline))

namespace details {
enum Kind { block, tile, lanes };

GRETA_DEVICE unsigned rank_in_block() {
  return (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
}
GRETA_DEVICE unsigned block_threads() { return blockDim.x * blockDim.y * blockDim.z; }
GRETA_DEVICE unsigned long lanes_before() { return (1ul << greta::lane_id()) - 1; }
// The bits of `mask` that are members', packed from bit 0 on.
GRETA_DEVICE unsigned long long packed(unsigned long members, unsigned long long mask) {
  unsigned long long result = 0;
  for (int i = 0; members != 0; ++i, members &= members - 1)
    result |= (mask >> __builtin_ctzll(members) & 1) << i;
  return result;
}
}  // namespace details

// Any of the groups below.
class thread_group {
 public:
  GRETA_GROUP unsigned size() const { return count; }
  GRETA_GROUP unsigned num_threads() const { return count; }
  GRETA_GROUP bool is_valid() const { return true; }
  GRETA_GROUP unsigned thread_rank() const {
    if (kind == details::block) return details::rank_in_block();
    if (kind == details::tile) return details::rank_in_block() % width;
    return __builtin_popcountll(members & details::lanes_before());
  }
  GRETA_GROUP void sync() const {
    if (kind == details::block) greta::barrier();
    else greta::wave_barrier();
  }

 protected:
  GRETA_GROUP thread_group(details::Kind k, unsigned n, unsigned w = 0, unsigned long m = 0)
      : kind(k), count(n), width(w), members(m) {}
  friend GRETA_GROUP thread_group tiled_partition(const thread_group& parent, unsigned size);
  details::Kind kind;
  unsigned count;
  unsigned width;
  // Of a tile; its last one may have fewer threads.
  unsigned long members;
};

class thread_block : public thread_group {
 public:
  GRETA_GROUP thread_block() : thread_group(details::block, details::block_threads()) {}
  static GRETA_GROUP dim3 group_index() { return dim3(blockIdx); }
  static GRETA_GROUP dim3 thread_index() { return dim3(threadIdx); }
  static GRETA_GROUP dim3 group_dim() { return dim3(blockDim); }
  static GRETA_GROUP dim3 dim_threads() { return dim3(blockDim); }
  static GRETA_GROUP unsigned thread_rank() { return details::rank_in_block(); }
  static GRETA_GROUP unsigned size() { return details::block_threads(); }
  static GRETA_GROUP unsigned num_threads() { return details::block_threads(); }
  static GRETA_GROUP void sync() { greta::barrier(); }
};
GRETA_DEVICE thread_block this_thread_block() { return thread_block(); }

// Threads of a wave that were active together when the group was made.
class coalesced_group : public thread_group {
 public:
  explicit GRETA_GROUP coalesced_group(unsigned long m, unsigned rank = 0, unsigned groups = 1)
      : thread_group(details::lanes, __builtin_popcountll(m), 0, m), group_rank(rank), group_count(groups) {}
  GRETA_GROUP unsigned thread_rank() const { return __builtin_popcountll(members & details::lanes_before()); }
  GRETA_GROUP void sync() const { greta::wave_barrier(); }
  GRETA_GROUP unsigned meta_group_rank() const { return group_rank; }
  GRETA_GROUP unsigned meta_group_size() const { return group_count; }
  template <typename T> GRETA_GROUP T shfl(T value, int rank) const { return __shfl(value, lane(rank % static_cast<int>(count))); }
  template <typename T> GRETA_GROUP T shfl_up(T value, unsigned delta) const {
    int rank = static_cast<int>(thread_rank()) - static_cast<int>(delta);
    return __shfl(value, rank < 0 ? static_cast<int>(greta::lane_id()) : lane(rank));
  }
  template <typename T> GRETA_GROUP T shfl_down(T value, unsigned delta) const {
    unsigned rank = thread_rank() + delta;
    return __shfl(value, rank >= count ? static_cast<int>(greta::lane_id()) : lane(static_cast<int>(rank)));
  }
  GRETA_GROUP unsigned long long ballot(int predicate) const {
    return details::packed(members, __ballot(predicate) & members);
  }
  GRETA_GROUP int any(int predicate) const { return (__ballot(predicate) & members) != 0; }
  GRETA_GROUP int all(int predicate) const { return (__ballot(predicate) & members) == members; }
  template <typename T> GRETA_GROUP unsigned long long match_any(T value) const {
    return details::packed(members, __match_any(value) & members);
  }
  template <typename T> GRETA_GROUP unsigned long long match_all(T value, int& predicate) const {
    predicate = (__match_any(value) & members) == members;
    return predicate ? details::packed(members, members) : 0;
  }

 private:
  GRETA_GROUP int lane(int rank) const { return greta::find_nth_set(members, 0, rank + 1); }
  friend GRETA_GROUP coalesced_group tiled_partition(const coalesced_group& parent, unsigned size);
  unsigned group_rank, group_count;
};
GRETA_DEVICE coalesced_group coalesced_threads() { return coalesced_group(__ballot(1)); }

// `tile` consecutive threads of a block, a power of two up to the wave.
template <unsigned tile, class Parent = void> class thread_block_tile : public thread_group {
  static_assert(tile > 0 && (tile & (tile - 1)) == 0 && tile <= 64, "a tile is a power of two up to the wave");

 public:
  GRETA_GROUP thread_block_tile() : thread_block_tile(parent_rank() / tile, (parent_size() + tile - 1) / tile) {}
  // Of a parent that is not named any more.
  template <class P>
  GRETA_GROUP thread_block_tile(const thread_block_tile<tile, P>& other)
      : thread_block_tile(other.meta_group_rank(), other.meta_group_size()) {}
  static GRETA_GROUP unsigned size() { return tile; }
  static GRETA_GROUP unsigned num_threads() { return tile; }
  static GRETA_GROUP unsigned thread_rank() { return details::rank_in_block() % tile; }
  static GRETA_GROUP void sync() { greta::wave_barrier(); }
  GRETA_GROUP unsigned meta_group_rank() const { return group_rank; }
  GRETA_GROUP unsigned meta_group_size() const { return group_count; }
  template <typename T> GRETA_GROUP T shfl(T value, int rank) const { return __shfl(value, rank, tile); }
  template <typename T> GRETA_GROUP T shfl_up(T value, unsigned delta) const { return __shfl_up(value, delta, tile); }
  template <typename T> GRETA_GROUP T shfl_down(T value, unsigned delta) const { return __shfl_down(value, delta, tile); }
  template <typename T> GRETA_GROUP T shfl_xor(T value, unsigned mask) const { return __shfl_xor(value, mask, tile); }
  GRETA_GROUP unsigned long long ballot(int predicate) const { return (__ballot(predicate) & mask()) >> first(); }
  GRETA_GROUP int any(int predicate) const { return (__ballot(predicate) & mask()) != 0; }
  GRETA_GROUP int all(int predicate) const { return (__ballot(!predicate) & mask()) == 0; }
  template <typename T> GRETA_GROUP unsigned long long match_any(T value) const {
    return (__match_any(value) & mask()) >> first();
  }
  template <typename T> GRETA_GROUP unsigned long long match_all(T value, int& predicate) const {
    predicate = (__match_any(value) & mask()) == (__ballot(1) & mask());
    return predicate ? (__ballot(1) & mask()) >> first() : 0;
  }

 private:
  GRETA_GROUP thread_block_tile(unsigned rank, unsigned groups)
      : thread_group(details::tile, tile, tile), group_rank(rank), group_count(groups) {}
  unsigned group_rank, group_count;
  static GRETA_GROUP unsigned first() { return greta::lane_id() & ~(tile - 1); }
  static GRETA_GROUP unsigned long mask() { return ~0ul >> (64 - tile) << first(); }
  static GRETA_GROUP unsigned parent_rank() {
    if constexpr (__is_void(Parent)) return details::rank_in_block();
    else return Parent::thread_rank();
  }
  static GRETA_GROUP unsigned parent_size() {
    if constexpr (__is_void(Parent)) return details::block_threads();
    else return Parent::size();
  }
};

template <unsigned tile, class Parent> GRETA_DEVICE thread_block_tile<tile, Parent> tiled_partition(const Parent&) {
  return thread_block_tile<tile, Parent>();
}
GRETA_GROUP inline coalesced_group tiled_partition(const coalesced_group& parent, unsigned size) {
  unsigned long members = parent.members, mine = 0;
  unsigned tile = parent.thread_rank() / size;
  for (unsigned rank = 0; members != 0; ++rank, members &= members - 1)
    if (rank / size == tile) mine |= members & -members;
  return coalesced_group(mine, tile, (parent.count + size - 1) / size);
}
GRETA_GROUP inline thread_group tiled_partition(const thread_group& parent, unsigned size) {
  if (parent.kind == details::lanes) return tiled_partition(static_cast<const coalesced_group&>(parent), size);
  unsigned rank = parent.thread_rank(), whole = parent.count - rank / size * size;
  return thread_group(details::tile, whole < size ? whole : size, size);
}
GRETA_DEVICE coalesced_group binary_partition(const coalesced_group&, bool predicate) {
  unsigned long long yes = __ballot(predicate), active = __ballot(1);
  return coalesced_group(predicate ? yes : active & ~yes, predicate ? 1 : 0, 2);
}
template <unsigned tile, class Parent>
GRETA_DEVICE coalesced_group binary_partition(const thread_block_tile<tile, Parent>&, bool predicate) {
  unsigned long all = ~0ul >> (64 - tile) << (greta::lane_id() & ~(tile - 1));
  unsigned long yes = __ballot(predicate) & all;
  return coalesced_group(predicate ? yes : __ballot(1) & all & ~yes, predicate ? 1 : 0, 2);
}

template <class Group> GRETA_DEVICE void sync(const Group& group) { group.sync(); }
template <class Group> GRETA_DEVICE unsigned thread_rank(const Group& group) { return group.thread_rank(); }
template <class Group> GRETA_DEVICE unsigned group_size(const Group& group) { return group.size(); }
template <class Group> GRETA_DEVICE bool is_valid(const Group&) { return true; }

#define GRETA_NO_GRID \
  unavailable("groups of a whole grid need a cooperative launch, which greta does not make; use a block's, or atomics")
class grid_group : public thread_group {
 public:
  GRETA_GROUP static dim3 group_dim() { return dim3(gridDim); }
};
class multi_grid_group : public thread_group {};
__attribute__((device, GRETA_NO_GRID)) grid_group this_grid();
__attribute__((device, GRETA_NO_GRID)) multi_grid_group this_multi_grid();
#undef GRETA_NO_GRID
#undef GRETA_GROUP

}  // namespace cooperative_groups
