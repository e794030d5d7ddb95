"""
The structlog processor.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from .recorder import ERROR, ID, Recorder


class ActivityProcessor:
    """
    Record the structlog calls that carry a verb, and pass every event on.

    Stands last before the renderer, where context and bound values are merged.
    A recorded event gets the key ``activity_id``, which joins log line and row
    and keeps a second processor or handler from recording it again; one that
    makes no record gets ``activity_error`` instead. The processor keeps nothing
    between calls, so one may serve many threads.

    Args:

        recorder: Makes the records; `ActivityLog.processor` has one.

    .. versionadded:: 0.1.0
    """

    __slots__ = ("_recorder", "_verb", "_verbs")

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._verbs = recorder.keys.verb
        self._verb = self._verbs[0]

    def __call__(self, logger: Any, method_name: str, event_dict: Any) -> Any:
        """
        Return *event_dict*, recorded if it is an activity.

        Raises:

            InvalidRecordError: It makes no record and the log is strict.
        """
        try:
            if self._verb not in event_dict and not self._has_other_verb(event_dict):
                return event_dict
        except TypeError:  # Rendered already, to bytes or the like.
            return event_dict
        if issubclass(type(event_dict), MutableMapping):
            self._catch(event_dict)
        return event_dict

    def _has_other_verb(self, event_dict: Any) -> bool:
        return len(self._verbs) > 1 and any(verb in event_dict for verb in self._verbs[1:])

    def _catch(self, event: MutableMapping[str, Any]) -> None:
        if ID in event or ERROR in event:
            return
        # In a ProcessorFormatter each handler has its own copy of the event,
        # and all of them share the LogRecord.
        record = event.get("_record")
        marks = record.__dict__ if record is not None else event
        if ID in marks or ERROR in marks:
            return
        activity_id, problem = self._recorder.catch(event if type(event) is dict else dict(event))
        key, value = (ID, activity_id) if activity_id else (ERROR, problem)
        marks[key] = value
        event[key] = value
