// char1 .. double4, which hip_runtime.h brings.
#pragma once
#include "hip_runtime.h"
