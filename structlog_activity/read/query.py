"""
The query language: a filter as people type it, ``verb:settings.* actor:42 since:7d``.
"""

from __future__ import annotations

import difflib
import json
import re

from datetime import datetime, timedelta
from typing import Any, Final

from ..errors import InvalidFilterError
from ..record.ids import NIL
from .filter import ActivityFilter
from .words import Word, words_of


# Of each key the attribute of a filter. "object" and "data.KEY" have a form of their own.
_NAMES: Final = {
    "verb": "verbs",
    "actor": "actor_id",
    "user": "user_id",
    "involving": "involving",
    "org": "org_id",
    "channel": "channels",
    "since": "since",
    "until": "until",
}
# What is in the data of most records has a short name. It is text, whatever it looks like.
_SHORT: Final = {"outcome": "outcome", "request": "request_id", "correlation": "correlation_id"}
KEYS: Final = (*_NAMES, "object", *_SHORT, "data.KEY")
"""The keys that a word may have."""

_SEVERAL: Final = frozenset({"verbs", "channels", "channel_denylist"})
_MOMENTS: Final = frozenset({"since", "until"})
_TOO_LONG: Final = "is before the calendar begins"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATA: Final = "data."

_LITERAL: Final = re.compile(
    r"true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII
)
NOTHING: Final = "sets no condition: name a value, or leave the word out"
_QUOTE: Final = "in quotes it is a text to look for"


def parse_query(text: str, *, now: datetime) -> dict[str, Any]:
    """
    Return the arguments of an `ActivityFilter` that a query stands for.

    A query is words with spaces between them, all of which must hold::

        verb:settings.* actor:42 -channel:system since:7d data.to:dark "ui.theme"

    ``verb``, ``channel`` and ``-channel`` may come several times: any of these
    verbs, any of these channels, none of those. ``actor``, ``user``,
    ``involving``, ``org``, ``object:TYPE`` or ``object:TYPE:ID``, ``since`` and
    ``until`` (ISO 8601, or ``7d`` before *now*), and ``data.KEY`` come once;
    ``outcome``, ``request`` and ``correlation`` are ``data.outcome``,
    ``data.request_id`` and ``data.correlation_id``, always text. Words without
    a key are one text to look for, the *keyword*, with one space between them.
    What holds other spaces, quotes or a colon that is meant goes into double
    quotes, in which a backslash stands before a quote and before a backslash.
    A number, ``true``, ``false`` and ``null`` behind ``data.KEY`` are what JSON
    means by them; in quotes they are text.

    The tenant is no part of a query: whoever runs it says it.

    Args:

        text: The query; an empty one has no conditions.

        now: What ``7d`` is reckoned from.

    Raises:

        InvalidFilterError: A word can't be understood, sets no condition, or
            says something else than one before it. Nothing is passed over, so
            that no mistake makes the result larger.

    .. versionadded:: 0.1.0
    """
    found: dict[str, Any] = {}
    for word in words_of(text):
        for name, value in _conditions(word, now).items():
            _add(found, name, value, word)
    ActivityFilter.of({"tenant_id": NIL, **found})
    return found


def parse_moment(name: str, text: str, now: datetime) -> datetime | str:
    """
    Return the moment that ``24h`` is before *now*; text of another kind as it is.

    Args:

        name: What the moment is for, which an error names.

        text: A number and one of s, m, h, d and w.

        now: What it is reckoned from.

    Raises:

        InvalidFilterError: It is before the calendar begins.

    .. versionadded:: 0.1.0
    """
    age = duration(name, text)
    if age is None:
        return text
    try:
        return now - age
    except OverflowError:
        raise InvalidFilterError(name, text, _TOO_LONG) from None


def duration(name: str, text: str) -> timedelta | None:
    """
    Return how long ``24h`` is; `None` for text of another kind.

    Args:

        name: What it is for, which an error names.

        text: A number and one of s, m, h, d and w.

    Raises:

        InvalidFilterError: It is longer than the calendar.

    .. versionadded:: 0.1.0
    """
    if text[-1:] not in _UNITS or not text[:-1].isdecimal():
        return None
    try:
        return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    except (OverflowError, ValueError):  # The latter for thousands of digits.
        raise InvalidFilterError(name, text, _TOO_LONG) from None


def _conditions(word: Word, now: datetime) -> dict[str, Any]:
    """Return the arguments that a word stands for, each of them a condition indeed."""
    found = _read(word, now)
    try:
        where = ActivityFilter.of({"tenant_id": NIL, **found})
    except InvalidFilterError as error:
        word.refuse(error.problem)
    if not all(getattr(where, name) for name in found):
        word.refuse(NOTHING)
    return found


def _read(word: Word, now: datetime) -> dict[str, Any]:
    if word.is_negated:
        return _left_out(word)
    if word.key is None:
        return {"keyword": word.value}
    if word.key == "object":
        return _object(word)
    if word.key in _SHORT:
        return {"data": {_SHORT[word.key]: word.value or word.refuse(NOTHING)}}
    if word.key.startswith(_DATA) and word.key != _DATA:
        return {"data": {word.key.removeprefix(_DATA): _scalar(word)}}
    if word.key not in _NAMES:
        word.refuse(_unknown(word.key))
    name = _NAMES[word.key]
    return {name: parse_moment("query", word.value, now) if name in _MOMENTS else word.value}


def _left_out(word: Word) -> dict[str, Any]:
    if word.key != "channel":
        word.refuse(f"only a channel can be left out, as -channel:NAME; {_QUOTE}")
    return {"channel_denylist": word.value}


def _object(word: Word) -> dict[str, Any]:
    type_, colon, id_ = word.value.partition(":")
    if not type_ or (colon and not id_):
        word.refuse("object:TYPE:ID is needed, or object:TYPE for all of that type")
    return {"object_type": type_} | ({"object_id": id_} if id_ else {})


def _scalar(word: Word) -> Any:
    if word.is_quoted or not _LITERAL.fullmatch(word.value):
        return word.value
    try:
        return json.loads(word.value)
    except ValueError:  # An int of thousands of digits, which records keep as text.
        return word.value


def _unknown(key: str) -> str:
    if key in {"tenant", "tenant_id"}:
        return "the tenant is said beside a query, never in it"
    if key in {"data", _DATA}:
        return "say which key of the data: data.KEY:VALUE"
    near = difflib.get_close_matches(key, KEYS, n=1)
    if near:
        return f"there is no key {key!r} (did you mean {near[0]}:?); {_QUOTE}"
    return f"there is no key {key!r}; there are {', '.join(KEYS)}; {_QUOTE}"


def _add(found: dict[str, Any], name: str, value: Any, word: Word) -> None:
    """Put a condition to those before it, with which it must go together."""
    if name in _SEVERAL:
        found[name] = (*found.get(name, ()), value)
    elif name == "keyword":
        found[name] = f"{found[name]} {value}" if name in found else value
    elif name == "data":
        for key, item in value.items():
            _set(found.setdefault("data", {}), key, item, word)
    else:
        _set(found, name, value, word)


def _set(found: dict[str, Any], name: str, value: Any, word: Word) -> None:
    before = found.setdefault(name, value)
    if (type(before), before) == (type(value), value):
        return
    word.refuse(f"{word.key} has another value already, and both can't hold: leave one out")
