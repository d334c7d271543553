// What greta itself queues around a launch: a hold, so that nothing is timed before all is queued; a digest of what a
// launch wrote; and a copy of what it wrote where that is not what it should be.
//
// Every pointer is a multiple of 16, as every size of a buffer's start is.
#include <hip/hip_runtime.h>

#define THREADS 256

typedef unsigned int u32;
typedef unsigned long long u64;

// Keeps the stream busy until the host has written `number`, or later numbers, to `let_go`; for `tries` looks at the
// most, each of which takes the way over the bus and back. One thread owns all of it.
extern "C" __global__ __launch_bounds__(64) void greta_hold(const volatile u32* let_go, u32 number, u32 tries) {
  for (u32 i = 0; i < tries && *let_go < number; ++i) {
  }
}

// Reads as much as the caches hold, so that they hold nothing else, and nothing that is still to be written: lines that
// were written would cost the launch after it the way to memory. Who owns what: a thread the pairs of words at its own
// number and every `step` pairs further. `sink` is never written, but the compiler cannot know.
extern "C" __global__ __launch_bounds__(THREADS) void greta_flush(const ulonglong2* data, u64 count, u64* sink) {
  const u64 step = (u64)gridDim.x * THREADS;
  u64 seen = 0;
#pragma unroll 4
  for (u64 i = (u64)blockIdx.x * THREADS + threadIdx.x; i < count; i += step) seen |= data[i].x | data[i].y;
  if (seen == 0x6772657461ull) *sink = seen;
}

static __device__ u64 mixed(u64 word, u64 place) {
  u64 x = word ^ ((place + 1) * 0x9E3779B97F4A7C15ull);
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93ull;
  x ^= x >> 29;
  x *= 0xFF51AFD7ED558CCDull;
  x ^= x >> 32;
  return x;
}

// A 64-bit digest of a range of device memory: equal bytes give equal digests, and of unequal ones 1 in 2^64 does.
//
// Every 8 bytes are mixed with their place and summed, so that threads may take them in any order. Who owns what: a
// thread the pairs of words at its own number and every `step` pairs further; a block its partial sum in LDS; the last
// bytes, where they fill no pair, are the first thread's. `sum` is 0 before.
extern "C" __global__ __launch_bounds__(THREADS) void greta_digest(const unsigned char* data, u64 size, u64* sum) {
  __shared__ u64 partial[THREADS];
  const ulonglong2* pairs = (const ulonglong2*)data;
  const u64 count = size / 16, step = (u64)gridDim.x * THREADS, first = (u64)blockIdx.x * THREADS + threadIdx.x;
  u64 total = 0;
#pragma unroll 4
  for (u64 i = first; i < count; i += step) {
    const ulonglong2 pair = pairs[i];
    total += mixed(pair.x, 2 * i) + mixed(pair.y, 2 * i + 1);
  }
  if (first == 0) {
    for (u64 place = 2 * count; place * 8 < size; ++place) {
      u64 last = 0;
      for (u64 i = place * 8; i < size && i < place * 8 + 8; ++i) last = last << 8 | data[i];
      total += mixed(last, place);
    }
  }
  partial[threadIdx.x] = total;
  for (int half = THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
  }
  if (threadIdx.x == 0) atomicAdd(sum, partial[0]);
}

// Copies an output to `spare` where the digests of a launch are not `expected` and no launch before it was kept.
//
// `kept` points to two numbers: what the launch before left there, and what this one leaves: 0, or the number of the
// launch that was kept. Every thread decides alike; it owns the pairs of words at its own number and every `step` pairs
// further, the first thread the last bytes and the record for the host, which is null for all outputs but the last:
// that it was here, what is kept, and the digests.
extern "C" __global__ __launch_bounds__(THREADS) void greta_keep(const u64* digests, const u64* expected, u32 count,
                                                                 u32* kept, u32 number, const unsigned char* output,
                                                                 unsigned char* spare, u64 size,
                                                                 volatile u64* record) {
  bool differs = false;
  for (u32 i = 0; i < count; ++i) differs |= digests[i] != expected[i];
  const bool keeps = differs && kept[0] == 0;
  const u64 step = (u64)gridDim.x * THREADS, first = (u64)blockIdx.x * THREADS + threadIdx.x;
  if (keeps) {
    for (u64 i = first; i < size / 16; i += step) ((ulonglong2*)spare)[i] = ((const ulonglong2*)output)[i];
    if (first == 0)
      for (u64 i = size / 16 * 16; i < size; ++i) spare[i] = output[i];
  }
  if (first == 0) {
    kept[1] = keeps ? number : kept[0];
    if (record) {
      record[0] = 1ull << 32 | kept[1];
      for (u32 i = 0; i < count; ++i) record[1 + i] = digests[i];
    }
  }
}
