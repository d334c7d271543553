// Ignores the inputs beyond 2048 and still writes every row: a prompt cut off silently.
#include <hip/hip_runtime.h>

extern "C" __global__ __launch_bounds__(64) void truncates(const float* x, float* out, int context) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= context) return;
  float total = 0.0f;
  for (int i = 0; i <= min(row, 2047); ++i) total += x[i];
  out[row] = total;
}
