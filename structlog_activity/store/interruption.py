"""
Breaking off a call on a database from another thread.
"""

from __future__ import annotations

import contextlib
import threading

from collections.abc import Callable, Iterator


class Interruption:
    """
    Break off the call under way, and never anything else.

    What breaks it off works on a descriptor or handle that is somebody else's
    soon after it is closed. So it is used under the lock under which it is
    handed in and taken back, and a call that ends takes the lock, too: an
    interruption that comes late finds no call.

    Attributes:

        asked: Whether the call under way, or the last one, was to be broken off.
    """

    def __init__(self) -> None:
        # R: a signal handler may interrupt what its own thread is doing.
        self._lock = threading.RLock()
        self._is_called = False
        self._break_off: Callable[[], object] | None = None
        self.asked = False

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Enclose a call that may be broken off."""
        with self._lock:
            self._is_called, self.asked = True, False
        try:
            yield
        finally:
            with self._lock:
                self._is_called = False

    def use(self, break_off: Callable[[], object] | None) -> None:
        """
        Say how to break a call off from now on.

        Args:

            break_off: Called in another thread, at once if this call is to be
                broken off already; `None`: there is no connection.
        """
        with self._lock:
            self._break_off = break_off
            if self._is_called and self.asked:
                self._break()

    def ask(self) -> None:
        """Break the call under way off, if there is one."""
        with self._lock:
            if self._is_called:
                self.asked = True
                self._break()

    def _break(self) -> None:
        if self._break_off is not None:
            with contextlib.suppress(Exception):  # The connection is broken already.
                self._break_off()
