"""
What happens to buffers when their process forks or ends.

A fork copies a buffer's memory but not its thread, and SQLite's library keeps
what it knows of its locks in that memory: a child that inherits an open
connection waits for ever, or has its commits thrown away when the parent
closes (both seen). So buffers come to rest before a fork, for a moment at most,
and the child starts afresh.
"""

from __future__ import annotations

import _thread
import atexit
import os
import sys
import time
import weakref

from typing import Final, Protocol


_PATIENCE: Final = 1.0  # seconds that a fork waits for the writers to come to rest
_AFTER_OTHERS: Final = -100  # priority among multiprocessing's exit functions


class Resident(Protocol):
    """What lives as long as its process."""

    def rest(self, timeout: float) -> bool:
        """Let go of connections and don't open any until `go_on`; return whether it worked."""
        ...

    def go_on(self) -> None:
        """Go on after a `rest`."""
        ...

    def start_afresh(self) -> None:
        """Become new and empty, in a forked child."""
        ...

    def end(self) -> None:
        """Write what waits, and stop."""
        ...


_live: weakref.WeakSet[Resident] = weakref.WeakSet()
_resting: Final[dict[int, list[Resident]]] = {}  # By the thread that forks.


def look_after(resident: Resident) -> None:
    """Let *resident* rest before forks, start afresh after them, and close at exit."""
    _live.add(resident)


def close_with_child() -> None:
    """
    Close at the end of multiprocessing's child, too, if this is one.

    It ends without `atexit`, and forgets at its start what its parent
    registered, so this is called when there is something to write.
    """
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _close_all, exitpriority=_AFTER_OTHERS)


def _close_all() -> None:
    for resident in list(_live):
        resident.end()


def _before_fork() -> None:
    deadline = time.monotonic() + _PATIENCE
    _resting[_thread.get_ident()] = [
        resident for resident in list(_live) if resident.rest(max(0.0, deadline - time.monotonic()))
    ]


def _after_fork_in_parent() -> None:
    for resident in _resting.pop(_thread.get_ident(), ()):
        resident.go_on()


def _after_fork_in_child() -> None:
    _resting.clear()
    for resident in list(_live):
        resident.start_afresh()


# Registered now, not with the first record: whatever registers later runs
# earlier, and can still record.
atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
