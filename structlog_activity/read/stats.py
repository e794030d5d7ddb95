"""
Statistics: whole days from the daily counts, the rest from the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple

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
    tuple_,
    union_all,
)

from ..record.times import EPOCH
from ..store.table import EpochDay, user_activity, user_activity_daily
from .conditions import Shape, conditions, dimensions, has_only_dimensions, shape_of, values_of
from .connect import Bind, on_any_bind, reading
from .filter import ActivityFilter
from .page import ActivityStats
from .spans import month_of
from .statements import literal as fixed


_ROWS: Final = user_activity.c
_DAYS: Final = user_activity_daily.c
_SQLITE_DAY: Final = literal_column("user_activity.created_at / 86400000000", EpochDay)
_DIMENSIONS: Final = ("verb", "channel", "object_type", "day")
_EPOCH: Final = date(1970, 1, 1)


@on_any_bind
def stats(bind: Bind, where: ActivityFilter) -> ActivityStats:
    """
    Count the records that a filter selects.

    The result always equals counting the rows. It is read from the daily counts
    where the filter names nothing but tenant, verbs, channels, object type and
    time; only the beginnings and ends of days are then counted from the rows.
    Paging has no meaning here: limit, offset, cursors and total are not looked at.

    Args:

        bind: Engine, connection or session of the database.

        where: What to count.

    Raises:

        RepositoryError: The database can't be read.

    .. versionadded:: 0.1.0
    """
    with reading(bind) as connection:
        postgresql = connection.dialect.name == "postgresql"
        shape = shape_of(where, postgresql=postgresql)
        values = values_of(where, postgresql=postgresql)
        if has_only_dimensions(shape):
            ends = _whole_days(where)
            counted = connection.execute(_statement(shape, _edges_of(where, ends)), values | ends)
        else:
            counted = connection.execute(_statement(shape, _NO_EDGES), values)
        counts = _folded(counted, postgresql=postgresql)
    return ActivityStats(
        total=counts["verb"].total(),
        by_verb=_sorted(counts["verb"]),
        by_channel=_sorted(counts["channel"]),
        by_object_type=_sorted(counts["object_type"]),
        by_day=_by_day(counts["day"]),
    )


class Edges(NamedTuple):
    """
    Which ends of a span are no whole days, so that rows are to be counted there.

    Attributes:

        first: The beginning.

        last: The end.
    """

    first: bool
    last: bool


_NO_EDGES: Final = Edges(first=False, last=False)


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
        # The months of both edges, in which PostgreSQL need look for rows.
        "first_low": month_of(since) if first else None,
        "first_high": month_of(first, 1) if first else None,
        "last_low": month_of(last) if last else None,
        "last_high": month_of(last, 1) if last else None,
    }


def _edges_of(where: ActivityFilter, ends: dict[str, Any]) -> Edges:
    since: Any = where.since
    until: Any = where.until
    return Edges(
        first=since is not None and since < ends["first_moment"],
        last=until is not None and ends["last_moment"] < until,
    )


def _ceiling(moment: datetime) -> date:
    day = moment.date()
    if moment == _midnight(day) or day == date.max:
        return day
    return day + timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


@lru_cache(maxsize=512)
def _statement(shape: Shape, edges: Edges) -> Select[Any] | CompoundSelect[Any]:
    """One statement, so that counts and edges are of the same moment."""
    if has_only_dimensions(shape):
        counted = union_all(*_edges(shape, edges), _days(shape))
    else:
        counted = union_all(_rows(shape))
    return _in_one_pass(counted) if shape.postgresql else _in_four(counted)


def _in_one_pass(counted: CompoundSelect[Any]) -> Select[Any]:
    """Sum per kind, of which there are few, and per day."""
    found = counted.subquery("counted").c
    *kind, day = (found[name] for name in _DIMENSIONS)
    grouped = func.grouping_sets(tuple_(*kind), tuple_(day))
    return select(*kind, day, func.sum(found.n)).group_by(grouped)


def _in_four(counted: CompoundSelect[Any]) -> CompoundSelect[Any]:
    found = counted.cte("counted").c
    return union_all(
        *(
            select(literal(name), cast(found[name], Text), func.sum(found.n)).group_by(found[name])
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


def _edges(shape: Shape, edges: Edges) -> list[Select[Any]]:
    # Apart and with one bound on either side: of two SQLite may take the wider one.
    moment = _ROWS.created_at
    found = []
    if edges.first:
        first = moment < bindparam("first_moment", type_=moment.type)
        rows = _rows(shape._replace(until=False)).where(first)
        found.append(_within(rows, "first") if shape.postgresql else rows)
    if edges.last:
        last = moment >= bindparam("last_moment", type_=moment.type)
        rows = _rows(shape._replace(since=False)).where(last)
        found.append(_within(rows, "last") if shape.postgresql else rows)
    return found


def _within(rows: Select[Any], edge: str) -> Select[Any]:
    """Keep to the months of an edge, also in a statement that is prepared."""
    moment = _ROWS.created_at
    low, high = (fixed(f"{edge}_{end}", moment.type) for end in ("low", "high"))
    return rows.where(moment >= low, moment < high)


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


def _folded(counted: Iterable[Any], *, postgresql: bool) -> dict[str, Counter[Any]]:
    """Return the counts of each key, per dimension."""
    counts: dict[str, Counter[Any]] = {name: Counter() for name in _DIMENSIONS}
    if not postgresql:
        for dimension, key, n in counted:
            counts[dimension][key] += n
        return counts
    for *kind, day, n in counted:
        keys = zip(_DIMENSIONS, kind, strict=False) if day is None else (("day", day),)
        for dimension, key in keys:
            counts[dimension][key] += int(n)
    return counts


def _by_day(counts: Counter[Any]) -> dict[date, int]:
    days = {_day(key): n for key, n in counts.items()}
    return dict(sorted(days.items()))


def _day(key: date | str) -> date:
    """Read a day as PostgreSQL has it, or as SQLite writes the number of days since 1970."""
    return key if isinstance(key, date) else _EPOCH + timedelta(days=int(key))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
