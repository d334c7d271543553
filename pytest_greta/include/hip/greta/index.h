// dim3, threadIdx, blockIdx, blockDim, gridDim and warpSize.
#pragma once

struct dim3 {
  unsigned x, y, z;
  GRETA_MEMBER dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Each coordinate is a property, so `threadIdx.x` is an unsigned read from its register on use.
#define GRETA_INDEX_TYPE(name, read)                                                             \
  struct name {                                                                                  \
    __declspec(property(get = get_x)) unsigned x;                                                \
    __declspec(property(get = get_y)) unsigned y;                                                \
    __declspec(property(get = get_z)) unsigned z;                                                \
    __attribute__((device, always_inline)) unsigned get_x() const { return greta::read<0>(); }   \
    __attribute__((device, always_inline)) unsigned get_y() const { return greta::read<1>(); }   \
    __attribute__((device, always_inline)) unsigned get_z() const { return greta::read<2>(); }   \
    __attribute__((device, always_inline)) operator dim3() const { return dim3(x, y, z); }       \
  };

GRETA_INDEX_TYPE(__hip_builtin_threadIdx_t, thread_index)
GRETA_INDEX_TYPE(__hip_builtin_blockIdx_t, block_index)
GRETA_INDEX_TYPE(__hip_builtin_blockDim_t, block_size)
GRETA_INDEX_TYPE(__hip_builtin_gridDim_t, grid_blocks)
#undef GRETA_INDEX_TYPE

extern const __attribute__((device, weak)) __hip_builtin_threadIdx_t threadIdx;
extern const __attribute__((device, weak)) __hip_builtin_blockIdx_t blockIdx;
extern const __attribute__((device, weak)) __hip_builtin_blockDim_t blockDim;
extern const __attribute__((device, weak)) __hip_builtin_gridDim_t gridDim;

#define hipThreadIdx_x threadIdx.x
#define hipThreadIdx_y threadIdx.y
#define hipThreadIdx_z threadIdx.z
#define hipBlockIdx_x blockIdx.x
#define hipBlockIdx_y blockIdx.y
#define hipBlockIdx_z blockIdx.z
#define hipBlockDim_x blockDim.x
#define hipBlockDim_y blockDim.y
#define hipBlockDim_z blockDim.z
#define hipGridDim_x gridDim.x
#define hipGridDim_y gridDim.y
#define hipGridDim_z gridDim.z

#if defined(__AMDGCN__)
// Known to the compiler only after it has chosen the target: not usable as a constant expression, as in ROCm 7.
struct __hip_builtin_warpSize_t {
  __attribute__((device, always_inline)) operator int() const noexcept { return greta::wave_size(); }
};
extern const __attribute__((device, weak)) __hip_builtin_warpSize_t warpSize;
#else
static constexpr int warpSize = GRETA_WAVE_SIZE;
#endif
