// What hiprtc declares and NVRTC does not, or declares otherwise. In front of every source.
#define __HIP__ 1
#define __HIPCC__ 1
#define __HIPCC_RTC__ 1
#define __HIP_DEVICE_COMPILE__ 1
#define __HIP_PLATFORM_NVIDIA__ 1

#include <cuda_fp16.h>
#include <cuda_bf16.h>

typedef __nv_bfloat16 __hip_bfloat16;
typedef __nv_bfloat162 __hip_bfloat162;

#define __builtin_inff() __int_as_float(0x7f800000)
#define HIP_DYNAMIC_SHARED(type, name) extern __shared__ type name[];

// HIP's wavefront exchanges name no mask: the lanes that are active take part. CUDA still declares functions of
// the same names, which its newer architectures lack, so these have names of their own behind macros.
namespace hip_on_cuda {
template <class T> __device__ T shfl(T value, int lane, int width = 32) {
  return __shfl_sync(__activemask(), value, lane, width);
}
template <class T> __device__ T shfl_xor(T value, int mask, int width = 32) {
  return __shfl_xor_sync(__activemask(), value, mask, width);
}
template <class T> __device__ T shfl_up(T value, unsigned distance, int width = 32) {
  return __shfl_up_sync(__activemask(), value, distance, width);
}
template <class T> __device__ T shfl_down(T value, unsigned distance, int width = 32) {
  return __shfl_down_sync(__activemask(), value, distance, width);
}
__device__ inline unsigned long long ballot(int predicate) { return __ballot_sync(__activemask(), predicate); }
__device__ inline int any(int predicate) { return __any_sync(__activemask(), predicate); }
__device__ inline int all(int predicate) { return __all_sync(__activemask(), predicate); }
}  // namespace hip_on_cuda

#define __shfl(...) hip_on_cuda::shfl(__VA_ARGS__)
#define __shfl_xor(...) hip_on_cuda::shfl_xor(__VA_ARGS__)
#define __shfl_up(...) hip_on_cuda::shfl_up(__VA_ARGS__)
#define __shfl_down(...) hip_on_cuda::shfl_down(__VA_ARGS__)
#define __ballot(predicate) hip_on_cuda::ballot(predicate)
#define __any(predicate) hip_on_cuda::any(predicate)
#define __all(predicate) hip_on_cuda::all(predicate)
