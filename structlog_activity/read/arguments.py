"""
What reads take beside a filter, checked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from ..errors import InvalidFilterError, InvalidRecordError
from ..record.ids import NIL, to_uuid
from ..record.times import from_microseconds
from .filter import MAX_LIMIT


Key: TypeAlias = "UUID | str | tuple[str, str]"
"""What `top` counts by."""

TOP_FIELDS: Final = (
    "actor_id", "user_id", "org_id", "object", "object_type", "verb", "channel", "ip",
)  # fmt: skip

DEFAULT_TOP: Final = 10
_TIMED: Final = 7
_LAST: Final = 253_402_300_799_000  # 9999-12-31, in milliseconds since 1970


def top_columns(by: Any) -> tuple[str, ...]:
    """
    Return the fields that make the keys of `top`.

    Raises:

        InvalidFilterError: *by* is none of `TOP_FIELDS`.
    """
    if not isinstance(by, str) or by not in TOP_FIELDS:
        raise InvalidFilterError("by", by, f"use one of {', '.join(TOP_FIELDS)}")
    return ("object_type", "object_id") if by == "object" else (by,)


def top_limit(limit: Any) -> int:
    """
    Return how many keys `top` returns at most.

    Raises:

        InvalidFilterError: *limit* is no whole number.
    """
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise InvalidFilterError("limit", limit, "a whole number is needed")
    return min(limit, MAX_LIMIT) if limit > 0 else DEFAULT_TOP


def record_id(value: Any) -> UUID:
    """
    Return *value* as the id of a record.

    Raises:

        InvalidFilterError: It can't be read, or is not set.
    """
    try:
        found = to_uuid(value)
    except InvalidRecordError as error:
        raise InvalidFilterError("id", value, error.problem) from None
    if found == NIL:
        raise InvalidFilterError("id", value, "is needed; no record has the nil id")
    return found


def moment_of(id_: UUID) -> datetime | None:
    """Return the millisecond that a UUIDv7 was made in; `None` for other ids."""
    milliseconds = id_.int >> 80
    if id_.version != _TIMED or milliseconds >= _LAST:
        return None
    return from_microseconds(milliseconds * 1000)
