// HIP's profiling hooks, of which there are none here.
#pragma once
#include "hip_runtime.h"
