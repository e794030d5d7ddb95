"""
Records that share the fate of a SQLAlchemy session's transaction: both or neither.

Rows wait with their session, written by nobody, until its root transaction is
about to commit; then they go out on its connection, as the transaction's last
statements. A row made within a savepoint goes where that one goes. A session
that is bound to a connection in a transaction of somebody else's writes there,
and shares that one's fate.

What SQLAlchemy's events tell, and don't: `before_commit` fires before the last
flush, in whose hooks many an application logs; it fires for savepoints, too, and for a
root with a savepoint left open it can't be told from those. `after_commit` fires
for a savepoint's release. `close()` without commit fires neither
`after_rollback` nor `after_soft_rollback`, only `after_transaction_end`.
"""

from __future__ import annotations

import os

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Table, event
from sqlalchemy.exc import UnboundExecutionError

from ...errors import RepositoryError
from ...record.row import Row
from ...store.batch import Batch
from ..accounts import Missing, named
from ..ticks import TicksByReason
from .phases import (
    CLOSES,
    COMMITS,
    PREPARES,
    current,
    is_committing,
    is_flushing,
    running,
    transactions,
)
from .rows import ROLLED_BACK, WRITTEN, HeldRow, HeldRows


if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction

_KEY: Final = "structlog_activity"


class TransactionSink:
    """
    Take rows that are to be written in the transaction of a session.

    As a session is, its rows are used by one thread at a time. No call does
    I/O but one that comes while the session commits, from a hook of the
    application: too late to wait, so its row is written at once.

    Args:

        write: Writes a batch in the transaction that is open on a connection.

        table: The log's; a session that has several databases finds the one
            to write to by it.
    """

    def __init__(self, write: Callable[[Connection, Batch], None], table: Table) -> None:
        self._write = write
        self._table = table
        self._counts: dict[int, _Counts] = {}

    def put(self, session: Session, row: Row, /) -> None:
        """
        Hold *row* until *session* commits.

        Where no transaction is begun the row belongs to the one that begins
        next, as a session begins by itself.

        Raises:

            RepositoryError: The session is committing, and the row can't be
                written.
        """
        held = _held_for(session)
        held.listen(session)
        held.rows.add(HeldRow(row, self), current(session))
        if is_committing(session):
            held.hurry(session)

    def counters(self) -> dict[str, int]:
        """
        Return how many rows went where, once their transactions were over.

        Under the names of `BufferedRepository.counters`: a row that was
        committed is submitted, accepted and written. One that was not is
        ``rolled_back``, and nothing else.
        """
        counts = self._own_counts()
        settled = {ROLLED_BACK: 0, WRITTEN: 0} | counts.settled.values()
        n = settled[WRITTEN]
        missing = named("missing", counts.missing.values())
        return {**settled, "submitted": n, "accepted": n, **missing}

    def settle(self, row: Row, name: str) -> None:
        """Count a row whose transaction is over."""
        counts = self._own_counts()
        counts.settled.tick(name)
        if name == WRITTEN:
            counts.missing.look_at(row)

    def write(self, session: Session, rows: list[Row]) -> None:
        """
        Write *rows* as one batch in the transaction of *session*.

        Raises:

            RepositoryError: They can't be written.
        """
        try:
            connection = session.connection(bind_arguments={"clause": self._table})
        except UnboundExecutionError:
            raise RepositoryError(
                "the session is bound to no database for the activity tables: give it bind=, "
                "or an item for the table user_activity in binds="
            ) from None
        self._write(connection, Batch.alone(rows))

    def _own_counts(self) -> _Counts:
        # A forked child counts its own; its parent's may be locked for ever.
        return self._counts.setdefault(os.getpid(), _Counts())


class _Counts:
    """What became of the rows of one process."""

    __slots__ = ("missing", "settled")

    def __init__(self) -> None:
        self.settled = TicksByReason()
        self.missing = Missing()


class _Held:
    """What a session holds, and how that is written."""

    __slots__ = ("_is_busy", "_listening", "committed", "process", "rows")

    def __init__(self) -> None:
        self.process = os.getpid()
        self.rows = HeldRows()
        self.committed: SessionTransaction | None = None  # Just now, or released.
        self._listening: set[str] = set()
        self._is_busy = False

    def __del__(self) -> None:
        # The session was dropped with its transaction open, of which no event tells.
        if self.process == os.getpid():
            self.rows.drop()

    def listen(self, session: Session) -> None:
        """Listen to *session*, to each event once."""
        if self._listening.issuperset(_NAMES):
            return
        busy = {running(transaction) for transaction in transactions(session)}
        for name, listener, caller in _EVENTS:
            # What is being called can't be added to. There is another time for it.
            if caller not in busy:
                self._listen(session, name, listener)

    def _listen(self, session: Session, name: str, listener: Callable[..., None]) -> None:
        if name not in self._listening:
            self._listening.add(name)
            event.listen(session, name, listener)

    def hurry(self, session: Session) -> None:
        """Write what came after `before_commit`, at the end of a flush if one is under way."""
        if is_flushing(session):
            self._listen(session, "after_flush_postexec", _after_flush)
        else:
            self.write(session)

    def write(self, session: Session) -> None:
        """Write all rows that wait, after a flush, which may bring more."""
        if self._is_busy or session.in_nested_transaction():
            return
        self._is_busy = True
        try:
            if not is_flushing(session):
                session.flush()
            with self.rows.being_written() as rows:
                for sink in dict.fromkeys(row.sink for row in rows):
                    sink.write(session, [row.row for row in rows if row.sink is sink])
        finally:
            self._is_busy = False


# The state lies in the session, not here in a table of weak references: it holds
# transactions, which hold their session, and would keep it alive.


def _held_for(session: Session) -> _Held:
    held = _held_by(session)
    if held is None:
        held = session.info[_KEY] = _Held()
    return held


def _held_by(session: Session) -> _Held | None:
    """Return what *session* holds; a forked child's copy is its parent's to write."""
    held: _Held | None = session.info.get(_KEY)
    return held if held is not None and held.process == os.getpid() else None


def _before_commit(session: Session) -> None:
    held = _held_by(session)
    if held is not None:
        held.write(session)


def _after_flush(session: Session, _: object) -> None:
    held = _held_by(session)
    if held is not None and is_committing(session):
        held.write(session)


def _after_commit(session: Session) -> None:
    held = _held_by(session)
    if held is not None:
        held.committed = current(session)


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    held = _held_by(session)
    is_flush = transaction.parent is not None and not transaction.nested
    if held is None or is_flush:
        return
    is_committed, held.committed = held.committed is transaction, None
    held.listen(session)
    if transaction.parent is None:
        held.rows.end(is_committed=is_committed)
        return
    held.rows.end_savepoint(transaction, is_committed=is_committed)
    if is_committing(session):  # The root is, with this savepoint left open.
        held.write(session)


_EVENTS: Final = (
    ("before_commit", _before_commit, PREPARES),
    ("after_commit", _after_commit, COMMITS),
    ("after_transaction_end", _after_transaction_end, CLOSES),
)
"""What is listened to, by what, and which method of a transaction calls it."""

_NAMES: Final = frozenset(name for name, _, _ in _EVENTS)
