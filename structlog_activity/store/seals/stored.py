"""
Everything that is sealed, as it is stored: read in a stream, within one snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Engine, select, text

from ...record.ids import NIL_BYTES
from ...record.record import ID_FIELDS
from ...record.row import Row
from ...record.traces import ERASED, PRUNED
from ..citus import is_spread
from ..engine import SQLITE
from ..table import user_activity
from .in_database import Suspects, suspects
from .ledgercheck import StoredSeal
from .rowcheck import DroppedRows, StoredRow, never
from .seal import Seal


_AT_ONCE: Final = 1_000  # rows
_IDS: Final = {*ID_FIELDS, "writer_id", "chain_id"}
_MOMENTS: Final = ("created_at", "written_at", "first_at", "last_at")
_SEALED: Final = (
    "batch_id", "writer_id", "seq", "chain_id", "link", "n", "flags", "first_at", "last_at",
    "written_at", "root", "prev", "key_id", "seal", "mac",
)  # fmt: skip


class RecordPlace(NamedTuple):
    """
    Where a record is: the key of its row.

    Attributes:

        tenant_id: Whose it is.

        created_at: When it happened.

        id: Its id.
    """

    tenant_id: UUID
    created_at: datetime
    id: UUID


class StoredLog:
    """
    Read a log as it is at one moment, whatever is written meanwhile.

    Args:

        connection: On which the snapshot is open.

        written_meanwhile: Tells whether a batch that the ledger lacks was written
            since: the machines of a cluster have each a snapshot of their own.

        is_spread: Whether rows lie on several machines.

    Attributes:

        written_meanwhile: As it was given.
    """

    def __init__(
        self,
        connection: Connection,
        written_meanwhile: Callable[[int], bool] = never,
        *,
        is_spread: bool = False,
    ) -> None:
        self._connection = connection
        self._is_spread = is_spread
        self.written_meanwhile = written_meanwhile
        self._is_sqlite = connection.dialect.name == SQLITE

    @property
    def is_canonical(self) -> bool:
        """Whether ``data`` come as they are sealed."""
        return not self._is_sqlite

    def count(self) -> int:
        """Return how many rows there are, as the ledger says."""
        found = self._connection.exec_driver_sql("SELECT sum(n) FROM user_activity_batch").scalar()
        return int(found or 0)

    # The names of columns, and integers, are all that goes into these statements.

    def suspects(self, since: int) -> Suspects:
        """Return what PostgreSQL itself does not find as it was sealed."""
        return suspects(self._connection, since)

    def rows(self, since: int = 0, only: Sequence[int] | None = None) -> Iterator[StoredRow]:
        """
        Yield all rows, with what the ledger says of their batches.

        Args:

            since: Only those of batches with this number or a greater one.

            only: Only those of these batches.
        """
        # A table of PostgreSQL keeps the rows of a batch side by side. SQLite's is
        # in the order of its key, and sorts, so that few batches are open at once.
        order = "ORDER BY a.batch_id" if self._is_sqlite else ""
        sql = (
            f"SELECT {self._columns('a', Row._fields)}, a.batch_id, a.batch_ix, a.commitment, "  # noqa: S608
            f"b.n, b.root, {self._columns('b', ['last_at'])}, b.dropped FROM user_activity a "
            f"LEFT JOIN user_activity_batch b ON b.batch_id = a.batch_id "
            f"WHERE a.batch_id >= {since:d} {self._among(only)} {order}"
        )
        for values in self._stream(sql):
            yield StoredRow(Row._make(values[:12]), *values[12:])

    def seals(self) -> Iterator[StoredSeal]:
        """Yield the lines of the ledger by chain and link."""
        yield from self._seals("ORDER BY b.chain_id, b.link, b.seq")

    def seal(self, batch_id: int) -> StoredSeal | None:
        """Return the line of a batch; `None` if there is none."""
        return next(self._seals(f"WHERE b.batch_id = {batch_id:d}"), None)

    def beside(self, batch_id: int) -> list[StoredSeal]:
        """Return the lines of what the writer of a batch wrote just before and after it."""
        return list(
            self._seals(
                "JOIN user_activity_batch o ON o.writer_id = b.writer_id "
                f"AND b.seq IN (o.seq - 1, o.seq + 1) WHERE o.batch_id = {batch_id:d}"
            )
        )

    def _seals(self, which: str) -> Iterator[StoredSeal]:
        sql = f"SELECT {self._columns('b', _SEALED)} FROM user_activity_batch b {which}"  # noqa: S608
        for values in self._stream(sql):
            found = dict(zip(_SEALED, values, strict=True))
            digest, mac = bytes(found.pop("seal")), bytes(found.pop("mac"))
            for name in ("writer_id", "chain_id"):
                found[name] = _uuid(bytes(found[name]))
            for name in ("root", "prev"):
                found[name] = bytes(found[name])
            yield StoredSeal(Seal(**found), digest, mac)

    def sealed_in(self, place: RecordPlace) -> tuple[int, bytes] | None:
        """Return the batch and the commitment of a row; `None` if there is no such row."""
        row = user_activity.c
        found = self._connection.execute(
            select(row.batch_id, row.commitment).where(
                row.tenant_id == place.tenant_id,
                row.created_at == place.created_at,
                row.id == place.id,
            )
        ).first()
        return None if found is None else (found.batch_id, bytes(found.commitment))

    def pruned(self) -> Iterator[Row]:
        """Yield the records that tell of retention."""
        return self._traces(UUID(bytes=NIL_BYTES), PRUNED)

    def erasures(self, tenant_id: UUID) -> Iterator[Row]:
        """Yield the records that tell of erasures in a tenant."""
        return self._traces(tenant_id, ERASED)

    def _traces(self, tenant_id: UUID, verb: str) -> Iterator[Row]:
        sql = f"SELECT {self._columns('a', Row._fields)} FROM user_activity a "  # noqa: S608
        where = "WHERE a.tenant_id = :tenant AND a.verb = :verb"
        tenant: Any = tenant_id.bytes if self._is_sqlite else tenant_id
        for found in self._connection.execute(text(sql + where), {"tenant": tenant, "verb": verb}):
            yield Row._make(found)

    def empty_batches(self, before: int, since: int) -> Iterator[tuple[UUID, int, int, UUID, int]]:
        """
        Yield ``(writer_id, seq, batch_id, chain_id, link)`` of batches whose rows are all gone.

        Args:

            before: Those whose rows are all older are left out.

            since: Those with a lesser number are left out.
        """
        last_at = self._columns("b", ["last_at"])
        join, is_empty = self._without_rows(since)
        sql = (
            f"SELECT {self._columns('b', ['writer_id'])}, b.seq, b.batch_id, "  # noqa: S608
            f"{self._columns('b', ['chain_id'])}, b.link FROM user_activity_batch b {join} "
            f"WHERE b.n > 0 AND b.batch_id >= {since:d} AND {last_at} >= {before:d} AND {is_empty}"
        )
        for writer_id, seq, batch_id, chain_id, link in self._stream(sql):
            yield _uuid(bytes(writer_id)), seq, batch_id, _uuid(bytes(chain_id)), link

    def _without_rows(self, since: int) -> tuple[str, str]:
        """Return a join, and the condition that a batch *b* has no rows."""
        if not self._is_spread:
            # Ends at the first row of each batch; the join reads the batch of every row.
            rows = "SELECT 1 FROM user_activity a WHERE a.batch_id = b.batch_id"
            return "", f"NOT EXISTS ({rows})"
        # Apart, for Citus asks all machines before it compares.
        batches = f"SELECT DISTINCT batch_id FROM user_activity WHERE batch_id >= {since:d}"  # noqa: S608
        return f"LEFT JOIN ({batches}) a ON a.batch_id = b.batch_id", "a.batch_id IS NULL"

    def dropped(self, before: int, since: int) -> Iterator[DroppedRows]:
        """
        Yield what the ledger keeps of rows that retention took.

        Args:

            before: Batches whose rows are all older are left out.

            since: Those with a lesser number are left out.
        """
        last_at = self._columns("b", ["last_at"])
        sql = (
            f"SELECT b.batch_id, b.n, b.root, b.dropped FROM user_activity_batch b "  # noqa: S608
            f"WHERE b.dropped IS NOT NULL AND b.batch_id >= {since:d} AND {last_at} >= {before:d}"
        )
        for values in self._stream(sql):
            yield DroppedRows._make(values)

    def _among(self, batches: Sequence[int] | None) -> str:
        if batches is None:
            return ""
        numbers = ",".join(f"{batch:d}" for batch in batches)
        if self._is_sqlite:
            return f"AND a.batch_id IN ({numbers})"
        return f"AND a.batch_id = ANY ('{{{numbers}}}'::bigint[])"

    def _columns(self, table: str, names: Iterable[str]) -> str:
        return columns(table, names, is_sqlite=self._is_sqlite)

    def _stream(self, sql: str) -> Iterator[Any]:
        options = {"stream_results": True, "max_row_buffer": _AT_ONCE}
        with self._connection.exec_driver_sql(sql, execution_options=options) as found:
            for part in found.partitions(_AT_ONCE):
                yield from part


def columns(table: str, names: Iterable[str], *, is_sqlite: bool) -> str:
    """
    Return SQL that reads columns in the types of a `Row`.

    Args:

        table: Its name in the statement.

        names: Of the columns.

        is_sqlite: Whether the database is SQLite.
    """
    return ", ".join(
        f"{table}.{name}" if is_sqlite else _column(f"{table}.{name}", name) for name in names
    )


def _column(place: str, name: str) -> str:
    if name in _IDS:
        return f"uuid_send({place})"
    if name in _MOMENTS:
        micros = f"(extract(epoch FROM {place}) * 1000000)::bigint"
        return f"CASE WHEN isfinite({place}) THEN {micros} ELSE -1 END"
    return f"{place}::text" if name == "data" else place


def _uuid(found: bytes) -> UUID:
    # What is no id can't be sealed either, so it matters little what it becomes.
    return UUID(bytes=found) if len(found) == len(NIL_BYTES) else UUID(bytes=NIL_BYTES)


@contextmanager
def snapshot(engine: Engine) -> Iterator[StoredLog]:
    """Give the log as it is now."""
    with engine.connect() as connection:
        if connection.dialect.name == SQLITE:
            with _any_text(connection):
                yield StoredLog(connection)
        else:
            reading = connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            # It takes as long as it takes.
            reading.exec_driver_sql("SET LOCAL statement_timeout = 0")
            if is_spread(reading):
                yield StoredLog(reading, _Later(engine).has, is_spread=True)
            else:
                yield StoredLog(reading)


class _Later:
    """
    Look into the ledger as it is now, and not as it was.

    Args:

        engine: Of the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[int, bool] = {}

    def has(self, batch_id: int) -> bool:
        """Tell whether a batch is there."""
        if batch_id not in self._known:
            sql = f"SELECT EXISTS (SELECT FROM user_activity_batch WHERE batch_id = {batch_id:d})"  # noqa: S608
            with self._engine.connect() as connection:
                self._known[batch_id] = bool(connection.exec_driver_sql(sql).scalar())
        return self._known[batch_id]


@contextmanager
def _any_text(connection: Connection) -> Iterator[None]:
    """Begin a transaction in which text that is no UTF-8 can be read, too."""
    driver: Any = connection.connection.driver_connection
    driver.text_factory = lambda found: found.decode("utf-8", "surrogateescape")
    connection.exec_driver_sql("BEGIN")
    try:
        yield
    finally:
        connection.exec_driver_sql("ROLLBACK")
        driver.text_factory = str
