"""
Statistics from the counts: whole months from the monthly ones, the rest from days.

Every record is in an open row of the daily counts, or in a folded one and then
in its month's row as well. So a span of days is its open days, its whole months,
and the folded days of those months that it holds only a part of.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    null,
    select,
)

from ..store.table import DAYS_OF_MONTH, user_activity_daily, user_activity_monthly
from .conditions import Shape, dimensions


_DAYS: Final = user_activity_daily.c
_MONTHS: Final = user_activity_monthly.c
_DAY: Final = _DAYS.day.type
_KINDS: Final = ("verb", "channel", "object_type")


def month_bounds(first: date | None, last: date | None) -> dict[str, date | None]:
    """
    Return the bounds of the whole months from *first* up to *last*, to be bound.

    Where there is no whole month both are *last*, so that all of the span lies
    before them.
    """
    first_month = None if first is None else _month_from(first)
    last_month = None if last is None else last.replace(day=1)
    if first_month is not None and last_month is not None and first_month > last_month:
        first_month = last_month = last
    return {"first_month": first_month, "last_month": last_month}


def counts(shape: Shape) -> list[Select[Any]]:
    """Return what selects kinds, day and number of whole days; whole months have no day."""
    since, until = ("first_day" if shape.since else ""), ("last_day" if shape.until else "")
    parts = [_days(shape, ~_DAYS.folded, since, until), _whole_months(shape)]
    if shape.since:
        parts.append(_days(shape, _DAYS.folded, since, "first_month"))
    if shape.until:
        parts.append(_days(shape, _DAYS.folded, "last_month", until))
    return parts


def days_of_months(shape: Shape, kinds: int) -> Select[Any]:
    """
    Return what selects whole months, with the numbers of their days as text.

    Args:

        shape: The filter's.

        kinds: How many columns come first that say nothing of them.
    """
    # Written out: what is bound is sent and looked at again with every call.
    blank, zero = literal_column("' '", Text), literal_column("0", Integer)
    days: Any = cast(_MONTHS.month, Text)
    for name in DAYS_OF_MONTH:
        days = days + blank + cast(func.coalesce(func.sum(_MONTHS[name]), zero), Text)
    none: list[Any] = [cast(null(), Text) for _ in range(kinds)]
    found = select(*none, days, cast(func.sum(_MONTHS.n), BigInteger))
    return found.where(*_within_months(shape)).group_by(_MONTHS.month)


def days_in(text: str) -> Iterator[tuple[date, int]]:
    """Yield the days of a month of `days_of_months`, and their numbers."""
    first, *counted = text.split()
    month = read_day(first)
    year, number = month.year, month.month
    for day, n in enumerate(counted, 1):
        if n != "0":
            yield date(year, number, day), int(n)


def read_day(text: str) -> date:
    """Read a day as PostgreSQL (ISO) or SQLite (number since 1970) writes it."""
    if "-" in text:
        return date.fromisoformat(text)
    return date(1970, 1, 1) + timedelta(days=int(text))


def _days(shape: Shape, state: ColumnElement[bool], first: str, beyond: str) -> Select[Any]:
    found = select(*(_DAYS[name].label(name) for name in (*_KINDS, "day")), _DAYS.n.label("n"))
    return found.where(*dimensions(shape, _DAYS), state, *_between(shape, _DAYS.day, first, beyond))


def _between(shape: Shape, day: Any, first: str, beyond: str) -> list[ColumnElement[bool]]:
    """Return the conditions that a day is between two parameters, each of which may be ``""``."""
    found: list[ColumnElement[bool]] = []
    if first:
        found.append(day >= bindparam(first, type_=_DAY))
    if beyond:
        found.append(day < bindparam(beyond, type_=_DAY))
    if len(found) == 1 and _is_planned_once(shape):
        ever: Any = bindparam("ever", date.max, type_=_DAY)
        never: Any = bindparam("never", date.min, type_=_DAY)
        found.append(day <= ever if first else day >= never)
    return found


def _is_planned_once(shape: Shape) -> bool:
    """
    Tell whether PostgreSQL is to have one plan for any days.

    Planning takes half of the time of such a statement. It is done anew for each call
    as long as a plan for any values looks dearer than one for these; between two
    parameters PostgreSQL expects few days, beyond one a third of all. Nor could there
    be another plan than by the tenant's part of the key.
    """
    return shape.postgresql and shape.tenant


def _whole_months(shape: Shape) -> Select[Any]:
    kinds = (_MONTHS[name].label(name) for name in _KINDS)
    day: Any = cast(null(), _DAY)
    return select(*kinds, day.label("day"), _MONTHS.n.label("n")).where(*_within_months(shape))


def _within_months(shape: Shape) -> list[ColumnElement[bool]]:
    first, beyond = ("first_month" if shape.since else ""), ("last_month" if shape.until else "")
    return [*dimensions(shape, _MONTHS), *_between(shape, _MONTHS.month, first, beyond)]


def _month_from(day: date) -> date:
    """Return the first day of a month that is not before *day*, or the calendar's last one."""
    if day.day == 1 or day > date(9999, 12, 1):
        return day
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)
