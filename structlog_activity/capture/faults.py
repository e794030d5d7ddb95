"""
What goes wrong around a call without breaking it: counted, and told once a minute.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from typing import Final


_LOGGER = logging.getLogger("structlog_activity")
_PERIOD: Final = 60.0  # seconds

_counts: Final[dict[str, int]] = {}
_told: Final[dict[str, float]] = {}
_lock = threading.RLock()  # Guards the two above; a signal handler may meet its own thread.


def count_fault(kind: str, message: str) -> None:
    """
    Count a fault of code that was handed to us, say a failing ``identify``.

    Args:

        kind: What failed; the log hears of each kind once a minute.

        message: What is told then.
    """
    now = time.monotonic()
    with _lock:
        _counts[kind] = _counts.get(kind, 0) + 1
        is_news = now - _told.get(kind, -_PERIOD) >= _PERIOD
        if is_news:
            _told[kind] = now
    if is_news:
        _LOGGER.warning("%s", message)


def fault_counts() -> dict[str, int]:
    """Return how often each kind of fault happened in this process."""
    with _lock:
        return {f"faults.{kind}": count for kind, count in sorted(_counts.items())}


def forget_faults() -> None:
    """Start to count anew, as a test or a forked child does."""
    global _lock  # noqa: PLW0603  The parent's may be held for ever.
    _lock = threading.RLock()
    _counts.clear()
    _told.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_faults)
