// What greta itself queues around a launch: a hold, so that nothing is timed before all is queued; a digest of what a
// launch wrote; how much of that lies too far from what an earlier one wrote, where it need not be the same; and a copy
// of what it wrote where that is not what it should be.
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

// What a word is mixed with, for the places 0, 1, 2, ...: 1, 2, 3, ... times this.
#define PLACE 0x9E3779B97F4A7C15ull

static __device__ u64 mixed(u64 word, u64 place) {
  u64 x = word ^ place;
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93ull;
  x ^= x >> 29;
  x *= 0xFF51AFD7ED558CCDull;
  x ^= x >> 32;
  return x;
}

// Adds what the threads of a block have counted to `sum`. The block owns `partial`, `THREADS` numbers in LDS, a thread the
// one at its own number.
static __device__ void add_all(u64 mine, u64* partial, u64* sum) {
  partial[threadIdx.x] = mine;
  for (int half = THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
  }
  if (threadIdx.x == 0 && partial[0]) atomicAdd(sum, partial[0]);
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
  u64 total = 0, place = (2 * first + 1) * PLACE;
#pragma unroll 4
  for (u64 i = first; i < count; i += step, place += 2 * step * PLACE) {
    const ulonglong2 pair = pairs[i];
    total += mixed(pair.x, place) + mixed(pair.y, place + PLACE);
  }
  if (first == 0) {
    for (u64 word = 2 * count; word * 8 < size; ++word) {
      u64 last = 0;
      for (u64 i = word * 8; i < size && i < word * 8 + 8; ++i) last = last << 8 | data[i];
      total += mixed(last, (word + 1) * PLACE);
    }
  }
  add_all(total, partial, sum);
}

// What elements are, in the order of `NUMBERS` in protocol.py. They are read by their bits: hiprtc and NVRTC name the
// types of two bytes otherwise.
enum Number { FP16, BF16, FP32, FP64 };

template <int NUMBER>
static __device__ bool is_finite(u64 bits) {
  const u64 exponent = NUMBER == FP16   ? 0x7C00
                       : NUMBER == BF16 ? 0x7F80
                       : NUMBER == FP32 ? 0x7F800000
                                        : 0x7FF0000000000000ull;
  return (bits & exponent) != exponent;
}

template <int NUMBER>
static __device__ double value_of(u64 bits) {
  if (NUMBER == FP64) return __longlong_as_double((long long)bits);
  if (NUMBER == FP32) return (double)__uint_as_float((u32)bits);
  if (NUMBER == BF16) return (double)__uint_as_float((u32)bits << 16);
  // The fields of an fp16 in those of a double, whose exponents begin 2^1008 lower: right for the smallest ones too.
  const double size = __longlong_as_double((long long)((bits & 0x7FFF) << 42)) * __longlong_as_double(0x7EF0000000000000ll);
  return bits & 0x8000 ? -size : size;
}

// Whether an element is not as near to the first as it has to be. What is unequal and no finite number never is.
template <int NUMBER>
static __device__ bool is_beyond(u64 found, u64 first, float2 allowed, double rtol) {
  if (found == first) return false;
  if (!is_finite<NUMBER>(found) || !is_finite<NUMBER>(first)) return true;
  const double near = value_of<NUMBER>(first), distance = fabs(value_of<NUMBER>(found) - near);
  return !(distance <= (double)allowed.x && distance <= (double)allowed.y + rtol * fabs(near));
}

// Element `k` of those in a pair of words.
template <int BYTES>
static __device__ u64 element_of(ulonglong2 pair, int k) {
  const u64 word = k < 8 / BYTES ? pair.x : pair.y;
  return word >> (8 * BYTES * (k % (8 / BYTES))) & (~0ull >> (64 - 8 * BYTES));
}

// The element at `at`, in its lower bits.
template <int BYTES>
static __device__ u64 element_at(const unsigned char* data, u64 at) {
  if (BYTES == 8) return ((const u64*)data)[at];
  return BYTES == 4 ? ((const u32*)data)[at] : ((const unsigned short*)data)[at];
}

// How many elements a thread finds beyond, of those that it owns: see `greta_deviations`.
template <int NUMBER>
static __device__ u64 beyond_of(const unsigned char* output, const unsigned char* first, const float2* allowed,
                                u64 size, u64 row_elements, double rtol) {
  constexpr int BYTES = NUMBER == FP64 ? 8 : NUMBER == FP32 ? 4 : 2, EACH = 16 / BYTES;
  const u64 step = (u64)gridDim.x * THREADS, thread = (u64)blockIdx.x * THREADS + threadIdx.x;
  u64 beyond = 0;
  for (u64 i = thread; i < size / 16; i += step) {
    const ulonglong2 found = ((const ulonglong2*)output)[i], wanted = ((const ulonglong2*)first)[i];
    if (found.x == wanted.x && found.y == wanted.y) continue;
    u64 row = i * EACH / row_elements, place = i * EACH % row_elements;
#pragma unroll
    for (int k = 0; k < EACH; ++k) {
      const u64 one = element_of<BYTES>(found, k), other = element_of<BYTES>(wanted, k);
      beyond += is_beyond<NUMBER>(one, other, allowed[row], rtol);
      if (++place == row_elements) place = 0, ++row;
    }
  }
  if (thread == 0)
    for (u64 at = size / 16 * EACH; at < size / BYTES; ++at)
      beyond += is_beyond<NUMBER>(element_at<BYTES>(output, at), element_at<BYTES>(first, at),
                                  allowed[at / row_elements], rtol);
  return beyond;
}

// Where the digest of an output is not as expected, adds to `beyond` how many of its elements are not as near to `first`
// as the row of `allowed` has it and `rtol`: no further than x, nor than y and `rtol` times the size of the first. Without
// `first` that is one. `beyond` is 0 before.
//
// Who owns what: a thread the pairs of words at its own number and every `step` pairs further; the first thread the last
// elements, where they fill no pair; a block its partial sum in LDS. All of a block return early, or none.
extern "C" __global__ __launch_bounds__(THREADS) void greta_deviations(const u64* digest, const u64* expected,
                                                                       const unsigned char* output,
                                                                       const unsigned char* first,
                                                                       const float2* allowed, u64 size,
                                                                       u64 row_elements, u32 number, double rtol,
                                                                       u64* beyond) {
  __shared__ u64 partial[THREADS];
  if (*digest == *expected) return;
  u64 mine = 0;
  if (!first)
    mine = blockIdx.x == 0 && threadIdx.x == 0;
  else if (number == FP16)
    mine = beyond_of<FP16>(output, first, allowed, size, row_elements, rtol);
  else if (number == BF16)
    mine = beyond_of<BF16>(output, first, allowed, size, row_elements, rtol);
  else if (number == FP32)
    mine = beyond_of<FP32>(output, first, allowed, size, row_elements, rtol);
  else
    mine = beyond_of<FP64>(output, first, allowed, size, row_elements, rtol);
  add_all(mine, partial, beyond);
}

// Copies an output to `spare` where the digests of a launch are not `expected` and no launch before it was kept. If there
// is a `beyond`, an output whose number there is 0 is near enough: it is as good as one with the digest.
//
// `kept` points to two numbers: what the launch before left there, and what this one leaves: 0, or the number of the
// launch that was kept. Every thread decides alike; it owns the pairs of words at its own number and every `step` pairs
// further, the first thread the last bytes and the record for the host, which is null for all outputs but the last:
// that it was here, whether it is near but not the same, what is kept, and the digests.
extern "C" __global__ __launch_bounds__(THREADS) void greta_keep(const u64* digests, const u64* expected,
                                                                 const u64* beyond, u32 count, u32* kept, u32 number,
                                                                 const unsigned char* output, unsigned char* spare,
                                                                 u64 size, volatile u64* record) {
  bool is_other = false, differs = false;
  for (u32 i = 0; i < count; ++i) {
    is_other |= digests[i] != expected[i];
    differs |= digests[i] != expected[i] && (!beyond || beyond[i]);
  }
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
      record[0] = (u64)(is_other && !differs) << 33 | 1ull << 32 | kept[1];
      for (u32 i = 0; i < count; ++i) record[1 + i] = digests[i];
    }
  }
}
