"""
A repository for tests, which keeps its records in a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from ..read.memory import MemoryReads
from ..record.record import ActivityRecord
from ..record.row import Row
from ..store.batch import Batch


class MemoryRepository(MemoryReads):
    """
    A repository that keeps its records in a list, and reads them back.

    It answers as the databases do, so it stands for them in tests::

        memory = MemoryRepository()
        buffered = BufferedRepository(memory)

    Attributes:

        rows: What was written, in the order in which it came.

        batches: The identity of every batch, in that order.

    .. versionadded:: 0.1.0
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.batches: list[tuple[UUID, int]] = []

    @property
    def records(self) -> list[ActivityRecord]:
        """What was written, in the order in which it came."""
        return [row.to_record() for row in self.rows]

    def write(self, batch: Batch) -> bool:
        """Keep *batch*; return `False` if it was written before."""
        identity = (batch.writer_id, batch.seq)
        if identity in self.batches:
            return False
        if self.stored(batch.rows):
            from ..store.faults import Fault, StoreError

            raise StoreError(Fault.DUPLICATE, "a record of the batch is stored already")
        self.batches.append(identity)
        self.rows.extend(batch.rows)
        return True

    def stored(self, rows: Sequence[Row]) -> set[int]:
        """Return the indexes of those *rows* that were written."""
        keys = {row.key for row in self.rows}
        return {index for index, row in enumerate(rows) if row.key in keys}

    def make_room(self, first: int, last: int) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing; a list has no end that could be cut off."""

    def interrupt(self) -> None:
        """Do nothing; no call takes long."""

    def close(self) -> None:
        """Do nothing; the records stay."""

    def abandon(self) -> None:
        """Do nothing; a forked child has a copy of its own."""
