"""
The queue between log calls and the writer: bounded, unlocked, woken rarely.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time

from collections import deque
from collections.abc import Callable
from typing import Final

from ..record.sink import Pending
from .ticks import Ticks, TicksByReason


BLOCK: Final = "block"
DROP_NEWEST: Final = "drop_newest"
DROP_OLDEST: Final = "drop_oldest"
OVERFLOW: Final = (BLOCK, DROP_NEWEST, DROP_OLDEST)
"""What may happen to a record that finds the queue full."""

_OPEN, _UNSTARTED, _CLOSED = 0, 1, 2
_POLL = 0.002  # seconds between two looks of a caller that waits for room


class Mailbox:
    """
    Hold what was caught until the writer takes it.

    `put` is what every activity call pays, so it does as little as can be: two
    comparisons, an append to a deque, and a look at whether the writer sleeps.
    There is no lock (`queue.Queue` deadlocks when a signal handler or a
    finalizer logs), no wake-up per record (that costs ten times the append) and
    no system call. The bound is soft by the number of threads that append at
    the same moment.

    Args:

        capacity: Most records to hold.

        wake_at: Wake the lingering writer when so many wait.

        overflow: One of `OVERFLOW`.

        block_timeout: How long ``"block"`` waits for room, in seconds; then
            the newest record is dropped. It never waits within an event loop
            or in the writer's own thread.

        start: Called before the first record is taken, to start the writer.
    """

    __slots__ = (
        "_asleep",
        "_block_timeout",
        "_capacity",
        "_gate",
        "_overflow",
        "_queue",
        "_start",
        "_take_lock",
        "_taken",
        "_wake",
        "_wake_at",
        "_writer",
        "dropped",
        "evicted",
        "rejected",
    )

    def __init__(
        self,
        *,
        capacity: int,
        wake_at: int,
        overflow: str,
        block_timeout: float,
        start: Callable[[], None],
    ) -> None:
        self._capacity = capacity
        self._wake_at = wake_at
        self._overflow = overflow
        self._block_timeout = block_timeout
        self._start = start
        self.reset()

    def reset(self) -> None:
        """Become new and empty, as in a forked child, whose parent has the records."""
        self._queue: deque[Pending] = deque()
        self._gate = _UNSTARTED
        self._asleep = False
        self._writer = 0
        self._taken = 0
        self._take_lock = threading.Lock()  # Guards _taken and what left the queue with it.
        self._wake = _thread.allocate_lock()  # Locked: nobody rang. Released: somebody did.
        self._wake.acquire()
        self.evicted = Ticks()
        self.dropped = TicksByReason()
        self.rejected = TicksByReason()

    # -- what callers use ---------------------------------------------------

    def put(self, pending: Pending, /) -> bool:
        """Take *pending*; return whether it was kept."""
        queue = self._queue
        waiting = len(queue)
        if waiting >= self._capacity or self._gate or _thread.get_ident() == self._writer:
            return self._put_specially(pending)
        queue.append(pending)
        # Appended first, looked second, as the writer says that it sleeps first
        # and looks into the queue second: one of the two always sees the other.
        if self._asleep or waiting >= self._wake_at:
            self.ring()
        return True

    def ring(self) -> None:
        """Wake the writer. Rings that meet count as one."""
        self._asleep = False
        if self._wake.locked():
            try:
                self._wake.release()
            except RuntimeError:  # Somebody else released it in between.
                pass

    def reject(self, reason: str) -> None:
        """Count a record that was not accepted, and let the writer report it."""
        self.rejected.tick(reason)
        if self._gate == _UNSTARTED:
            self._open()
        self.ring()

    def _put_specially(self, pending: Pending) -> bool:
        if _thread.get_ident() == self._writer:
            self.rejected.tick("recursion")
            return False
        if self._gate == _CLOSED:
            self.rejected.tick("closed")
            return False
        if self._gate == _UNSTARTED:
            self._open()
        if len(self._queue) >= self._capacity and not self._make_room():
            self.dropped.tick("overflow")
            return False
        self._queue.append(pending)
        self.ring()
        return True

    def _open(self) -> None:
        self._gate = _OPEN
        self._start()

    def _make_room(self) -> bool:
        if self._overflow == DROP_OLDEST:
            return self._evict()
        return self._overflow == BLOCK and not _in_event_loop() and self._wait_for_room()

    def _evict(self) -> bool:
        try:
            self._queue.popleft()
        except IndexError:  # The writer took them all.
            return True
        self.evicted.tick()
        return True

    def _wait_for_room(self) -> bool:
        deadline = time.monotonic() + self._block_timeout
        self.ring()
        while len(self._queue) >= self._capacity:
            if time.monotonic() >= deadline or self._gate == _CLOSED:
                return False
            time.sleep(_POLL)
        return True

    # -- what the writer uses -----------------------------------------------

    def claim(self) -> None:
        """Say that the calling thread is the writer, whose own records are refused."""
        self._writer = _thread.get_ident()

    def unclaim(self) -> None:
        """Say that the writer is gone."""
        self._writer = 0

    def wait(self, timeout: float = -1) -> None:
        """Sleep until somebody rings, at most *timeout* seconds (-1: without end)."""
        self._wake.acquire(timeout=timeout)

    def wait_for_first(self) -> None:
        """Sleep until there is a record or somebody rings."""
        self._asleep = True
        if not self._queue:
            self.wait()
        self._asleep = False

    def take(self, most: int) -> list[Pending]:
        """Return up to *most* records, oldest first."""
        out: list[Pending] = []
        with self._take_lock:
            try:
                for _ in range(min(most, len(self._queue))):
                    out.append(self._queue.popleft())  # noqa: PERF401  Kept if popleft raises.
            except IndexError:  # Another thread evicted some.
                pass
            self._taken += len(out)
        return out

    def close(self) -> None:
        """Accept no more records."""
        self._gate = _CLOSED
        self.ring()

    # -- what accounts use --------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._gate == _CLOSED

    def position(self) -> tuple[int, int]:
        """Return how many records left for the writer, and how many wait."""
        with self._take_lock:
            return self._taken, len(self._queue)


def _in_event_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
