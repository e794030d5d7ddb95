"""
The pages of a feed, one after the other.
"""

from __future__ import annotations

import sys

from collections.abc import Iterator
from typing import Any

from ..log import ActivityLog
from ..read.filter import MAX_LIMIT
from ..record.record import ActivityRecord


def walk(
    activity: ActivityLog, where: dict[str, Any], most: int = sys.maxsize
) -> Iterator[ActivityRecord]:
    """
    Yield the records that a filter selects, newest first, a page at a time.

    Args:

        activity: The log.

        where: The conditions.

        most: How many; the default is all.
    """
    cursor, left = None, most
    while left > 0:
        limit = min(left, MAX_LIMIT)
        page = activity.feed(**where, after=cursor, limit=limit, total="none")
        yield from page.records
        cursor, left = page.next_cursor, left - limit
        if cursor is None:
            return
