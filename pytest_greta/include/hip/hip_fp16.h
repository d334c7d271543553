// __half and __half2, which hip_runtime.h brings (as hiprtc does).
#pragma once
#include "hip_runtime.h"
