"""
What wakes a thread that sleeps.
"""

from __future__ import annotations

import _thread
import contextlib


class Bell:
    """
    Wake one sleeper; rings that meet count as one, and one that nobody heard stays.

    A raw lock as a binary semaphore. `threading.Event` would do the same, but
    it deadlocks when a signal handler rings while its own thread does.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()  # Locked: nobody rang. Released: somebody did.
        self._lock.acquire()

    def ring(self) -> None:
        """Wake who waits, or who waits next."""
        if self._lock.locked():
            with contextlib.suppress(RuntimeError):  # Somebody else rang in between.
                self._lock.release()

    def wait(self, timeout: float = -1) -> bool:
        """Sleep until somebody rings, at most *timeout* seconds (-1: without end)."""
        return self._lock.acquire(timeout=timeout)

    def hush(self) -> None:
        """Forget a ring that nobody heard."""
        self._lock.acquire(blocking=False)
