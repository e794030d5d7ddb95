"""
A limit to how long a call on a repository may take.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time

from collections.abc import Callable, Iterator
from typing import Final

from ..store.faults import Fault, StoreError
from ..store.repository import Repository
from .bell import Bell
from .wrapper import RepositoryWrapper


LIMIT: Final = 60.0
"""Seconds that a call may take; the server's own limits come first, where it still works."""

_AGAIN: Final = 1.0  # seconds until another try to break off the same call
_PATIENCE: Final = 5.0  # seconds for the thread to end, which takes none


class WatchedRepository(RepositoryWrapper):
    """
    Pass calls on, and break off those that take too long.

    A client waits for ever for a server that is stopped but whose system still
    answers for it: no timeout of the server's and none of TCP's sees that.

    The thread that watches sleeps while nothing is under way and otherwise
    until the call's time is up, so a call costs two assignments and wakes
    nobody, but for one in each *limit* seconds. It starts with the first call
    and ends with `close`. Where no thread can be started, nothing is watched.

    Args:

        repository: Where calls go.

        limit: Most seconds for one.

        clock: Returns seconds that never go back.
    """

    def __init__(
        self,
        repository: Repository,
        limit: float = LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(repository)
        self._limit = limit
        self._clock = clock
        self._reset()

    def _reset(self) -> None:
        self._since: float | None = None  # When the call under way began.
        self._broken_off: float | None = None  # When the last one began that took too long.
        self._bell = Bell()
        self._asleep = False
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Let go of the connection and of the thread; the next use makes others."""
        try:
            self._repository.close()
        finally:
            self._stop()

    def abandon(self) -> None:
        """Forget the connection and the thread: they are the parent's."""
        self._reset()
        self._repository.abandon()

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        self._since = began = self._clock()
        # Said first, looked second, as the watchdog says that it sleeps first and
        # looks for a call second: one of the two always sees the other.
        if self._thread is None:
            self._start()
        elif self._asleep:
            self._bell.ring()
        try:
            yield
        except Exception:
            if self._broken_off != began:
                raise
            raise self._too_long() from None
        finally:
            self._since = None

    def _too_long(self) -> StoreError:
        text = f"a call took longer than {self._limit:g} s and was broken off"
        return StoreError(Fault.TRANSIENT, text)

    # -- the thread ---------------------------------------------------------

    def _start(self) -> None:
        thread = threading.Thread(
            target=self._watch, name=f"structlog-activity-watchdog-{os.getpid()}", daemon=True
        )
        # Some versions start none at the end of the interpreter.
        with contextlib.suppress(RuntimeError, MemoryError):
            self._thread = thread
            thread.start()
            return
        self._thread = None

    def _stop(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._bell.ring()
            thread.join(_PATIENCE)

    def _watch(self) -> None:
        while self._thread is threading.current_thread():
            self._asleep = True
            since = self._since
            if since is None:
                self._bell.wait()
            self._asleep = False
            if since is None:
                continue
            if (left := since + self._limit - self._clock()) > 0:
                self._bell.wait(min(left, threading.TIMEOUT_MAX))
            elif since == self._since:
                self._broken_off = since
                self._repository.interrupt()
                self._bell.wait(_AGAIN)
