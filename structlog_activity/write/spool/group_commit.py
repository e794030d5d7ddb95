"""
Group commit: one sync for all who wait for one.
"""

from __future__ import annotations

import itertools
import math
import threading

from collections.abc import Callable


class GroupCommit:
    """
    Sync a file on behalf of everybody who has written to it.

    Who gets the lock leads: it syncs what all have written so far, and those
    who waited for it find their part done. The lock is re-entrant, so that a
    signal handler on top of the leader just syncs once more.

    Args:

        sync: Syncs the file; raises `OSError` if it can't.
    """

    __slots__ = ("_failed", "_lock", "_sync", "_synced", "_ticket")

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._ticket = itertools.count(1).__next__
        self._lock = threading.RLock()  # Guards _synced and _failed.
        self._synced: float = 0
        self._failed = False

    def wait(self) -> bool:
        """Return `True` when all that the calling thread has written is on the disk."""
        ticket = self._ticket()
        with self._lock:
            # After one failure the kernel holds the pages for clean, and the
            # next sync succeeds without having written them: ask no more.
            if ticket > self._synced and not self._failed:
                self._lead()
            return ticket <= self._synced

    def finish(self) -> None:
        """Let nobody wait any more: what was written is safe otherwise, or as synced as can be."""
        with self._lock:
            if not self._failed:
                self._synced = math.inf

    def _lead(self) -> None:
        # Every ticket below this one was drawn after its frame was written.
        upto = self._ticket()
        try:
            self._sync()
        except OSError:
            self._failed = self._synced < math.inf
        else:
            self._synced = max(self._synced, upto)
