"""What a search means: the arguments of a filter."""

from __future__ import annotations

import re

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from structlog_activity import InvalidFilterError

from .words import Word, words


_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO: Final = re.compile(r"(\d{1,6})([mhdw])")
_IDS: Final = {"actor": "actor_id", "user": "user_id", "org": "org_id", "involving": "involving"}
_DATA: Final = {
    "outcome": "outcome",
    "request": "request_id",
    "correlation": "correlation_id",
}


def parse_query(text: str, *, now: datetime) -> dict[str, Any]:
    """
    Read a search such as ``verb:settings.* actor:42 -channel:system since:7d theme``.

    Args:

        text: Conditions ``key:value`` and free words, in any order. A value with a blank
            stands in double quotes.

        now: From when ``since:7d`` counts back.

    Raises:

        InvalidFilterError: A key is unknown, stands twice, or has no sense.
    """
    found: dict[str, Any] = {}
    free: list[str] = []
    for word in words(text):
        if not word.key:
            if word.sign:
                raise InvalidFilterError("search", str(word), "a free word can't be excluded")
            free.append(word.value)
            continue
        if not word.value:
            raise InvalidFilterError("search", f"{word.key}:", "a value is needed")
        _read(found, word, now)
    if free:
        found["keyword"] = " ".join(free)
    return found


def _read(found: dict[str, Any], word: Word, now: datetime) -> None:
    sign, key, value = word
    if sign and key != "channel":
        raise InvalidFilterError("search", str(word), "only a channel can be excluded")
    if key in _MANY:
        name = "channel_denylist" if sign else _MANY[key]
        found.setdefault(name, []).append(value)
        return
    for name, item in _arguments(word, now).items():
        if name == "data":
            item = {**found.get("data", {}), **item}  # noqa: PLW2901  Several keys, one argument.
        elif name in found:
            raise InvalidFilterError("search", str(word), "stands there twice")
        found[name] = item


def _arguments(word: Word, now: datetime) -> dict[str, Any]:
    _, key, value = word
    if key in _IDS:
        return {_IDS[key]: value}
    if key in _DATA:
        return {"data": {_DATA[key]: value}}
    if key in _OTHERS:
        return _OTHERS[key](key, value, now)
    known = ", ".join(sorted({*_MANY, *_IDS, *_DATA, *_OTHERS}))
    raise InvalidFilterError("search", str(word), f"there is no {key!r}; use one of {known}")


def _object(_: str, value: str, __: datetime) -> dict[str, Any]:
    type_, colon, id_ = value.partition(":")
    return {"object_type": type_, "object_id": id_} if colon and id_ else {"object_type": type_}


def moment(key: str, value: str, now: datetime) -> dict[str, Any]:
    """Read ``7d`` and the like; what is not of that kind is left to the filter."""
    ago = _AGO.fullmatch(value)
    if ago is None:
        return {key: value}
    try:
        return {key: now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})}
    except OverflowError:
        raise InvalidFilterError(key, value, "is before the calendar begins") from None


_MANY: Final = {"verb": "verbs", "channel": "channels"}
_OTHERS: Final[dict[str, Callable[[str, str, datetime], dict[str, Any]]]] = {
    "object": _object,
    "since": moment,
    "until": moment,
}
