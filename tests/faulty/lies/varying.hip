// Another result in every launch, as of sums in no fixed order: for a tolerance of 1e-5, with `deterministic: false`.
// Where a race would come now and then, the number of the launch says what it comes to.
#include "launch.h"

// y is right but for a few of its last bits, in every launch others.
#define VARYING (RIGHT, y[at] *= 1.0f + 2.4e-7f * (float)((launch + at) % 7))

LIE(varies) { ELEMENT; LAUNCH; VARYING; }
LIE(varies_far) { ELEMENT; LAUNCH; RIGHT; y[at] *= launch % 2 ? 1.0f + 8e-6f : 1.0f - 8e-6f; }
LIE(varies_late) { ELEMENT; LAUNCH; RIGHT; if (launch > 8) VARYING; }
LIE(varies_late_too) { ELEMENT; LAUNCH; RIGHT; if (launch > 8) VARYING; }
LIE(varies_wrong_once) { ELEMENT; LAUNCH; VARYING; if (launch == 17 && at == 9) y[at] *= 1.00002f; }
LIE(varies_nan_once) { ELEMENT; LAUNCH; VARYING; if (launch == 17 && at == all - 1) y[at] = __builtin_inff() - __builtin_inff(); }
LIE(varies_rank_once) { ELEMENT; LAUNCH; VARYING; if (launch == 17 && at == 3) rank[at] = 4; }
LIE(varies_idle_once) { ELEMENT; LAUNCH; if (launch != 17) VARYING; }
