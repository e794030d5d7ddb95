"""
The tail: records as they are committed, for as long as somebody wants them.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Self

from ...errors import RepositoryError
from ...record.record import ActivityRecord
from ...store.reaching import is_passing
from ..policy import AccessPolicy
from .changes import Change, Changes
from .position import Position, decode_position, encode_position, refused
from .waiting import Waiter


_LOGGER: Final = logging.getLogger("structlog_activity")
_FIRST_PAUSE: Final = 0.1  # seconds after a failure; each further one doubles it
_LONGEST_PAUSE: Final = 5.0


class Tail(Iterator[ActivityRecord]):
    """
    Iterate over records in the order in which they were committed.

    Each committed record comes once. What was committed before another
    transaction began comes before what that one wrote; of transactions that
    overlapped either may come first.

    A database that goes away is waited for, once it was reached; that is logged
    on the logger ``structlog_activity``.

    Iteration ends when nothing came for *timeout* seconds, and when the tail is
    closed. As a context manager it closes itself. `close` may be called from
    another thread.

    Args:

        changes: Where to look.

        waiter: How to wait; it is closed with the tail.

        position: Where to go on; `None` begins now.

        key: Secret that signs positions.

        timeout: Seconds without a record after which iteration ends. 0 takes
            what is there, `None` waits for ever.

        poll: Most seconds between two looks.

        policy: What of each record is shown; *changes* leaves out the records
            that it does not grant. `None`: everything.

        clock: Returns seconds that never go back.

    Raises:

        InvalidCursorError: *position* is none of this tail.

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        changes: Changes,
        waiter: Waiter,
        *,
        position: str | None = None,
        key: bytes = b"",
        timeout: float | None = None,
        poll: float = 0.5,
        policy: AccessPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiter = waiter
        self._lock = threading.RLock()
        self._ready: deque[Change] = deque()
        self._is_busy = self._is_closed = False
        self._changes = changes
        self._key = key
        self._policy = policy
        digest = changes.where.digest()
        self._digest = digest if policy is None else policy.digest(digest)
        self._timeout = timeout
        self._poll = poll
        self._clock = clock
        self._failure: RepositoryError | None = None
        self._pause = _FIRST_PAUSE
        try:
            self._server = changes.server()
            self._delivered = self._looked = self._start(position)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ActivityRecord:
        with self._lock:
            self._is_busy = True
            change = None
            try:
                change = self._next()
            finally:
                self._is_busy = False
                if change is None:  # Whatever the reason.
                    self._is_closed = True
                    self._release()
            if change is None:
                raise StopIteration
            self._delivered = change.position
            return self._shown(change.record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # Half made, or at the very end of the program.
            self.close()

    @property
    def position(self) -> str:
        """
        Where another tail goes on after the last record that came.

        It fits a tail with the same tenant and conditions, on the same database.
        """
        return encode_position(self._delivered, self._server, self._digest, self._key)

    def stop(self) -> None:
        """
        End the iteration without waiting for it; the tail is closed when it ends.

        May be called from any thread and from a signal handler.
        """
        self._is_closed = True
        self._waiter.wake()

    def close(self) -> None:
        """End the iteration and give back the connection; may be called twice."""
        self.stop()
        with self._lock:
            if not self._is_busy:  # Else this is a signal handler within an iteration.
                self._release()

    def _start(self, text: str | None) -> Position:
        if text is None:
            return self._changes.now()
        position, server = decode_position(text, self._digest, self._key)
        if server and self._server and server != self._server:
            raise refused(
                text,
                "is of another server, whose transactions have other numbers; start anew, with "
                "since= if records of a certain time will do",
            )
        self._changes.check(position, text)
        return position

    def _next(self) -> Change | None:
        """Return the next change, `None` if there is none in time."""
        end = None if self._timeout is None else self._clock() + self._timeout
        while not self._is_closed:
            if self._ready:
                return self._ready.popleft()
            pause = self._look()
            if self._ready or not pause:
                continue
            left = pause if end is None else min(pause, end - self._clock())
            if left <= 0:
                break
            self._waiter.wait(left)
        if self._failure is not None and not self._is_closed:
            raise self._failure
        return None

    def _shown(self, record: ActivityRecord) -> ActivityRecord:
        return record if self._policy is None else self._policy.sanitized(record)

    def _look(self) -> float:
        """Look once for what is new, and return for how many seconds to wait then."""
        try:
            look = self._changes.after(self._looked)
        except RepositoryError as error:
            if not is_passing(error):
                raise
            return self._failed(error)
        self._succeeded()
        if not look.changes:
            self._delivered = look.position
        self._looked = look.position
        self._ready.extend(look.changes)
        return self._poll if look.is_last else 0.0

    def _failed(self, error: RepositoryError) -> float:
        if self._failure is None:
            with contextlib.suppress(Exception):  # A handler of the host's.
                _LOGGER.warning("a tail waits for the database: %s", error)
        self._failure = error
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return pause

    def _succeeded(self) -> None:
        self._failure, self._pause = None, _FIRST_PAUSE

    def _release(self) -> None:
        self._ready.clear()
        self._waiter.close()
