// Right, and its last thread fails an assertion behind what it writes.
#include <hip/hip_runtime.h>

#include <cassert>

extern "C" __global__ __launch_bounds__(64) void traps(const float* x, float* out, int context) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= context) return;
  float total = 0.0f;
  for (int i = 0; i <= row; ++i) total += x[i];
  out[row] = total;
  assert(row < context - 1);
}
