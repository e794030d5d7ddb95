"""
The repository on SQLite: each batch is one transaction around executemany.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine

from ..errors import RepositoryError
from ..record.row import Row
from .batch import Batch, is_number_taken
from .chain import Chain, SealedBatch
from .engine import SQLITE, shown
from .faults import Fault, StoreError
from .interruption import Interruption
from .schema import check_version
from .seal import UnsealableRowError
from .shortage import is_out_of_files, shortage
from .sqlstate import fault_of_sqlite


# A batch's number begins with the time, so that no number is used a second time where
# the end of the ledger was removed.
_LEDGER = """
    INSERT INTO user_activity_batch (
        writer_id, seq, batch_id, n, written_at, chain_id, link, flags, first_at, last_at,
        root, prev, seal, key_id, mac, ordinal)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
        max(?3, (SELECT coalesce(max(ordinal), 0) + 1 FROM user_activity_batch)))
"""
_SEAL = "SELECT seal FROM user_activity_batch WHERE (writer_id, seq) = (?, ?)"
_ROW = "INSERT INTO user_activity VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DAILY = """
    INSERT INTO user_activity_daily (tenant_id, day, channel, verb, object_type, n)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (tenant_id, day, channel, verb, object_type, folded)
        DO UPDATE SET n = n + excluded.n
"""
# A forked child's copies of its parent's connections, kept so that nothing
# closes them.
_abandoned: Final[list[Any]] = []
# SQLite waits for a lock in a way that nothing breaks off, so it waits in pieces.
_BUSY = "SQLITE_BUSY"
# What SQLite says of a folder that is missing, and where too many files are open.
_CANTOPEN = "SQLITE_CANTOPEN"
_FILES: Final = 4  # The database, its log, the shared memory, and their folder.
_PIECE: Final = 100  # milliseconds
_STORED = "SELECT 1 FROM user_activity WHERE tenant_id = ? AND created_at = ? AND id = ?"


class SqliteRepository:
    """
    Write batches to a SQLite file through one connection of its own.

    The file is put into WAL mode, in which readers never wait for the writer,
    and every commit is synced to the disk.

    Args:

        engine: On the file; its connect options are used.

        key: Signs the seals of batches; empty signs nothing.

        migrate: Called with nothing before the first connection is used, to
            bring the schema up to date; `None` leaves it as it is.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        engine: Engine,
        *,
        key: bytes = b"",
        migrate: Callable[[], object] | None = None,
    ) -> None:
        self._engine = engine
        self._chain = Chain(key)
        self._migrate = migrate
        self._where = shown(engine.url)
        self._connection: sqlite3.Connection | None = None
        self._patience = 0.0  # Seconds that a lock of somebody else is waited for.
        self._interruption = Interruption()

    def write(self, batch: Batch) -> bool:
        """Commit *batch*; return `False` if the ledger held it already."""
        with self._connected() as connection:
            self._chain.seal(batch)  # Kept there: others need not wait for it.
            self._begin(connection)
            sealed = self._enter(connection, batch)
            if sealed is None:
                connection.rollback()
                self._chain.found(partial(_stored_seal, connection, batch))
                return False
            self._chain.refused()
            batch_id = sealed.batch.batch_id
            rows = zip(batch.rows, sealed.salts, strict=True)
            # Data as text of no other type, for which sqlite3 would look for an adapter.
            connection.executemany(
                _ROW,
                [
                    (*row[:-1], str(row[-1]), batch_id, index, salt)
                    for index, (row, salt) in enumerate(rows)
                ],
            )
            connection.executemany(_DAILY, batch.daily_counts())
            self._commit(connection)
            return True

    def _enter(self, connection: sqlite3.Connection, batch: Batch) -> SealedBatch | None:
        """Write the ledger's row of *batch*; `None` if it is there already."""
        while True:
            sealed = self._chain.seal(batch)
            try:
                connection.execute(_LEDGER, _ledger_row(sealed))
            except sqlite3.IntegrityError as error:
                if fault_of_sqlite(_name(error)) is Fault.DUPLICATE:
                    return None
                if not is_number_taken(str(error)):
                    raise
                batch = batch.renumbered()
            else:
                return sealed

    def finish(self) -> None:
        """Write into the ledger that the writer ended as it should."""
        if not self._chain.is_begun or self._connection is None:
            return
        with contextlib.suppress(StoreError), self._connected() as connection:
            closing = _ledger_row(self._chain.seal_end())
            self._begin(connection)
            connection.execute(_LEDGER, closing)
            self._commit(connection)

    def stored(self, rows: Sequence[Row]) -> set[int]:
        """Return the indexes of those *rows* whose primary key is in the table."""
        with self._connected() as connection:
            return {
                index
                for index, row in enumerate(rows)
                if connection.execute(_STORED, row.key).fetchone()
            }

    def make_room(self, first: int, last: int) -> None:
        """Do nothing: one table holds all of time."""

    def interrupt(self) -> None:
        """Break off the call under way, from another thread."""
        self._interruption.ask()

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._interruption.use(None)
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def abandon(self) -> None:
        """Forget the connection without closing it."""
        self._chain.restart()
        self._interruption = Interruption()  # A thread of the parent may hold the old one's lock.
        _abandoned.append(self._connection)
        self._connection = None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._interruption.call():
            try:
                self._roll_back()  # What an interrupt left unfinished.
                if self._connection is None:
                    self._connection = self._connect()
                yield self._connection
            except RepositoryError as error:
                self.close()
                raise StoreError.of(error) from None
            except Exception as error:  # noqa: BLE001  Binding raises more than sqlite3's classes.
                self._roll_back()
                raise self._failure(error) from None
            except BaseException:  # Nobody else may find the file locked meanwhile.
                self._roll_back()
                raise

    def _connect(self) -> sqlite3.Connection:
        if self._migrate is not None:
            self._migrate()
            self._migrate = None
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101  For the type checker.
        # Transactions are begun here and nowhere else.
        connection.isolation_level = None
        try:
            (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
            connection.execute(f"PRAGMA busy_timeout = {min(patience, _PIECE)}").close()
            connection.execute("PRAGMA journal_mode = WAL").close()
            connection.execute("PRAGMA synchronous = FULL").close()
            check_version(connection.execute, SQLITE, self._where)
        except BaseException:
            connection.close()
            raise
        self._patience = patience / 1000
        self._interruption.use(connection.interrupt)
        return connection

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Get the lock for writing, as soon as nobody else has it."""
        deadline = time.monotonic() + self._patience
        while True:
            self._go_on()
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if _name(error) != _BUSY or time.monotonic() >= deadline:
                    raise
            else:
                return

    def _commit(self, connection: sqlite3.Connection) -> None:
        self._go_on()
        self._chain.in_doubt()
        connection.execute("COMMIT")
        self._chain.committed()

    def _go_on(self) -> None:
        if self._interruption.asked:
            raise StoreError(Fault.TRANSIENT, f"{self._where}: the write was broken off")

    def _roll_back(self) -> None:
        try:
            # A full disk rolls back by itself, and a second rollback would raise.
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()
        except Exception:  # noqa: BLE001  Whatever it is: a new connection has no transaction.
            self.close()

    def _failure(self, error: Exception) -> StoreError:
        if isinstance(error, UnsealableRowError):
            return StoreError(Fault.DATA, f"a row can't be sealed: {error}", row=error.row)
        original = getattr(error, "orig", None) or error  # SQLAlchemy wraps what connecting raises.
        name = _name(original) or shortage(original) or type(original).__name__
        fault = _fault(original)
        if fault in (Fault.TRANSIENT, Fault.CONFIGURATION):
            self.close()
        return StoreError(fault, f"{self._where} refused: {name}", sqlstate=name)


def _fault(error: BaseException) -> Fault:
    if name := _name(error):
        is_short = name.startswith(_CANTOPEN) and is_out_of_files(_FILES)
        return Fault.TRANSIENT if is_short else fault_of_sqlite(name)
    if shortage(error):
        return Fault.TRANSIENT
    if isinstance(error, (ValueError, OverflowError, sqlite3.Error)):
        return Fault.DATA  # UnicodeEncodeError, an int beyond 64 bits, a type it can't bind.
    return Fault.UNKNOWN


def _ledger_row(sealed: SealedBatch) -> list[Any]:
    return [v.bytes if isinstance(v, UUID) else v for v in sealed.ledger_row()]


def _stored_seal(connection: sqlite3.Connection, batch: Batch) -> bytes:
    found = connection.execute(_SEAL, (batch.writer_id.bytes, batch.seq)).fetchone()
    return found[0] if found else b""


def _name(error: BaseException) -> str:
    name = getattr(error, "sqlite_errorname", None)
    return name if isinstance(name, str) else ""
