// Which launch this is. What a module has of its own outlives a launch: every block counts the launches that it has seen,
// and its first thread owns the counter.
#include "lie.h"

__device__ int launches[1024];

#define LAUNCH                                               \
  const int block = blockIdx.y * gridDim.x + blockIdx.x;     \
  const int launch = launches[block];                        \
  __syncthreads();                                           \
  if (threadIdx.x == 0) launches[block] = launch + 1;        \
  __syncthreads()
