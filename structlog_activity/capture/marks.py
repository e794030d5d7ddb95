"""
Which log calls were recorded already: one call makes one record, however it is wired.
"""

from __future__ import annotations

from collections.abc import Container
from logging import LogRecord
from typing import Any, Final


ID: Final = "activity_id"
"""The key that a recorded call gets."""

ERROR: Final = "activity_error"
"""The key that a call gets which makes no record."""

SLOTS: Final = 255
"""Which bits of an address choose a place in `recent`, once those that are always 0 are gone."""


def is_marked(event: Container[str]) -> bool:
    """Tell whether a call was recorded or refused already."""
    return ID in event or ERROR in event


def is_marked_record(record: LogRecord) -> bool:
    """Tell whether the call behind *record* was recorded or refused already."""
    return is_marked(record.__dict__) or was_marked(record.__dict__.get("relativeCreated"))


def was_marked(token: object) -> bool:
    """Tell whether the call of this ``relativeCreated`` was recorded or refused already."""
    return recent[id(token) >> 4 & SLOTS] is token


def mark_record(record: LogRecord, key: str, value: str) -> None:
    """Mark the call behind *record*, and with it all copies of *record*."""
    attributes = record.__dict__
    attributes[key] = value
    token = attributes.get("relativeCreated")
    if type(token) is float:
        recent[id(token) >> 4 & SLOTS] = token


# A ProcessorFormatter, and a QueueHandler too, works on a copy of the LogRecord, on
# which a mark helps nobody else. What copies have in common are the very objects
# that are their attributes. `relativeCreated` is computed for each LogRecord, so no
# other one has the same float object, and as long as it is held here, none can.
recent: Final[list[Any]] = [object()] * (SLOTS + 1)
