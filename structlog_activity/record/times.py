"""
Moments: microseconds since 1970 in storage, aware UTC datetimes outside.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from ..errors import InvalidRecordError
from .text import type_name


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY: Final = 86_400_000_000
"""A day in microseconds."""

_FIRST_DAY: Final = EPOCH.date()
_MICROSECOND: Final = timedelta(microseconds=1)
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z
_LONGEST_TEXT: Final = 64


def to_microseconds(moment: datetime) -> int:
    """Return whole microseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // _MICROSECOND


def from_microseconds(us: int) -> datetime:
    """Return the aware UTC datetime of *us* microseconds since 1970."""
    return EPOCH + timedelta(microseconds=us)


def to_day(day: date) -> int:
    """Return how many days after 1970-01-01 *day* is."""
    return (day - _FIRST_DAY).days


def from_day(days: int) -> date:
    """Return the day that is so many days after 1970-01-01."""
    return _FIRST_DAY + timedelta(days=days)


def to_datetime(value: Any) -> datetime:
    """
    Return *value* as an aware UTC datetime.

    Read are a datetime (a naive one is taken as UTC), ISO 8601 text (without
    an offset it is UTC), and seconds since 1970 as an int or a float.

    Raises:

        InvalidRecordError: It is none of these, its time zone can't tell its
            offset, or it is outside the years 1 to 9999.
    """
    try:
        return _read(value)
    except (Exception, SystemExit):  # noqa: BLE001  Time zones are anybody's code.
        problem = f"a datetime, ISO 8601 text or seconds since 1970 is needed, not {_shown(value)}"
        raise InvalidRecordError("occurred_at", problem) from None


def exact(moment: datetime) -> datetime:
    """Return a datetime of any class as one of that class itself, running no code of it."""
    return datetime.combine(datetime.date(moment), datetime.timetz(moment))


def as_given(moment: datetime) -> str:
    """Return ISO 8601 in the datetime's own zone; without offset if the zone can't tell one."""
    clock = exact(moment)
    try:
        return clock.isoformat()
    except (Exception, SystemExit):  # noqa: BLE001  As above.
        return clock.replace(tzinfo=None).isoformat()


def _read(value: Any) -> datetime:
    kind = type(value)
    if issubclass(kind, datetime):
        return _to_utc(exact(value))
    if issubclass(kind, str):
        return _to_utc(_from_text(str.__str__(value)))
    if issubclass(kind, float):
        return _from_seconds(float.__float__(value))
    if issubclass(kind, int) and kind is not bool:
        return _from_seconds(int.__int__(value))
    raise TypeError


def _to_utc(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def _from_text(text: str) -> datetime:
    if len(text) > _LONGEST_TEXT:
        raise ValueError
    return datetime.fromisoformat(text.strip())


def _from_seconds(seconds: float) -> datetime:
    if abs(seconds) > _LAST_SECOND:
        raise ValueError
    return EPOCH + timedelta(seconds=seconds)


def _shown(value: Any) -> str:
    return repr(value[:80]) if type(value) is str else type_name(value)


def iso(moment: datetime) -> str:
    """Return an aware UTC datetime as ISO 8601 with microseconds and ``Z``."""
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
