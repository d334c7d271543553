#include <hip/hip_runtime.h>

// w is [n, 4]: y[i] is the sum of its row.
extern "C" __global__ __launch_bounds__(64) void plain(const float* w, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = w[4 * i] + w[4 * i + 1] + w[4 * i + 2] + w[4 * i + 3];
}

// w is [4, n].
extern "C" __global__ __launch_bounds__(64) void transposed(const float* w, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = w[i] + w[n + i] + w[2 * n + i] + w[3 * n + i];
}

// The same, and it leaves the sum in w.
extern "C" __global__ __launch_bounds__(64) void sums_in_place(float* w, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  for (int k = 1; k < 4; ++k) w[i] += w[k * n + i];
  y[i] = w[i];
}
