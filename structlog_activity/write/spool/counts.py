"""
What went through a spool.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolCounts:
    """
    Count rows and files, exactly whenever no call is under way.

    Attributes:

        appended: Rows that `Spool.append` wrote.

        unsynced: Of these, how many the disk didn't confirm: the caller was
            told ``False`` and keeps them elsewhere too.

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

    appended: int
    unsynced: int
    kept: int
    adopted: int
    taken: int
    taken_adopted: int
    settled: int
    settled_adopted: int
    evicted: int
    damaged: int
    damaged_adopted: int
    corrupt: int
    bytes: int

    @property
    def waiting(self) -> int:
        """Rows of this process that are on disk and not handed out."""
        return self.appended + self.kept - self.taken - self.evicted - self.damaged

    @property
    def unsettled(self) -> int:
        """Rows on disk that this process answers for, its own and those it adopted."""
        own = self.appended + self.kept - self.settled - self.evicted - self.damaged
        return own + self.adopted - self.settled_adopted
