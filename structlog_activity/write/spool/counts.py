"""
What went through a spool.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolCounts:
    """
    Count rows and files, exactly whenever no call is under way.

    Attributes:

        appended: Rows that `Spool.append` wrote.

        unsynced: How many the disk didn't confirm: they are in the file, but
            may not survive a power failure.

        kept: Rows that `Spool.keep` wrote.

        adopted: Rows that other processes left behind and this one took over.

        taken: Rows of this process that were handed out in chunks.

        taken_adopted: Rows of others that were.

        settled: Rows of this process that are done with.

        settled_adopted: Rows of others that are.

        evicted: Rows of this process that were thrown away to make room.

        damaged: Frames of this process that can't be read.

        damaged_adopted: Frames of others that can't.

        corrupt: Files that were set apart.

        bytes: Size of the segments on disk; those of others as of the last look.
    """

    appended: int = 0
    unsynced: int = 0
    kept: int = 0
    adopted: int = 0
    taken: int = 0
    taken_adopted: int = 0
    settled: int = 0
    settled_adopted: int = 0
    evicted: int = 0
    damaged: int = 0
    damaged_adopted: int = 0
    corrupt: int = 0
    bytes: int = 0

    @property
    def waiting(self) -> int:
        """Rows on disk that this process answers for and that are not handed out."""
        left = self.own - self.taken - self.evicted - self.damaged
        return left + self.adopted - self.taken_adopted

    @property
    def unsettled(self) -> int:
        """Rows on disk that this process answers for, its own and those it adopted."""
        return self.own - self.gone + self.adopted - self.settled_adopted

    @property
    def gone(self) -> int:
        """Rows that this process put on disk and that nobody waits for any more."""
        return self.settled + self.evicted + self.damaged

    @property
    def own(self) -> int:
        """Rows that this process put on disk."""
        return self.appended + self.kept


NOTHING: Final = SpoolCounts()
"""What no spool holds."""
