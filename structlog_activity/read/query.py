"""
The query language: a filter as people type it, ``verb:settings.* actor:42 since:7d``.
"""

from __future__ import annotations

import difflib
import json
import re

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

from ..errors import InvalidFilterError
from ..record.ids import NIL
from .filter import ActivityFilter


LONGEST_QUERY: Final = 10_000  # characters

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
_KEYS: Final = (*_NAMES, "object", "data.KEY")
_SEVERAL: Final = frozenset({"verbs", "channels", "channel_denylist"})
_MOMENTS: Final = frozenset({"since", "until"})
_TOO_LONG: Final = "is before the calendar begins"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATA: Final = "data."

_PART: Final = re.compile(
    r"""(?P<space>\s+) | "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<plain>[^\s"]+) | (?P<open>")""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r'\\(["\\])')
_LITERAL: Final = re.compile(
    r"true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII
)
_QUOTE: Final = "in quotes it is a text to look for"


def parse_query(text: str, *, now: datetime) -> dict[str, Any]:
    """
    Return the arguments of an `ActivityFilter` that a query stands for.

    A query is words with spaces between them, all of which must hold::

        verb:settings.* actor:42 -channel:system since:7d data.to:dark "ui.theme"

    ``verb``, ``channel`` and ``-channel`` may come several times: any of these
    verbs, any of these channels, none of those. ``actor``, ``user``,
    ``involving``, ``org``, ``object:TYPE`` or ``object:TYPE:ID``, ``since`` and
    ``until`` (ISO 8601, or ``7d`` before *now*), and ``data.KEY`` come once. One
    word without a key is the *keyword*. What holds spaces, quotes or a colon
    that is meant goes into double quotes, in which a backslash stands before
    a quote and before a backslash. A number, ``true``, ``false`` and ``null``
    behind ``data.KEY`` are what JSON means by them; in quotes they are text.

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
    for word in _words(text):
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


@dataclass(frozen=True, slots=True)
class _Word:
    """
    A word of a query.

    Attributes:

        text: As it was typed.

        key: What stands before the first colon outside quotes; `None` where
            there is none.

        value: The rest, without quotes.

        is_quoted: Whether the value had any.

        is_negated: Whether the word began with a hyphen, which is in neither.
    """

    text: str
    key: str | None
    value: str
    is_quoted: bool
    is_negated: bool

    def refuse(self, problem: str) -> NoReturn:
        raise InvalidFilterError("query", self.text, problem)


def _words(text: Any) -> Iterator[_Word]:
    if not isinstance(text, str):
        raise InvalidFilterError("query", text, "text is needed")
    if len(text) > LONGEST_QUERY:
        raise InvalidFilterError("query", text, f"at most {LONGEST_QUERY:,} characters")
    parts: list[re.Match[str]] = []
    for part in _PART.finditer(text):
        if part["open"]:
            problem = "a quote is not closed: put one behind the text"
            raise InvalidFilterError("query", text[part.start() :], problem)
        if not part["space"]:
            parts.append(part)
        elif parts:
            yield _word(parts)
            parts = []
    if parts:
        yield _word(parts)


def _word(parts: list[re.Match[str]]) -> _Word:
    typed = "".join(part[0] for part in parts)
    texts = [_unquoted(part) for part in parts]
    is_negated = (parts[0]["plain"] or "").startswith("-")
    if is_negated:
        texts[0] = texts[0][1:]
    for index, part in enumerate(parts):
        if part["plain"] and ":" in texts[index]:
            before, _, behind = texts[index].partition(":")
            key = "".join((*texts[:index], before))
            value = "".join((behind, *texts[index + 1 :]))
            return _Word(typed, key, value, _any_quoted(parts[index + 1 :]), is_negated)
    return _Word(typed, None, "".join(texts), _any_quoted(parts), is_negated)


def _unquoted(part: re.Match[str]) -> str:
    return part["plain"] or _ESCAPE.sub(r"\1", part["quoted"])


def _any_quoted(parts: list[re.Match[str]]) -> bool:
    return any(part["quoted"] is not None for part in parts)


def _conditions(word: _Word, now: datetime) -> dict[str, Any]:
    """Return the arguments that a word stands for, each of them a condition indeed."""
    found = _read(word, now)
    try:
        where = ActivityFilter.of({"tenant_id": NIL, **found})
    except InvalidFilterError as error:
        word.refuse(error.problem)
    if not all(getattr(where, name) for name in found):
        word.refuse("sets no condition: name a value, or leave the word out")
    return found


def _read(word: _Word, now: datetime) -> dict[str, Any]:
    if word.is_negated:
        if word.key == "channel":
            return {"channel_denylist": word.value}
        word.refuse(f"only a channel can be left out, as -channel:NAME; {_QUOTE}")
    if word.key is None:
        return {"keyword": word.value}
    if word.key == "object":
        return _object(word)
    if word.key.startswith(_DATA) and word.key != _DATA:
        return {"data": {word.key.removeprefix(_DATA): _scalar(word)}}
    if word.key not in _NAMES:
        word.refuse(_unknown(word.key))
    name = _NAMES[word.key]
    if name in _MOMENTS:
        return {name: parse_moment("query", word.value, now)}
    return {name: word.value}


def _object(word: _Word) -> dict[str, Any]:
    type_, colon, id_ = word.value.partition(":")
    if not type_ or (colon and not id_):
        word.refuse("object:TYPE:ID is needed, or object:TYPE for all of that type")
    return {"object_type": type_} | ({"object_id": id_} if id_ else {})


def _scalar(word: _Word) -> Any:
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
    near = difflib.get_close_matches(key, _KEYS, n=1)
    hint = f"did you mean {near[0]}:" if near else f"there are {', '.join(_KEYS)}"
    return f"there is no key {key!r}; {hint}; {_QUOTE}"


def _add(found: dict[str, Any], name: str, value: Any, word: _Word) -> None:
    """Put a condition to those before it, with which it must go together."""
    if name in _SEVERAL:
        found[name] = (*found.get(name, ()), value)
    elif name == "data":
        for key, item in value.items():
            _set(found.setdefault("data", {}), key, item, word)
    else:
        _set(found, name, value, word)


def _set(found: dict[str, Any], name: str, value: Any, word: _Word) -> None:
    before = found.setdefault(name, value)
    if (type(before), before) == (type(value), value):
        return
    if word.key is None:
        word.refuse("there is another word without a key: put both into one pair of quotes")
    word.refuse(f"{word.key} has another value already, and both can't hold: leave one out")
