// Launches with events of their own; without bodies, as all of the host API.
#pragma once
#include "hip_runtime.h"
extern "C" hipError_t hipExtModuleLaunchKernel(hipFunction_t kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                               unsigned block_x, unsigned block_y, unsigned block_z, size_t dynamic_lds,
                                               hipStream_t stream, void** arguments, void** extra,
                                               hipEvent_t start = nullptr, hipEvent_t stop = nullptr, unsigned flags = 0);
template <typename... Arguments, typename F = decltype(&greta::kernel_of<Arguments...>)>
void hipExtLaunchKernelGGL(F kernel, const dim3& blocks, const dim3& threads, unsigned dynamic_lds, hipStream_t stream,
                           hipEvent_t start, hipEvent_t stop, unsigned flags, Arguments... arguments) {}
