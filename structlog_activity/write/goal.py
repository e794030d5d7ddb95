"""
How far the writer is to come, for those who wait for it.
"""

from __future__ import annotations

from .mailbox import Mailbox
from .writer import Writer


class Goal:
    """
    What is reached once everything is settled that was taken until now.

    That includes what other processes left on disk.

    Args:

        writer: Whom to wait for.

        mailbox: Where the writer takes records from.
    """

    def __init__(self, writer: Writer, mailbox: Mailbox) -> None:
        self._writer = writer
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
