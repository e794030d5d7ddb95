"""
Whole months of PostgreSQL, dropped with their partitions.

It costs no more than the months' files, where deleting rows costs every row and
every index, and a vacuum later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, delete, func, select, text

from ...findings import Finding
from ...record.traces import TRACES
from ..locks import COUNTS, SCHEMA, lock, unless_locked_out
from ..partitions import PAST, months_on, months_there, partition_of
from ..table import user_activity_batch, user_activity_daily, user_activity_monthly
from ..transactions import take_away


_LINE: Final = user_activity_batch.c
_DAILY: Final = user_activity_daily.c
_MONTHLY: Final = user_activity_monthly.c
_PATIENCE: Final = "5s"  # for somebody's transaction; writers wait meanwhile
_KEPT: Final = """
    CREATE TEMPORARY TABLE user_activity_kept ON COMMIT DROP AS
    SELECT * FROM user_activity
    WHERE created_at < :before AND tenant_id = ANY(:tenants) AND verb = ANY(:verbs)
"""


class Dropped(NamedTuple):
    """
    What went.

    Attributes:

        months: The months.

        rows: How many records, of these months and of those before them.

        findings: Why nothing did.
    """

    months: list[date]
    rows: int
    findings: list[Finding]


def drop_months(
    engine: Engine,
    before: datetime,
    leave: Callable[[Connection, datetime, Sequence[int], int], None],
) -> Dropped:
    """
    Drop the partitions of months that are over before a moment, in one transaction.

    What is older than the first month that stays has one partition, whose bounds
    cover the gap, so that records that come late still find a place.

    Args:

        engine: With transactions.

        before: The moment.

        leave: Called in that transaction, before anything goes, with the
            connection, the moment before which everything goes, the batches
            that have rows on either side of it or among what is kept, and how
            many rows go.
    """
    findings: list[Finding] = []
    with unless_locked_out("partitions", findings):
        months, rows = take_away(engine, lambda connection: _drop(connection, before, leave))
        return Dropped(months, rows, findings)
    return Dropped([], 0, findings)


def _drop(
    connection: Connection,
    before: datetime,
    leave: Callable[[Connection, datetime, Sequence[int], int], None],
) -> tuple[list[date], int]:
    there = months_there(connection.exec_driver_sql)
    # One month stays, from which the others' bounds are told.
    months = [month for month in there[:-1] if _begin(months_on(month, 1)) <= before]
    if not months:
        return [], 0
    _lock(connection)
    first = months_on(months[-1], 1)
    traces = _keep_traces(connection, first)
    rows = _forget_counts(connection, first)
    if rows:
        leave(connection, _begin(first), [*_straddling(connection, first), *traces], rows)
    for name in (PAST, *map(partition_of, months)):
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    connection.exec_driver_sql(
        f"CREATE TABLE {PAST} PARTITION OF user_activity "
        f"FOR VALUES FROM (MINVALUE) TO ('{first} 00:00:00+00')"
    )
    if traces:
        connection.exec_driver_sql("INSERT INTO user_activity SELECT * FROM user_activity_kept")
    return months, rows


def _lock(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
    lock(connection.exec_driver_sql, SCHEMA)
    # Writers have come to their end, and wait for ours: what is counted is what is there.
    connection.exec_driver_sql("LOCK TABLE user_activity IN ACCESS EXCLUSIVE MODE")
    lock(connection.exec_driver_sql, COUNTS)


def _keep_traces(connection: Connection, first: date) -> Sequence[int]:
    """Put aside what tells of retention and erasure; return the batches of that."""
    days = select(_DAILY.tenant_id).where(_DAILY.day < first, _DAILY.verb.in_(TRACES))
    tenants = connection.scalars(days.distinct()).all()
    if not tenants:
        return ()
    values = {"before": _begin(first), "tenants": list(tenants), "verbs": list(TRACES)}
    connection.execute(text(_KEPT), values)
    return connection.scalars(text("SELECT DISTINCT batch_id FROM user_activity_kept")).all()


def _forget_counts(connection: Connection, first: date) -> int:
    """Take whole months out of the counts; return how many records they were."""
    days = [_DAILY.day < first, _DAILY.verb.not_in(TRACES)]
    rows = connection.scalar(select(func.coalesce(func.sum(_DAILY.n), 0)).where(*days))
    connection.execute(delete(user_activity_daily).where(*days))
    months = [_MONTHLY.month < first, _MONTHLY.verb.not_in(TRACES)]
    connection.execute(delete(user_activity_monthly).where(*months))
    return int(rows or 0)


def _straddling(connection: Connection, first: date) -> Sequence[int]:
    moment = _begin(first)
    lines = select(_LINE.batch_id).where(
        _LINE.first_at < moment, _LINE.last_at >= moment, _LINE.n > 0
    )
    return connection.scalars(lines).all()


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(tzinfo=UTC))
