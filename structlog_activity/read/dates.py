"""
Where days and months begin and end, in UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple


class Span(NamedTuple):
    """
    Whole months; `None` is without bound.

    Attributes:

        low: The first moment.

        high: The first moment after it.
    """

    low: datetime | None
    high: datetime | None


class WholeDays(NamedTuple):
    """
    A span of time as whole days and the rest.

    Attributes:

        first: The first day.

        last: The first day after them.

        rest: The spans at either end that are no whole days.
    """

    first: date
    last: date
    rest: list[tuple[datetime, datetime]]


def month_of(day: date, plus: int = 0) -> datetime | None:
    """Return the first moment of the month of *day*, some months on; `None` beyond the calendar."""
    return _month(day.year * 12 + day.month - 1 + plus)


@lru_cache(maxsize=1024)
def _month(number: int) -> datetime | None:
    years, rest = divmod(number, 12)
    if not date.min.year <= years <= date.max.year:
        return None
    return datetime(years, rest + 1, 1, tzinfo=UTC)


def midnight(day: date) -> datetime:
    """Return the first moment of *day*."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def next_midnight(day: date) -> datetime:
    """Return the first moment after *day*; on the calendar's last day its last moment."""
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return midnight(day + timedelta(days=1))


def whole_days(start: datetime, end: datetime) -> WholeDays:
    """Take the span from *start* up to *end* apart into whole days and what is left."""
    last = end.date()
    first = start.date() if start == midnight(start.date()) else next_midnight(start.date()).date()
    if first >= last:
        return WholeDays(first, first, [(start, end)])
    rest = [(start, midnight(first)), (midnight(last), end)]
    return WholeDays(first, last, [(begin, stop) for begin, stop in rest if begin < stop])
