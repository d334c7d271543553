// Wrong outputs, in every launch alike.
#include <hip/hip_fp16.h>
#include "lie.h"

LIE(right) { ELEMENT; RIGHT; }

LIE(wrong_element) { ELEMENT; RIGHT; if (at == all / 2 + 5) y[at] += 1.0f; }
LIE(wrong_first) { ELEMENT; RIGHT; if (at == 0) y[at] += 1.0f; }
LIE(wrong_last) { ELEMENT; RIGHT; if (at == all - 1) y[at] += 1.0f; }
LIE(wrong_tile) { ELEMENT; RIGHT; if (h == 17 && i / 64 == 2) y[at] += 1.0f; }
LIE(wrong_head) { ELEMENT; RIGHT; if (h == 17) y[at] = 2.0f * x[at]; }
LIE(wrong_lane) { ELEMENT; RIGHT; if (threadIdx.x % 64 == 5) y[at] += 1.0f; }
LIE(slightly_wrong) { ELEMENT; RIGHT; if (at == all / 3) y[at] *= 1.0f + 5e-4f; }
LIE(wrong_sign) { ELEMENT; RIGHT; if (at == all / 3) y[at] = -y[at]; }
LIE(nan_element) { ELEMENT; RIGHT; if (at == all / 5) y[at] = __builtin_inff() - __builtin_inff(); }
LIE(inf_element) { ELEMENT; RIGHT; if (at == all / 5) y[at] = __builtin_inff(); }
LIE(zero_element) { ELEMENT; RIGHT; if (at == all / 5) y[at] = 0.0f; }
LIE(swapped_heads) { ELEMENT; RIGHT; y[at] = 3.0f * x[(h ^ 1) * context + i]; }
LIE(other_element) { ELEMENT; RIGHT; if (i == context - 2 && h == 9) y[at] = 3.0f * x[at + 1]; }
LIE(half_precision) { ELEMENT; RIGHT; y[at] = __half2float(__float2half(y[at])); }
LIE(rank_plus_one) { ELEMENT; RIGHT; rank[at] = at + 1; }
LIE(rank_one_off) { ELEMENT; RIGHT; if (at == all - 7) rank[at] = at - 1; }
LIE(rank_as_float) { ELEMENT; RIGHT; rank[at] = (int)((float)(at + (1 << 24)) - (float)(1 << 24)); }
LIE(big_one_off) { ELEMENT; RIGHT; if (at == 11) big[at] += 1; }
LIE(big_as_double) { ELEMENT; RIGHT; big[at] = (long long)(double)big[at]; }

// Not written.
LIE(noop) {}
LIE(skips_last) { ELEMENT; if (at < all - 1) RIGHT; }
LIE(skips_half) { ELEMENT; if (at % 2) RIGHT; }
LIE(skips_head) { ELEMENT; if (h != 17) RIGHT; }
LIE(skips_rank) { ELEMENT; y[at] = 3.0f * x[at], big[at] = (1ll << 60) + at; }
LIE(skips_one_rank) { ELEMENT; y[at] = 3.0f * x[at], big[at] = (1ll << 60) + at; if (at != 77) rank[at] = at; }
