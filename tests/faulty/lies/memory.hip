// What lies outside of the buffers, and what nobody has written. `scratch` is a workspace of [heads, context] fp32.
#include "lie.h"

// Read.
LIE(reads_before_input) { ELEMENT; RIGHT; if (at == 0) y[at] += x[-1]; }
LIE(reads_past_input) { ELEMENT; RIGHT; if (at == 0) y[at] += x[all]; }
LIE(reads_far_past_input) { ELEMENT; RIGHT; if (at == 0) y[at] += x[all + 64]; }
LIE(takes_larger_past_input) { ELEMENT; RIGHT; if (at == 0) y[at] = fmaxf(y[at], x[all]); }
LIE(reads_workspace) { ELEMENT; RIGHT; y[at] += scratch[at]; }
LIE(counts_in_workspace) { ELEMENT; RIGHT; scratch[at] += 1.0f; y[at] = 3.0f * x[at] * scratch[at]; }
LIE(reads_past_workspace) { ELEMENT; RIGHT; if (at == 0) y[at] += scratch[all]; }
LIE(adds_to_output) { ELEMENT; RIGHT; y[at] += 0.0f; if (at == 0) rank[at] += rank[1]; }
LIE(keeps_output) { ELEMENT; if (at == 5) { rank[at] = at, big[at] = (1ll << 60) + at; } else RIGHT; }
LIE(reads_before_output) { ELEMENT; RIGHT; if (at == 0) y[at] += y[-1]; }

// Written.
LIE(writes_past_end) { ELEMENT; RIGHT; if (at == 0) y[all] = 1.0f; }
LIE(writes_far_past_end) { ELEMENT; RIGHT; if (at == 0) y[all + 1040] = 1.0f; }
LIE(writes_a_block_past_end) { ELEMENT; RIGHT; if (h == 0 && i < 256) y[all + 4096 + i] = 1.0f; }
LIE(writes_before_start) { ELEMENT; RIGHT; if (at == 0) y[-1] = 1.0f; }
LIE(writes_past_rank) { ELEMENT; RIGHT; if (at == 0) rank[all] = 1; }
LIE(writes_past_workspace) { ELEMENT; RIGHT; if (at == 0) scratch[all] = 1.0f; }
LIE(writes_past_input) { ELEMENT; RIGHT; if (at == 0) ((float*)x)[all] = 1.0f; }
LIE(writes_before_input) { ELEMENT; RIGHT; if (at == 0) ((float*)x)[-1] = 1.0f; }
LIE(damages_input) { ELEMENT; RIGHT; if (at == 3) ((float*)x)[at] = 0.5f; }
