"""
Records counted per piece of time: whole days from the daily counts, the rest from the rows.
"""

from __future__ import annotations

import json
import math

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Integer,
    Select,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)

from ...record.times import from_microseconds, to_microseconds
from ...store.table import user_activity, user_activity_daily
from ..conditions import Selection, Shape, conditions, dimensions, has_only_dimensions
from ..dates import Span, midnight, month_of, next_midnight, whole_days
from ..shortcut import Reader
from ..statements import Cut, bounds, within
from .buckets import Piece


_ROWS: Final = user_activity.c
_DAYS: Final = user_activity_daily.c
_MOMENT: Final = _ROWS.created_at.type
_PG_EPOCH: Final[Any] = literal_column("TIMESTAMPTZ '1970-01-01 00:00:00+00'")
_MICROSECOND: Final = timedelta(microseconds=1)


def ends_of(connection: Reader, asked: Selection) -> tuple[datetime, datetime] | None:
    """
    Return the first and last moment of a timeline, `None` if it is empty.

    They are the filter's, and where it has none, the first or last record's, or
    that one's day's.
    """
    first, last = asked.since, asked.until and asked.until - _MICROSECOND
    if first is None or last is None:
        found = _extremes(connection, asked)
        if found is None:
            return None
        first, last = first or found[0], last or found[1]
    return (first, last) if first <= last else None


def counts_of(connection: Reader, asked: Selection, pieces: Sequence[Piece]) -> Counter[int]:
    """Return how many records there are in each bucket."""
    if has_only_dimensions(asked.shape):
        days, parts = _apart(asked, pieces)
        total = sum((last - first).days for first, last, _ in days)
        if total >= len(parts) and (asked.shape.tenant or not parts):
            return _in_days(connection, asked, days) + _in_parts(connection, asked, parts)
    return _in_one_go(connection, asked, pieces)


def _extremes(connection: Reader, asked: Selection) -> tuple[datetime, datetime] | None:
    by_day = has_only_dimensions(asked.shape)
    statement = _day_extremes_statement if by_day else _row_extremes_statement
    values = asked.values | {"first_day": asked.since and asked.since.date()}
    first, last = connection.execute(statement(asked.shape), values).one()
    if first is None:
        return None
    return (midnight(first), next_midnight(last) - _MICROSECOND) if by_day else (first, last)


@lru_cache(maxsize=512)
def _day_extremes_statement(shape: Shape) -> Select[Any]:
    found = select(func.min(_DAYS.day), func.max(_DAYS.day)).where(*dimensions(shape, _DAYS))
    if shape.since:
        found = found.where(_DAYS.day >= bindparam("first_day", type_=_DAYS.day.type))
    return found


@lru_cache(maxsize=512)
def _row_extremes_statement(shape: Shape) -> Select[Any]:
    moment = _ROWS.created_at
    return select(func.min(moment), func.max(moment)).where(*conditions(shape, _ROWS))


def _apart(
    asked: Selection, pieces: Iterable[Piece]
) -> tuple[list[tuple[date, date, int]], list[Piece]]:
    """Return whole days with their bucket, and what of the pieces is no whole day."""
    days: list[tuple[date, date, int]] = []
    parts: list[Piece] = []
    for piece in pieces:
        start = max(piece.start, asked.since or piece.start)
        end = min(piece.end, asked.until or piece.end)
        if start < end:
            whole = whole_days(start, end)
            if whole.first < whole.last:
                days.append((whole.first, whole.last, piece.bucket))
            parts += [Piece(*rest, piece.bucket) for rest in whole.rest]
    return days, parts


def _in_days(
    connection: Reader, asked: Selection, days: list[tuple[date, date, int]]
) -> Counter[int]:
    counts: Counter[int] = Counter()
    if not days:
        return counts
    starts = [first for first, _, _ in days]
    values = {"first_day": starts[0], "last_day": days[-1][1]}
    for day, n in connection.execute(_days_statement(asked.shape), asked.values | values):
        _, last, bucket = days[bisect_right(starts, day) - 1]
        if day < last:
            counts[bucket] += int(n)
    return counts


@lru_cache(maxsize=512)
def _days_statement(shape: Shape) -> Select[Any]:
    day = _DAYS.day
    return (
        select(day, func.sum(_DAYS.n))
        .where(
            *dimensions(shape, _DAYS),
            day >= bindparam("first_day", type_=day.type),
            day < bindparam("last_day", type_=day.type),
        )
        .group_by(day)
    )


def _in_parts(connection: Reader, asked: Selection, parts: list[Piece]) -> Counter[int]:
    counts: Counter[int] = Counter()
    if not parts:
        return counts
    if asked.shape.postgresql:
        span = Span(month_of(parts[0].start), month_of(parts[-1].end, 1))
        values: dict[str, Any] = {
            "low": span.low,
            "high": span.high,
            "starts": [part.start for part in parts],
            "ends": [part.end for part in parts],
        }
    else:
        span = Span(None, None)
        ends = [(to_microseconds(part.start), to_microseconds(part.end)) for part in parts]
        values = {"parts": json.dumps(ends)}
    statement = _parts_statement(asked.shape, bounds(span))
    for i, n in connection.execute(statement, asked.values | values):
        counts[parts[i].bucket] += n
    return counts


@lru_cache(maxsize=512)
def _parts_statement(shape: Shape, cut: Cut) -> Select[Any]:
    """Count the rows of each part, each by a range of the index."""
    number: Any
    start: Any
    end: Any
    if shape.postgresql:
        ends = (bindparam(name, type_=ARRAY(_MOMENT)) for name in ("starts", "ends"))
        parts = func.unnest(*ends).table_valued(
            column("start", _MOMENT), column("end", _MOMENT),
            with_ordinality="number", name="part",
        ).render_derived()  # fmt: skip
        number, start, end = cast(parts.c.number - 1, Integer), parts.c.start, parts.c.end
    else:
        parts = func.json_each(bindparam("parts")).table_valued("key", "value", name="part")
        number = parts.c.key
        start, end = (func.json_extract(parts.c.value, f"$[{i}]", type_=BigInteger) for i in (0, 1))
    whole = shape._replace(since=False, until=False)
    moment = _ROWS.created_at
    rows = (
        select(func.count())
        .select_from(user_activity)
        .where(*conditions(whole, _ROWS), moment >= start, moment < end, *within(cut))
    )
    return select(number, rows.correlate(parts).scalar_subquery())


def _in_one_go(connection: Reader, asked: Selection, pieces: Sequence[Piece]) -> Counter[int]:
    """Count all rows in one go: PostgreSQL per piece, SQLite in slots that no piece cuts."""
    starts = [piece.start for piece in pieces]
    first, last = starts[0], pieces[-1].end
    values: dict[str, Any] = {"first": first, "last": last}
    span = Span(None, None)
    if asked.shape.postgresql:
        span = Span(month_of(first), month_of(last, 1))
        values |= {"starts": starts, "low": span.low, "high": span.high}
    else:
        ends = (to_microseconds(piece.end) - to_microseconds(first) for piece in pieces)
        values |= {"origin": to_microseconds(first), "step": math.gcd(*ends)}
    counts: Counter[int] = Counter()
    statement = _slots_statement(asked.shape, bounds(span))
    for slot, n in connection.execute(statement, asked.values | values):
        i = slot if asked.shape.postgresql else bisect_right(starts, from_microseconds(slot))
        counts[pieces[i - 1].bucket] += n
    return counts


@lru_cache(maxsize=512)
def _slots_statement(shape: Shape, cut: Cut) -> Select[Any]:
    moment = _ROWS.created_at
    slot: Any
    if shape.postgresql:
        slot = func.width_bucket(moment, bindparam("starts", type_=ARRAY(_MOMENT)), type_=Integer)
    else:
        origin, step = (bindparam(name, type_=BigInteger) for name in ("origin", "step"))
        number = literal_column("user_activity.created_at", BigInteger)
        slot = number - (number - origin) % step
    slots = (
        select(slot.label("slot"))
        .where(
            *conditions(shape, _ROWS),
            *within(cut),
            moment >= bindparam("first", type_=_MOMENT),
            moment < bindparam("last", type_=_MOMENT),
        )
        .subquery()
    )
    return select(slots.c.slot, func.count()).group_by(slots.c.slot)
