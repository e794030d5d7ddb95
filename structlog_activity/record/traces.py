"""
The verbs of records that the log itself writes when it takes something away.
"""

from __future__ import annotations

from typing import Final

from ..errors import InvalidRecordError
from .row import Row


ERASED: Final = "activity.erased"
"""A person's data was erased; the record names the records."""

PRUNED: Final = "activity.pruned"
"""Records were deleted for their age."""

TRACES: Final = (ERASED, PRUNED)
"""Both. A check of the seals believes what such records say."""


def refuse_traces(row: Row) -> Row:
    """
    Return *row*, unless it says what only the log itself may say.

    Raises:

        InvalidRecordError: It does.
    """
    if row.verb in TRACES:
        raise InvalidRecordError("verb", f"{row.verb} is for what erase and prune write")
    return row
