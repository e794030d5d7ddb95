"""
PostgreSQL's monthly partitions: which there are, and making those that are missing.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, Final, TypeAlias

from ..record.times import from_microseconds
from .locks import SCHEMA, lock


MONTHS_AHEAD: Final = 3
"""How many months there are to be beyond the current one."""

OLDEST_MONTHS: Final = 25 * 12
"""How far back months are made; older rows share the partition `PAST`."""

PAST: Final = "user_activity_past"
"""The partition of what is older than the first month."""

FUTURE: Final = "user_activity_future"
"""The partition of what is dated after the last month."""

_NAME: Final = re.compile(r"user_activity_y(\d{4})m(\d{2})")
_Execute: TypeAlias = Callable[[str], Any]  # On a connection of any driver; returns its cursor.
_PARTITIONS: Final = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass('user_activity')
"""


def months_ahead(today: date) -> tuple[date, date]:
    """Return the first and the last month that should exist on *today*."""
    first = today.replace(day=1)
    return first, months_on(first, MONTHS_AHEAD)


def month_of(us: int) -> date:
    """Return the first day of the month (UTC) of a moment in microseconds since 1970."""
    return from_microseconds(us).date().replace(day=1)


def make_months(execute: _Execute, first: date, last: date) -> int:
    """
    Make the partitions from the month of *first* to that of *last*, and between.

    Rows that lie in an edge partition already move to their month. Runs in the
    transaction that is open and locks the table until its end.

    Args:

        execute: Runs SQL in that transaction.

        first: Any day of the first month.

        last: Any day of the last month.

    Returns:

        How many partitions were made.
    """
    lock(execute, SCHEMA)
    there = months_there(execute)
    if not there:
        return 0
    first = max(first.replace(day=1), months_on(there[-1], -OLDEST_MONTHS))
    before = list(_months(first, months_on(there[0], -1)))
    after = list(_months(months_on(there[-1], 1), last.replace(day=1)))
    if before:
        _split_edge(execute, PAST, before, f"FROM (MINVALUE) TO ('{_at(before[0])}')")
    if after:
        end = months_on(after[-1], 1)
        _split_edge(execute, FUTURE, after, f"FROM ('{_at(end)}') TO (MAXVALUE)")
    return len(before) + len(after)


def months_there(execute: _Execute) -> list[date]:
    """Return the months that have a partition, in order."""
    return sorted(month for name in _names(execute) if (month := month_of_partition(name)))


def partition_of(month: date) -> str:
    """Return the name of the partition of a month."""
    return f"user_activity_y{month:%Y}m{month:%m}"


def is_partition(name: str) -> bool:
    """Tell whether a partition of ours has that name."""
    return name in {PAST, FUTURE} or _NAME.fullmatch(name) is not None


def month_of_partition(name: str) -> date | None:
    """Return the month of the partition of that name; `None` for the edges."""
    match = _NAME.fullmatch(name)
    return date(int(match[1]), int(match[2]), 1) if match else None


def _names(execute: _Execute) -> list[str]:
    return [row[0] for row in execute(_PARTITIONS).fetchall()]


def _split_edge(execute: _Execute, edge: str, months: list[date], bounds: str) -> None:
    start, end = _at(months[0]), _at(months_on(months[-1], 1))
    span = f"created_at >= '{start}' AND created_at < '{end}'"
    is_there = edge in _names(execute)  # Somebody may have dropped it, with what lay in it.
    if is_there:
        execute(f"ALTER TABLE user_activity DETACH PARTITION {edge}")
    for month in months:
        execute(
            f"CREATE TABLE {partition_of(month)} PARTITION OF user_activity "
            f"FOR VALUES FROM ('{_at(month)}') TO ('{_at(months_on(month, 1))}')"
        )
    if not is_there:
        execute(f"CREATE TABLE {edge} PARTITION OF user_activity FOR VALUES {bounds}")
        return
    # Two statements, for Citus takes no DELETE within another; both tables are locked.
    execute(
        f"INSERT INTO user_activity SELECT * FROM {edge} WHERE {span}"  # noqa: S608
    )
    execute(f"DELETE FROM {edge} WHERE {span}")  # noqa: S608
    execute(f"ALTER TABLE user_activity ATTACH PARTITION {edge} FOR VALUES {bounds}")


def _months(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first = months_on(first, 1)


def months_on(month: date, months: int) -> date:
    """Return the first day of the month that is some months after that of *month*."""
    years, rest = divmod(month.year * 12 + month.month - 1 + months, 12)
    return date(years, rest + 1, 1)


def _at(month: date) -> str:
    return f"{month.isoformat()} 00:00:00+00"
