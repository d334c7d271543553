"""The patterns that names of kernels are chosen by, in gates.yaml and on the command line."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=1 << 10)
def pattern(text: str) -> re.Pattern[str]:
    """What a pattern matches: `/.../` is a regular expression, found anywhere; in all else `*` stands for any text and
    `?` for one character. Raises ValueError where the expression is none.
    """
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        try:
            return re.compile(text[1:-1])
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"{text} is no regular expression: {error}") from None
    parts = (".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in text)
    return re.compile(rf"\A(?:{''.join(parts)})\Z", re.DOTALL)
