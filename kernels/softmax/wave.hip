// wave: row softmax, one wavefront a row.
//
// The idea: neighbouring lanes read neighbouring values. Each lane keeps m and l of its own values; the lanes
// then merge theirs in log2(warpSize) exchanges (__shfl_xor), after which every lane holds those of the row.
//
// Correct for any grid and for wavefronts of 32 and of 64 lanes: a wavefront takes every n-th row, where n is
// the number of wavefronts launched.
#include <hip/hip_runtime.h>

constexpr int BLOCK = 64;  // threads of a block: one wavefront of 64 lanes, or two of 32

extern "C" __global__ __launch_bounds__(BLOCK) void softmax_wave(
    const float* __restrict__ x, float* __restrict__ out, int rows, int context) {
  const int waves = BLOCK / warpSize;  // of this block
  const int lane = threadIdx.x % warpSize;

  for (int row = blockIdx.x * waves + threadIdx.x / warpSize; row < rows; row += gridDim.x * waves) {
    const size_t at = (size_t)row * context;

    float m = -1e30f;  // below every value, yet finite: m - m is 0 and never NaN
    float l = 0.0f;
    for (int i = lane; i < context; i += warpSize) {
      const float larger = fmaxf(m, x[at + i]);
      l = l * expf(m - larger) + expf(x[at + i] - larger);
      m = larger;
    }
    for (int distance = warpSize / 2; distance > 0; distance /= 2) {
      const float other_m = __shfl_xor(m, distance);
      const float other_l = __shfl_xor(l, distance);
      const float larger = fmaxf(m, other_m);
      l = l * expf(m - larger) + other_l * expf(other_m - larger);
      m = larger;
    }
    for (int i = lane; i < context; i += warpSize) out[at + i] = expf(x[at + i] - m) / l;
  }
}
