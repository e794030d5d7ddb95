"""
When to try again after a failure. No clock and no thread: numbers in, numbers out.
"""

from __future__ import annotations

import random

from collections.abc import Callable
from typing import Final

from ..store.faults import Fault


FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 30.0
FIRST_HOLD: Final = 1.0


class RetrySchedule:
    """
    Say how long to wait before the next try.

    Twice as long after each failure, from 0.1 to 30 seconds; from 1 second
    where somebody must act first. The wait is a random part, at least half, of
    that, so that many writers don't come back to a recovering server at once.

    Args:

        random: Returns a number in [0, 1).
    """

    __slots__ = ("_failures", "_random")

    def __init__(self, random: Callable[[], float] = random.random) -> None:
        self._random = random
        self._failures = 0

    def succeeded(self) -> None:
        """Start anew with the shortest delay."""
        self._failures = 0

    def failed(self, fault: Fault) -> float:
        """Return how many seconds to wait after another failure."""
        first = FIRST_HOLD if fault is Fault.CONFIGURATION else FIRST_DELAY
        delay = min(LONGEST_DELAY, first * 2 ** min(self._failures, 16))
        self._failures += 1
        return float(delay * (1 + self._random()) / 2)
