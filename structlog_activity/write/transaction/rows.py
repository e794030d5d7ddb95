"""
Which rows belong to which transaction of a session, while those are open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ...record.row import Row
from .phases import COMMITS, running, surrounding


if TYPE_CHECKING:
    from sqlalchemy.orm import SessionTransaction

WRITTEN: Final = "written"
ROLLED_BACK: Final = "rolled_back"


class RowSink(Protocol):
    """What took a row."""

    def write(self, session: Any, rows: list[Row]) -> None:
        """Write rows in the transaction of a session."""
        ...

    def settle(self, row: Row, name: str) -> None:
        """Count a row whose transaction is over."""
        ...


class HeldRow(NamedTuple):
    """
    A row, and what took it.

    Attributes:

        row: The row.

        sink: Where it came in.
    """

    row: Row
    sink: RowSink


class HeldRows:
    """Hold the rows of one session until its root transaction is over."""

    __slots__ = ("_later", "_waiting", "_written")

    def __init__(self) -> None:
        # By savepoint or root; under None those of the transaction that ends next.
        self._waiting: dict[SessionTransaction | None, list[HeldRow]] = {}
        self._written: list[HeldRow] = []  # In the root transaction.
        self._later: list[HeldRow] = []  # What came after COMMIT, but before the end.

    def add(self, row: HeldRow, owner: SessionTransaction | None) -> None:
        """Hold *row*; if *owner* is committed already it goes with what surrounds that."""
        if owner is not None and running(owner) == COMMITS:
            owner = surrounding(owner)
            if owner is None:
                self._later.append(row)
                return
        self._waiting.setdefault(owner, []).append(row)

    @contextmanager
    def being_written(self) -> Iterator[list[HeldRow]]:
        """Give all rows that wait; they are written, unless the block fails."""
        rows = self._all_waiting()
        self._waiting = {}
        try:
            yield rows
        except BaseException:
            self._waiting[None] = rows + self._waiting.get(None, [])
            raise
        self._written += rows

    def end_savepoint(self, savepoint: SessionTransaction, *, is_committed: bool) -> None:
        """Hand the rows of *savepoint* on to what surrounds it, or drop them."""
        rows = self._waiting.pop(savepoint, [])
        if is_committed and rows:
            self._waiting.setdefault(surrounding(savepoint), []).extend(rows)
        else:
            _settle(rows, ROLLED_BACK)

    def end(self, *, is_committed: bool) -> None:
        """Settle all rows; what came too late waits for the next transaction."""
        if not is_committed:
            later, self._later = self._later, []
            self.drop()
            self._waiting = {None: later}
            return
        _settle(self._written, WRITTEN)
        # What waits came between the two phases of a commit.
        self._waiting = {None: self._all_waiting() + self._later}
        self._written, self._later = [], []

    def drop(self) -> None:
        """Settle all rows as rolled back."""
        _settle((*self._written, *self._all_waiting(), *self._later), ROLLED_BACK)
        self._waiting, self._written, self._later = {}, [], []

    def _all_waiting(self) -> list[HeldRow]:
        return [row for rows in self._waiting.values() for row in rows]


def _settle(rows: Iterable[HeldRow], name: str) -> None:
    for row in rows:
        row.sink.settle(row.row, name)
