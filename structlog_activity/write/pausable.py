"""
A repository that can be kept still, so that the process may fork.
"""

from __future__ import annotations

import contextlib
import threading
import time

from collections.abc import Iterator

from ..store.repository import Repository
from .wrapper import RepositoryWrapper


class PausableRepository(RepositoryWrapper):
    """
    Pass calls on, one at a time, except during a pause.

    Whoever wants a pause gets it after the call that is under way, however
    many others follow: they queue up at the turnstile.

    Args:

        repository: Where calls go.
    """

    def __init__(self, repository: Repository) -> None:
        super().__init__(repository)
        self._make_locks()

    def _make_locks(self) -> None:
        self._turnstile = threading.Lock()
        self._in_use = threading.Lock()

    def close(self) -> None:
        """Let go of the connection; the next use opens another."""
        with self._call():
            self._close()

    def abandon(self) -> None:
        """Forget the connection, and whoever used it: they are the parent's."""
        self._make_locks()
        self._repository.abandon()

    def pause(self, timeout: float) -> bool:
        """Let go of the connection and let nobody in; return whether it came to that in time."""
        deadline = time.monotonic() + timeout
        if not self._turnstile.acquire(timeout=timeout):
            return False
        if not self._in_use.acquire(timeout=max(0.0, deadline - time.monotonic())):
            self._turnstile.release()
            return False
        self._close()
        return True

    def resume(self) -> None:
        """End a pause."""
        self._in_use.release()
        self._turnstile.release()

    def _close(self) -> None:
        with contextlib.suppress(Exception):  # Somebody else's; nothing is lost with it.
            self._repository.close()

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        with self._turnstile:
            self._in_use.acquire()
        try:
            yield
        finally:
            self._in_use.release()
