// HIP's host API: its constants, the launches that <<<>>> and macros make, and the C++ forms of its functions.
#pragma once

#define hipArrayCubemap 0x04
#define hipArrayDefault 0x00
#define hipArrayLayered 0x01
#define hipArraySurfaceLoadStore 0x02
#define hipArrayTextureGather 0x08
#define hipCooperativeLaunchMultiDeviceNoPostSync 0x02
#define hipCooperativeLaunchMultiDeviceNoPreSync 0x01
#define hipCpuDeviceId ((int)-1)
#define hipDeviceLmemResizeToMax 0x10
#define hipDeviceMallocContiguous 0x4
#define hipDeviceMallocDefault 0x0
#define hipDeviceMallocFinegrained 0x1
#define hipDeviceMallocUncached 0x3
#define hipDeviceMapHost 0x8
#define hipDeviceScheduleAuto 0x0
#define hipDeviceScheduleBlockingSync 0x4
#define hipDeviceScheduleMask 0x7
#define hipDeviceScheduleSpin 0x1
#define hipDeviceScheduleYield 0x2
#define hipEventBlockingSync 0x1
#define hipEventDefault 0x0
#define hipEventDisableSystemFence 0x20000000
#define hipEventDisableTiming 0x2
#define hipEventInterprocess 0x4
#define hipEventRecordDefault 0x00
#define hipEventRecordExternal 0x01
#define hipEventReleaseToDevice 0x40000000
#define hipEventReleaseToSystem 0x80000000
#define hipEventWaitDefault 0x00
#define hipEventWaitExternal 0x01
#define hipExtAnyOrderLaunch 0x01
#define hipExtHostRegisterCoarseGrained 0x8
#define hipExternalMemoryDedicated 0x1
#define hipGraphKernelNodePortDefault 0
#define hipGraphKernelNodePortLaunchCompletion 2
#define hipGraphKernelNodePortProgrammatic 1
#define hipHostAllocDefault 0x0
#define hipHostAllocMapped 0x2
#define hipHostAllocPortable 0x1
#define hipHostAllocWriteCombined 0x4
#define hipHostMallocCoherent 0x40000000
#define hipHostMallocDefault 0x0
#define hipHostMallocMapped 0x2
#define hipHostMallocNonCoherent 0x80000000
#define hipHostMallocNumaUser 0x20000000
#define hipHostMallocPortable 0x1
#define hipHostMallocWriteCombined 0x4
#define hipHostRegisterDefault 0x0
#define hipHostRegisterIoMemory 0x4
#define hipHostRegisterMapped 0x2
#define hipHostRegisterPortable 0x1
#define hipHostRegisterReadOnly 0x08
#define hipInvalidDeviceId ((int)-2)
#define hipIpcMemLazyEnablePeerAccess 0x01
#define hipMallocSignalMemory 0x2
#define hipMemAttachGlobal 0x01
#define hipMemAttachHost 0x02
#define hipMemAttachSingle 0x04
#define hipOccupancyDefault 0x00
#define hipOccupancyDisableCachingOverride 0x01
#define hipStreamDefault 0x00
#define hipStreamLegacy ((hipStream_t)1)
#define hipStreamNonBlocking 0x01
#define hipStreamPerThread ((hipStream_t)2)
#define hipStreamWaitValueAnd 0x2
#define hipStreamWaitValueEq 0x1
#define hipStreamWaitValueGte 0x0
#define hipStreamWaitValueNor 0x3
#define hipTextureType1D 0x01
#define hipTextureType1DLayered 0xF1
#define hipTextureType2D 0x02
#define hipTextureType2DLayered 0xF2
#define hipTextureType3D 0x03
#define hipTextureTypeCubemap 0x0C
#define hipTextureTypeCubemapLayered 0xFC
#define hipKernelNodeAttrID hipLaunchAttributeID
#define hipKernelNodeAttrValue hipLaunchAttributeValue
#define hipKernelNodeAttributeAccessPolicyWindow hipLaunchAttributeAccessPolicyWindow
#define hipKernelNodeAttributeCooperative hipLaunchAttributeCooperative
#define hipKernelNodeAttributePriority hipLaunchAttributePriority
#define HIP_LAUNCH_PARAM_BUFFER_POINTER ((void*)0x01)
#define HIP_LAUNCH_PARAM_BUFFER_SIZE ((void*)0x02)
#define HIP_LAUNCH_PARAM_END ((void*)0x03)
#define HIP_SYMBOL(name) name
typedef int hipLaunchParm;  // the first parameter that kernels once had

namespace greta {
// A kernel's type, which is not that of a function everywhere.
template <typename... Arguments> __attribute__((global)) void kernel_of(Arguments...);
}  // namespace greta

#if defined(HIP_TEMPLATE_KERNEL_LAUNCH)  // as a function, which takes a kernel with commas in its name
template <typename... Arguments, typename F = decltype(&greta::kernel_of<Arguments...>)>
void hipLaunchKernelGGL(F kernel, const dim3& blocks, const dim3& threads, unsigned lds_bytes, hipStream_t stream,
                        Arguments... arguments) {}
#else
#define hipLaunchKernelGGLInternal(kernel, blocks, threads, lds_bytes, stream, ...) \
  do {                                                                              \
    kernel<<<(blocks), (threads), (lds_bytes), (stream)>>>(__VA_ARGS__);            \
  } while (0)
#define hipLaunchKernelGGL(kernel, ...) hipLaunchKernelGGLInternal((kernel), __VA_ARGS__)
#endif

inline hipPitchedPtr make_hipPitchedPtr(void* pointer, size_t pitch, size_t width, size_t height) {
  return {pointer, pitch, width, height};
}
inline hipPos make_hipPos(size_t x, size_t y, size_t z) { return {x, y, z}; }
inline hipExtent make_hipExtent(size_t width, size_t height, size_t depth) { return {width, height, depth}; }
inline hipChannelFormatDesc hipCreateChannelDesc(int x, int y, int z, int w, hipChannelFormatKind kind) {
  return {x, y, z, w, kind};
}
template <typename T> hipChannelFormatDesc hipCreateChannelDesc() { return {}; }

// Pointers of any type, and kernels in place of their addresses. They have bodies, as functions of local types must.
template <typename T> hipError_t hipMalloc(T** pointer, size_t size) { return hipSuccess; }
template <typename T>
hipError_t hipMallocPitch(T** pointer, size_t* pitch, size_t width, size_t height) { return hipSuccess; }
template <typename T>
hipError_t hipMallocManaged(T** pointer, size_t size, unsigned flags = hipMemAttachGlobal) { return hipSuccess; }
template <typename T> hipError_t hipMallocAsync(T** pointer, size_t size, hipStream_t stream) { return hipSuccess; }
template <typename T>
hipError_t hipMallocAsync(T** pointer, size_t size, hipMemPool_t pool, hipStream_t stream) { return hipSuccess; }
template <typename T>
hipError_t hipMallocFromPoolAsync(T** pointer, size_t size, hipMemPool_t pool, hipStream_t stream) { return hipSuccess; }
template <typename T>
hipError_t hipHostMalloc(T** pointer, size_t size, unsigned flags = hipHostMallocDefault) { return hipSuccess; }
template <typename T>
hipError_t hipHostAlloc(T** pointer, size_t size, unsigned flags = hipHostAllocDefault) { return hipSuccess; }
template <typename T> hipError_t hipGetSymbolAddress(void** pointer, const T& symbol) { return hipSuccess; }
template <typename T> hipError_t hipGetSymbolSize(size_t* size, const T& symbol) { return hipSuccess; }
template <typename T>
hipError_t hipMemcpyToSymbol(const T& symbol, const void* source, size_t size, size_t offset = 0,
                             hipMemcpyKind kind = hipMemcpyHostToDevice) { return hipSuccess; }
template <typename T>
hipError_t hipMemcpyToSymbolAsync(const T& symbol, const void* source, size_t size, size_t offset, hipMemcpyKind kind,
                                  hipStream_t stream = 0) { return hipSuccess; }
template <typename T>
hipError_t hipMemcpyFromSymbol(void* destination, const T& symbol, size_t size, size_t offset = 0,
                               hipMemcpyKind kind = hipMemcpyDeviceToHost) { return hipSuccess; }
template <typename T>
hipError_t hipMemcpyFromSymbolAsync(void* destination, const T& symbol, size_t size, size_t offset, hipMemcpyKind kind,
                                    hipStream_t stream = 0) { return hipSuccess; }
template <typename F>
hipError_t hipOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, F kernel, int block, size_t dynamic_lds) { return hipSuccess; }
template <typename F>
hipError_t hipOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, F kernel, int block, size_t dynamic_lds,
                                                                 unsigned flags) { return hipSuccess; }
template <typename F>
hipError_t hipOccupancyMaxPotentialBlockSize(int* grid, int* block, F kernel, size_t dynamic_lds = 0, int limit = 0) { return hipSuccess; }
template <typename Size, typename F>
hipError_t hipOccupancyMaxPotentialBlockSizeVariableSMem(int* grid, int* block, F kernel, Size dynamic_lds,
                                                         int limit = 0) { return hipSuccess; }
template <typename F>
hipError_t hipLaunchCooperativeKernel(F kernel, dim3 grid, dim3 block, void** arguments, unsigned dynamic_lds,
                                      hipStream_t stream) { return hipSuccess; }
template <typename F>
hipError_t hipFuncSetAttribute(F* kernel, hipFuncAttribute attribute, int value) { return hipSuccess; }
template <typename F> hipError_t hipFuncSetCacheConfig(F* kernel, hipFuncCache_t configuration) { return hipSuccess; }
template <typename F> hipError_t hipFuncGetAttributes(hipFuncAttributes* attributes, F* kernel) { return hipSuccess; }
