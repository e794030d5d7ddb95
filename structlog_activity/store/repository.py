"""
Where batches come to rest: the seam between write and store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..record.row import Row
from .batch import Batch


class Repository(Protocol):
    """
    Store batches of rows durably.

    A repository is used by one thread at a time. It

    * writes a batch in one transaction: the rows, its line in the ledger and
      the daily counts, or nothing;
    * takes each ``(writer_id, seq)`` once: a second `write` of a batch that is
      committed already changes nothing and says so;
    * raises `StoreError`, and nothing else, when a call fails, with the kind
      of fault and, for a fault of one row, its index where it is known;
    * opens its connection on first use and again after it broke;
    * ties each batch, by a seal in its line of the ledger, to the one that it
      wrote before;
    * never puts a password or a value of a row into a message.
    """

    def write(self, batch: Batch) -> bool:
        """
        Commit *batch*; return `False` if the ledger held it already.

        Raises:

            StoreError: Nothing was committed, or the answer to COMMIT was lost.
        """
        ...

    def stored(self, rows: Sequence[Row]) -> set[int]:
        """
        Return the indexes of those *rows* whose primary key is in the table.

        Raises:

            StoreError: The table can't be read.
        """
        ...

    def make_room(self, first: int, last: int) -> None:
        """
        Prepare for many rows of a span of time, as an import of history has them.

        Args:

            first: Earliest ``created_at``, in microseconds since 1970.

            last: Latest one.

        Raises:

            StoreError: It can't be done.
        """
        ...

    def finish(self) -> None:
        """
        Write into the ledger that the writer ended as it should.

        Without it a log that ends here can't be told from one whose end was
        cut off. It opens no connection, and raises nothing.
        """
        ...

    def interrupt(self) -> None:
        """
        Break off the call under way, which then fails as transient.

        The one method that other threads call while one uses the repository.
        Harmless when there is no call.
        """
        ...

    def close(self) -> None:
        """Let go of the connection; the next use opens another."""
        ...

    def abandon(self) -> None:
        """
        Forget the connection without a word to the server.

        For a forked child: the connection is its parent's, and closing it
        would end the parent's session.
        """
        ...
