"""
Statistics: whole days from the daily counts, the rest from the rows.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    CompoundSelect,
    Date,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    union_all,
)

from ..record.times import EPOCH
from ..store.table import EpochDay, user_activity, user_activity_daily
from .conditions import Shape, conditions, dimensions, has_only_dimensions, shape_of, values_of
from .connect import Bind, on_any_bind, reading
from .filter import ActivityFilter
from .page import ActivityStats
from .policy import AccessPolicy


_ROWS: Final = user_activity.c
_DAYS: Final = user_activity_daily.c
_SQLITE_DAY: Final = literal_column("user_activity.created_at / 86400000000", EpochDay)
_DIMENSIONS: Final = ("verb", "channel", "object_type", "day")
_EPOCH: Final = date(1970, 1, 1)


@on_any_bind
def stats(
    bind: Bind, where: ActivityFilter, *, policy: AccessPolicy | None = None
) -> ActivityStats:
    """
    Count the records that a filter selects.

    The result always equals counting the rows. It is read from the daily counts
    where the filter names nothing but tenant, verbs, channels, object type and
    time; only the beginnings and ends of days are then counted from the rows.
    Paging has no meaning here: limit, offset, cursors and total are not looked at.

    Args:

        bind: Engine, connection or session of the database.

        where: What to count.

        policy: What the reader may see; `None`: everything.

    Raises:

        AccessDeniedError: *policy* does not grant it.

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """
    where = where if policy is None else policy.applied(where)
    with reading(bind) as connection:
        postgresql = connection.dialect.name == "postgresql"
        shape = shape_of(where, postgresql=postgresql)
        values = values_of(where, postgresql=postgresql) | _whole_days(where)
        counted = connection.execute(_statement(shape), values)
        counts: dict[str, Counter[Any]] = {name: Counter() for name in _DIMENSIONS}
        for dimension, key, n in counted:
            counts[dimension][key] += int(n)
    return ActivityStats(
        total=counts["verb"].total(),
        by_verb=_sorted(counts["verb"]),
        by_channel=_sorted(counts["channel"]),
        by_object_type=_sorted(counts["object_type"]),
        by_day=_by_day(counts["day"]),
    )


def _whole_days(where: ActivityFilter) -> dict[str, Any]:
    """Return the whole days within the filter's span, and their edges as moments."""
    since: Any = where.since
    until: Any = where.until
    first = _ceiling(since) if isinstance(since, datetime) else None
    last = until.date() if isinstance(until, datetime) else None
    if first is not None and last is not None and first > last:
        first = last  # Within one day: there is no whole one, all of it is edge.
    return {
        "first_day": first,
        "last_day": last,
        "first_moment": _midnight(first) if first else None,
        "last_moment": max(_midnight(last), since or EPOCH) if last else None,
    }


def _ceiling(moment: datetime) -> date:
    day = moment.date()
    if moment == _midnight(day) or day == date.max:
        return day
    return day + timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@lru_cache(maxsize=512)
def _statement(shape: Shape) -> CompoundSelect[Any]:
    """One statement, so that counts and edges are of the same moment."""
    parts = [*_edges(shape), _days(shape)] if has_only_dimensions(shape) else [_rows(shape)]
    counted = union_all(*parts).cte("counted")
    return union_all(
        *(
            select(literal(name), cast(counted.c[name], Text), func.sum(counted.c.n)).group_by(
                counted.c[name]
            )
            for name in _DIMENSIONS
        )
    )


def _days(shape: Shape) -> Select[Any]:
    found = select(*(_DAYS[name].label(name) for name in _DIMENSIONS), _DAYS.n.label("n"))
    found = found.where(*dimensions(shape, _DAYS))
    if shape.since:
        found = found.where(_DAYS.day >= bindparam("first_day", type_=_DAYS.day.type))
    if shape.until:
        found = found.where(_DAYS.day < bindparam("last_day", type_=_DAYS.day.type))
    return found


def _edges(shape: Shape) -> list[Select[Any]]:
    # Apart and with one bound on either side: of two SQLite may take the wider one.
    moment = _ROWS.created_at
    edges = []
    if shape.since:
        first = moment < bindparam("first_moment", type_=moment.type)
        edges.append(_rows(shape._replace(until=False)).where(first))
    if shape.until:
        last = moment >= bindparam("last_moment", type_=moment.type)
        edges.append(_rows(shape._replace(since=False)).where(last))
    return edges


def _rows(shape: Shape) -> Select[Any]:
    day: Any = _SQLITE_DAY
    if shape.postgresql:
        day = cast(func.timezone("UTC", _ROWS.created_at), Date)
    columns = [_ROWS.verb, _ROWS.channel, _ROWS.object_type, day.label("day")]
    return (
        select(*columns, func.count().label("n"))
        .where(*conditions(shape, _ROWS))
        .group_by(*columns[:3], day)
    )


def _by_day(counts: Counter[Any]) -> dict[date, int]:
    return {_day(text): counts[text] for text in sorted(counts, key=_day)}


def _day(text: str) -> date:
    """Read a day as PostgreSQL (ISO) or SQLite (number since 1970) writes it."""
    if "-" in text:
        return date.fromisoformat(text)
    return _EPOCH + timedelta(days=int(text))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
