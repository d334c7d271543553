// Correct, with 16 times the work of good.hip.
#include <hip/hip_runtime.h>

extern "C" __global__ __launch_bounds__(64) void slow(const float* x, float* out, int context) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= context) return;
  float total = 0.0f;
  for (int repeat = 0; repeat < 16; ++repeat)
    for (int i = 0; i <= row; ++i) total += x[i] * 0.0625f;
  out[row] = total;
}
