"""
Counters that any thread may advance without a lock.
"""

from __future__ import annotations

import itertools
import threading


class Ticks:
    """
    Count events from any thread, signal handler or finalizer.

    ``n += 1`` loses events when threads meet, and a lock would deadlock when a
    signal handler meets its own thread. `itertools.count` does neither, but
    can't be read without advancing it: reads are counted too, and taken off.
    """

    __slots__ = ("_lock", "_reads", "tick")

    def __init__(self) -> None:
        self.tick = itertools.count().__next__
        self._reads = 0
        self._lock = threading.RLock()  # A signal handler may count what its thread is counting.

    @property
    def value(self) -> int:
        """How often `tick` was called."""
        with self._lock:
            reads = self._reads
            self._reads = reads + 1
            return self.tick() - reads


class TicksByReason:
    """Count events by reason; the reasons come from a small fixed set."""

    __slots__ = ("_ticks",)

    def __init__(self) -> None:
        self._ticks: dict[str, Ticks] = {}

    def tick(self, reason: str) -> None:
        """Count one."""
        ticks = self._ticks.get(reason)
        if ticks is None:  # setdefault is atomic: two first ticks share one counter.
            ticks = self._ticks.setdefault(reason, Ticks())
        ticks.tick()

    def values(self) -> dict[str, int]:
        """Return the counts by reason."""
        return {reason: ticks.value for reason, ticks in sorted(self._ticks.copy().items())}
