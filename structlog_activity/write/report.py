"""
What the writer says about itself: on one logger, and never often.
"""

from __future__ import annotations

import logging
import time

from collections.abc import Callable


_LOGGER = logging.getLogger("structlog_activity")
_PERIOD = 60.0  # seconds


class Reporter:
    """
    Log troubles on the logger ``structlog_activity``, each kind once a minute.

    Args:

        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}

    def warn(self, kind: str, message: str) -> bool:
        """
        Log *message*, unless one of its kind was logged within a minute.

        Returns:

            Whether it was logged.
        """
        now = self._clock()
        last = self._last.get(kind)
        if last is not None and now - last < _PERIOD:
            return False
        self._last[kind] = now
        try:
            _LOGGER.warning("%s", message)
        except Exception:  # noqa: BLE001, S110  A handler of the host's; the writer must go on.
            pass
        return True

    def forget(self, kind: str) -> None:
        """Let the next message of this kind be logged at once."""
        self._last.pop(kind, None)
