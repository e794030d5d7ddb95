"""
What a LogRecord tells: its text, and the attributes that are not logging's own.
"""

from __future__ import annotations

import logging

from itertools import islice
from typing import Any, Final

from ..record.budgets import MAX_NODES
from .keys import EVENT, plain_key
from .marks import SLOTS, recent


_RECORD: Final = logging.LogRecord
_NEW: Final = logging.makeLogRecord({}).__dict__
_LATER: Final = frozenset({"message", "asctime", "taskName"})
_STANDARD: Final = _LATER.union(_NEW)
# How many attributes Python's own LogRecord has when it is new, and the last of them.
_INITIAL: Final = len(_NEW)
_LAST_INITIAL: Final = [*_NEW][-1]
_OWN_LOGGERS: Final = ("structlog_activity", "sqlalchemy", "psycopg")


def usual_event(record: logging.LogRecord) -> dict[str, Any] | None:
    """Return what *record* tells, if it is a usual one that nobody recorded yet; else `None`."""
    attributes = record.__dict__
    # Such a record's own attributes come first, in an order of their own, and those of
    # the call behind them: if the last of the first stands in its place, none is missing.
    last = next(islice(attributes, _INITIAL - 1, None), None)
    if last != _LAST_INITIAL or not is_usual(record):
        return None
    event = {name: attributes[name] for name in names_of(record)}
    event[EVENT] = message_of(record) if record.args else record.msg
    return event


def names_of(record: logging.LogRecord) -> list[str]:
    """Return the attributes of a usual record that are those of the call, in their order."""
    names = [*record.__dict__][_INITIAL:]
    # A handler before this one may have added what it made of the record.
    return names if _LATER.isdisjoint(names) else [name for name in names if name not in _LATER]


def is_usual(record: logging.LogRecord, logger: str = "") -> bool:
    """
    Tell whether nobody recorded *record* yet, and it is one of Python's own with a text.

    Args:

        record: The record.

        logger: The name of a logger that doesn't tell of our own work.
    """
    name, token = record.name, record.relativeCreated
    return (
        record.exc_info is None
        and type(record) is _RECORD
        and type(record.args) is not dict
        and type(record.msg) is str  # A dict may be structlog's.
        and (name is logger or (type(name) is str and not name.startswith(_OWN_LOGGERS)))
        and recent[id(token) >> 4 & SLOTS] is not token  # As `was_marked` has it.
    )


def is_own(name: Any) -> bool:
    """Tell whether a logger of that name tells of our own work."""
    return type(name) is str and name.partition(".")[0] in _OWN_LOGGERS


def event_of(record: logging.LogRecord, verbs: tuple[str, ...]) -> dict[str, Any] | None:
    """Return what *record* tells, as structlog would have it; `None` if it has no verb."""
    attributes = record.__dict__
    found = _mapping_of(record)
    if not any(verb in attributes or verb in found for verb in verbs):
        return None
    event = {key: value for key, value in attributes.items() if key not in _STANDARD}
    event.update((plain_key(key), value) for key, value in islice(found.items(), MAX_NODES))
    if type(record.msg) is not dict:
        event[EVENT] = message_of(record)
    if record.exc_info is not None:
        event["exc_info"] = record.exc_info
    return event


def _mapping_of(record: logging.LogRecord) -> dict[Any, Any]:
    """Return structlog's event (from wrap_for_formatter) or the mapping that was logged."""
    for found in (record.msg, record.args):
        if type(found) is dict:
            return found
    return {}


def message_of(record: logging.LogRecord) -> Any:
    """Return the text of *record*, with its arguments as far as they fit."""
    if not record.args:
        return record.msg
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  Arguments that don't fit; the handlers that print will tell.
        return record.msg
