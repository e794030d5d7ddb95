"""
Spans of months that a page is looked for in, so that PostgreSQL plans few partitions.

Planning a statement costs with every partition that it may touch, and a page
lies in one or two of them. So the months around its place are asked first, and
wider ones only if those do not fill it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any, Final

from ..dates import Span, midnight, month_of
from ..filter import ActivityFilter


_FIRST: Final = 2
_SECOND: Final = 24
_BEGINNING: Final = datetime(1, 1, 1, tzinfo=UTC)


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


def _downwards(where: ActivityFilter, at: datetime | None, extremes: Extremes) -> Iterator[Span]:
    since, end = _moment(where.since), _either(min, at, where.until)
    top = end or datetime.now(UTC)
    low, high = month_of(top, -_FIRST), month_of(top, 1) if end else None
    if low is None or (since is not None and since >= low):
        yield Span(month_of(since) if since else None, high)
        return
    yield Span(low, high)
    if (found := extremes()) is not None:
        yield from _further_down(low, high, top, since, found)


def _further_down(
    low: datetime, high: datetime | None, top: datetime, since: datetime | None,
    found: tuple[date, date],
) -> Iterator[Span]:  # fmt: skip
    """Yield what holds more than the months from *low* on, down to the first of the records."""
    first, last = map(midnight, found)
    if first >= low:
        return
    if last < low:
        high, top = month_of(found[1], 1), last
    bottom = month_of(max(first, since or first))
    yield from _wider(Span(month_of(top, -_SECOND), high), Span(bottom, high))


def _upwards(where: ActivityFilter, at: datetime | None, extremes: Extremes) -> Iterator[Span]:
    until, bottom = _moment(where.until), _either(max, at, where.since) or _BEGINNING
    low, high = month_of(bottom), month_of(bottom, _FIRST + 1)
    if high is None or (until is not None and until <= high):
        yield Span(low, month_of(until, 1) if until else None)
        return
    yield Span(low, high)
    if (found := extremes()) is not None:
        yield from _further_up(low, high, bottom, until, found)


def _further_up(
    low: datetime | None, high: datetime, bottom: datetime, until: datetime | None,
    found: tuple[date, date],
) -> Iterator[Span]:  # fmt: skip
    """Yield what holds more than the months before *high*, up to the last of the records."""
    first, last = map(midnight, found)
    if last < high:
        return
    top = month_of(min(last, until or last), 1)
    yield from _wider(Span(low, month_of(max(bottom, first), _SECOND + 1)), Span(low, top))


def _wider(some: Span, all_: Span) -> Iterator[Span]:
    """Yield both spans, or the second only where the first is no smaller."""
    if _is_above(some.low, all_.low) or _is_above(all_.high, some.high):
        yield some
    yield all_


def _is_above(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and one > other


def _either(
    choose: Callable[[datetime, datetime], datetime], at: datetime | None, bound: Any
) -> datetime | None:
    """Return the one that *choose* takes, where both are set."""
    end = _moment(bound)
    if at is None or end is None:
        return at or end
    return choose(at, end)


def _moment(bound: Any) -> datetime | None:
    return bound if isinstance(bound, datetime) else None
