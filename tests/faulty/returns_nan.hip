// Every result is the square root of a negative number.
#include <hip/hip_runtime.h>

extern "C" __global__ __launch_bounds__(64) void returns_nan(const float* x, float* out, int context) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= context) return;
  float total = 0.0f;
  for (int i = 0; i <= row; ++i) total += x[i];
  out[row] = sqrtf(-total);
}
