"""
What the writer says about itself: on one logger, and never often.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time

from collections.abc import Callable
from typing import Final


_LOGGER = logging.getLogger("structlog_activity")
PERIOD: Final = 60.0
"""Seconds between two messages of one kind."""


class Reporter:
    """
    Log troubles on the logger ``structlog_activity``, each kind once a minute.

    Args:

        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._is_mute = False

    def mute(self) -> None:
        """Say nothing any more: what follows is the end, and told otherwise."""
        self._is_mute = True

    def warn(self, kind: str, message: str) -> bool:
        """
        Log *message*, unless one of its kind was logged within a minute.

        Returns:

            Whether it was logged.
        """
        now = self._clock()
        last = self._last.get(kind)
        if self._is_mute or (last is not None and now - last < PERIOD):
            return False
        self._last[kind] = now
        with contextlib.suppress(Exception):  # A handler of the host's; the writer must go on.
            _LOGGER.warning("%s", message)
            if not _is_heard():
                print(f"structlog_activity: {message}", file=sys.stderr)  # noqa: T201
        return True


def _is_heard() -> bool:
    """Tell whether anything but a handler of ours, which leaves our messages alone, hears us."""
    logger: logging.Logger | None = _LOGGER
    silent = False
    while logger is not None:
        for handler in logger.handlers:
            if not getattr(handler, "leaves_us_alone", False):
                return True
            silent = True
        logger = logger.parent if logger.propagate else None
    return not silent  # With no handler at all, logging itself prints.
