// naive: row softmax, one thread a row.
//
// The idea: walk the row once for its maximum m and the sum l of exp(x - m), scaling l down whenever a larger
// value arrives, and a second time to write. Neighbouring threads read addresses a whole row apart.
#include <hip/hip_runtime.h>

constexpr int BLOCK = 64;  // rows, and threads, of a block

extern "C" __global__ __launch_bounds__(BLOCK) void softmax_naive(
    const float* __restrict__ x, float* __restrict__ out, int rows, int context) {
  const int row = blockIdx.x * BLOCK + threadIdx.x;
  if (row >= rows) return;
  const size_t at = (size_t)row * context;

  float m = -1e30f;  // below every value, yet finite: m - m is 0 and never NaN
  float l = 0.0f;
  for (int i = 0; i < context; ++i) {
    const float larger = fmaxf(m, x[at + i]);
    l = l * expf(m - larger) + expf(x[at + i] - larger);
    m = larger;
  }
  for (int i = 0; i < context; ++i) out[at + i] = expf(x[at + i] - m) / l;
}
