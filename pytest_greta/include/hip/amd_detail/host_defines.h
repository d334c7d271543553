// Where HIP has a part of hip_runtime.h that libraries ask for by name.
#pragma once
#include "../hip_runtime.h"
