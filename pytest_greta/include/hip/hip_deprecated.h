// What HIP gave up, which hip_runtime.h brings.
#pragma once
#include "hip_runtime.h"
