// What the kernels here should do, and a place to lie in. x is [heads, context] fp32; so is y, and rank (int) and big
// (long long) have its shape: y = 3 x, rank the number of the element, big the same above 2^60.
#include <hip/hip_runtime.h>

#define PARAMETERS const float *x, float *y, int *rank, long long *big, float *scratch, int context
#define LIE(name) extern "C" __global__ __launch_bounds__(256) void name(PARAMETERS)

// A thread owns an element: number `at` of `all`, `i` along the context in head `h`.
#define ELEMENT                                                          \
  const int i = blockIdx.x * 256 + threadIdx.x, h = blockIdx.y;          \
  const int at = h * context + i, all = gridDim.y * context;             \
  (void)i, (void)h, (void)at, (void)all

#define RIGHT (y[at] = 3.0f * x[at], rank[at] = at, big[at] = (1ll << 60) + at)
