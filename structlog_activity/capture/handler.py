"""
The handler for stdlib logging, and an adapter that keeps ``extra``.
"""

from __future__ import annotations

import logging

from collections.abc import MutableMapping
from typing import Any, ClassVar

from .logrecord import event_of, is_own
from .marks import ERROR, ID, is_marked, is_marked_record, mark_record
from .recorder import NOT_KEPT, Recorder


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
        if passed is True or passed is record:
            self.emit(record)
        elif passed:
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
            if recorder.verb_key in record.__dict__:
                snapshot = recorder.snapshot_of_record(record)
                if snapshot is not None:
                    kept = recorder.sink.put(snapshot)
                    key, value = (ID, snapshot[1]) if kept else (ERROR, NOT_KEPT)
                    mark_record(record, key, value)
                    return
            event = event_of(record, recorder.keys.verb)
        except Exception:  # noqa: BLE001  A key whose == raises: nothing that could be a verb.
            return
        if event is None or is_marked(event) or is_marked_record(record) or is_own(record.name):
            return
        is_call = type(record.msg) is dict
        recorder.catch_marked(recorder.with_context(event, is_call=is_call), record)


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
    by its own, and with it the verb::

        log = ActivityAdapter(logging.getLogger(__name__), {"tenant_id": "acme"})
        log.info("paid", extra={"verb": "invoice.paid", "object": "invoice:7"})

    Args:

        logger: A stdlib logger, or another adapter.

        extra: What is bound; a call's own ``extra`` comes before it.

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
