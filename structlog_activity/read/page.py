"""
What reads return.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from ..record.record import ActivityRecord


CAP: Final = 10_000
"""How far a capped total counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityPage:
    """
    A page of a feed, newest record first.

    Attributes:

        records: At most *limit* records.

        has_more: Whether there are older ones.

        next_cursor: Goes into ``after`` for the older records; `None` on the
            last page.

        prev_cursor: Goes into ``before`` for the newer records; `None` on the
            first page.

        next_offset: Offset + limit.

        total: How many records the filter selects; at most 10,000 where it is
            not exact, `None` where it was not counted.

        total_is_exact: Whether *total* is that number.

    .. versionadded:: 0.1.0
    """

    records: list[ActivityRecord]
    has_more: bool
    next_cursor: str | None
    prev_cursor: str | None
    next_offset: int
    total: int | None
    total_is_exact: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the page as JSON knows it."""
        return {
            "records": [record.to_dict() for record in self.records],
            "has_more": self.has_more,
            "next_cursor": self.next_cursor,
            "prev_cursor": self.prev_cursor,
            "next_offset": self.next_offset,
            "total": self.total,
            "total_is_exact": self.total_is_exact,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityStats:
    """
    How many records a filter selects, and of what kinds.

    The mappings are sorted by count, largest first, then by key; *by_day* by day.

    Attributes:

        total: All of them.

        by_verb: Per verb.

        by_channel: Per channel; ``""`` for those without one.

        by_object_type: Per object type.

        by_day: Per day in UTC; days without a record are left out.

    .. versionadded:: 0.1.0
    """

    total: int
    by_verb: dict[str, int]
    by_channel: dict[str, int]
    by_object_type: dict[str, int]
    by_day: dict[date, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as JSON knows them, days in ISO 8601."""
        return {
            "total": self.total,
            "by_verb": dict(self.by_verb),
            "by_channel": dict(self.by_channel),
            "by_object_type": dict(self.by_object_type),
            "by_day": {day.isoformat(): n for day, n in self.by_day.items()},
        }
