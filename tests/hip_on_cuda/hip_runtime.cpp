// libamdhip64.so on the CUDA driver API: the calls of the HIP runtime that pytest_greta/devices/hip.py makes.
//
// libcuda is loaded when the first call is made, so the library builds and loads where there is no driver; a call
// then reports hipErrorNoDevice, as HIP does without a GPU. Streams, events, modules and functions are the CUDA
// handles themselves.
#include <cuda.h>

#include <cstring>
#include <mutex>
#include <string>

#include "hip_on_cuda.h"

namespace {

void* driver() {
  static const char* const names[] = {"libcuda.so.1", "libcuda.so", nullptr};
  static void* library = load_first(names);
  return library;
}

// A function of the driver, looked up on its first use.
#define CU(f)                                                                                           \
  ([] {                                                                                                 \
    static const auto found = reinterpret_cast<decltype(&f)>(symbol_or_die(driver(), HIP_ON_CUDA_NAME(f))); \
    return found;                                                                                       \
  }())

thread_local CUresult last_failure = CUDA_SUCCESS;

HipStatus status_of(CUresult result) {
  if (result == CUDA_SUCCESS) return hipSuccess;
  last_failure = result;
  switch (static_cast<int>(result)) {
    case hipErrorInvalidValue:
    case hipErrorOutOfMemory:
    case hipErrorNotInitialized:
    case hipErrorDeinitialized:
    case hipErrorNoDevice:
    case hipErrorInvalidDevice:
    case hipErrorInvalidImage:
    case hipErrorInvalidContext:
    case hipErrorNoBinaryForGpu:
    case hipErrorECCNotCorrectable:
    case hipErrorInvalidKernelFile:
    case hipErrorSharedObjectSymbolNotFound:
    case hipErrorSharedObjectInitFailed:
    case hipErrorOperatingSystem:
    case hipErrorInvalidHandle:
    case hipErrorIllegalState:
    case hipErrorNotFound:
    case hipErrorNotReady:
    case hipErrorIllegalAddress:
    case hipErrorLaunchOutOfResources:
    case hipErrorLaunchTimeOut:
    case hipErrorContextIsDestroyed:
    case hipErrorAssert:
    case hipErrorLaunchFailure:
    case hipErrorNotSupported:
      return static_cast<HipStatus>(result);  // the same number in both
    case CUDA_ERROR_UNSUPPORTED_PTX_VERSION:
      return hipErrorInvalidImage;
    // HIP has no number of its own for what an AMD GPU reports as a failed launch.
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
      return hipErrorLaunchFailure;
    default:
      return hipErrorUnknown;
  }
}

// HIP's variables, as the CUDA driver knows them. Read before the driver starts, and only there.
void translate_environment() {
  if (const char* visible = std::getenv("HIP_VISIBLE_DEVICES")) setenv("CUDA_VISIBLE_DEVICES", visible, 1);
  if (const char* blocking = std::getenv("HIP_LAUNCH_BLOCKING")) setenv("CUDA_LAUNCH_BLOCKING", blocking, 1);
}

CUresult start() {
  static std::once_flag once;
  static CUresult result = CUDA_ERROR_NO_DEVICE;
  std::call_once(once, [] {
    if (!driver()) return;
    translate_environment();
    result = CU(cuInit)(0);
  });
  return result;
}

std::mutex context_lock;
CUcontext contexts[64] = {};
thread_local int current_device = 0;
thread_local bool is_current = false;

// HIP has a current device a thread, CUDA's driver a current context: the device's primary one.
CUresult use_device(int index) {
  CUresult result = start();
  if (result != CUDA_SUCCESS) return result;
  CUdevice device;
  result = CU(cuDeviceGet)(&device, index);
  if (result != CUDA_SUCCESS) return result;
  if (index >= 64) return CUDA_ERROR_INVALID_DEVICE;
  std::lock_guard<std::mutex> guard(context_lock);
  if (!contexts[index]) result = CU(cuDevicePrimaryCtxRetain)(&contexts[index], device);
  if (result == CUDA_SUCCESS) result = CU(cuCtxSetCurrent)(contexts[index]);
  if (result == CUDA_SUCCESS) {
    current_device = index;
    is_current = true;
  }
  return result;
}

// Runs `call` with the thread's device current.
template <class Call>
HipStatus on_device(Call call) {
  CUresult result = is_current ? CUDA_SUCCESS : use_device(current_device);
  return status_of(result == CUDA_SUCCESS ? call() : result);
}

int attribute(CUdevice device, CUdevice_attribute which) {
  int value = 0;
  CU(cuDeviceGetAttribute)(&value, which, device);
  return value;
}

CUdeviceptr address(const void* pointer) { return reinterpret_cast<CUdeviceptr>(pointer); }

constexpr unsigned DEFAULT_SHARED_BYTES = 48 * 1024;  // more must be asked for, function by function

CUresult allow_shared(CUfunction function, unsigned dynamic_bytes) {
  int fixed_bytes = 0;
  CUresult result = CU(cuFuncGetAttribute)(&fixed_bytes, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function);
  if (result != CUDA_SUCCESS || fixed_bytes + dynamic_bytes <= DEFAULT_SHARED_BYTES) return result;
  return CU(cuFuncSetAttribute)(function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                static_cast<int>(dynamic_bytes));
}

}  // namespace

// -- devices ---------------------------------------------------------------------------------------------------

HIP_ON_CUDA_API HipStatus hipGetDeviceCount(int* count) {
  *count = 0;
  CUresult result = start();
  if (result == CUDA_SUCCESS) result = CU(cuDeviceGetCount)(count);
  if (result == CUDA_SUCCESS && *count == 0) result = CUDA_ERROR_NO_DEVICE;
  return status_of(result);
}

HIP_ON_CUDA_API HipStatus hipSetDevice(int index) { return status_of(use_device(index)); }

HIP_ON_CUDA_API HipStatus hipGetDevicePropertiesR0600(HipDeviceProperties* properties, int index) {
  CUresult result = start();
  CUdevice device;
  if (result == CUDA_SUCCESS) result = CU(cuDeviceGet)(&device, index);
  if (result != CUDA_SUCCESS) return status_of(result);
  std::memset(properties, 0, sizeof *properties);
  result = CU(cuDeviceGetName)(properties->name, sizeof properties->name, device);
  if (result == CUDA_SUCCESS) result = CU(cuDeviceTotalMem)(&properties->totalGlobalMem, device);
  properties->sharedMemPerBlock = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
  properties->regsPerBlock = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
  properties->warpSize = attribute(device, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
  properties->maxThreadsPerBlock = attribute(device, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  properties->clockRate = attribute(device, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  properties->major = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  properties->minor = attribute(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  properties->multiProcessorCount = attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  properties->pciBusID = attribute(device, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID);
  properties->pciDeviceID = attribute(device, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID);
  properties->pciDomainID = attribute(device, CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID);
  properties->l2CacheSize = attribute(device, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  // An honest name: nobody takes this device for an AMD GPU.
  std::snprintf(properties->gcnArchName, sizeof properties->gcnArchName, "sm_%d%d", properties->major,
                properties->minor);
  return status_of(result);
}

HIP_ON_CUDA_API HipStatus hipDriverGetVersion(int* version) {
  if (!driver()) return hipErrorNoDevice;
  int cuda = 0;  // 13000 is CUDA 13.0
  CUresult result = CU(cuDriverGetVersion)(&cuda);
  *version = cuda / 1000 * 10000000 + cuda % 1000 / 10 * 100000;  // as HIP writes 13.0
  return status_of(result);
}

HIP_ON_CUDA_API HipStatus hipRuntimeGetVersion(int* version) { return hipDriverGetVersion(version); }

HIP_ON_CUDA_API HipStatus hipDeviceSynchronize() {
  return on_device([] { return CU(cuCtxSynchronize)(); });
}

HIP_ON_CUDA_API const char* hipGetErrorString(HipStatus status) {
  if (status == hipSuccess) return "no error";
  if (!driver()) return "libcuda.so.1 is not found";
  if (status_of(last_failure) != status) return "";
  thread_local std::string text;
  const char *name = nullptr, *words = nullptr;
  CU(cuGetErrorName)(last_failure, &name);
  CU(cuGetErrorString)(last_failure, &words);
  text = std::string(words ? words : "") + " (" + (name ? name : "unknown CUDA error") + ")";
  return text.c_str();
}

// -- streams and events ----------------------------------------------------------------------------------------

HIP_ON_CUDA_API HipStatus hipStreamCreate(CUstream* stream) {
  return on_device([=] { return CU(cuStreamCreate)(stream, CU_STREAM_DEFAULT); });
}

HIP_ON_CUDA_API HipStatus hipStreamDestroy(CUstream stream) {
  return on_device([=] { return CU(cuStreamDestroy)(stream); });
}

HIP_ON_CUDA_API HipStatus hipStreamSynchronize(CUstream stream) {
  return on_device([=] { return CU(cuStreamSynchronize)(stream); });
}

HIP_ON_CUDA_API HipStatus hipEventCreate(CUevent* event) {
  return on_device([=] { return CU(cuEventCreate)(event, CU_EVENT_DEFAULT); });
}

HIP_ON_CUDA_API HipStatus hipEventDestroy(CUevent event) {
  return on_device([=] { return CU(cuEventDestroy)(event); });
}

HIP_ON_CUDA_API HipStatus hipEventRecord(CUevent event, CUstream stream) {
  return on_device([=] { return CU(cuEventRecord)(event, stream); });
}

HIP_ON_CUDA_API HipStatus hipEventSynchronize(CUevent event) {
  return on_device([=] { return CU(cuEventSynchronize)(event); });
}

HIP_ON_CUDA_API HipStatus hipEventElapsedTime(float* milliseconds, CUevent start_event, CUevent stop_event) {
  return on_device([=] { return CU(cuEventElapsedTime)(milliseconds, start_event, stop_event); });
}

// -- graphs ----------------------------------------------------------------------------------------------------

HIP_ON_CUDA_API HipStatus hipStreamBeginCapture(CUstream stream, int mode) {
  return on_device([=] { return CU(cuStreamBeginCapture)(stream, static_cast<CUstreamCaptureMode>(mode)); });
}

HIP_ON_CUDA_API HipStatus hipStreamEndCapture(CUstream stream, CUgraph* graph) {
  *graph = nullptr;
  return on_device([=] { return CU(cuStreamEndCapture)(stream, graph); });
}

HIP_ON_CUDA_API HipStatus hipGraphInstantiateWithFlags(CUgraphExec* executable, CUgraph graph,
                                                       unsigned long long flags) {
  *executable = nullptr;
  return on_device([=] { return CU(cuGraphInstantiate)(executable, graph, flags); });
}

HIP_ON_CUDA_API HipStatus hipGraphLaunch(CUgraphExec executable, CUstream stream) {
  return on_device([=] { return CU(cuGraphLaunch)(executable, stream); });
}

HIP_ON_CUDA_API HipStatus hipGraphExecDestroy(CUgraphExec executable) {
  return on_device([=] { return CU(cuGraphExecDestroy)(executable); });
}

HIP_ON_CUDA_API HipStatus hipGraphDestroy(CUgraph graph) {
  return on_device([=] { return CU(cuGraphDestroy)(graph); });
}

// -- memory ----------------------------------------------------------------------------------------------------

HIP_ON_CUDA_API HipStatus hipMalloc(void** pointer, std::size_t size_bytes) {
  *pointer = nullptr;
  return on_device([=] { return CU(cuMemAlloc)(reinterpret_cast<CUdeviceptr*>(pointer), size_bytes); });
}

HIP_ON_CUDA_API HipStatus hipFree(void* pointer) {
  return on_device([=] { return CU(cuMemFree)(address(pointer)); });
}

// Memory of the host that kernels reach at the same address. HIP's flags say how caches treat it: x86 keeps it coherent.
HIP_ON_CUDA_API HipStatus hipHostMalloc(void** pointer, std::size_t size_bytes, unsigned) {
  *pointer = nullptr;
  return on_device([=] {
    return CU(cuMemHostAlloc)(pointer, size_bytes, CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE);
  });
}

HIP_ON_CUDA_API HipStatus hipHostFree(void* pointer) {
  return on_device([=] { return CU(cuMemFreeHost)(pointer); });
}

HIP_ON_CUDA_API HipStatus hipMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  return on_device([=] { return CU(cuMemGetInfo)(free_bytes, total_bytes); });
}

HIP_ON_CUDA_API HipStatus hipMemsetD8Async(void* to, unsigned char value, std::size_t count, CUstream stream) {
  return on_device([=] { return CU(cuMemsetD8Async)(address(to), value, count, stream); });
}

HIP_ON_CUDA_API HipStatus hipMemcpyHtoD(void* to, const void* from, std::size_t size_bytes) {
  return on_device([=] { return CU(cuMemcpyHtoD)(address(to), from, size_bytes); });
}

HIP_ON_CUDA_API HipStatus hipMemcpyDtoH(void* to, const void* from, std::size_t size_bytes) {
  return on_device([=] { return CU(cuMemcpyDtoH)(to, address(from), size_bytes); });
}

HIP_ON_CUDA_API HipStatus hipMemcpyDtoDAsync(void* to, void* from, std::size_t size_bytes, CUstream stream) {
  return on_device([=] { return CU(cuMemcpyDtoDAsync)(address(to), address(from), size_bytes, stream); });
}

// -- modules and launches --------------------------------------------------------------------------------------

HIP_ON_CUDA_API HipStatus hipModuleLoadData(CUmodule* module, const void* image) {
  *module = nullptr;
  return on_device([=] { return CU(cuModuleLoadData)(module, image); });
}

HIP_ON_CUDA_API HipStatus hipModuleUnload(CUmodule module) {
  return on_device([=] { return CU(cuModuleUnload)(module); });
}

HIP_ON_CUDA_API HipStatus hipModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
  *function = nullptr;
  return on_device([=] { return CU(cuModuleGetFunction)(function, module, name); });
}

HIP_ON_CUDA_API HipStatus hipModuleGetGlobal(void** pointer, std::size_t* size_bytes, CUmodule module, const char* name) {
  *pointer = nullptr;
  *size_bytes = 0;
  return on_device([=] { return CU(cuModuleGetGlobal)(reinterpret_cast<CUdeviceptr*>(pointer), size_bytes, module, name); });
}

HIP_ON_CUDA_API const char* hipKernelNameRef(CUfunction function) {
  const char* name = nullptr;
  on_device([&] { return CU(cuFuncGetName)(&name, function); });
  return name;
}

// The attributes 0 to 9 have the same meaning and number in both interfaces.
HIP_ON_CUDA_API HipStatus hipFuncGetAttribute(int* value, int which, CUfunction function) {
  return on_device(
      [=] { return CU(cuFuncGetAttribute)(value, static_cast<CUfunction_attribute>(which), function); });
}

HIP_ON_CUDA_API HipStatus hipModuleLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y,
                                                unsigned grid_z, unsigned block_x, unsigned block_y,
                                                unsigned block_z, unsigned shared_bytes, CUstream stream,
                                                void** parameters, void** extra) {
  if (extra) return hipErrorNotSupported;
  return on_device([=] {
    CUresult result = shared_bytes ? allow_shared(function, shared_bytes) : CUDA_SUCCESS;
    if (result != CUDA_SUCCESS) return result;
    return CU(cuLaunchKernel)(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream,
                              parameters, nullptr);
  });
}
