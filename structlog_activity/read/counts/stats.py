"""
Statistics: whole days and months from the counts, the rest from the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
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

from ...store.table import EpochDay, user_activity
from ..conditions import Selection, Shape, conditions, has_only_dimensions, selection
from ..connect import Bind, on_any_bind
from ..dates import midnight, month_of
from ..filter import ActivityFilter
from ..page import ActivityStats
from ..policy import AccessPolicy
from ..shortcut import Reader, reader
from ..statements import literal as fixed
from .months import counts, days_in, days_of_months, month_bounds, read_day


_ROWS: Final = user_activity.c
_SQLITE_DAY: Final = literal_column("user_activity.created_at / 86400000000", EpochDay)
# Parallel workers take ten times as long to start as a tenant's counts to be read, and a
# planner that takes these for scattered starts some. What it knows no worker may run
# stops it, though this is nothing: of NULL it is NULL, and not called.
_ALONE: Final = literal_column("currval(NULL) IS NULL", Boolean)
_HALF: Final = timedelta(hours=12)
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
        found = count_by(connection, selection(where, connection.dialect), DIMENSIONS)
    return ActivityStats(
        total=found["verb"].total(),
        by_verb=_sorted(found["verb"]),
        by_channel=_sorted(found["channel"]),
        by_object_type=_sorted(found["object_type"]),
        by_day=dict(sorted(found["day"].items())),
    )


def count_by(
    connection: Reader, asked: Selection, names: tuple[str, ...]
) -> dict[str, Counter[Any]]:
    """
    Count the records that a filter selects, in each of some dimensions.

    Args:

        connection: To the database.

        asked: What to count.

        names: Some of `DIMENSIONS`.
    """
    edges, values = _NO_EDGES, asked.values
    if has_only_dimensions(asked.shape):
        edges, ends = _whole_days(asked.where)
        values = values | ends
    rows = connection.execute(_statement(asked.shape, edges, names), values).all()
    # Parts of months, and days less a part of them, have kinds without a record.
    counted = [row for row in rows if row[-2] is None and row[-1]]
    found = {name: _added(counted, at) for at, name in enumerate(_kinds(names))}
    if "day" in names:
        days = [row[-2:] for row in rows if row[-2] is not None]
        found["day"] = _by_day(days, values.get("first_day"), values.get("last_day"))
    return found


def _added(rows: Iterable[Sequence[Any]], at: int) -> Counter[Any]:
    """Add up the last column of rows, by another."""
    found: dict[Any, int] = {}
    for row in rows:
        key = row[at]
        found[key] = found.get(key, 0) + row[-1]
    return Counter(found)


def _by_day(
    rows: Iterable[tuple[str, int]], first: date | None, beyond: date | None
) -> Counter[date]:
    """Add up days, of months, whose own number is none, those from *first* up to *beyond*."""
    found: dict[date, int] = {}
    for text, n in rows:
        is_month = " " in text
        for day, number in days_in(text, first, beyond) if is_month else [(read_day(text), n)]:
            found[day] = found.get(day, 0) + number
    return Counter({day: n for day, n in found.items() if n})


def _kinds(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name != "day")


class Edges(NamedTuple):
    """
    Which ends of a span lie within a day, so that rows are to be counted there.

    1: those of the span are added to whole days. -1: the day counts as a whole,
    and those of it beyond the span, which are fewer, are taken away. 0: none.

    Attributes:

        first: The beginning.

        last: The end.
    """

    first: int
    last: int


_NO_EDGES: Final = Edges(first=0, last=0)


def _whole_days(where: ActivityFilter) -> tuple[Edges, dict[str, Any]]:
    """Return the edges of the filter's span, and the bounds of its whole days, months and edges."""
    since: Any = where.since
    until: Any = where.until
    if since is not None and until is not None and since.date() >= until.date():
        return _within_day(since, until)
    first, first_sign, first_edge = _cut("first", since, after=1)
    last, last_sign, last_edge = _cut("last", until, after=-1)
    ends = {"first_day": first, "last_day": last} | first_edge | last_edge
    return Edges(first_sign, last_sign), ends | month_bounds(first, last)


def _within_day(since: datetime, until: datetime) -> tuple[Edges, dict[str, Any]]:
    """There is no whole day; all of the span is edge, if it is one at all."""
    day = since.date()
    ends = {"first_day": day, "last_day": day} | _edge("first", since, max(since, until))
    return Edges(1, 0), ends | month_bounds(day, day)


def _cut(
    name: str, moment: datetime | None, *, after: int
) -> tuple[date | None, int, dict[str, Any]]:
    """
    Return the day whose midnight is nearest to an end of the span, and the edge between.

    Args:

        name: The edge's.

        moment: The end; `None` is no bound.

        after: The sign of the edge where the midnight comes after the end.
    """
    if moment is None:
        return None, 0, {}
    day = moment.date()
    if moment - midnight(day) > _HALF and day != date.max:
        day += timedelta(days=1)
    whole = midnight(day)
    if moment == whole:
        return day, 0, {}
    return day, after if whole > moment else -after, _edge(name, *sorted((moment, whole)))


def _edge(name: str, begin: datetime, end: datetime) -> dict[str, Any]:
    """Return an edge's bounds, with the months in which PostgreSQL need look for its rows."""
    low, high = month_of(begin), month_of(begin, 1)
    return {f"{name}_begin": begin, f"{name}_end": end, f"{name}_low": low, f"{name}_high": high}


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
    # Each by itself and with one bound on either side: of two SQLite may take the wider one.
    days = shape._replace(since=False, until=False)
    moment = _ROWS.created_at
    found = []
    for name, sign in edges._asdict().items():
        begin, end = (bindparam(f"{name}_{at}", type_=moment.type) for at in ("begin", "end"))
        if sign:
            rows = _rows(days, sign).where(moment >= begin, moment < end)
            found.append(_within(rows, name) if shape.postgresql else rows)
    return found


def _within(rows: Select[Any], edge: str) -> Select[Any]:
    """Keep to the month of an edge, also in a statement that is prepared."""
    moment = _ROWS.created_at
    low, high = (fixed(f"{edge}_{end}", moment.type) for end in ("low", "high"))
    return rows.where(moment >= low, moment < high)


def _rows(shape: Shape, sign: int = 1) -> Select[Any]:
    day: Any = _SQLITE_DAY
    if shape.postgresql:
        day = cast(func.timezone("UTC", _ROWS.created_at), Date)
    columns = [_ROWS.verb, _ROWS.channel, _ROWS.object_type, day.label("day")]
    n: Any = func.count()
    return (
        select(*columns, (n if sign > 0 else -n).label("n"))
        .where(*conditions(shape, _ROWS))
        .group_by(*columns[:3], day)
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(sorted(counts.items()), key=_COUNT_OF, reverse=True))
