"""
What the daily counts know of where records lie.
"""

from __future__ import annotations

from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Integer, Select, and_, bindparam, func, or_, select

from ...store.table import user_activity_daily
from ..conditions import Selection, Shape, dimensions, has_only_dimensions
from ..dates import midnight, next_midnight
from ..shortcut import Reader
from ..statements import literal


_DAYS: Final = user_activity_daily.c


class VerbDay(NamedTuple):
    """
    A verb on a day on which there are records of it.

    Attributes:

        verb: The verb.

        morning: The day's first moment.

        night: The next day's.
    """

    verb: str
    morning: datetime
    night: datetime


def is_scattered(shape: Shape) -> bool:
    """Tell whether records may lie anywhere in the tenant's feed, but the counts know where."""
    by_kind = shape.channels or shape.denied or "object_type" in shape.equal
    unindexed = shape.prefixes or (by_kind and not shape.verbs)
    return bool(shape.tenant and unindexed and has_only_dimensions(shape))


def verb_days(
    connection: Reader,
    asked: Selection,
    at: datetime | None,
    *,
    reach: int,
    ascending: bool,
) -> list[VerbDay]:
    """
    Return the days and verbs that hold the next *reach* records, or all there are.

    Args:

        connection: To the database.

        asked: What is looked for, which must be scattered.

        at: Where the page begins.

        reach: How many records are wanted.

        ascending: Whether the page goes from old to new.
    """
    edge = _edge(asked, at, ascending=ascending)
    bounds = {"reach": reach, "edge": edge, "first": _day(asked.since), "last": _day(asked.until)}
    rows = connection.execute(_statement(asked.shape, ascending), asked.values | bounds).all()
    found: list[VerbDay] = []
    count, latest = 0, None
    for day, verb, n in rows:
        if day != latest and count >= reach:
            break
        latest = day
        count += 0 if day == edge else int(n)  # Some of the edge's may lie beyond it.
        found.append(VerbDay(verb, midnight(day), next_midnight(day)))
    return found


@lru_cache(maxsize=512)
def _statement(shape: Shape, ascending: bool) -> Select[Any]:  # noqa: FBT001  For the cache.
    day = _DAYS.day
    edge: Any = bindparam("edge", type_=day.type)
    chosen = dimensions(shape, _DAYS)
    if shape.since:
        chosen.append(day >= bindparam("first", type_=day.type))
    if shape.until:
        chosen.append(day <= bindparam("last", type_=day.type))
    beyond = day > edge if ascending else day < edge
    order = day if ascending else day.desc()
    # Each row counts one record at least, so that many rows hold enough of them.
    far = select(day).where(*chosen, beyond).order_by(order).limit(literal("reach", Integer))
    end: Any = func.max if ascending else func.min
    farthest = select(end(far.subquery("far").c.day)).scalar_subquery()
    within = and_(beyond, day <= farthest if ascending else day >= farthest)
    return (
        select(day, _DAYS.verb, func.sum(_DAYS.n))
        .where(*chosen, or_(day == edge, within))
        .group_by(day, _DAYS.verb)
        .order_by(order)
    )


def _edge(asked: Selection, at: datetime | None, *, ascending: bool) -> date:
    """Return the day on which the page begins, which it may not have to itself."""
    bound = asked.since if ascending else asked.until
    ends = [end for end in (at, bound) if end is not None]
    if ascending:
        return max(ends).date() if ends else date.min
    return min(ends).date() if ends else date.max


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()
