// Right in the first launches and not in later ones.
#include "launch.h"

__device__ float kept[1 << 16];

LIE(idle_from_fourth) { ELEMENT; LAUNCH; if (launch < 3) RIGHT; }
LIE(wrong_from_fourth) { ELEMENT; LAUNCH; RIGHT; if (launch >= 3) y[at] = 2.0f * x[at]; }
LIE(wrong_once) { ELEMENT; LAUNCH; RIGHT; if (launch == 6 && at == 9) y[at] += 1.0f; }
LIE(wrong_every_other) { ELEMENT; LAUNCH; RIGHT; if (launch % 2 && at == 9) y[at] += 1.0f; }
LIE(half_from_fourth) { ELEMENT; LAUNCH; if (launch < 3 || at < all / 2) RIGHT; }
LIE(nan_late) { ELEMENT; LAUNCH; RIGHT; if (launch == 5 && at == all - 1) y[at] = __builtin_inff() - __builtin_inff(); }
LIE(last_bit_differs) { ELEMENT; LAUNCH; RIGHT; if (launch == 4 && at == 3) y[at] = 3.0f * x[at] * (1.0f + 1.2e-7f); }
LIE(rank_late) { ELEMENT; LAUNCH; RIGHT; if (launch == 4 && at == 3) rank[at] = 4; }
LIE(remembers_output) {
  ELEMENT;
  LAUNCH;
  RIGHT;
  if (launch == 0) kept[at] = y[at];
  y[at] = kept[at];
}
LIE(damages_input_late) { ELEMENT; LAUNCH; RIGHT; if (launch == 5 && at == 3) ((float*)x)[at] = 0.5f; }
LIE(writes_past_end_late) { ELEMENT; LAUNCH; RIGHT; if (launch == 5 && at == 3) y[all + 2] = 0.5f; }
