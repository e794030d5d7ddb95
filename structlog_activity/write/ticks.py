"""
Counters that any thread may advance without a lock.
"""

from __future__ import annotations

import itertools
import operator

from collections import deque
from collections.abc import Callable
from typing import Any, Final


_exhaust: Final = deque[Any](maxlen=0).extend


class Ticks:
    """
    Count events from any thread, signal handler or finalizer.

    ``n += 1`` loses events when threads meet, and a lock would deadlock when a
    signal handler meets its own thread. `itertools.count` does neither, but
    can't be read without advancing it: reads are counted too, and taken off.

    A signal handler that raises may strike between any two steps of Python, so
    whatever belongs together here is one call of C.
    """

    __slots__ = ("_count", "_reads", "tick")

    def __init__(self) -> None:
        self._count = itertools.count()
        self._reads = itertools.count()
        self.tick = self._count.__next__

    def tick_with(self, act: Callable[[Any], object], argument: object) -> None:
        """
        Call *act*, and count one with it unless it raises.

        Args:

            act: Written in C: then nothing comes in between.

            argument: Its argument.
        """
        next(zip(map(act, (argument,)), self._count))  # noqa: B905  strict= takes as long as all else.

    def add_with(self, act: Callable[[Any], object], argument: object, number: int) -> None:
        """
        Call *act*, and count so many with it unless it raises.

        Args:

            act: Written in C: then nothing comes in between.

            argument: Its argument.

            number: How many.
        """
        counts = map(_exhaust, (itertools.islice(self._count, number),))
        next(zip(map(act, (argument,)), counts, strict=True))

    @property
    def value(self) -> int:
        """How many were counted."""
        value: int = next(map(operator.sub, self._count, self._reads))
        return value


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
