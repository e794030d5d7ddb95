"""
Where the rows of a delivery come from, and who is told what became of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..record.row import Row
from ..store.batch import Batch


class Origin:
    """
    Rows that waited in memory.

    Others derive from it: rows that waited on disk, and the writer's own notes.

    Attributes:

        settled: How many of its rows are settled, by whatever outcome.

        counted: Whether its rows are records of the host, which counters count.

        on_disk: Whether its rows outlive the process without anybody's help.

        inherited: Whether another process accepted its rows. Where the ledger
            has a batch of such rows, that process wrote it.
    """

    counted: ClassVar[bool] = True
    on_disk: ClassVar[bool] = False

    def __init__(self, *, inherited: bool = False) -> None:
        self.settled = 0
        self.inherited = inherited

    def fix(self, batch: Batch) -> None:
        """Remember the identity of *batch*, which is about to be sent for the first time."""

    def settle(self, rows: Sequence[Row], *, alone: bool = False) -> None:
        """
        Note that *rows* are done with.

        Args:

            rows: These.

            alone: Each for itself; otherwise the ledger has their batch.
        """
        self.settled += len(rows)


class Notes(Origin):
    """Rows of the writer's own, such as the one that tells of a loss."""

    counted = False
