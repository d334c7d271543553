// A 64-bit digest of a range of device memory: equal bytes give equal digests, and of unequal ones 1 in 2^64 does.
//
// Every 8 bytes are mixed with their place and summed, so that threads may take them in any order. Who owns what: a
// thread the pairs of words at its own number and every `step` pairs further; a block its partial sum in LDS; the last
// bytes, where they fill no pair, are the first thread's. `sum` is 0 before, and `data` a multiple of 16.
#include <hip/hip_runtime.h>

#define THREADS 256

typedef unsigned long long u64;

static __device__ u64 mixed(u64 word, u64 place) {
  u64 x = word ^ ((place + 1) * 0x9E3779B97F4A7C15ull);
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93ull;
  x ^= x >> 29;
  x *= 0xFF51AFD7ED558CCDull;
  x ^= x >> 32;
  return x;
}

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
