"""How long a session may measure, and what tests that end early leave to others."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class SessionBudget:
    """The seconds that a session may spend on timed rounds, and a pool of those that would have been wasted."""

    seconds: float = math.inf
    """What is left of it: `--greta-session-budget`."""
    pool_seconds: float = 0.0
    """What tests did not use that saw early that they would not be decided."""

    def of_a_test(self, seconds: float) -> float:
        """What the next test may use of the `seconds` it would have by itself."""
        return max(0.0, min(seconds, self.seconds))

    def second_pass(self, seconds: float) -> float:
        """Up to so many seconds of the pool, for a test that is undecided at the end of its own."""
        taken = min(seconds, self.pool_seconds, self.seconds)
        self.pool_seconds -= taken
        return max(0.0, taken)

    def spent(self, seconds: float, is_futile: bool, of_seconds: float) -> None:
        """Count what a test has spent; what a futile one left of its budget goes to the pool."""
        self.seconds -= seconds
        if is_futile and math.isfinite(of_seconds):
            self.pool_seconds += max(0.0, of_seconds - seconds)
