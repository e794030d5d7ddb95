"""
The repository on SQLite: each batch is one transaction around executemany.
"""

from __future__ import annotations

import sqlite3
import time

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine

from ..record.row import Row
from .batch import Batch, is_number_taken
from .connected import ConnectedRepository
from .engine import SQLITE, shown
from .errorcodes import code_of, fault_of_sqlite
from .faults import Fault, StoreError
from .schema import check_version
from .seals.chain import SealedBatch
from .seals.seal import UnsealableRowError
from .shortage import is_out_of_files, shortage


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
# SQLite waits for a lock in a way that nothing breaks off, so it waits in pieces.
_BUSY = "SQLITE_BUSY"
# sqlite3's own errors have no name; this one alone is a row's.
_UNBOUND = "binding parameter"
# What SQLite says of a folder that is missing, and where too many files are open.
_CANTOPEN = "SQLITE_CANTOPEN"
_FILES: Final = 4  # The database, its log, the shared memory, and their folder.
_PIECE: Final = 100  # milliseconds
_STORED = "SELECT 1 FROM user_activity WHERE tenant_id = ? AND created_at = ? AND id = ?"


class SqliteRepository(ConnectedRepository[sqlite3.Connection, list[tuple[Any, ...]]]):
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
        super().__init__(shown(engine.url), key=key, migrate=migrate)
        self._engine = engine
        self._patience = 0.0  # Seconds that a lock of somebody else is waited for.

    def _enter(self, connection: sqlite3.Connection, batch: Batch) -> list[tuple[Any, ...]] | None:
        self._chain.seal(batch)  # Kept there: others need not wait for it.
        self._begin(connection)
        while True:
            sealed = self._chain.seal(batch)
            try:
                connection.execute(_LEDGER, _ledger_row(sealed))
            except sqlite3.IntegrityError as error:
                if fault_of_sqlite(code_of(error)) is Fault.DUPLICATE:
                    connection.rollback()
                    return None
                if not is_number_taken(str(error)):
                    raise
                batch = batch.renumbered()
            else:
                return _rows(sealed)

    def _send(
        self, connection: sqlite3.Connection, batch: Batch, rows: list[tuple[Any, ...]]
    ) -> None:
        connection.executemany(_ROW, rows)
        connection.executemany(_DAILY, batch.daily_counts())

    def _enter_end(self, connection: sqlite3.Connection, sealed: SealedBatch) -> None:
        self._begin(connection)
        connection.execute(_LEDGER, _ledger_row(sealed))

    def _stored_seal(self, connection: sqlite3.Connection, batch: Batch) -> bytes:
        found = connection.execute(_SEAL, (batch.writer_id.bytes, batch.seq)).fetchone()
        return found[0] if found else b""

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

    def _connect(self) -> sqlite3.Connection:
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
                if code_of(error) != _BUSY or time.monotonic() >= deadline:
                    raise
            else:
                return

    def _commit(self, connection: sqlite3.Connection) -> None:
        self._go_on()
        super()._commit(connection)

    def _go_on(self) -> None:
        if self._interruption.asked:
            raise StoreError(Fault.TRANSIENT, f"{self._where}: the write was broken off")

    def _leave_unfinished(self) -> None:
        try:
            # A full disk rolls back by itself, and a second rollback would raise.
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()
        except Exception:  # noqa: BLE001  Whatever it is: a new connection has no transaction.
            self.close()

    def _failure(self, error: Exception) -> StoreError:
        self._leave_unfinished()
        if isinstance(error, UnsealableRowError):
            return StoreError(Fault.DATA, f"a row can't be sealed: {error}", row=error.row)
        original = getattr(error, "orig", None) or error  # SQLAlchemy wraps what connecting raises.
        name = code_of(original) or shortage(original) or type(original).__name__
        fault = _fault(original)
        if fault in (Fault.TRANSIENT, Fault.CONFIGURATION):
            self.close()
        return StoreError(fault, f"{self._where} refused: {name}", sqlstate=name)


def _fault(error: BaseException) -> Fault:
    if name := code_of(error):
        is_short = name.startswith(_CANTOPEN) and is_out_of_files(_FILES)
        return Fault.TRANSIENT if is_short else fault_of_sqlite(name)
    if shortage(error):
        return Fault.TRANSIENT
    if isinstance(error, sqlite3.Error) and _UNBOUND not in str(error):
        return Fault.TRANSIENT  # Of the connection: closed, or used in a way that it forbids.
    if isinstance(error, (ValueError, OverflowError, sqlite3.Error)):
        return Fault.DATA  # UnicodeEncodeError, an int beyond 64 bits, a type it can't bind.
    return Fault.UNKNOWN


def _rows(sealed: SealedBatch) -> list[tuple[Any, ...]]:
    batch_id, rows = sealed.batch.batch_id, zip(sealed.batch.rows, sealed.salts, strict=True)
    # Data as text of no other type, for which sqlite3 would look for an adapter.
    return [
        (*row[:-1], str(row[-1]), batch_id, index, salt) for index, (row, salt) in enumerate(rows)
    ]


def _ledger_row(sealed: SealedBatch) -> list[Any]:
    return [v.bytes if isinstance(v, UUID) else v for v in sealed.ledger_row()]
