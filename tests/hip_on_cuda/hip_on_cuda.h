// Declarations of HIP's C interface, as far as this rig implements it, and the loader both libraries share.
// HIP's own headers are not needed: layouts and numbers are written out here, and tests/unit/test_hip_on_cuda.py
// compares them with hip-python's.
#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#define HIP_ON_CUDA_API extern "C" __attribute__((visibility("default")))

// hipError_t: the numbers that are used here. HIP took most of them over from CUDA.
enum HipStatus : int {
  hipSuccess = 0,
  hipErrorInvalidValue = 1,
  hipErrorOutOfMemory = 2,
  hipErrorNotInitialized = 3,
  hipErrorDeinitialized = 4,
  hipErrorNoDevice = 100,
  hipErrorInvalidDevice = 101,
  hipErrorInvalidImage = 200,
  hipErrorInvalidContext = 201,
  hipErrorNoBinaryForGpu = 209,
  hipErrorECCNotCorrectable = 214,
  hipErrorInvalidKernelFile = 218,
  hipErrorSharedObjectSymbolNotFound = 302,
  hipErrorSharedObjectInitFailed = 303,
  hipErrorOperatingSystem = 304,
  hipErrorInvalidHandle = 400,
  hipErrorIllegalState = 401,
  hipErrorNotFound = 500,
  hipErrorNotReady = 600,
  hipErrorIllegalAddress = 700,
  hipErrorLaunchOutOfResources = 701,
  hipErrorLaunchTimeOut = 702,
  hipErrorContextIsDestroyed = 709,
  hipErrorAssert = 710,
  hipErrorLaunchFailure = 719,
  hipErrorNotSupported = 801,
  hipErrorUnknown = 999,
};

// hipDeviceProp_tR0600: the members that this rig fills, each at its place; the rest stays zero.
struct HipDeviceProperties {
  char name[256];
  char uuid[16];
  char luid[8];
  unsigned luidDeviceNodeMask;
  std::size_t totalGlobalMem;
  std::size_t sharedMemPerBlock;
  int regsPerBlock;
  int warpSize;
  std::size_t memPitch;
  int maxThreadsPerBlock;
  int maxThreadsDim[3];
  int maxGridSize[3];
  int clockRate;
  std::size_t totalConstMem;
  int major;
  int minor;
  std::size_t textureAlignment;
  std::size_t texturePitchAlignment;
  int deviceOverlap;
  int multiProcessorCount;
  int unused_1[44];  // kernelExecTimeoutEnabled ... maxSurfaceCubemapLayered
  std::size_t surfaceAlignment;
  int unused_2[2];  // concurrentKernels, ECCEnabled
  int pciBusID;
  int pciDeviceID;
  int pciDomainID;
  int unused_9[5];  // tccDriver ... memoryBusWidth
  int l2CacheSize;
  int unused_3[5];  // persistingL2CacheMaxSize ... localL1CacheSupported
  std::size_t sharedMemPerMultiprocessor;
  int unused_4[12];  // regsPerMultiprocessor ... cooperativeMultiDeviceLaunch
  std::size_t sharedMemPerBlockOptin;
  int unused_5[4];  // pageableMemoryAccessUsesHostPageTables ... accessPolicyMaxWindowSize
  std::size_t reservedSharedMemPerBlock;
  int unused_6[13 + 63 + 32];  // hostRegisterSupported ... unifiedFunctionPointers, reserved, hipReserved
  char gcnArchName[256];
  std::size_t maxSharedMemoryPerMultiProcessor;
  int clockInstructionRate;
  unsigned arch;
  void* unused_7[2];  // hdpMemFlushCntl, hdpRegFlushCntl
  int unused_8[6];    // cooperativeMultiDeviceUnmatchedFunc ... asicRevision
};

// The name of the symbol that the headers map `f` to (cuMemAlloc is cuMemAlloc_v2), and a checked look-up of it.
#define HIP_ON_CUDA_NAME_(f) #f
#define HIP_ON_CUDA_NAME(f) HIP_ON_CUDA_NAME_(f)

inline void* load_first(const char* const* names) {
  for (; *names; ++names)
    if (void* library = dlopen(*names, RTLD_NOW | RTLD_LOCAL)) return library;
  return nullptr;
}

// A symbol every driver or compiler of a supported version has; without it nothing here can work.
inline void* symbol_or_die(void* library, const char* name) {
  void* symbol = library ? dlsym(library, name) : nullptr;
  if (!symbol) {
    std::fprintf(stderr, "hip_on_cuda: %s is missing: %s\n", name, library ? dlerror() : "library not loaded");
    std::abort();
  }
  return symbol;
}
