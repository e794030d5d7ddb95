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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Table, event
from sqlalchemy.exc import UnboundExecutionError

from ..errors import RepositoryError
from ..record.ids import NIL_BYTES
from ..record.row import Row
from ..store.batch import Batch
from .ticks import TicksByReason


if TYPE_CHECKING:
    from sqlalchemy.orm import Session, SessionTransaction

_KEY: Final = "structlog_activity"
_WRITTEN: Final = "written"
_ROLLED_BACK: Final = "rolled_back"


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
        self._counts: dict[int, TicksByReason] = {}

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
        owner = session.get_nested_transaction() or session.get_transaction()
        held.rows.append(_Row(row, self, owner))
        held.listen(session)
        if _is_committing(session):
            held.hurry(session)

    def counters(self) -> dict[str, int]:
        """
        Return how many rows went where, once their transactions were over.

        Under the names of `BufferedRepository.counters`: a row that was
        committed is submitted, accepted and written. One that was not is
        ``rolled_back``, and nothing else.
        """
        counts = self._own_counts().values()
        n = counts.setdefault(_WRITTEN, 0)
        return {_ROLLED_BACK: 0, **counts, "submitted": n, "accepted": n}

    def settle(self, row: Row, name: str) -> None:
        """Count a row whose transaction is over."""
        counts = self._own_counts()
        counts.tick(name)
        if name == _WRITTEN:
            for field in ("actor_id", "tenant_id"):
                if getattr(row, field) == NIL_BYTES:
                    counts.tick(f"missing.{field}")

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

    def _own_counts(self) -> TicksByReason:
        # A forked child counts its own; its parent's may be locked for ever.
        return self._counts.setdefault(os.getpid(), TicksByReason())


@dataclass(slots=True, eq=False)
class _Row:
    """A row that waits, and the transaction that it goes with (`None`: the next one)."""

    row: Row
    sink: TransactionSink
    owner: SessionTransaction | None
    is_written: bool = False

    def settle(self, name: str) -> None:
        self.sink.settle(self.row, name)


class _Held:
    """The rows of one session whose root transaction is not over."""

    __slots__ = ("_is_busy", "_listening", "committed", "process", "rows")

    def __init__(self) -> None:
        self.process = os.getpid()
        self.rows: list[_Row] = []
        self.committed: SessionTransaction | None = None
        self._listening: set[str] = set()
        self._is_busy = False

    def __del__(self) -> None:
        # The session was dropped with its transaction open, of which no event tells.
        if self.process == os.getpid():
            self._settle_all(_ROLLED_BACK)

    # -- events -------------------------------------------------------------

    def listen(self, session: Session) -> None:
        """Listen to *session*, to each event once."""
        self._listen(session, "after_commit", _after_commit)
        self._listen(session, "after_transaction_end", _after_transaction_end)
        # What is being called can't be added to; `hurry` takes its place.
        if not _is_committing(session):
            self._listen(session, "before_commit", _before_commit)

    def _listen(self, session: Session, name: str, listener: Callable[..., None]) -> None:
        if name not in self._listening:
            self._listening.add(name)
            event.listen(session, name, listener)

    # -- writing ------------------------------------------------------------

    def hurry(self, session: Session) -> None:
        """Write what came after `before_commit`, at the end of a flush if one is under way."""
        if session._flushing:  # noqa: SLF001
            self._listen(session, "after_flush_postexec", _after_flush)
        else:
            self.write(session)

    def write(self, session: Session) -> None:
        """Write all rows that are not, after a flush, which may bring more."""
        if self._is_busy or session.in_nested_transaction():
            return
        self._is_busy = True
        try:
            if not session._flushing:  # noqa: SLF001
                session.flush()
            self._write(session, [row for row in self.rows if not row.is_written])
        finally:
            self._is_busy = False

    def _write(self, session: Session, rows: list[_Row]) -> None:
        for sink in dict.fromkeys(row.sink for row in rows):
            own = [row for row in rows if row.sink is sink]
            sink.write(session, [row.row for row in own])
            for row in own:
                row.is_written = True

    # -- ends of transactions -----------------------------------------------

    def end_savepoint(self, savepoint: SessionTransaction, *, is_committed: bool) -> None:
        """Hand the rows of *savepoint* on to what surrounds it, or drop them."""
        own = [row for row in self.rows if row.owner is savepoint]
        for row in own:
            if is_committed:
                row.owner = _surrounding(savepoint)
            else:
                self.rows.remove(row)
                row.settle(_ROLLED_BACK)

    def end(self, *, is_committed: bool) -> None:
        """Settle all rows; what came after COMMIT waits for the next one."""
        rows, self.rows = self.rows, []
        for row in rows:
            row.owner = None
            if is_committed and not row.is_written:
                self.rows.append(row)
            else:
                row.settle(_WRITTEN if is_committed else _ROLLED_BACK)

    def _settle_all(self, name: str) -> None:
        rows, self.rows = self.rows, []
        for row in rows:
            row.settle(name)


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
    if held is not None and _is_committing(session):
        held.write(session)


def _after_commit(session: Session) -> None:
    held = _held_by(session)
    if held is not None:
        held.committed = session.get_nested_transaction() or session.get_transaction()


def _after_transaction_end(session: Session, transaction: SessionTransaction) -> None:
    held = _held_by(session)
    is_flush = transaction.parent is not None and not transaction.nested
    if held is None or is_flush:
        return
    is_committed, held.committed = held.committed is transaction, None
    if transaction.parent is None:
        held.end(is_committed=is_committed)
        return
    held.end_savepoint(transaction, is_committed=is_committed)
    if _is_committing(session):  # The root is, with this savepoint left open.
        held.write(session)


def _surrounding(savepoint: SessionTransaction) -> SessionTransaction | None:
    outer = savepoint.parent
    while outer is not None and outer.parent is not None and not outer.nested:
        outer = outer.parent
    return outer


def _is_committing(session: Session) -> bool:
    """
    Tell whether the root transaction is on its way to COMMIT, but not there yet.

    No event and no public attribute tells this of a session that nobody
    listened to when its commit began, whose hooks make its first record.
    """
    running = getattr(session.get_transaction(), "_current_fn", None)
    return getattr(running, "__name__", "") == "_prepare_impl"
