"""
The queue between log calls and the writer: bounded, unlocked, woken rarely.
"""

from __future__ import annotations

import _thread
import contextlib
import operator
import sys
import threading
import time

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from ..record.sink import Pending
from .bell import Bell
from .ticks import Ticks, TicksByReason


BLOCK: Final = "block"
DROP_NEWEST: Final = "drop_newest"
DROP_OLDEST: Final = "drop_oldest"
SPILL: Final = "spill"
OVERFLOW: Final = (BLOCK, DROP_NEWEST, DROP_OLDEST, SPILL)
"""What may happen to a record that finds the queue full."""

_OPEN, _UNSTARTED, _CLOSED = 0, 1, 2
_SHUT = -1  # The threshold of a closed mailbox: every record rings.
_take_oldest = operator.methodcaller("popleft")
_get_ident = _thread.get_ident
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

        start: Called before the first record is taken, to start the writer;
            returns whether it runs. If not, the next record tries again.

        spill: Takes a record that finds no room, elsewhere; returns whether it
            did. Only if not, *overflow* decides. ``"spill"`` is *drop_newest*
            where even this fails.
    """

    __slots__ = (
        "_asleep",
        "_bell",
        "_block_timeout",
        "_capacity",
        "_gate",
        "_overflow",
        "_queue",
        "_room",
        "_spill",
        "_start",
        "_starting",
        "_take_lock",
        "_taken",
        "_threshold",
        "_used",
        "_wake_at",
        "_workers",
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
        start: Callable[[], bool],
        spill: Callable[[Pending], bool] | None = None,
    ) -> None:
        self._spill = spill
        self._capacity = capacity
        self._threshold = wake_at
        self._overflow = overflow
        self._block_timeout = block_timeout
        self._start = start
        self.reset()

    def reset(self) -> None:
        """Become new and empty, as in a forked child, whose parent has the records."""
        self._queue: deque[Pending] = deque()
        self._gate = _UNSTARTED
        self._room = 0  # What `put` may do by itself: nothing, while the gate isn't open.
        self._used = False
        self._wake_at = self._threshold
        self._asleep = False
        self._workers: set[int] = set()
        self._taken = 0
        # Guards _taken and what left the queue with it. A signal handler may
        # close what its own thread is looking into, hence the R.
        self._take_lock = threading.RLock()
        self._starting = _thread.allocate_lock()
        self._bell = Bell()
        self.evicted = Ticks()
        self.dropped = TicksByReason()
        self.rejected = TicksByReason()

    # -- what callers use ---------------------------------------------------

    def put(self, pending: Pending, /) -> bool:
        """Take *pending*; return whether it was kept."""
        queue = self._queue
        waiting = len(queue)
        if waiting >= self._room or _get_ident() in self._workers:
            return self._put_specially(pending)
        queue.append(pending)
        # Appended first, looked second, as the writer says that it sleeps first
        # and looks into the queue second: one of the two always sees the other.
        if self._asleep or waiting >= self._wake_at:
            return self._ring_for(pending)
        return True

    def admits(self) -> bool:
        """Tell whether a record may go elsewhere than through `put`; start the writer for it."""
        if self._gate == _UNSTARTED:
            self._open()
        # Also while another thread starts the writer: on disk it is safe already.
        return self._gate != _CLOSED and _thread.get_ident() not in self._workers

    def ring(self) -> None:
        """Wake the writer."""
        self._bell.ring()

    def ring_if_asleep(self) -> None:
        """Wake the writer, unless it will look by itself."""
        if self._asleep:
            self._bell.ring()

    def open(self) -> None:
        """Start the writer without a record, where there is none yet."""
        if self._gate == _UNSTARTED:
            self._open()

    def reject(self, reason: str) -> None:
        """Count a record that was not accepted, and let the writer report it."""
        self.rejected.tick(reason)
        self.open()
        self.ring()

    def _put_specially(self, pending: Pending) -> bool:
        if self.is_writer():
            self.rejected.tick("recursion")
            return False
        self.open()
        if self.closed:
            self.rejected.tick("closed")
            return False
        if len(self._queue) >= self._capacity:
            if self._spill is not None and self._spill(pending):
                self.ring()
                return True
            if not self._make_room():
                self.dropped.tick("overflow")
                return False
        self._queue.append(pending)
        return self._ring_for(pending)

    def _ring_for(self, pending: Pending) -> bool:
        if self.closed:
            return self._is_taken(pending)
        self.ring()
        return True

    def _is_taken(self, pending: Pending) -> bool:
        """Take back what came while the mailbox was being closed, unless the writer has it."""
        try:
            self._queue.remove(pending)
        except ValueError:
            return True
        self.rejected.tick("closed")
        return False

    def _open(self) -> None:
        self._used = True
        # One caller starts the writer; whoever comes meanwhile, as a signal
        # handler on top of it may, just appends.
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._gate == _UNSTARTED and self._start():
                self._gate, self._room = _OPEN, self._capacity
                if self.closed:  # In between.
                    self._gate, self._room = _CLOSED, 0
        finally:
            self._starting.release()

    def _make_room(self) -> bool:
        if self._overflow == DROP_OLDEST:
            return self._evict()
        return self._overflow == BLOCK and not _in_event_loop() and self._wait_for_room()

    def _evict(self) -> bool:
        # The writer may have taken them all.
        with contextlib.suppress(IndexError):
            self.evicted.tick_with(_take_oldest, self._queue)
        return True

    def _wait_for_room(self) -> bool:
        deadline = time.monotonic() + self._block_timeout
        self.ring()
        while len(self._queue) >= self._capacity:
            if time.monotonic() >= deadline or self.closed:
                return False
            time.sleep(_POLL)
        return True

    # -- what the writer uses -----------------------------------------------

    @contextlib.contextmanager
    def as_writer(self) -> Iterator[None]:
        """Take the calling thread for the writer, or one that works for it: refuse its records."""
        ident = _get_ident()
        self._workers.add(ident)
        try:
            yield
        finally:
            self._workers.discard(ident)

    def is_writer(self) -> bool:
        """Whether the calling thread is the writer, or works for it."""
        return _thread.get_ident() in self._workers

    def wait(self, timeout: float = -1) -> bool:
        """Sleep until somebody rings, at most *timeout* seconds; return whether somebody did."""
        return self._bell.wait(timeout)

    def wait_for_first(self, timeout: float = -1, more: Callable[[], bool] = lambda: False) -> None:
        """
        Sleep until there is a record or somebody rings.

        Args:

            timeout: Most seconds to sleep; -1 is without end.

            more: Tells whether there is one elsewhere.
        """
        self._asleep = True
        if not self._queue and not more():
            self._bell.wait(timeout)
        self._asleep = False
        self._bell.hush()  # Others rang, too, until they saw us awake.

    def has_plenty(self) -> bool:
        """Tell whether so many records wait that the writer need not linger for others."""
        return len(self._queue) > self._threshold

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
        # In this order: a record whose caller saw the gate open and finds the
        # threshold as it was came before; any other is taken back.
        self._wake_at = _SHUT
        self._gate, self._room = _CLOSED, 0
        self.ring()

    # -- what accounts use --------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._wake_at == _SHUT

    @property
    def is_untouched(self) -> bool:
        """Whether there was no record yet, not even one for which no writer could start."""
        return not self._used

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
