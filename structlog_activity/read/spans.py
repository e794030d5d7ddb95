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
    if (found := extremes()) is not None:
        first, last = map(_midnight, found)
        if last < low:
            high, top = month_of(found[1], 1), last
        if first < low:
            bottom = month_of(max(first, since or first))
            yield from _wider(Span(month_of(top, -_SECOND), high), Span(bottom, high))


def _upwards(where: ActivityFilter, at: datetime | None, extremes: Extremes) -> Iterator[Span]:
    until, starts = _until(where), [start for start in (at, _since(where)) if start is not None]
    bottom = max(starts) if starts else datetime(1, 1, 1, tzinfo=UTC)
    low, high = month_of(bottom), month_of(bottom, _FIRST + 1)
    if high is None or (until is not None and until <= high):
        yield Span(low, month_of(until, 1) if until else None)
        return
    yield Span(low, high)
    if (found := extremes()) is not None:
        first, last = map(_midnight, found)
        if last >= high:
            top = month_of(min(last, until or last), 1)
            high = month_of(max(bottom, first), _SECOND + 1)
            yield from _wider(Span(low, high), Span(low, top))


def _wider(some: Span, all_: Span) -> Iterator[Span]:
    """Yield both spans, or the second only where the first is no smaller."""
    if _is_above(some.low, all_.low) or _is_above(all_.high, some.high):
        yield some
    yield all_


def _is_above(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other


def _since(where: ActivityFilter) -> datetime | None:
    return where.since if isinstance(where.since, datetime) else None


def _until(where: ActivityFilter) -> datetime | None:
    return where.until if isinstance(where.until, datetime) else None


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
