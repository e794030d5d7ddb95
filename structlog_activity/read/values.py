"""
What each condition of a filter takes, and what it is held as.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

from ..errors import InvalidFilterError, InvalidRecordError
from ..record.budgets import INT64, MAX_CHANNEL, MAX_OBJECT_ID, MAX_OBJECT_TYPE, MAX_VERB
from ..record.ids import MAX_ID_BITS, NIL, to_uuid
from ..record.text import shortened, storable
from ..record.times import to_datetime
from .dates import midnight
from .tenants import AllTenants


Scalar: TypeAlias = "str | int | float | bool | None"

_NO_MOMENT: Final = (
    "can't be read as ISO 8601, such as 2026-01-31 or 2026-01-31T12:00Z; commands and queries take "
    "how long ago, too, such as 7d"
)
_LONGEST_KEYWORD = 200
_MOST_VALUES = 200
_LONGEST = {
    "verbs": MAX_VERB,
    "object_type": MAX_OBJECT_TYPE,
    "object_id": MAX_OBJECT_ID,
    "channel": MAX_CHANNEL,
    "channels": MAX_CHANNEL,
    "channel_denylist": MAX_CHANNEL,
}
_CURSORS = ("after", "before")


def tenant(value: Any) -> UUID | AllTenants:
    """Read a tenant, which is required."""
    if isinstance(value, AllTenants):
        return value
    if value is None or (isinstance(value, str) and not value.strip()):
        raise InvalidFilterError(
            "tenant_id", value, "is required: NIL reads records without a tenant, ALL_TENANTS all"
        )
    return _uuid("tenant_id", value)


def whole(name: str, value: Any) -> int:
    """Read a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidFilterError(name, value, "a whole number is needed")
    return value


def _id(name: str, value: Any) -> UUID | None:
    found = _uuid(name, value)
    return None if found == NIL else found


def _uuid(name: str, value: Any) -> UUID:
    if type(value) is UUID and hasattr(value, "int"):  # Which one made by hand may lack.
        return value
    try:
        return to_uuid(value)
    except InvalidRecordError as error:
        raise InvalidFilterError(name, value, error.problem) from None


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return _as_stored(name, value) if value else None
    raise InvalidFilterError(name, value, "text is needed")


def _as_stored(name: str, text: str) -> str:
    """Return *text* as a record has it; long ones are stored shortened."""
    problem = _unstorable(text) if name not in _CURSORS else ""
    if problem:
        raise InvalidFilterError(name, text, problem)
    # Of a class that has its own ``repr`` or its own way into a database, the text alone.
    text = str.__str__(text)
    return shortened(text, _LONGEST[name]) if name in _LONGEST else text


def _object_id(name: str, value: Any) -> str | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, UUID) or (is_number and value.bit_length() <= MAX_ID_BITS):
        value = str(value)
    return _text(name, value)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if value == "":
        return ()
    values = (value,) if isinstance(value, str) else value
    if not _are_texts(values):
        raise InvalidFilterError(name, value, "text or a list of texts is needed")
    if len(values) > _MOST_VALUES:
        raise InvalidFilterError(name, len(values), f"at most {_MOST_VALUES} values")
    found = tuple(dict.fromkeys(_as_stored(name, item) for item in values if item))
    if values and not found:
        raise InvalidFilterError(name, value, "holds nothing but empty texts")
    return found


def _verbs(name: str, value: Any) -> tuple[str, ...]:
    found = _texts(name, value)
    if "*" in found:  # Any verb: no condition.
        return ()
    for pattern in found:
        if "*" in pattern[:-1]:
            raise InvalidFilterError(name, pattern, "a * may only stand at the end")
    return found


def _are_texts(values: Any) -> bool:
    is_list = isinstance(values, list | tuple | set | frozenset)
    return is_list and all(isinstance(item, str) for item in values)


def utc_moment(name: str, value: Any) -> datetime:
    """
    Return a moment in UTC, of what *since* and *until* take.

    Args:

        name: What the moment is for, which an error names.

        value: A datetime (a naive one is UTC), a date, or ISO 8601 text.

    Raises:

        InvalidFilterError: It is none of these.
    """
    if isinstance(value, date) and not isinstance(value, datetime):
        return midnight(value)
    if not isinstance(value, datetime | str):
        raise InvalidFilterError(name, value, "a datetime, a date or ISO 8601 text is needed")
    try:
        return to_datetime(value)
    except InvalidRecordError:
        raise InvalidFilterError(name, value, _NO_MOMENT) from None


def _keyword(name: str, value: Any) -> str | None:
    text = _text(name, value)
    if text is None or not text.strip():
        return None
    if len(text) > _LONGEST_KEYWORD:
        raise InvalidFilterError(name, value, f"at most {_LONGEST_KEYWORD} characters")
    return ascii_lower(text.strip())


def ascii_lower(text: str) -> str:
    """Return *text* with A to Z in lower case, which is what both databases do."""
    return text.translate(_LOWER)


def _data(name: str, value: Any) -> dict[str, Scalar] | None:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidFilterError(name, value, "a mapping with text keys is needed")
    if len(value) > _MOST_VALUES:
        raise InvalidFilterError(name, len(value), f"at most {_MOST_VALUES} keys")
    for key, item in value.items():
        problem = _unstorable(key) or _unstorable(item)
        if problem:
            raise InvalidFilterError(f"{name}[{key!r}]", item, problem)
    return dict(value) or None


def _unstorable(item: Any) -> str:
    """Return why *item* can't be a value that is stored; ``""`` if it can."""
    if isinstance(item, str):
        return "" if storable(item) == item else "NUL and lone surrogates are never stored"
    if isinstance(item, int | float):
        return "" if -INT64 <= item < INT64 else "is stored as text"
    return "" if item is None else "a scalar is needed"


_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

READ_BY: Final[dict[str, Callable[[str, Any], Any]]] = {
    **dict.fromkeys(("org_id", "actor_id", "user_id", "involving"), _id),
    **dict.fromkeys(("object_type", "channel", "after", "before"), _text),
    "object_id": _object_id,
    "verbs": _verbs,
    **dict.fromkeys(("channels", "channel_denylist", "machine_types", "machine_keys"), _texts),
    **dict.fromkeys(("since", "until"), utc_moment),
    "keyword": _keyword,
    "data": _data,
}
"""Of each condition but the tenant what reads its value, given its name, too."""
