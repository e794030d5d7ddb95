"""
The repository on PostgreSQL: each batch is one transaction around one COPY.
"""

from __future__ import annotations

import contextlib
import socket

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

import psycopg

from psycopg.pq import TransactionStatus as _Status
from sqlalchemy import URL

from ...record.row import Row
from ...record.times import from_day, from_microseconds
from ..batch import Batch, is_number_taken
from ..citus import worker_problem
from ..connected import ConnectedRepository
from ..engine import POSTGRESQL, shown
from ..errorcodes import connect_problem
from ..faults import Fault, StoreError
from ..partitions import make_months, month_of, months_ahead, months_there
from ..schema import check_version
from ..seals.chain import SealedBatch
from ..seals.seal import UnsealableRowError
from .copyformat import COLUMNS, UnencodableRowError, encode
from .diagnosis import diagnosed, is_primary_key
from .listening import TELL
from .opening import interruptible
from .roles import power_over_history


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

# Most milliseconds; whoever set less for the role or in the URL keeps that. A
# half-open connection would keep the locks of a batch in doubt and block its
# being sent again, hence the third.
_LIMITS: Final = {
    "statement_timeout": 30_000,
    "lock_timeout": 10_000,
    "idle_in_transaction_session_timeout": 60_000,
}
_LIMITS_THERE = "SELECT name, setting::bigint FROM pg_settings WHERE name = ANY(%s)"
_LEDGER = """
    INSERT INTO user_activity_batch (
        writer_id, seq, batch_id, n, written_at, chain_id, link, flags, first_at, last_at,
        root, prev, seal, key_id, mac)
    VALUES (
        '{}', {}, {}, {}, '{}', '{}', {}, {}, '{}', '{}',
        decode('{}', 'hex'), decode('{}', 'hex'), decode('{}', 'hex'), '{}', decode('{}', 'hex'));
"""
_SEAL = "SELECT seal FROM user_activity_batch WHERE (writer_id, seq) = (%s, %s)"
_COPY = f"COPY user_activity ({', '.join(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
_DAILY = """
    INSERT INTO user_activity_daily AS d (tenant_id, day, channel, verb, object_type, n)
    SELECT * FROM unnest(%s::uuid[], %s::date[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    ON CONFLICT (tenant_id, day, channel, verb, object_type, folded)
        DO UPDATE SET n = d.n + excluded.n
"""
# A join, of which Citus makes one for each machine; it takes no LATERAL here.
_STORED = """
    SELECT u.ix - 1
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::uuid[])
        WITH ORDINALITY AS u (tenant_id, created_at, id, ix)
    JOIN user_activity a USING (tenant_id, created_at, id)
    WHERE a.created_at BETWEEN %s AND %s
"""
_TIMES: Final = (4, 8, 9)  # Where a ledger's row has times.
_READ_ONLY = "25006"


class PostgresRepository(ConnectedRepository[psycopg.Connection[Any], bytes]):
    """
    Write batches to PostgreSQL 15 or newer through one connection of its own.

    Where an earlier try of a batch is still in doubt on a dying connection, the
    ledger's row waits for that one's end.

    Args:

        url: Where; as `parse_url` returns it.

        key: Signs the seals of batches; empty signs nothing.

        migrate: Called with nothing before the first connection is opened, to bring
            the schema up to date; `None` leaves it as it is.

        today: Returns the current date in UTC.

        on_power: Called once, with the reason, if the role can change what was
            recorded, which a writer need not; `None` does not look.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        url: URL,
        *,
        key: bytes = b"",
        migrate: Callable[[], object] | None = None,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        on_power: Callable[[str], object] | None = None,
    ) -> None:
        _, given = url.get_dialect()().create_connect_args(url)
        self._arguments = {**_CONNECT, **given, "client_encoding": "UTF8", "autocommit": True}
        super().__init__(shown(url), key=key, migrate=migrate)
        self._on_power = on_power
        self._today = today
        self._socket: socket.socket | None = None  # A second handle on the connection's.
        self._begin = ""
        self._made_for: date | None = None

    def _enter(self, connection: psycopg.Connection[Any], batch: Batch) -> bytes | None:
        self._make_months_ahead(connection)
        while True:
            sealed = self._chain.seal(batch)
            data = encode(sealed.batch, sealed.salts)
            try:
                connection.execute(self._begin + _ledger_row(sealed) + TELL, prepare=False)
            except psycopg.errors.UniqueViolation as error:
                is_stored = is_primary_key(error)
                if not (is_stored or is_number_taken(error.diag.constraint_name or "")):
                    raise
                connection.execute("ROLLBACK")
                if is_stored:
                    return None
                batch = batch.renumbered()
            else:
                return data

    def _send(self, connection: psycopg.Connection[Any], batch: Batch, rows: bytes) -> None:
        with connection.cursor() as cursor:
            with cursor.copy(_COPY) as copy:
                copy.write(rows)
                batch.meanwhile()
            cursor.execute(_DAILY, _daily_columns(batch))

    def _enter_end(self, connection: psycopg.Connection[Any], sealed: SealedBatch) -> None:
        connection.execute(self._begin + _ledger_row(sealed), prepare=False)

    def _stored_seal(self, connection: psycopg.Connection[Any], batch: Batch) -> bytes:
        (found,) = connection.execute(_SEAL, (batch.writer_id, batch.seq)).fetchone() or (b"",)
        return bytes(found)

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
            make_months(connection.execute, month_of(first), month_of(last))

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._let_go_of_socket()
        super().close()

    def abandon(self) -> None:
        """Forget the connection without closing it."""
        super().abandon()
        self._let_go_of_socket()

    def _connect(self) -> psycopg.Connection[Any]:
        try:
            connection = interruptible(self._interruption).connect(**self._arguments)
        except psycopg.Error as error:
            raise self._connect_failure(error) from None
        try:
            self._take_hold_of_socket(connection.fileno())
            check_version(connection.execute, POSTGRESQL, self._where)
            self._look_at_node(connection)
            self._begin = _begin(connection)
            self._look_at_role(connection)
        except BaseException:
            self._let_go_of_socket()
            connection.close()
            raise
        return connection

    def _look_at_node(self, connection: psycopg.Connection[Any]) -> None:
        if problem := worker_problem(connection.execute, self._where):
            raise StoreError(Fault.CONFIGURATION, problem)

    def _look_at_role(self, connection: psycopg.Connection[Any]) -> None:
        on_power, self._on_power = self._on_power, None
        if on_power is not None and (why := power_over_history(connection.execute)):
            on_power(why)

    def _take_hold_of_socket(self, descriptor: int) -> None:
        # Ours alone, so that it stays what it is until we let go of it. Family and
        # type don't matter for a shutdown.
        self._socket = socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)
        self._interruption.use(partial(self._socket.shutdown, socket.SHUT_RDWR))

    def _let_go_of_socket(self) -> None:
        self._interruption.use(None)
        held, self._socket = self._socket, None
        if held is not None:
            held.close()  # One of two handles: the connection stays as it is.

    def _connect_failure(self, error: psycopg.Error) -> StoreError:
        fault, problem = connect_problem(error)
        message = f"can't reach {self._where}: {problem}"
        return StoreError(fault, message, sqlstate=error.sqlstate or "")

    def _failure(self, error: Exception) -> StoreError:
        if isinstance(error, UnencodableRowError | UnsealableRowError):
            return StoreError(Fault.DATA, f"a row can't be encoded: {error}", row=error.row)
        failure = diagnosed(error, self._where)
        # After a failover the server that takes writes is another one.
        self._roll_back(is_elsewhere=failure.sqlstate == _READ_ONLY)
        return failure

    def _leave_unfinished(self) -> None:
        # Within a transaction that never ended, the ledger would have the very
        # batch that is sent again, and it would pass for committed.
        connection = self._connection
        if connection is not None and connection.info.transaction_status is not _Status.IDLE:
            self.close()

    def _roll_back(self, *, is_elsewhere: bool) -> None:
        connection = self._connection
        try:
            if connection is None or is_elsewhere or _is_busy(connection):
                self.close()
            else:
                connection.rollback()
        except Exception:  # noqa: BLE001  Whatever it is: a new connection has no transaction.
            self.close()

    def _make_months_ahead(self, connection: psycopg.Connection[Any]) -> None:
        """Make the coming months once a month, where the role may; the edge takes the rest."""
        today = self._today()
        if self._made_for == today.replace(day=1):
            return
        self._made_for = today.replace(day=1)
        first, last = months_ahead(today)
        if last in months_there(connection.execute):
            return
        with contextlib.suppress(psycopg.Error), connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '2s'")
            make_months(connection.execute, first, last)


def _is_busy(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether the server owes us an answer, or waits for the rest of a COPY."""
    return connection.info.transaction_status is _Status.ACTIVE


def _begin(connection: psycopg.Connection[Any]) -> str:
    """Return what begins a transaction that takes no longer than it may."""
    there = dict(connection.execute(_LIMITS_THERE, (list(_LIMITS),)).fetchall())
    # SET LOCAL, for a pooler between us and the server may hand the connection to
    # somebody else after COMMIT.
    limits = {name: min(there[name] or most, most) for name, most in _LIMITS.items()}
    return "BEGIN;" + "".join(f"SET LOCAL {name} = {ms};" for name, ms in limits.items())


def _ledger_row(sealed: SealedBatch) -> str:
    # Numbers, UUIDs, times and hex, so nothing needs quoting, and one round trip does it all.
    values = list[Any](sealed.ledger_row())
    for index in _TIMES:
        values[index] = from_microseconds(values[index]).isoformat()
    return _LEDGER.format(*(v.hex() if type(v) is bytes else v for v in values))


def _daily_columns(batch: Batch) -> list[str]:
    """Return the columns of the daily counts of *batch*, each as the text of an array."""
    tenants, days, *texts, counts = zip(*batch.daily_counts(), strict=True)
    columns = [
        [tenant.hex() for tenant in tenants],
        [from_day(day).isoformat() for day in days],
        *([_quoted(text) for text in each] for each in texts),
        map(str, counts),
    ]
    # As text, for the driver takes longer to adapt six lists than the server to read them.
    return [f"{{{','.join(column)}}}" for column in columns]


def _quoted(text: str) -> str:
    """Return a text as an array's literal has it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
