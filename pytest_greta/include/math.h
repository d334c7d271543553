// C's <math.h>: HIP's device functions first, so that libc++'s <cmath> puts them into std beside the host's.
#pragma once
#include <hip/hip_runtime.h>
#include_next <math.h>
