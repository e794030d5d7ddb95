"""
Records that are on disk before their log call returns.
"""

from __future__ import annotations

from ..record.row import Row
from ..record.sink import Pending, finished
from .accounts import Missing
from .mailbox import Mailbox
from .spool.spool import Spool
from .ticks import Ticks


class Journal:
    """
    Put records into a spool, which the writer reads.

    Where the spool can't take one (the disk is full, the folder is gone), the
    record waits in memory instead: that is less than was promised, and counted,
    but more than to lose it.

    Args:

        mailbox: Knows whether records are accepted, and wakes the writer.

        spool: Where they go.

        missing: Counts rows without an actor or a tenant.

        drops_oldest: Whether, at the bound of the spool, the oldest rows there
            make room.
    """

    def __init__(
        self, mailbox: Mailbox, spool: Spool, missing: Missing, *, drops_oldest: bool
    ) -> None:
        self._mailbox = mailbox
        self._spool = spool
        self._missing = missing
        self._drops_oldest = drops_oldest
        self.in_memory = Ticks()

    def put(self, pending: Pending, /) -> bool:
        """Take *pending*; return whether it was kept."""
        mailbox = self._mailbox
        if not mailbox.admits():
            return mailbox.put(pending)
        row = finished(pending)
        if not (self._spool.append(row) or self._displace(row)):
            self.in_memory.tick()
            return mailbox.put(row)
        self._missing.look_at(row)
        # Appended first, looked second: see Mailbox.put.
        mailbox.ring_if_asleep()
        return True

    def spill(self, pending: Pending) -> bool:
        """Take what finds no room in memory; return whether the disk has it."""
        row = finished(pending)
        if not (self._spool.append(row) or self._displace(row)):
            return False
        self._missing.look_at(row)
        return True

    def _displace(self, row: Row) -> bool:
        """Put *row* on disk in place of the oldest ones, if that is wanted; tell whether it is."""
        return self._drops_oldest and self._spool.evict() > 0 and self._spool.append(row)
