// C's <assert.h> for device code: a failed assertion stops the kernel on a GPU; the cpu device ignores assertions.
#include <hip/hip_runtime.h>
#undef assert
#if defined(NDEBUG) || defined(__SPIRV__)
#define assert(condition) ((void)0)
#else
#define assert(condition) ((condition) ? (void)0 : __greta_failed())
#endif
