#include <hip/hip_runtime.h>

template <int N>
__global__ __launch_bounds__(256) void sums(const float* x, float* y) {
  float kept[N];
  for (int i = 0; i < N; ++i) kept[i] = x[threadIdx.x + i];
  __shared__ float tile[64];
  tile[threadIdx.x % 64] = kept[0];
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < N; ++i) sum += kept[i] * kept[int(tile[i % 64]) % N];
  y[threadIdx.x] = sum;
}
template __global__ void sums<4>(const float*, float*);
template __global__ void sums<200>(const float*, float*);
extern "C" __global__ void copies(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x]; }
