"""
The handler for stdlib logging, and an adapter that keeps ``extra``.
"""

from __future__ import annotations

import logging

from collections.abc import MutableMapping
from itertools import islice
from typing import Any, ClassVar, Final

from structlog.contextvars import get_contextvars

from ..errors import InvalidRecordError
from ..record.plain import MAX_NODES
from .keys import plain_key
from .marks import ERROR, ID, is_marked, is_marked_record, mark_record, was_marked
from .recorder import NOT_KEPT, Recorder


_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
}
# On Python's own LogRecord: how many attributes a new one has, and the last of them.
_INITIAL: Final = len(logging.makeLogRecord({}).__dict__)
_LAST_INITIAL: Final = [*logging.makeLogRecord({}).__dict__][-1]
_LATER: Final = frozenset({"message", "asctime", "taskName"})
_NONE: Final = (None,)
_OWN_LOGGERS: Final = ("structlog_activity", "sqlalchemy", "psycopg")


class RecordingHandler(logging.Handler):
    """
    Record the logging calls that carry a verb.

    Does no I/O and takes no lock. Records of the loggers ``sqlalchemy``,
    ``psycopg`` and ``structlog_activity`` are left alone, or an outage would
    feed on its own messages.

    Args:

        level: Least level to look at.
    """

    leaves_us_alone: ClassVar = True
    """Tells the writer that its own messages are not heard here."""

    def __init__(self, level: int | str = logging.NOTSET) -> None:
        super().__init__(level)

    def recorder(self) -> Recorder:
        """Return what makes the records; asked for at each activity."""
        raise NotImplementedError

    def handle(self, record: logging.LogRecord) -> Any:
        """Record *record* if no filter objects; the base class's lock is not needed."""
        passed: Any = self.filter(record)
        if passed:
            # From 3.12 on a filter may return another record in its place.
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """
        Record *record* if it is an activity that nobody recorded yet.

        Raises:

            InvalidRecordError: It makes no record and the log is strict.
        """
        recorder = self.recorder()
        try:
            if _set_aside(record, recorder):
                return
            event = _event(record, recorder.keys.verb)
        except Exception:  # noqa: BLE001  A key whose == raises: nothing that could be a verb.
            return
        if event is None or is_marked(event) or is_marked_record(record) or _is_own(record.name):
            return
        is_call = type(record.msg) is dict
        try:
            key, value = recorder.catch(recorder.with_context(event, is_call=is_call))
        except InvalidRecordError as error:
            mark_record(record, ERROR, str(error))
            raise
        mark_record(record, key, value)


class RecorderHandler(RecordingHandler):
    """
    Record into the log of one recorder.

    Args:

        recorder: Makes the records.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def recorder(self) -> Recorder:
        """Return the recorder."""
        return self._recorder


class ActivityAdapter(logging.LoggerAdapter[Any]):
    """
    Bind values to a stdlib logger, and keep them beside a call's own ``extra``.

    Before Python 3.13 `logging.LoggerAdapter` replaces the ``extra`` of a call
    by its own, and with it the verb.

    .. versionadded:: 0.1.0
    """

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Return the call with the bound values below those of its own ``extra``."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs

    def bind(self, **values: Any) -> ActivityAdapter:
        """Return an adapter that has *values* bound too."""
        return ActivityAdapter(self.logger, {**(self.extra or {}), **values})


def _set_aside(record: logging.LogRecord, recorder: Recorder) -> bool:
    """Record *record* the short way, if it is a usual activity; return whether it was."""
    attributes = record.__dict__
    if recorder.verb_key not in attributes or type(record) is not logging.LogRecord:
        return False
    # What its own __init__ sets comes first, in an order of its own, and all else
    # behind it: if the last of these stands in its place, none is missing.
    pairs = iter(attributes.items())
    if next(islice(pairs, _INITIAL - 1, _INITIAL), _NONE)[0] != _LAST_INITIAL:
        return False
    event = dict(pairs)
    name, token = record.name, record.relativeCreated
    if (
        record.exc_info is not None
        or type(record.msg) is dict
        or type(record.args) is dict
        or (type(name) is not str or name.startswith(_OWN_LOGGERS))
        or was_marked(token)
        or not _LATER.isdisjoint(event)
    ):
        return False
    event["event"] = message_of(record) if record.args else record.msg
    if bound := get_contextvars():
        event = recorder.within(bound, event)
    snapshot = recorder.set_aside(event)
    if snapshot is None:
        return False
    if recorder.sink.put(snapshot):
        mark_record(record, ID, snapshot[1])
    else:
        mark_record(record, ERROR, NOT_KEPT)
    return True


def _is_own(name: Any) -> bool:
    return type(name) is str and name.partition(".")[0] in _OWN_LOGGERS


def _event(record: logging.LogRecord, verbs: tuple[str, ...]) -> dict[str, Any] | None:
    """Return what *record* tells, as structlog would have it; `None` if it has no verb."""
    attributes = record.__dict__
    found = _mapping_of(record)
    if not any(verb in attributes or verb in found for verb in verbs):
        return None
    event = {key: value for key, value in attributes.items() if key not in _STANDARD}
    event.update((plain_key(key), value) for key, value in islice(found.items(), MAX_NODES))
    if type(record.msg) is not dict:
        event["event"] = message_of(record)
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
