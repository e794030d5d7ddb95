"""
Activities out of logs that exist already: JSON lines, as structlog writes them.
"""

from __future__ import annotations

import json

from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

from ..errors import InvalidRecordError
from ..record.ids import NIL, derived_uuid7, to_uuid
from ..record.record import FIELDS, ActivityRecord
from ..record.row import Row
from ..record.rowmaker import RowMaker
from ..record.times import to_datetime, to_microseconds
from ..record.traces import refuse_traces
from .keys import ActivityKeys, KeyMap
from .marks import ID


MAX_LINE: Final = 1 << 20
"""Longest line that is read, in bytes."""

_TIME_KEYS: Final = ("timestamp", "@timestamp", "time", "ts")
_RECORD_KEYS: Final = frozenset(FIELDS)
_BOM: Final = b"\xef\xbb\xbf"


def numbered_lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """
    Yield number and content of each line that is not blank, `None` for one that is too long.

    However long a line is, no more than `MAX_LINE` bytes of it are held.
    """
    number = 0
    while line := stream.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        elif content := line.removeprefix(_BOM if number == 1 else b"").strip():
            yield number, content


class LineReader:
    """
    Make rows of lines, the same row of the same line every time.

    Args:

        rows: Makes rows of checked fields.

        keys: Which keys mean which field.

        defaults: Values for what a line does not have.
    """

    def __init__(
        self,
        rows: RowMaker,
        *,
        keys: ActivityKeys | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self._rows = rows
        self._keys = keys or ActivityKeys()
        self._map = KeyMap(self._keys, defaults or {})

    def read(self, line: bytes) -> Row | None:
        """
        Return the row of a line; `None` if the line is no activity.

        The id is the line's ``activity_id``. A line without one gets an id made
        of its time and its text. A line that is a record as `ActivityRecord.to_json`
        writes it becomes that record.

        Raises:

            InvalidRecordError: It is no JSON object, or an activity that makes no
                record.
        """
        event = _parsed(line)
        if event.keys() == _RECORD_KEYS:
            record = ActivityRecord.from_dict(event)
            return refuse_traces(self._rows.make_from(record, strict=True))
        if not any(verb in event for verb in self._keys.verb):
            return None
        fields, data = self._map.split(event)
        if isinstance(fields.get("object"), list):
            fields["object"] = tuple(fields["object"])
        us = _time_of(fields, event)
        own = to_uuid(event.get(ID)) if isinstance(event.get(ID), str) else NIL
        fields["id"] = derived_uuid7(us * 1000, line) if own == NIL else own
        row = refuse_traces(self._rows.make(fields, data))
        if row.created_at != us:  # It was out of range, and became now.
            raise InvalidRecordError("occurred_at", "lies before 1970 or after tomorrow")
        return row


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except UnicodeDecodeError:
        raise InvalidRecordError("line", "is not UTF-8") from None
    except (ValueError, RecursionError):
        raise InvalidRecordError("line", "is not JSON") from None
    if not isinstance(event, dict):
        raise InvalidRecordError("line", "is not a JSON object")
    return event


def _time_of(fields: dict[str, Any], event: dict[str, Any]) -> int:
    # Not now where it is missing: a second reading would give another record.
    found = fields.get("occurred_at")
    if found is None:
        found = next((event[key] for key in _TIME_KEYS if event.get(key) is not None), None)
    if found is None:
        raise InvalidRecordError("occurred_at", f"none of {', '.join(_TIME_KEYS)} is given")
    us = to_microseconds(to_datetime(found))
    fields["occurred_at"] = found
    return us
