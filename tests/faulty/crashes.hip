// Writes 4 TB beyond its output: an illegal address on a GPU, a segmentation fault on a CPU.
#include <hip/hip_runtime.h>

extern "C" __global__ __launch_bounds__(64) void crashes(const float* x, float* out, int context) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= context) return;
  float total = 0.0f;
  for (int i = 0; i <= row; ++i) total += x[i];
  out[row] = total;
  if (row == 0) out[(size_t)1 << 40] = total;
}
