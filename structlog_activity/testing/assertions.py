"""
What a test expects of records, and how those differ that come near it.
"""

from __future__ import annotations

import difflib

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from ..errors import ActivityError
from ..read.filter import ActivityFilter
from ..record.ids import NIL, to_uuid
from ..record.plain import Plainer
from ..record.record import FIELDS, ID_FIELDS, ActivityRecord
from ..record.times import to_datetime
from .capturing import CapturedActivities, innermost


_NEAREST: Final = 3
_LONGEST: Final = 80  # characters of a value that is shown
_MISSING: Final = object()
_as_kept: Final = Plainer(None).item  # What is redacted is not what was expected.


def assert_recorded(
    records: Sequence[ActivityRecord] | None = None,
    /,
    *,
    count: int | None = None,
    **expected: Any,
) -> list[ActivityRecord]:
    """
    Fail unless something was recorded; the failure shows what comes nearest, and what differs.

    Values are compared as records have them: ids as `to_uuid` reads them,
    ``object`` in any form that log calls take, details as they are stored::

        assert_recorded(verb="settings.updated", object="settings:global", actor_id=7, to="dark")

    Args:

        records: Where to look; default is the innermost block of
            `capture_activity` that is open, which the fixture `activities` is.

        count: How many there must be, 0 for none; default is at least one.

        expected: Values of fields, of ``object``, and of keys of ``data``, which
            ``data={...}`` takes, too: those it names must be there.

    Returns:

        The records that have all of it, in order.

    Raises:

        AssertionError: There are more or fewer of them.

        RuntimeError: No records were given, and no block is open.

    .. versionadded:: 0.1.0
    """
    __tracebackhide__ = True  # pytest shows the test's own line.
    if records is None and (records := innermost()) is None:
        raise RuntimeError("no capture_activity() block is open: give the records")
    found = _find(records, expected)
    if bool(found) if count is None else len(found) == count:
        return found
    rejected = records.rejected if isinstance(records, CapturedActivities) else {}
    lines = [f"  a call made no record: {why}, {n} times" for why, n in rejected.items()]
    raise AssertionError("\n".join((_told(records, expected, len(found), count), *lines)))


def _find(records: Sequence[ActivityRecord], expected: Mapping[str, Any]) -> list[ActivityRecord]:
    """
    Return the records that have all that is expected.

    Args:

        records: Any records.

        expected: Values by field, ``object``, or key of ``data``; what is no
            field is a key of ``data``, and of ``data`` itself the keys that are
            given must be there.
    """
    return [record for record in records if not _differences(record, expected)]


def _told(
    records: Sequence[ActivityRecord], expected: Mapping[str, Any], found: int, count: int | None
) -> str:
    """
    Return what is to be said where not as many records as should have what is expected.

    Args:

        records: All of them.

        expected: As in `_find`.

        found: How many have it.

        count: How many should; `None` is at least one.
    """
    wanted = ", ".join(f"{name}={_shown(value)}" for name, value in expected.items())
    number = "at least 1" if count is None else str(count)
    lines = [f"expected {number} of {wanted or 'any activity'}, found {found}"]
    if not records:
        return f"{lines[0]}; nothing was recorded"
    lines[0] += f" among {len(records)} recorded"
    if count is not None and found > count:
        return "\n".join((*lines, *_listed(_find(records, expected), {})))
    misses = [record for record in records if _differences(record, expected)]
    return "\n".join((*lines, *_listed(_nearest(misses, expected), expected)))


def _listed(records: Iterable[ActivityRecord], expected: Mapping[str, Any]) -> list[str]:
    lines = []
    for record in records:
        lines.append(f"  {_title(record)}")
        lines += [f"    {line}" for line in _differences(record, expected)]
    return lines


def _nearest(records: list[ActivityRecord], expected: Mapping[str, Any]) -> list[ActivityRecord]:
    """Return the few records that differ least, the most alike first."""
    title = f"{expected.get('verb', '')} {expected.get('object', '')}"

    def distance(record: ActivityRecord) -> tuple[int, float]:
        alike = difflib.SequenceMatcher(None, title, _title(record)).ratio()
        return len(_differences(record, expected)), -alike

    return sorted(records, key=distance)[:_NEAREST]


def _title(record: ActivityRecord) -> str:
    object_ = ":".join(filter(None, record.object))
    return f"{record.verb} {object_}"


def _differences(record: ActivityRecord, expected: Mapping[str, Any]) -> list[str]:
    lines = []
    for name, value in expected.items():
        if name == "data" and isinstance(value, Mapping):
            for key, item in value.items():
                lines += _difference(
                    f"data[{key!r}]", record.data.get(key, _MISSING), item, _as_kept
                )
        elif name in FIELDS or name == "object":
            form = _FORMS.get(name, _same)
            lines += _difference(name, getattr(record, name), value, form)
        else:
            lines += _difference(name, record.data.get(name, _MISSING), value, _as_kept)
    return lines


def _difference(name: str, actual: Any, value: Any, form: Callable[[Any], Any]) -> list[str]:
    # The bare value first, which may be one that is equal to anything.
    if _is(value, actual):
        return []
    if actual is _MISSING:
        return [f"{name} is not there, not {_shown(value)}"]
    try:
        wanted = form(value)
    except ActivityError as error:
        return [f"{name} is {_shown(actual)}, and can't be {_shown(value)}: {error}"]
    if _is(wanted, actual):
        return []
    also = f" ({wanted})" if name in ID_FIELDS and not isinstance(value, type(wanted)) else ""
    return [f"{name} is {_shown(actual)}, not {_shown(value)}{also}"]


def _is(value: Any, actual: Any) -> bool:
    # In JSON, and so to a filter, true is not 1.
    if {bool} < {type(value), type(actual)} <= {bool, int, float}:
        return False
    return bool(value == actual)


def _same(value: Any) -> Any:
    return value


def _object(value: Any) -> tuple[str, str]:
    where: Any = ActivityFilter(tenant_id=NIL).of_object(value)
    return where.object_type, where.object_id


_FORMS: Final[dict[str, Callable[[Any], Any]]] = {
    "object": _object,
    "occurred_at": to_datetime,
    **dict.fromkeys(ID_FIELDS, to_uuid),
}


def _shown(value: Any) -> str:
    text = str(value) if type(value).__name__ == "UUID" else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
