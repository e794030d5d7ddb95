"""
A repository around another: its calls are passed on, each within something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from ..record.row import Row
from ..store.batch import Batch
from ..store.repository import Repository


class RepositoryWrapper:
    """
    Pass calls on; whoever derives from it says what encloses them, and how it ends.

    Args:

        repository: Where calls go.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def _call(self) -> AbstractContextManager[None]:
        """Return what encloses one call."""
        raise NotImplementedError

    def write(self, batch: Batch) -> bool:
        """Commit *batch*; return `False` if the ledger held it already."""
        with self._call():
            return self._repository.write(batch)

    def stored(self, rows: Sequence[Row]) -> set[int]:
        """Return the indexes of those *rows* whose primary key is in the table."""
        with self._call():
            return self._repository.stored(rows)

    def make_room(self, first: int, last: int) -> None:
        """Prepare for many rows of a span of time."""
        with self._call():
            self._repository.make_room(first, last)

    def finish(self) -> None:
        """Write into the ledger that the writer ended as it should."""
        with self._call():
            self._repository.finish()

    def interrupt(self) -> None:
        """Break off the call under way, from another thread; nothing encloses this."""
        self._repository.interrupt()
