"""
Statistics: whole days and months from the counts, the rest from the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    CompoundSelect,
    Date,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
    tuple_,
    union_all,
)

from ..record.times import EPOCH
from ..store.table import EpochDay, user_activity
from .conditions import Shape, conditions, has_only_dimensions, shape_of, values_of
from .connect import Bind, on_any_bind
from .filter import ActivityFilter
from .months import counts, days_in, days_of_months, month_bounds, read_day
from .page import ActivityStats
from .policy import AccessPolicy
from .shortcut import Reader, reader
from .spans import month_of
from .statements import literal as fixed


_ROWS: Final = user_activity.c
_SQLITE_DAY: Final = literal_column("user_activity.created_at / 86400000000", EpochDay)
# Parallel workers take ten times as long to start as a tenant's counts to be read, and a
# planner that takes these for scattered starts some. What it knows no worker may run
# stops it, though this is nothing: of NULL it is NULL, and not called.
_ALONE: Final = literal_column("currval(NULL) IS NULL", Boolean)
_COUNT_OF: Final = itemgetter(1)
_NO_TEXT: Final = cast(null(), Text)
DIMENSIONS: Final = ("verb", "channel", "object_type", "day")
"""What statistics tell apart."""


@on_any_bind
def stats(
    bind: Bind, where: ActivityFilter, *, policy: AccessPolicy | None = None
) -> ActivityStats:
    """
    Count the records that a filter selects.

    The result always equals counting the rows. It is read from the monthly and
    daily counts where the filter names nothing but tenant, verbs, channels,
    object type and time; only the beginnings and ends of days are then counted
    from the rows.
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
    with reader(bind) as connection:
        found = count_by(connection, where, DIMENSIONS)
    return ActivityStats(
        total=found["verb"].total(),
        by_verb=_sorted(found["verb"]),
        by_channel=_sorted(found["channel"]),
        by_object_type=_sorted(found["object_type"]),
        by_day=dict(sorted(found["day"].items())),
    )


def count_by(
    connection: Reader, where: ActivityFilter, names: tuple[str, ...]
) -> dict[str, Counter[Any]]:
    """
    Count the records that a filter selects, in each of some dimensions.

    Args:

        connection: To the database.

        where: What to count.

        names: Some of `DIMENSIONS`.
    """
    postgresql = connection.dialect.name == "postgresql"
    shape = shape_of(where, postgresql=postgresql)
    values = values_of(where, postgresql=postgresql)
    edges = _NO_EDGES
    if has_only_dimensions(shape):
        ends = _whole_days(where)
        edges = _edges_of(where, ends)
        values |= ends
    rows = connection.execute(_statement(shape, edges, names), values).all()
    counted = [row for row in rows if row[-2] is None]
    found = {name: _added(counted, at) for at, name in enumerate(_kinds(names))}
    if "day" in names:
        found["day"] = _by_day([row[-2:] for row in rows if row[-2] is not None])
    return found


def _added(rows: Iterable[Sequence[Any]], at: int) -> Counter[Any]:
    """Add up the last column of rows, by another."""
    found: dict[Any, int] = {}
    for row in rows:
        key = row[at]
        found[key] = found.get(key, 0) + row[-1]
    return Counter(found)


def _by_day(rows: Iterable[tuple[str, int]]) -> Counter[date]:
    found: Counter[date] = Counter()
    for day, n in rows:
        for one, number in days_in(day) if " " in day else [(read_day(day), n)]:
            # `get`, for what is missing a Counter asks itself.
            found[one] = found.get(one, 0) + number
    return found


def _kinds(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name != "day")


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
    first = None if since is None else _ceiling(since)
    last = None if until is None else until.date()
    if first is not None and last is not None and first > last:
        first = last  # Within one day: there is no whole one, all of it is edge.
    return {
        "first_day": first,
        "last_day": last,
        **_first_edge(since, first),
        **_last_edge(since or EPOCH, last),
        **month_bounds(first, last),
    }


# Of an edge: the moment where whole days begin or end, and the months in which
# PostgreSQL need look for its rows.


def _first_edge(since: datetime, first: date | None) -> dict[str, Any]:
    if first is None:
        return {}
    return {
        "first_moment": _midnight(first),
        "first_low": month_of(since),
        "first_high": month_of(first, 1),
    }


def _last_edge(since: datetime, last: date | None) -> dict[str, Any]:
    if last is None:
        return {}
    return {
        "last_moment": max(_midnight(last), since),
        "last_low": month_of(last),
        "last_high": month_of(last, 1),
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
def _statement(
    shape: Shape, edges: Edges, names: tuple[str, ...]
) -> Select[Any] | CompoundSelect[Any]:
    """One statement, so that months, days and edges are of the same moment."""
    from_counts = has_only_dimensions(shape)
    parts = [*_edges(shape, edges), *counts(shape)] if from_counts else [_rows(shape)]
    counted = union_all(*parts)
    kinds = _kinds(names)
    if not shape.postgresql:
        selected: list[Any] = _one_by_one(counted, kinds, by_day="day" in names)
    else:
        found = _in_one_pass(counted, kinds, by_day="day" in names)
        selected = [found.having(_ALONE) if from_counts and shape.tenant else found]
    if from_counts and "day" in names:
        selected.append(days_of_months(shape, len(kinds)))
    return union_all(*selected)


# By all kinds at once, and by day. That gives more rows than each kind by itself, but
# not many, and is half of the work; whoever reads them adds them up.


def _in_one_pass(
    counted: CompoundSelect[Any], kinds: tuple[str, ...], *, by_day: bool
) -> Select[Any]:
    found = counted.subquery("counted").c
    keys = [found[name] for name in kinds]
    if not by_day:
        return select(*keys, _NO_TEXT, _sum(found.n)).group_by(*keys)
    day = cast(found.day, Text)
    groups = func.grouping_sets(tuple_(*keys), tuple_(found.day))
    selected = select(*keys, day, _sum(found.n)).group_by(groups)
    # Neither is set where whole months, which have no day, are counted by day.
    return selected.having(func.coalesce(cast(keys[0], Text), day).is_not(None))


def _sum(n: Any) -> Any:
    return cast(func.sum(n), BigInteger)  # PostgreSQL's own is a decimal, which is slow to read.


def _one_by_one(counted: CompoundSelect[Any], kinds: tuple[str, ...], *, by_day: bool) -> list[Any]:
    found = counted.cte("counted").c
    keys = [found[name] for name in kinds]
    selected = [select(*keys, _NO_TEXT, _sum(found.n)).group_by(*keys)]
    if by_day:
        none, day = [_NO_TEXT for _ in kinds], cast(found.day, Text)
        days = select(*none, day, _sum(found.n)).where(found.day.is_not(None))
        selected.append(days.group_by(found.day))
    return selected


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


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(sorted(counts.items()), key=_COUNT_OF, reverse=True))
