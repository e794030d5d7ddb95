"""
How far the writer is to come, for those who wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .mailbox import Mailbox
from .writer import Writer


_PERIOD: Final = 1.0  # seconds between two tries of a writer that somebody waits for


class Goal:
    """
    What is reached once everything is settled that was taken until now.

    That includes what other processes left on disk.

    Args:

        writer: Whom to wait for.

        mailbox: Where the writer takes records from.

        clock: Returns seconds that never go back.
    """

    def __init__(self, writer: Writer, mailbox: Mailbox, clock: Callable[[], float]) -> None:
        self._writer = writer
        self._mailbox = mailbox
        self._clock = clock
        self._look = 0 if writer.feeder is None else writer.feeder.want_look()
        self._taken = sum(mailbox.position())
        self._on_disk: int | None = None

    def is_reached(self) -> bool:
        """Tell whether the writer has come so far."""
        writer = self._writer
        if writer.settled < self._taken:
            return False
        if writer.spool is None or writer.feeder is None:
            return True
        if self._on_disk is None:  # Only now: some of what was in memory may have gone there.
            self._on_disk = writer.spool.counts().own
        is_past = writer.spool.counts().gone >= self._on_disk
        return is_past and writer.feeder.looks_done >= self._look

    def wait(self, deadline: float, is_running: Callable[[], bool]) -> bool:
        """
        Hurry the writer until it has come so far; return whether it has.

        Args:

            deadline: When to wait no longer.

            is_running: Tells whether the writer's thread lives.
        """
        writer = self._writer
        next_ring = self._clock()
        with writer.changed:
            writer.flushing += 1
            try:
                while not self.is_reached():
                    now = self._clock()
                    is_over = writer.gave_up or (self._mailbox.closed and not is_running())
                    if now >= deadline or is_over:
                        return False
                    if now >= next_ring:  # Not each time: it tells of change, and so would answer.
                        next_ring = now + _PERIOD
                        writer.hurry.ring()
                        self._mailbox.ring()
                    writer.changed.wait(min(deadline, next_ring) - now)
            finally:
                writer.flushing -= 1
        return True
