// Correct. As many_vgprs.hip, with 160 partial sums and for blocks of up to 1024 threads, whose lanes have 128
// registers each: sums spill to scratch memory.
#include <hip/hip_runtime.h>

constexpr int PARTS = 160;

extern "C" __global__ __launch_bounds__(1024) void spills(const float* x, float* out, int context) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= context) return;
  float part[PARTS] = {};
  for (int i = 0; i <= row; i += PARTS)
#pragma unroll
    for (int c = 0; c < PARTS; ++c) part[c] += i + c <= row ? x[i + c] : 0.0f;
  float total = 0.0f;
#pragma unroll
  for (int c = 0; c < PARTS; ++c) total += part[c];
  out[row] = total;
}
