"""
Values made plain: whatever a caller passes becomes JSON that can be stored.

Nothing here raises, hangs or runs code of the values: types are looked up, never
asked. No ``repr``, ``str``, ``==``, ``bool``, ``hash`` or ``isinstance`` is used on
a foreign object or class, for each of them can be overridden to do anything.
"""

from __future__ import annotations

import math
import re

from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from types import GeneratorType
from typing import Any, Final
from uuid import UUID

from .inside import class_attribute, mro, stored_fields, vars_of
from .jsontext import json_encoder
from .redact import DROPPED, REDACTED, Redactor, Unsafe
from .text import shortened, storable, type_name
from .times import as_given, exact


MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 256
MAX_NODES: Final = 2_000
MAX_STRING: Final = 8_192
MAX_TOTAL: Final = 65_536
MAX_KEY: Final = 256
MAX_BYTES: Final = 3_072

INT64: Final = 1 << 63
"""Ints from minus this up to this, exclusive, are stored as ints."""

CUT: Final = "<cut>"
"""Stands for values beyond the budget of a record."""

SCALARS: Final = frozenset({str, int, float, bool, type(None)})
"""Types whose values can't change after the call, so that they may wait."""

_LONGEST_INT = 1_024  # bits
_EXACT_FLOAT = 1e16
_PAIR = 2
_AFFORDED = slice(MAX_ITEMS + 1)
_KEPT = slice(MAX_BYTES)
_TRUSTED_ZONES = ("datetime.", "zoneinfo.", "pytz", "dateutil.", "pendulum.")
_UNREADABLE = "<unreadable>"
_LONGEST_WORD = 512
_LAST_WORD = re.compile(r"(?<=\s)\S+\Z")
_int_of = UUID.__dict__["int"].__get__

encode_json = json_encoder()
"""Write plain values as compact JSON."""


class Plainer:
    """
    Make mappings plain and redact them, each within the same budgets.

    A mapping may nest 8 levels, hold 256 items a level and 2,000 values in all,
    strings of 8,192 and together 65,536 characters. What is beyond is cut, and
    a marker says so.

    Args:

        redactor: Replaces what must not be stored; `None` replaces nothing.

    Attributes:

        may_hold: Tells whether `cleaned` would look closer at a text, or at any
            part of it.
    """

    __slots__ = ("_redactor", "may_hold")

    def __init__(self, redactor: Redactor | None) -> None:
        self._redactor = redactor
        self.may_hold: Callable[[str], bool] = redactor.may_hold if redactor else _never

    def mapping(self, values: dict[Any, Any], verb: str = "") -> dict[str, Any]:
        """
        Return a plain copy of *values*.

        Args:

            values: The ``data`` of a record, or what is to be added to it.

            verb: The record's; it may say which keys are stored at all.
        """
        pairs: Iterable[tuple[Any, Any]] = dict.items(values)
        allowed = None if self._redactor is None else self._redactor.allowed(verb)
        if allowed is not None:
            pairs = [(k, v) for k, v in pairs if type(k) is str and k in allowed]
        return _Walk(self._redactor).items(pairs, 0)

    def value(self, value: Any, key: str = "") -> Any:
        """Return a plain copy of one value, found under *key*."""
        return _Walk(self._redactor, key).value(value, 0)

    def item(self, value: Any) -> Any:
        """Return a plain copy of one value of a mapping, whose budgets it has for itself."""
        return _Walk(self._redactor).value(value, 1)

    def hides(self, key: str) -> bool:
        """Tell whether the value under *key* is replaced."""
        return self._redactor is not None and self._redactor.hides(key)

    def masks(self, key: str) -> bool:
        """Tell whether `REDACTED` stands for a value that *key* hides, whatever it is."""
        return self._redactor is not None and self._redactor.masks(key)

    def cleaned(self, key: str, text: str) -> str:
        """Return a text, found under *key*, without the secrets in it."""
        return text if self._redactor is None else self._redactor.cleaned(key, text)

    def cleaned_key(self, key: str) -> str:
        """Return a key without the secrets in it."""
        return key if self._redactor is None else self._redactor.cleaned_key(key)

    @property
    def allows_all(self) -> bool:
        """Whether every verb may have any key."""
        return self._redactor is None or self._redactor.allows_all


def _never(_text: str) -> bool:
    return False


class _Walk:
    """One pass over one record's values, with what is left of its budgets."""

    __slots__ = ("_characters", "_key", "_nodes", "_open", "_redactor")

    def __init__(self, redactor: Redactor | None, key: str = "") -> None:
        self._redactor = redactor
        self._key = key  # Under which the value at hand is found.
        self._nodes = MAX_NODES
        self._characters = MAX_TOTAL
        self._open: set[int] = set()

    def value(self, value: Any, depth: int) -> Any:
        self._nodes -= 1
        if self._nodes < 0 or self._characters < 0:
            return CUT
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is int or kind is float:
            return _number(value)
        if kind is bool or value is None:
            return value
        if kind is Unsafe:
            return self._as_it_is(value.value, depth - 1)
        return self._other(kind, value, depth)

    def text(self, value: str) -> str:
        if len(value) > MAX_STRING:
            return self._long_text(value)
        if self._redactor is not None:
            value = self._redactor.cleaned(self._key, value)
        self._characters -= len(value)
        return storable(value)

    def _long_text(self, value: str) -> str:
        kept = value[:MAX_STRING]
        if self._redactor is not None:
            kept = kept if value[MAX_STRING].isspace() else _without_half_word(kept)
        note = f"<cut: {len(value) - len(kept)} characters>"
        return self.text(kept) + note

    def items(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        hides = self._redactor.hides if self._redactor else None
        above = self._key
        try:
            for key, value in pairs:
                if len(out) >= MAX_ITEMS:
                    out[CUT] = "more items"
                    break
                self._key = text = key if type(key) is str else _key_text(key)
                hidden = hides is not None and value is not None and hides(text)
                found = self._instead(value, depth) if hidden else self.value(value, depth + 1)
                if found is not DROPPED:
                    out[self._name(text, out)] = found
        except RuntimeError:  # Another thread changed the mapping while it was read.
            out[CUT] = "changed while it was read"
        self._key = above
        return out

    def _name(self, text: str, taken: dict[str, Any]) -> str:
        text = text[:MAX_STRING]
        if self._redactor is not None:
            # Twice what is kept, so that no secret is cut in half before it is seen.
            text = self._redactor.cleaned_key(text[: 2 * MAX_KEY]) + text[2 * MAX_KEY :]
        name = storable(shortened(text, MAX_KEY))
        self._characters -= len(name)
        if name not in taken:
            return name
        return next(n for i in range(2, MAX_ITEMS + 3) if (n := f"{name}#{i}") not in taken)

    def _instead(self, value: Any, depth: int) -> Any:
        """Return what is stored instead of a value that its key hides."""
        redactor, key = self._redactor, self._key
        assert redactor is not None  # noqa: S101  It says what is hidden.
        if type(value) is Unsafe:
            return self.value(value, depth + 1)
        if redactor.masks(key):
            return REDACTED
        found = redactor.hidden(key, self._as_it_is(value, depth))
        return found if found is DROPPED else self._as_it_is(found, depth)

    def _as_it_is(self, value: Any, depth: int) -> Any:
        """Return a plain copy in which nothing is redacted."""
        redactor, self._redactor = self._redactor, None
        try:
            return self.value(value, depth + 1)
        finally:
            self._redactor = redactor

    def _other(self, kind: type, value: Any, depth: int) -> Any:
        try:
            return self._by_type(kind, value, depth)
        except Exception:  # noqa: BLE001  What changes while it is read can fail in any way.
            return _UNREADABLE

    def _by_type(self, kind: type, value: Any, depth: int) -> Any:
        for base in mro(kind):
            if (key := id(base)) in _CONTAINERS:
                return self._container(_CONTAINERS[key], value, depth)
            if key in _CONVERTERS:
                plain = _CONVERTERS[key](value)
                return self.text(plain) if type(plain) is str else plain
            if key in _ENCODERS:
                return self._encoded(*_ENCODERS[key](value))
            if base is Enum:
                return self.value(vars_of(value).get("_value_"), depth)
        fields = stored_fields(kind, value)
        if fields is None:
            return f"<{type_name(value)}>"
        return self._container(lambda _: fields.items(), value, depth)

    def _encoded(self, head: bytes, size: int) -> str:
        if self._redactor is not None:
            text = head.decode("latin-1")
            if self._redactor.cleaned(self._key, text) != text:
                return REDACTED
        text = f"base64:{b64encode(head).decode()}" if size <= MAX_BYTES else f"<bytes: {size}>"
        self._characters -= len(text)
        return text

    def _container(self, read: Callable[[Any], Any], value: Any, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            return "<too deep>"
        if id(value) in self._open:
            return "<cycle>"
        self._open.add(id(value))
        try:
            content = read(value)
            kind = type(content)
            if kind is _Unordered:
                return sorted(self._values(content, depth), key=encode_json)
            if kind is list or kind is tuple:
                return self._sequence(content, depth)
            return self.items(content, depth)
        finally:
            self._open.discard(id(value))

    def _sequence(self, content: Sequence[Any], depth: int) -> list[Any]:
        if len(content) == _PAIR and self._is_secret_pair(content[0]):
            return self._pair(content, depth)
        return self._values(content, depth)

    def _pair(self, content: Sequence[Any], depth: int) -> list[Any]:
        name = self.value(content[0], depth + 1)
        above, self._key = self._key, _key_text(content[0])
        found = self._instead(content[1], depth)
        self._key = above
        return [name, REDACTED if found is DROPPED else found]

    def _values(self, content: Sequence[Any], depth: int) -> list[Any]:
        out = [self.value(item, depth + 1) for item in content[:MAX_ITEMS]]
        if len(content) > MAX_ITEMS:
            out.append("<cut: more items>")
        return out

    def _is_secret_pair(self, name: Any) -> bool:
        # Headers travel as pairs: [("Authorization", "Bearer ..."), ...].
        if self._redactor is None or not issubclass(type(name), str | bytes):
            return False
        text = _key_text(name)
        # The names of headers are short; two long texts are a before and an after.
        return len(text) <= MAX_KEY and self._redactor.hides(text)


class _Unordered(list[Any]):
    """The items of a set."""


def _number(value: float) -> Any:
    if type(value) is int:
        if -INT64 <= value < INT64:
            return value
        bits = value.bit_length()
        return str(value) if bits <= _LONGEST_INT else f"<int: {bits} bits>"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if abs(value) >= _EXACT_FLOAT:  # jsonb gives it back as an int.
        return int(value) if -INT64 <= value < INT64 else repr(value)
    return value + 0.0  # -0.0 + 0.0 is 0.0, as jsonb has it.


def _key_text(key: Any) -> str:
    if key is None or type(key) is bool:
        return {None: "null", True: "true", False: "false"}[key]
    try:
        return _text_of(key)
    except Exception:  # noqa: BLE001  As above.
        return _UNREADABLE


def _text_of(key: Any) -> str:
    for base in mro(type(key)):
        if base is bytes:
            return bytes.__getitem__(key, slice(MAX_STRING)).decode("utf-8", "replace")
        if base is Enum:
            return _key_text(vars_of(key).get("_value_"))
        if id(base) in _CONVERTERS:
            plain = _CONVERTERS[id(base)](key)
            return plain if type(plain) is str else repr(plain)
    return f"<{type_name(key)}>"


def _is_trusted(zone: tzinfo) -> bool:
    return type_name(zone).startswith(_TRUSTED_ZONES)


def _moment(value: datetime) -> str:
    moment = exact(value)
    if moment.tzinfo is None:
        return moment.isoformat()
    if not _is_trusted(moment.tzinfo):
        return f"<{type_name(value)}>"
    try:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except Exception:  # noqa: BLE001  Outside the years 1 to 9999, or its zone is broken.
        return as_given(moment)


def _time(value: time) -> str:
    clock = datetime.combine(date.min, value).timetz()
    if clock.tzinfo is not None and not _is_trusted(clock.tzinfo):
        clock = clock.replace(tzinfo=None)
    return clock.isoformat()


def _without_half_word(text: str) -> str:
    """Return *text* without its last word: half a secret no longer looks like one."""
    word = _LAST_WORD.search(text, len(text) - _LONGEST_WORD)
    return text[: word.start()] if word else text


def _path(value: PurePath) -> str:
    # The methods of a path call one another, so those of a foreign class can't be trusted.
    name = type_name(value)
    return PurePath.__str__(value) if name.startswith("pathlib.") else f"<{name}>"


def _decimal(value: Decimal) -> str:
    return shortened(Decimal.__str__(value), MAX_KEY)


def _error(value: BaseException) -> dict[str, Any]:
    return {"type": type_name(value), "message": error_message(value)}


def error_message(error: BaseException) -> str:
    """Return the message of an exception from its arguments, without its ``__str__``."""
    args = BaseException.args.__get__(error)[:MAX_ITEMS]  # type: ignore[attr-defined]
    return ", ".join(text for arg in args if (text := _argument(arg)) is not None)


def _argument(value: Any) -> str | None:
    kind = type(value)
    if issubclass(kind, str):
        return str.__str__(value)[:MAX_STRING]
    if kind is int or kind is float:
        return str(_number(value))
    return str(value) if kind is bool or value is None else None


def _tuple(value: tuple[Any, ...]) -> Any:
    names = class_attribute(type(value), "_fields")
    items = tuple.__getitem__(value, _AFFORDED)
    return zip(names, items, strict=False) if type(names) is tuple else items


def _by_id(readers: dict[type, Callable[[Any], Any]]) -> dict[int, Callable[[Any], Any]]:
    # To look a class up by itself would call its metaclass's __hash__ and __eq__.
    return {id(kind): read for kind, read in readers.items()}


_CONTAINERS: Final = _by_id(
    {
        dict: dict.items,
        list: lambda value: list.__getitem__(value, _AFFORDED),
        tuple: _tuple,
        set: lambda value: _Unordered(islice(set.__iter__(value), MAX_ITEMS + 1)),
        frozenset: lambda value: _Unordered(islice(frozenset.__iter__(value), MAX_ITEMS + 1)),
        deque: lambda value: list(islice(deque.__iter__(value), MAX_ITEMS + 1)),
        BaseException: lambda value: _error(value).items(),
    }
)
"""How to read what holds others: as a list, a tuple, or pairs of key and value."""

_CONVERTERS: Final = _by_id(
    {
        str: str.__str__,
        bool: bool,
        int: lambda value: _number(int.__int__(value)),
        float: lambda value: _number(float.__float__(value)),
        memoryview: lambda value: f"<memoryview: {value.nbytes}>",
        datetime: _moment,
        date: date.isoformat,
        time: _time,
        timedelta: timedelta.__str__,
        Decimal: _decimal,
        UUID: lambda value: str(UUID(int=_int_of(value))),
        PurePath: _path,
        GeneratorType: lambda _: "<generator>",
    }
)

_ENCODERS: Final = _by_id(
    {
        bytes: lambda value: (bytes.__getitem__(value, _KEPT), bytes.__len__(value)),
        bytearray: lambda value: (
            bytes(bytearray.__getitem__(value, _KEPT)),
            bytearray.__len__(value),
        ),
    }
)
"""How to read bytes: their beginning, and how many there are."""
