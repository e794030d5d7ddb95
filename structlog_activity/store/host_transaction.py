"""
A batch within a transaction of the host's own, on whatever driver that one uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Connection,
    Insert,
    Text,
    bindparam,
    cast,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError

from ..errors import RepositoryError, SchemaError
from ..record.record import ID_FIELDS
from ..record.row import Row
from ..record.times import from_day, from_microseconds
from .batch import Batch, is_number_taken
from .citus import refuse_worker
from .engine import POSTGRESQL, SQLITE, shown
from .errorcodes import NO_PRIVILEGE, code_of, lacks_tables
from .seals.chain import LEDGER_COLUMNS, Chain, SealedBatch
from .table import user_activity, user_activity_batch, user_activity_daily


_ASKED: Final = "structlog_activity.is_no_worker"
_BUSY: Final = "SQLITE_BUSY"
_BUSY_HINT: Final = "others write to the file; begin transactions that write with BEGIN IMMEDIATE"
_HINTS: Final = {
    NO_PRIVILEGE: "the role needs INSERT on user_activity and user_activity_batch, and SELECT, "
    "INSERT and UPDATE on user_activity_daily",
    "25P02": "the transaction had failed before",
    "40001": "run the transaction again",
    "40P01": "run the transaction again",
}
# The tables are where the connection's search_path says, as for the writer, even
# where the host has its own tables moved to another schema.
_OPTIONS: Final = {"schema_translate_map": None}


def write_inside(connection: Connection, batch: Batch, *, key: bytes = b"") -> None:
    """
    Write *batch* in the transaction that is open on *connection*, and leave that open.

    Rows go first and the ledger last: after a failure the rows that went
    through keep the same batch from passing at a second try in the same
    transaction, so half a batch is never committed, with any driver.

    Args:

        connection: Of the host. One on which no transaction is open begins one.

        batch: Its rows and its line in the ledger become visible with the
            host's COMMIT, or never. It is a chain of its own, begun and closed
            with it.

        key: Signs the seal; empty signs nothing.

    Raises:

        SchemaError: The database has no activity tables, or other ones.

        RepositoryError: It refuses; the transaction should be rolled back.
    """
    dialect = connection.dialect.name
    if dialect not in {POSTGRESQL, SQLITE}:
        raise RepositoryError(
            f"the session's database is {dialect}: activity is stored in PostgreSQL and SQLite"
        )
    statements = _statements(dialect)
    try:
        _look_at_node(connection)
        sealed = Chain.alone(batch, key)
        _execute(connection, statements.row, _row_values(sealed))
        _execute(connection, statements.daily, _daily_values(batch))
        _execute(connection, statements.ledger, [_ledger_values(sealed, dialect)])
    except RepositoryError:
        raise
    except Exception as error:  # noqa: BLE001  Drivers raise more than SQLAlchemy wraps.
        raise _plain_error(error, shown(connection.engine.url)) from None


class _Statements(NamedTuple):
    row: Insert
    daily: Insert
    ledger: Insert


@lru_cache
def _statements(dialect: str) -> _Statements:
    is_sqlite = dialect == SQLITE
    # The text as it is: a host's own json_serializer would quote it a second time.
    text = bindparam("json", type_=Text())
    data = text if is_sqlite else cast(text, JSONB)
    ledger = insert(user_activity_batch)
    return _Statements(
        insert(user_activity).values(data=data),
        _upsert(sqlite.insert if is_sqlite else postgresql.insert),
        ledger.values(ordinal=_ordinal()) if is_sqlite else ledger,
    )


def _ordinal() -> Any:
    # As the writer does; PostgreSQL tells the number of the transaction itself.
    ledger = user_activity_batch
    last = select(func.coalesce(func.max(ledger.c.ordinal), 0) + 1).scalar_subquery()
    return func.max(bindparam("least", type_=ledger.c.batch_id.type), last)


def _upsert(make: Any) -> Any:
    counts = user_activity_daily
    statement = make(counts)
    return statement.on_conflict_do_update(
        index_elements=list(counts.primary_key), set_={"n": counts.c.n + statement.excluded.n}
    )


def _execute(connection: Connection, statement: Insert, values: Sequence[dict[str, Any]]) -> None:
    connection.execute(statement, values, execution_options=_OPTIONS).close()


def _look_at_node(connection: Connection) -> None:
    """Refuse a worker of a cluster; it is asked once in the life of a driver's connection."""
    if _ASKED not in connection.info:
        refuse_worker(connection)
        connection.info[_ASKED] = True


def _row_values(sealed: SealedBatch) -> list[dict[str, Any]]:
    batch = sealed.batch
    return [
        {**_columns(row), "batch_id": batch.batch_id, "batch_ix": index, "commitment": salt}
        for index, (row, salt) in enumerate(zip(batch.rows, sealed.salts, strict=True))
    ]


def _columns(row: Row) -> dict[str, Any]:
    columns: dict[str, Any] = row._asdict()
    columns["json"] = str(columns.pop("data"))  # Not every driver takes a text of another type.
    columns["created_at"] = from_microseconds(row.created_at)
    for name in ID_FIELDS:
        columns[name] = UUID(bytes=columns[name])
    return columns


def _daily_values(batch: Batch) -> list[dict[str, Any]]:
    return [
        {
            "tenant_id": UUID(bytes=tenant_id),
            "day": from_day(day),
            "channel": channel,
            "verb": verb,
            "object_type": object_type,
            "folded": False,
            "n": n,
        }
        for tenant_id, day, channel, verb, object_type, n in batch.daily_counts()
    ]


def _ledger_values(sealed: SealedBatch, dialect: str) -> dict[str, Any]:
    values: dict[str, Any] = dict(zip(LEDGER_COLUMNS, sealed.ledger_row(), strict=True))
    for name in ("written_at", "first_at", "last_at"):
        values[name] = from_microseconds(values[name])
    if dialect == SQLITE:  # PostgreSQL tells the number of the transaction itself.
        values["least"] = sealed.batch.batch_id
    return values


def _plain_error(error: Exception, where: str) -> RepositoryError:
    """Return the error of ours for one of a driver's, which may quote values of a row."""
    original = (error.orig if isinstance(error, DBAPIError) else None) or error
    code = code_of(original)
    if lacks_tables(original):
        return SchemaError(
            f"{where}, the session's database, lacks the activity tables of this version: "
            "run structlog-activity migrate on it, or ActivityLog.migrate() at start",
            sqlstate=code,
        )
    name = type(original).__name__
    told = f"{name}, {code}" if code else name
    hint = _hint(code, original)
    return RepositoryError(
        f"{where} refused the activity of a transaction ({told}){hint and ': '}{hint}",
        sqlstate=code,
    )


def _hint(code: str, original: BaseException) -> str:
    if is_number_taken(str(original)):
        return "another batch drew its number in the same millisecond; run the transaction again"
    return _HINTS.get(code) or (_BUSY_HINT if code.startswith(_BUSY) else "")
