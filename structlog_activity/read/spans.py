"""
Spans of months that a page is looked for in, so that PostgreSQL plans few partitions.

Planning a statement costs with every partition that it may touch, and a page
lies in one or two of them. So the months around its place are asked first, and
wider ones only if those do not fill it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from .filter import ActivityFilter


_FIRST: Final = 2
_SECOND: Final = 24


class Span(NamedTuple):
    """
    Whole months; `None` is without bound.

    Attributes:

        low: The first moment.

        high: The first moment after it.
    """

    low: datetime | None
    high: datetime | None


Extremes = Callable[[], tuple[date, date] | None]


def spans(
    where: ActivityFilter, at: datetime | None, extremes: Extremes, *, ascending: bool
) -> Iterator[Span]:
    """
    Yield spans, each holding the one before; the last holds all that is wanted.

    Args:

        where: The filter, whose *since* and *until* no span needs to pass.

        at: Where the page begins; `None` is the newest or oldest end.

        extremes: Called when the first span was not enough; returns the days of the
            tenant's first and last records, `None` where it has none.

        ascending: Whether the page goes from old to new.
    """
    return _upwards(where, at, extremes) if ascending else _downwards(where, at, extremes)


def month_of(day: date, plus: int = 0) -> datetime | None:
    """Return the first moment of the month of *day*, some months on; `None` beyond the calendar."""
    years, rest = divmod(day.year * 12 + day.month - 1 + plus, 12)
    if not date.min.year <= years <= date.max.year:
        return None
    return datetime(years, rest + 1, 1, tzinfo=UTC)


def _downwards(where: ActivityFilter, at: datetime | None, extremes: Extremes) -> Iterator[Span]:
    since, ends = _since(where), [end for end in (at, _until(where)) if end is not None]
    top = min(ends) if ends else datetime.now(UTC)
    high = month_of(top, 1) if ends else None
    low = month_of(top, -_FIRST)
    if low is None or (since is not None and since >= low):
        yield Span(month_of(since) if since else None, high)
        return
    yield Span(low, high)
    found = extremes()
    if found is None or _midnight(found[0]) >= low:
        return
    if _midnight(found[1]) < low:
        high, top = month_of(found[1], 1), _midnight(found[1])
    bottom = month_of(max(_midnight(found[0]), since or _midnight(found[0])))
    low = month_of(top, -_SECOND)
    if low is not None and bottom is not None and low > bottom:
        yield Span(low, high)
    yield Span(bottom, high)


def _upwards(where: ActivityFilter, at: datetime | None, extremes: Extremes) -> Iterator[Span]:
    until, starts = _until(where), [start for start in (at, _since(where)) if start is not None]
    bottom = max(starts) if starts else datetime(1, 1, 1, tzinfo=UTC)
    low, high = month_of(bottom), month_of(bottom, _FIRST + 1)
    if high is None or (until is not None and until <= high):
        yield Span(low, month_of(until, 1) if until else None)
        return
    yield Span(low, high)
    found = extremes()
    if found is None or _midnight(found[1]) < high:
        return
    top = month_of(min(_midnight(found[1]), until or _midnight(found[1])), 1)
    high = month_of(max(bottom, _midnight(found[0])), _SECOND + 1)
    if high is not None and top is not None and high < top:
        yield Span(low, high)
    yield Span(low, top)


def _since(where: ActivityFilter) -> datetime | None:
    return where.since if isinstance(where.since, datetime) else None


def _until(where: ActivityFilter) -> datetime | None:
    return where.until if isinstance(where.until, datetime) else None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
