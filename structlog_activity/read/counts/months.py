"""
Statistics from the counts: whole months from the monthly ones, the rest from days.

Every record is in an open row of the daily counts, or in its month's row, which
knows how many there were on each day. So a span of days is its open days, its whole
months, and some days of the months that it holds only a part of.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
)

from ...store.table import DAYS_OF_MONTH, user_activity_daily, user_activity_monthly
from ..conditions import Shape, dimensions


_DAYS: Final = user_activity_daily.c
_MONTHS: Final = user_activity_monthly.c
_DAY: Final = _DAYS.day.type
_KINDS: Final = ("verb", "channel", "object_type")


def month_bounds(first: date | None, last: date | None) -> dict[str, Any]:
    """
    Return the bounds of the months from *first* up to *last*, to be bound.

    Whole months are those from *first_month* up to *last_month*. What the span
    holds a part of are *low_month*, in which it begins, and *high_month*, in which
    it ends; of their days it holds those whose bit is set.
    """
    found: dict[str, Any] = {}
    low = high = 0
    if first is not None:
        found |= {"first_of": first.replace(day=1), "first_month": _month_from(first)}
        low = 0 if first.day == 1 else _bits(first.day, 32)
    if last is not None:
        found["last_month"] = last.replace(day=1)
        high = _bits(1, last.day)
    if first is not None and last is not None and found["first_month"] > found["last_month"]:
        found["first_month"] = found["last_month"]  # All of it lies within one month.
        low, high = low & high, 0
    return found | _part("low", first, low) | _part("high", last, high)


def _part(name: str, day: date | None, bits: int) -> dict[str, Any]:
    """Return a month that the span has a part of, or one that there is not."""
    if day is None:
        return {}
    return {f"{name}_month": day.replace(day=1) if bits else date.max, f"{name}_days": bits}


def _bits(first: int, beyond: int) -> int:
    """Return a number that has a bit for each of some days of a month."""
    return (1 << beyond) - (1 << first)


def counts(shape: Shape) -> list[Select[Any]]:
    """Return what selects kinds, day and number of whole days; months have no day."""
    parts = [_open_days(shape), _whole_months(shape)]
    if shape.since:
        parts.append(_part_of_month(shape, "low"))
    if shape.until:
        parts.append(_part_of_month(shape, "high"))
    return parts


def days_of_months(shape: Shape, kinds: int) -> Select[Any]:
    """
    Return what selects the span's months, with the numbers of all their days as text and no sum.

    Args:

        shape: The filter's.

        kinds: How many columns come first that say nothing of them.
    """
    # Written out: what is bound is sent and looked at again with every call.
    blank: Any = literal_column("' '")
    zero: Any = literal_column("0")
    days: Any = cast(_MONTHS.month, Text)
    for name in DAYS_OF_MONTH:
        days = days + blank + cast(func.coalesce(func.sum(_MONTHS[name]), zero), Text)
    none: list[Any] = [cast(null(), Text) for _ in range(kinds)]
    found = select(*none, days, cast(null(), BigInteger))
    within = _between(shape, _MONTHS.month, "first_of", "last_day")
    return found.where(*dimensions(shape, _MONTHS), *within).group_by(_MONTHS.month)


def days_in(text: str, first: date | None, beyond: date | None) -> Iterator[tuple[date, int]]:
    """Yield the days, from *first* up to *beyond*, of a month of `days_of_months`, with numbers."""
    name, *counted = text.split()
    month = read_day(name)
    year, number = month.year, month.month
    begin = 0 if first is None else max(0, (first - month).days)
    end = None if beyond is None else max(0, (beyond - month).days)
    for day, n in enumerate(counted[begin:end], begin + 1):
        if n != "0":
            yield date(year, number, day), int(n)


def read_day(text: str) -> date:
    """Read a day as PostgreSQL (ISO) or SQLite (number since 1970) writes it."""
    if "-" in text:
        return date.fromisoformat(text)
    return date(1970, 1, 1) + timedelta(days=int(text))


def _open_days(shape: Shape) -> Select[Any]:
    found = select(*(_DAYS[name].label(name) for name in (*_KINDS, "day")), _DAYS.n.label("n"))
    within = _between(shape, _DAYS.day, "first_day", "last_day")
    return found.where(*dimensions(shape, _DAYS), ~_DAYS.folded, *within)


def _whole_months(shape: Shape) -> Select[Any]:
    within = _between(shape, _MONTHS.month, "first_month", "last_month")
    return _months(shape, _MONTHS.n).where(*within)


def _part_of_month(shape: Shape, end: str) -> Select[Any]:
    """Return what selects a month with the sum of some of its days, which may be zero."""
    bits: Any = bindparam(f"{end}_days", type_=BigInteger)
    n: Any = literal_column("0")
    for day, name in enumerate(DAYS_OF_MONTH, 1):
        is_in = bits.bitwise_and(literal_column(str(1 << day))) != literal_column("0")
        n = n + func.coalesce(case((is_in, _MONTHS[name])), literal_column("0"))
    month: Any = bindparam(f"{end}_month", type_=_MONTHS.month.type)
    return _months(shape, n).where(_MONTHS.month == month)


def _months(shape: Shape, n: Any) -> Select[Any]:
    kinds = (_MONTHS[name].label(name) for name in _KINDS)
    found = select(*kinds, cast(null(), _DAY).label("day"), n.label("n"))
    return found.where(*dimensions(shape, _MONTHS))


def _between(shape: Shape, day: Any, first: str, beyond: str) -> list[ColumnElement[bool]]:
    """Return the conditions that a day is between two parameters, where the span has such ends."""
    found: list[ColumnElement[bool]] = []
    if shape.since:
        found.append(day >= bindparam(first, type_=_DAY))
    if shape.until:
        found.append(day < bindparam(beyond, type_=_DAY))
    if len(found) == 1 and _is_planned_once(shape):
        ever: Any = bindparam("ever", date.max, type_=_DAY)
        never: Any = bindparam("never", date.min, type_=_DAY)
        found.append(day <= ever if shape.since else day >= never)
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


def _month_from(day: date) -> date:
    """Return the first day of a month that is not before *day*, or the calendar's last one."""
    if day.day == 1 or day > date(9999, 12, 1):
        return day
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)
