// C's <assert.h> for device code: a failed assertion stops the kernel.
#include <hip/hip_runtime.h>
#undef assert
#if defined(NDEBUG)
#define assert(condition) ((void)0)
#else
#define assert(condition) ((condition) ? (void)0 : __greta_failed())
#endif
