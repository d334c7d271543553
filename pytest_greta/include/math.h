// C's <math.h> for device code: HIP's header has the functions, in the global namespace and in std.
#pragma once
#include <hip/hip_runtime.h>
