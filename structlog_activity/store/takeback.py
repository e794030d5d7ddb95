"""
Transactions that take something away: how they begin, and what they leave of counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Engine, bindparam, delete, text, update
from sqlalchemy.exc import DBAPIError

from .citus import is_spread
from .engine import SQLITE
from .fold import unfold
from .partitions import months_on
from .table import user_activity_daily


_T = TypeVar("_T")
_DEADLOCKED: Final = {"40P01", "40001"}
_TRIES: Final = 10


class Counted(NamedTuple):
    """How many records of a kind went of a day."""

    tenant_id: UUID
    day: date
    channel: str
    verb: str
    object_type: str
    n: int


def in_transaction(engine: Engine, work: Callable[[Connection], _T]) -> _T:
    """
    Call *work* in a transaction, and again where it met others in the wrong order.

    Args:

        engine: With transactions.

        work: Changes something; nothing of it stays where it raises.
    """
    for _ in range(_TRIES - 1):
        try:
            with _begun(engine) as connection:
                return work(connection)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in _DEADLOCKED:
                raise
    with _begun(engine) as connection:
        return work(connection)


@contextmanager
def _begun(engine: Engine) -> Iterator[Connection]:
    with engine.begin() as connection:
        if connection.dialect.name == SQLITE:
            # What is taken away is to be gone from the file, too.
            connection.exec_driver_sql("PRAGMA secure_delete = ON").close()
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # Others that come in between are to be waited for, and not a failure.
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"))
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        yield connection


def take_back(connection: Connection, counts: Sequence[Counted]) -> None:
    """
    Take records out of the counts of days and months, in the transaction that is open.

    Args:

        connection: To the database; on SQLite it holds the lock for writing.

        counts: What went.
    """
    if not counts:
        return
    days = [counted.day for counted in counts]
    first, last = min(days), max(days)
    tenants = sorted({counted.tenant_id for counted in counts}) if is_spread(connection) else [None]
    for tenant_id in tenants:
        unfold(connection, first, last, tenant_id)
    daily = user_activity_daily.c
    key = ("tenant_id", "day", "channel", "verb", "object_type")
    less = update(user_activity_daily).where(
        *(daily[name] == bindparam(f"its_{name}") for name in key), ~daily.folded
    )
    # In the order of the key, as writers lock them.
    ordered = sorted(counts, key=lambda c: (c.tenant_id.bytes, *c[1:5]))
    connection.execute(
        less.values(n=daily.n - bindparam("less")), [_values(counted) for counted in ordered]
    )
    beyond = months_on(last.replace(day=1), 1)
    connection.execute(
        delete(user_activity_daily).where(
            daily.day >= first, daily.day < beyond, ~daily.folded, daily.n <= 0
        )
    )


def _values(counted: Counted) -> dict[str, Any]:
    found = counted._asdict()
    return {"less": found.pop("n")} | {f"its_{name}": value for name, value in found.items()}
