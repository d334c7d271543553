// HIP's device side for clang without ROCm, on amdgcn and spirv64. See README.md in this folder.
#pragma once

#include "greta/qualifiers.h"
#if defined(__AMDGCN__)
#include "greta/builtins_amdgcn.h"
#else
#include "greta/builtins_spirv.h"
#endif
#include "greta/index.h"
#include "greta/integer.h"
#include "greta/vector_types.h"
#include "greta/atomics.h"
#include "greta/shuffle.h"
#include "greta/math.h"
#include "greta/math_fast.h"
#include "greta/math_more.h"
#include "greta/math_rounded.h"
#include "greta/half.h"
#include "greta/half2.h"
#include "greta/misc.h"
#include "greta/memory.h"
#if !defined(__HIPCC_RTC__)
#include "hip_runtime_api.h"
#endif
