"""
The repository on PostgreSQL: each batch is one transaction around one COPY.
"""

from __future__ import annotations

import contextlib
import re

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

from sqlalchemy import URL

from ..errors import RepositoryError
from ..record.row import Row
from ..record.times import EPOCH, from_microseconds
from .batch import Batch
from .copyformat import COLUMNS, UnencodableRowError, encode
from .engine import shown
from .faults import Fault, StoreError
from .partitions import make_months, month_of, months_ahead, months_there
from .schema import check_version
from .sqlstate import connect_problem, fault_of_sqlstate


_CONNECT: Final[dict[str, Any]] = {
    "autocommit": True,
    "application_name": "structlog_activity",
    "connect_timeout": 10,
    # Notice a server that vanished without a word.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

# SET LOCAL, for a pooler between us and the server may hand the connection to
# somebody else after COMMIT. A half-open connection would keep the locks of a
# batch in doubt and block its being sent again, hence the third.
_BEGIN = """
    BEGIN;
    SET LOCAL statement_timeout = '30s';
    SET LOCAL lock_timeout = '10s';
    SET LOCAL idle_in_transaction_session_timeout = '60s';
"""
_LEDGER = """
    INSERT INTO user_activity_batch (writer_id, seq, batch_id, n, written_at)
    VALUES ('{writer_id}', {seq}, {batch_id}, {n}, clock_timestamp())
"""
_COPY = f"COPY user_activity ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_DAILY = """
    INSERT INTO user_activity_daily AS d (tenant_id, day, channel, verb, object_type, n)
    SELECT * FROM unnest(%s::uuid[], %s::date[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    ON CONFLICT (tenant_id, day, channel, verb, object_type) DO UPDATE SET n = d.n + excluded.n
"""
_STORED = """
    SELECT u.ix - 1
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::uuid[])
        WITH ORDINALITY AS u (tenant_id, created_at, id, ix),
        LATERAL (
            SELECT FROM user_activity a
            WHERE (a.tenant_id, a.created_at, a.id) = (u.tenant_id, u.created_at, u.id)
                AND a.created_at BETWEEN %s AND %s
            LIMIT 1
        ) found
"""
# A forked child's copies of its parent's connections, kept so that nothing
# closes them.
_abandoned: Final[list[Any]] = []
_LINE = re.compile(r"COPY user_activity\w*, line (\d+)")
_FIRST_DAY = EPOCH.date()


class PostgresRepository:
    """
    Write batches to PostgreSQL 15 or newer through one connection of its own.

    The ledger's row goes first: where a batch was committed already it is
    refused there, and where an earlier try of it is still in doubt on a dying
    connection it waits for that one's end, so no batch is ever written twice.

    Args:

        url: Where; as `parse_url` returns it.

        migrate: Called with nothing before the first connection is opened, to bring
            the schema up to date; `None` leaves it as it is.

        today: Returns the current date in UTC.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        url: URL,
        *,
        migrate: Callable[[], object] | None = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        _, given = url.get_dialect()().create_connect_args(url)
        self._arguments = {**_CONNECT, **given, "client_encoding": "UTF8", "autocommit": True}
        self._where = shown(url)
        self._migrate = migrate
        self._today = today
        self._connection: psycopg.Connection[Any] | None = None
        self._made_for: date | None = None

    def write(self, batch: Batch) -> bool:
        """Commit *batch*; return `False` if the ledger held it already."""
        with self._connected() as connection:
            data = encode(batch)
            try:
                connection.execute(_BEGIN + _ledger_row(batch), prepare=False)
            except psycopg.errors.UniqueViolation:
                connection.execute("ROLLBACK")
                return False
            with connection.cursor() as cursor:
                with cursor.copy(_COPY) as copy:
                    copy.write(data)
                cursor.execute(_DAILY, _daily_columns(batch))
            connection.execute("COMMIT")
            return True

    def stored(self, rows: Sequence[Row]) -> set[int]:
        """Return the indexes of those *rows* whose primary key is in the table."""
        if not rows:
            return set()
        times = [from_microseconds(row.created_at) for row in rows]
        tenants = [UUID(bytes=row.tenant_id) for row in rows]
        ids = [UUID(bytes=row.id) for row in rows]
        with self._connected() as connection:
            found = connection.execute(_STORED, (tenants, times, ids, min(times), max(times)))
            return {ix for (ix,) in found}

    def make_room(self, first: int, last: int) -> None:
        """Make the monthly partitions of the span, which need the table's owner."""
        with self._connected() as connection, connection.transaction():
            make_months(connection, month_of(first), month_of(last))

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def abandon(self) -> None:
        """Forget the connection without closing it."""
        _abandoned.append(self._connection)
        self._connection = None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._make_months_ahead(self._connection)
            yield self._connection
        except RepositoryError as error:
            self.close()
            raise StoreError.of(error) from None
        except Exception as error:  # noqa: BLE001  Drivers raise more than their own classes.
            raise self._failure(error) from None

    def _connect(self) -> psycopg.Connection[Any]:
        if self._migrate is not None:
            self._migrate()
            self._migrate = None
        try:
            connection = psycopg.connect(**self._arguments)
        except psycopg.Error as error:
            raise self._connect_failure(error) from None
        try:
            check_version(connection.execute, self._where)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_failure(self, error: psycopg.Error) -> StoreError:
        fault, problem = connect_problem(error)
        message = f"can't reach {self._where}: {problem}"
        return StoreError(fault, message, sqlstate=error.sqlstate or "")

    def _failure(self, error: Exception) -> StoreError:
        """Translate *error*, and leave the connection usable or none at all."""
        if isinstance(error, UnencodableRowError):
            return StoreError(Fault.DATA, f"a row can't be encoded: {error}", row=error.row)
        failure = _translated(error, self._where)
        self._roll_back()
        return failure

    def _roll_back(self) -> None:
        connection = self._connection
        try:
            if connection is None or connection.broken:
                raise psycopg.OperationalError
            connection.rollback()
        except psycopg.Error:
            self.close()

    def _make_months_ahead(self, connection: psycopg.Connection[Any]) -> None:
        """Make the coming months once a month, where the role may; the edge takes the rest."""
        today = self._today()
        if self._made_for == today.replace(day=1):
            return
        self._made_for = today.replace(day=1)
        first, last = months_ahead(today)
        if last in months_there(connection):
            return
        with contextlib.suppress(psycopg.Error), connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '2s'")
            make_months(connection, first, last)


def _ledger_row(batch: Batch) -> str:
    # Numbers and a UUID, so nothing needs quoting, and one round trip does it all.
    return _LEDGER.format(
        writer_id=batch.writer_id, seq=batch.seq, batch_id=batch.batch_id, n=len(batch.rows)
    )


def _daily_columns(batch: Batch) -> tuple[list[Any], ...]:
    tenants, days, channels, verbs, types, counts = zip(*batch.daily_counts(), strict=True)
    return (
        [UUID(bytes=tenant) for tenant in tenants],
        [_FIRST_DAY + timedelta(days=day) for day in days],
        list(channels),
        list(verbs),
        list(types),
        list(counts),
    )


def _translated(error: Exception, where: str) -> StoreError:
    name = type(error).__name__
    if not isinstance(error, psycopg.Error):
        return StoreError(Fault.UNKNOWN, f"writing to {where} failed: {name}")
    sqlstate = error.sqlstate or ""
    if not sqlstate:
        fault = Fault.DATA if isinstance(error, psycopg.DataError) else Fault.TRANSIENT
        return StoreError(fault, f"the connection to {where} failed: {name}")
    if sqlstate == "42501":
        message = f"the role may not write to the activity tables of {where}: see GRANT INSERT"
        return StoreError(Fault.CONFIGURATION, message, sqlstate=sqlstate)
    line = _LINE.search(error.diag.context or "")
    return StoreError(
        fault_of_sqlstate(sqlstate),
        f"{where} refused a batch: {name} ({sqlstate}){_named(error)}",
        sqlstate=sqlstate,
        row=int(line[1]) - 1 if line else None,
    )


def _named(error: psycopg.Error) -> str:
    """Return the names in an error; its texts may quote values of a row."""
    diag = error.diag
    names = {"constraint": diag.constraint_name, "column": diag.column_name}
    return "".join(f", {kind} {name}" for kind, name in names.items() if name)
