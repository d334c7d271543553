// Types of the host API: launches, graphs, memory pools, what other APIs share.
#pragma once

typedef void (*hipHostFn_t)(void* userData);
typedef void (*hipStreamCallback_t)(hipStream_t stream, hipError_t status, void* userData);
enum hipMemAllocationType {
  hipMemAllocationTypeInvalid = 0x0, hipMemAllocationTypePinned = 0x1, hipMemAllocationTypeMax = 0x7FFFFFFF
};
enum hipMemAllocationHandleType {
  hipMemHandleTypeNone = 0x0, hipMemHandleTypePosixFileDescriptor = 0x1, hipMemHandleTypeWin32 = 0x2,
  hipMemHandleTypeWin32Kmt = 0x4
};
struct hipMemPoolProps {
  hipMemAllocationType allocType; hipMemAllocationHandleType handleTypes; hipMemLocation location;
  void* win32SecurityAttributes; size_t maxSize; unsigned char reserved[56];
};
struct hipLaunchParams {
  void* func; dim3 gridDim; dim3 blockDim; void** args; size_t sharedMem; hipStream_t stream;
};
struct hipFunctionLaunchParams {
  hipFunction_t function; unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  hipStream_t hStream; void** kernelParams;
};
enum hipExternalMemoryHandleType {
  hipExternalMemoryHandleTypeOpaqueFd = 1, hipExternalMemoryHandleTypeOpaqueWin32 = 2,
  hipExternalMemoryHandleTypeOpaqueWin32Kmt = 3, hipExternalMemoryHandleTypeD3D12Heap = 4,
  hipExternalMemoryHandleTypeD3D12Resource = 5, hipExternalMemoryHandleTypeD3D11Resource = 6,
  hipExternalMemoryHandleTypeD3D11ResourceKmt = 7, hipExternalMemoryHandleTypeNvSciBuf = 8
};
struct hipExternalMemoryHandleDesc {
  hipExternalMemoryHandleType type;
  union {
    int fd; struct { void* handle; const void* name; } win32; const void* nvSciBufObject;
  } handle;
  unsigned long long size; unsigned flags, reserved[16];
};
struct hipExternalMemoryBufferDesc {
  unsigned long long offset; unsigned long long size; unsigned flags, reserved[16];
};
struct hipExternalMemoryMipmappedArrayDesc {
  unsigned long long offset; hipChannelFormatDesc formatDesc; hipExtent extent; unsigned flags, numLevels;
};
using hipExternalMemory_t = void*;
enum hipExternalSemaphoreHandleType {
  hipExternalSemaphoreHandleTypeOpaqueFd = 1, hipExternalSemaphoreHandleTypeOpaqueWin32 = 2,
  hipExternalSemaphoreHandleTypeOpaqueWin32Kmt = 3, hipExternalSemaphoreHandleTypeD3D12Fence = 4,
  hipExternalSemaphoreHandleTypeD3D11Fence = 5, hipExternalSemaphoreHandleTypeNvSciSync = 6,
  hipExternalSemaphoreHandleTypeKeyedMutex = 7, hipExternalSemaphoreHandleTypeKeyedMutexKmt = 8,
  hipExternalSemaphoreHandleTypeTimelineSemaphoreFd = 9, hipExternalSemaphoreHandleTypeTimelineSemaphoreWin32 = 10
};
struct hipExternalSemaphoreHandleDesc {
  hipExternalSemaphoreHandleType type;
  union {
    int fd; struct { void* handle; const void* name; } win32; const void* NvSciSyncObj;
  } handle;
  unsigned flags, reserved[16];
};
using hipExternalSemaphore_t = void*;
struct hipExternalSemaphoreSignalParams {
  struct {
    struct { unsigned long long value; } fence; union { void* fence; unsigned long long reserved; } nvSciSync;
    struct { unsigned long long key; } keyedMutex; unsigned reserved[12];
  } params;
  unsigned flags, reserved[16];
};
struct hipExternalSemaphoreWaitParams {
  struct {
    struct { unsigned long long value; } fence; union { void* fence; unsigned long long reserved; } nvSciSync;
    struct { unsigned long long key; unsigned timeoutMs; } keyedMutex; unsigned reserved[10];
  } params;
  unsigned flags, reserved[16];
};
struct hipExternalSemaphoreWaitNodeParams {
  hipExternalSemaphore_t* extSemArray; const hipExternalSemaphoreWaitParams* paramsArray; unsigned numExtSems;
};
struct hipExternalSemaphoreSignalNodeParams {
  hipExternalSemaphore_t* extSemArray; const hipExternalSemaphoreSignalParams* paramsArray; unsigned numExtSems;
};
enum hipGraphNodeType {
  hipGraphNodeTypeKernel = 0, hipGraphNodeTypeMemcpy = 1, hipGraphNodeTypeMemset = 2, hipGraphNodeTypeHost = 3,
  hipGraphNodeTypeGraph = 4, hipGraphNodeTypeEmpty = 5, hipGraphNodeTypeWaitEvent = 6,
  hipGraphNodeTypeEventRecord = 7, hipGraphNodeTypeExtSemaphoreSignal = 8, hipGraphNodeTypeExtSemaphoreWait = 9,
  hipGraphNodeTypeMemAlloc = 10, hipGraphNodeTypeMemFree = 11, hipGraphNodeTypeMemcpyFromSymbol = 12,
  hipGraphNodeTypeMemcpyToSymbol = 13, hipGraphNodeTypeBatchMemOp = 14, hipGraphNodeTypeCount
};
enum hipGraphicsRegisterFlags {
  hipGraphicsRegisterFlagsNone = 0, hipGraphicsRegisterFlagsReadOnly = 1, hipGraphicsRegisterFlagsWriteDiscard = 2,
  hipGraphicsRegisterFlagsSurfaceLoadStore = 4, hipGraphicsRegisterFlagsTextureGather = 8
};
using hipGraphicsResource = struct _hipGraphicsResource;
using hipGraphicsResource_t = hipGraphicsResource*;
using hipGraph_t = struct ihipGraph*;
using hipGraphNode_t = struct hipGraphNode*;
using hipGraphExec_t = struct hipGraphExec*;
using hipUserObject_t = struct hipUserObject*;
struct hipHostNodeParams { hipHostFn_t fn; void* userData; };
struct hipKernelNodeParams {
  dim3 blockDim; void** extra; void* func; dim3 gridDim; void** kernelParams; unsigned sharedMemBytes;
};
struct hipMemsetParams { void* dst; unsigned elementSize; size_t height, pitch; unsigned value; size_t width; };
struct hipMemAllocNodeParams {
  hipMemPoolProps poolProps; const hipMemAccessDesc* accessDescs; size_t accessDescCount, bytesize; void* dptr;
};
enum hipAccessProperty {
  hipAccessPropertyNormal = 0, hipAccessPropertyStreaming = 1, hipAccessPropertyPersisting = 2
};
struct hipAccessPolicyWindow {
  void* base_ptr; hipAccessProperty hitProp; float hitRatio; hipAccessProperty missProp; size_t num_bytes;
};
enum hipLaunchAttributeID {
  hipLaunchAttributeAccessPolicyWindow = 1, hipLaunchAttributeCooperative = 2, hipLaunchAttributePriority = 8
};
union hipLaunchAttributeValue { hipAccessPolicyWindow accessPolicyWindow; int cooperative, priority; };
enum hipGraphExecUpdateResult {
  hipGraphExecUpdateSuccess = 0x0, hipGraphExecUpdateError = 0x1, hipGraphExecUpdateErrorTopologyChanged = 0x2,
  hipGraphExecUpdateErrorNodeTypeChanged = 0x3, hipGraphExecUpdateErrorFunctionChanged = 0x4,
  hipGraphExecUpdateErrorParametersChanged = 0x5, hipGraphExecUpdateErrorNotSupported = 0x6,
  hipGraphExecUpdateErrorUnsupportedFunctionChange = 0x7
};
enum hipStreamCaptureMode {
  hipStreamCaptureModeGlobal = 0, hipStreamCaptureModeThreadLocal, hipStreamCaptureModeRelaxed
};
enum hipStreamCaptureStatus {
  hipStreamCaptureStatusNone = 0, hipStreamCaptureStatusActive, hipStreamCaptureStatusInvalidated
};
enum hipGraphMemAttributeType {
  hipGraphMemAttrUsedMemCurrent = 0, hipGraphMemAttrUsedMemHigh, hipGraphMemAttrReservedMemCurrent,
  hipGraphMemAttrReservedMemHigh
};
enum hipUserObjectFlags { hipUserObjectNoDestructorSync = 0x1 };
enum hipUserObjectRetainFlags { hipGraphUserObjectMove = 0x1 };
enum hipGraphInstantiateFlags {
  hipGraphInstantiateFlagAutoFreeOnLaunch = 1, hipGraphInstantiateFlagUpload = 2,
  hipGraphInstantiateFlagDeviceLaunch = 4, hipGraphInstantiateFlagUseNodePriority = 8
};
enum hipGraphDebugDotFlags {
  hipGraphDebugDotFlagsVerbose = 1 << 0, hipGraphDebugDotFlagsKernelNodeParams = 1 << 2,
  hipGraphDebugDotFlagsMemcpyNodeParams = 1 << 3, hipGraphDebugDotFlagsMemsetNodeParams = 1 << 4,
  hipGraphDebugDotFlagsHostNodeParams = 1 << 5, hipGraphDebugDotFlagsEventNodeParams = 1 << 6,
  hipGraphDebugDotFlagsExtSemasSignalNodeParams = 1 << 7, hipGraphDebugDotFlagsExtSemasWaitNodeParams = 1 << 8,
  hipGraphDebugDotFlagsKernelNodeAttributes = 1 << 9, hipGraphDebugDotFlagsHandles = 1 << 10
};
enum hipGraphInstantiateResult {
  hipGraphInstantiateSuccess = 0, hipGraphInstantiateError = 1, hipGraphInstantiateInvalidStructure = 2,
  hipGraphInstantiateNodeOperationNotSupported = 3, hipGraphInstantiateMultipleDevicesNotSupported = 4
};
struct hipGraphInstantiateParams {
  hipGraphNode_t errNode_out; unsigned long long flags; hipGraphInstantiateResult result_out;
  hipStream_t uploadStream;
};
struct hipMemAllocationProp {
  hipMemAllocationType type; hipMemAllocationHandleType requestedHandleType; hipMemLocation location;
  void* win32HandleMetaData;
  struct {
    unsigned char compressionType; unsigned char gpuDirectRDMACapable; unsigned short usage;
  } allocFlags;
};
using hipMemGenericAllocationHandle_t = struct ihipMemGenericAllocationHandle*;
enum hipMemAllocationGranularity_flags {
  hipMemAllocationGranularityMinimum = 0x0, hipMemAllocationGranularityRecommended = 0x1
};
enum hipMemHandleType { hipMemHandleTypeGeneric = 0x0 };
enum hipMemOperationType { hipMemOperationTypeMap = 0x1, hipMemOperationTypeUnmap = 0x2 };
struct hipMemcpyNodeParams { int flags, reserved[3]; hipMemcpy3DParms copyParams; };
struct hipChildGraphNodeParams { hipGraph_t graph; };
struct hipEventWaitNodeParams { hipEvent_t event; };
struct hipEventRecordNodeParams { hipEvent_t event; };
struct hipMemFreeNodeParams { void* dptr; };
struct hipGraphNodeParams {
  hipGraphNodeType type; int reserved0[3];
  union {
    long long reserved1[29]; hipKernelNodeParams kernel; hipMemcpyNodeParams memcpy; hipMemsetParams memset;
    hipHostNodeParams host; hipChildGraphNodeParams graph; hipEventWaitNodeParams eventWait;
    hipEventRecordNodeParams eventRecord; hipExternalSemaphoreSignalNodeParams extSemSignal;
    hipExternalSemaphoreWaitNodeParams extSemWait; hipMemAllocNodeParams alloc; hipMemFreeNodeParams free;
  } ;
  long long reserved2;
};
enum hipGraphDependencyType { hipGraphDependencyTypeDefault = 0, hipGraphDependencyTypeProgrammatic = 1 };
struct hipGraphEdgeData {
  unsigned char from_port; unsigned char reserved[5]; unsigned char to_port; unsigned char type;
};
