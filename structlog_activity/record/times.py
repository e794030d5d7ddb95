"""
Moments: microseconds since 1970 in storage, aware UTC datetimes outside.
"""

from __future__ import annotations

import math

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ..errors import InvalidRecordError


EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z


def to_microseconds(moment: datetime) -> int:
    """Return whole microseconds since 1970 of an aware datetime."""
    return (moment - EPOCH) // _MICROSECOND


def from_microseconds(us: int) -> datetime:
    """Return the aware UTC datetime of *us* microseconds since 1970."""
    return EPOCH + timedelta(microseconds=us)


def to_datetime(value: Any) -> datetime:
    """
    Return *value* as an aware UTC datetime.

    Read are a datetime (a naive one is taken as UTC), ISO 8601 text (without
    an offset it is UTC), and seconds since 1970 as an int or a float.

    Raises:

        InvalidRecordError: It is none of these, or outside the years 1 to 9999.
    """
    kind = type(value)
    try:
        if issubclass(kind, datetime):
            return _to_utc(value)
        if issubclass(kind, str):
            return _to_utc(datetime.fromisoformat(str.__str__(value).strip()))
        if issubclass(kind, int | float) and kind is not bool:
            return _from_seconds(value)
    except (ValueError, OverflowError):
        pass
    raise InvalidRecordError(
        "occurred_at",
        f"a datetime, ISO 8601 text or seconds since 1970 is needed, not {_shown(value)}",
    )


def _to_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _from_seconds(seconds: float) -> datetime:
    if not math.isfinite(seconds) or abs(seconds) > _LAST_SECOND:
        raise ValueError
    return EPOCH + timedelta(seconds=seconds)


def _shown(value: Any) -> str:
    return repr(value[:80]) if type(value) is str else type(value).__name__
