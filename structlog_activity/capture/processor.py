"""
The structlog processor.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from logging import LogRecord
from typing import Any

from .event_redactor import EventRedactor
from .marks import ERROR, ID, is_marked, is_marked_record
from .recorder import NOT_KEPT, Recorder
from .sessions import take_session


class ActivityProcessor:
    """
    Record the structlog calls that carry a verb, and pass every event on.

    Stands last before the renderer, where context and bound values are merged.
    A recorded event gets the key ``activity_id``, which joins log line and row
    and keeps a second processor or handler from recording it again; one that
    makes no record gets ``activity_error`` instead. A SQLAlchemy session under
    ``session`` is taken out: the record is written in its transaction. The
    processor keeps nothing between calls, so one may serve many threads.

    Args:

        recorder: Makes the records; `ActivityLog.processor` has one.

        event_redactor: Takes the secrets out of the events that are recorded, before
            they are passed on; `None`: they pass as they are.

    .. versionadded:: 0.1.0
    """

    __slots__ = ("_event_redactor", "_others", "_recorder", "_snapshot_of", "_verb")

    def __init__(self, recorder: Recorder, event_redactor: EventRedactor | None = None) -> None:
        self._recorder = recorder
        self._event_redactor = event_redactor
        self._snapshot_of = recorder.snapshot_of
        self._verb, *self._others = recorder.keys.verb

    def __call__(self, logger: Any, method_name: str, event_dict: Any) -> Any:
        """
        Return *event_dict*, recorded if it is an activity.

        Raises:

            InvalidRecordError: It makes no record and the log is strict.

            RepositoryError: Its session is committing, and refuses the record.
        """
        try:
            # This line is all that a call without a verb pays.
            if self._verb not in event_dict and not (self._others and self._has_other(event_dict)):
                return event_dict
        except Exception:  # noqa: BLE001  Rendered already, to bytes or anything else.
            return event_dict
        if type(event_dict) is dict:
            snapshot = self._snapshot_of(event_dict.copy())
            if snapshot is None:
                self._catch(event_dict)
            elif self._recorder.sink.put(snapshot):
                event_dict[ID] = snapshot[1]
            else:
                event_dict[ERROR] = NOT_KEPT
        elif issubclass(type(event_dict), MutableMapping):
            self._catch(event_dict)
        else:
            return event_dict
        if self._event_redactor is not None:
            self._event_redactor.redact(event_dict)
        return event_dict

    def _has_other(self, event_dict: Any) -> bool:
        return any(verb in event_dict for verb in self._others)

    def _catch(self, event: MutableMapping[str, Any]) -> None:
        if is_marked(event):
            take_session(event)
            return
        record: Any = event.get("_record")
        if record is not None and issubclass(type(record), LogRecord):
            self._catch_formatted(event, record)
        elif type(event) is dict:
            key, value = self._recorder.catch(event)
            event[key] = value
        else:
            copy = dict(event)
            take_session(event)
            key, value = self._recorder.catch(copy)
            event[key] = value

    def _catch_formatted(self, event: MutableMapping[str, Any], record: LogRecord) -> None:
        """Record an event within a ProcessorFormatter, unless another handler did."""
        copy = dict(event)
        take_session(event)
        if is_marked_record(record):
            return
        recorder = self._recorder
        if event.get("_from_structlog") is False:  # As the handler does with ``extra``.
            copy = recorder.with_context(copy)
        key, value = recorder.catch_marked(copy, record)
        event[key] = value
