#include <hip/hip_runtime.h>

// `y` starts from x, `s` at 0.5 and `counter` at 0: right in every launch only if all three start so again.
extern "C" __global__ __launch_bounds__(64) void starts(const float* x, float* y, float* s, float* p, int* counter,
                                                        int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  y[i] *= 3.0f;
  s[i] += x[i];
  p[i] = x[i] + counter[i];
  counter[i] += 1;
}

// Multiplies the input in its place.
extern "C" __global__ __launch_bounds__(64) void spoils_input(float* x, float* y, float* s, float* p, int* counter,
                                                              int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  y[i] *= 3.0f;
  s[i] += x[i];
  p[i] = x[i] + counter[i];
  x[i] *= 3.0f;
}

extern "C" __global__ __launch_bounds__(64) void triples(float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] *= 3.0f;
}

// Wrong in one place, which no sample of rows is sure to meet.
extern "C" __global__ __launch_bounds__(64) void misses_one(float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] *= i == 3 ? 3.1f : 3.0f;
}

extern "C" __global__ __launch_bounds__(64) void idles(float* y, int n) {}
