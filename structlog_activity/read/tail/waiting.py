"""
How a tail waits until there may be something new.
"""

from __future__ import annotations

import threading

from typing import Protocol


class Waiter(Protocol):
    """Waits, and is woken."""

    def wait(self, seconds: float) -> None:
        """Return after so many seconds, or earlier if there may be something new."""
        ...

    def wake(self) -> None:
        """Let a call of `wait` return at once, now or next, from any thread."""
        ...

    def close(self) -> None:
        """Give back what is held; may be called twice."""
        ...


class Pause:
    """Wait for the time to pass: nobody tells of anything new."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wait(self, seconds: float) -> None:
        """Return after so many seconds, or when woken."""
        self._woken.wait(seconds)
        self._woken.clear()

    def wake(self) -> None:
        """Let a call of `wait` return."""
        self._woken.set()

    def close(self) -> None:
        """Do nothing."""
