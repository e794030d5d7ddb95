"""
Values made plain: whatever a caller passes becomes JSON that can be stored.

Nothing here raises, hangs or runs code of the values: types are looked up, never
asked. No ``repr``, ``str``, ``==``, ``bool``, ``hash`` or ``isinstance`` is used on
a foreign object or class, for each of them can be overridden to do anything. So
what `readers` and `introspection` can't read, as an ``ObjectId``, is the name of its type.
"""

from __future__ import annotations

import re

from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from itertools import count
from typing import Any, Final

from .budgets import MAX_BYTES, MAX_DEPTH, MAX_ITEMS, MAX_KEY, MAX_NODES, MAX_STRING, MAX_TOTAL
from .introspection import mro, stored_fields, vars_of
from .jsontext import json_encoder
from .readers import CONTAINERS, CONVERTERS, ENCODERS, UNREADABLE, Unordered, key_text, number
from .redact import DROPPED, REDACTED, Redactor, Unsafe
from .text import shortened, storable, type_name


CUT: Final = "<cut>"
"""Stands for values beyond the budget of a record."""

SCALARS: Final = frozenset({str, int, float, bool, type(None)})
"""Types whose values can't change after the call, so that they may wait."""

_PAIR = 2
_LONGEST_WORD = 512
_LAST_WORD = re.compile(r"(?<=\s)\S+\Z")

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

        cleaned: Returns a text without the secrets in it, of the key that it is found
            under and the text.

        may_hold: Tells whether `cleaned` would look closer at a text, or at any
            part of it.
    """

    __slots__ = ("_redactor", "cleaned", "may_hold")

    def __init__(self, redactor: Redactor | None) -> None:
        self._redactor = redactor
        # The redactor's own, for templates come here with every text.
        self.cleaned: Callable[[str, str], str] = redactor.cleaned if redactor else _as_it_is
        self.may_hold: Callable[[str], bool] = redactor.may_hold if redactor else _never

    def mapping(self, values: dict[Any, Any], verb: str | None = None) -> dict[str, Any]:
        """
        Return a plain copy of *values*.

        Args:

            values: The ``data`` of a record, or what is to be added to it.

            verb: The record's, which may say what keys are stored at all; `None` allows
                all.
        """
        pairs: Iterable[tuple[Any, Any]] = dict.items(values)
        redactor = self._redactor
        allowed = None if redactor is None or verb is None else redactor.allowed(verb)
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

    def cleaned_key(self, key: str) -> str:
        """Return a key without the secrets in it."""
        return key if self._redactor is None else self._redactor.cleaned_key(key)

    @property
    def allows_all(self) -> bool:
        """Whether every verb may have any key."""
        return self._redactor is None or self._redactor.allows_all


def _as_it_is(_key: str, text: str) -> str:
    return text


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
            return number(value)
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
                self._key = text = key if type(key) is str else key_text(key)
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
        return next(n for i in count(2) if (n := f"{name}#{i}") not in taken)

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
            return UNREADABLE

    def _by_type(self, kind: type, value: Any, depth: int) -> Any:
        for base in mro(kind):
            if (key := id(base)) in CONTAINERS:
                return self._container(CONTAINERS[key], value, depth)
            if key in CONVERTERS:
                plain = CONVERTERS[key](value)
                return self.text(plain) if type(plain) is str else plain
            if key in ENCODERS:
                return self._encoded(*ENCODERS[key](value))
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
            if kind is Unordered:
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
        above, self._key = self._key, key_text(content[0])
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
        text = key_text(name)
        # The names of headers are short; two long texts are a before and an after.
        return len(text) <= MAX_KEY and self._redactor.hides(text)


def _without_half_word(text: str) -> str:
    """Return *text* without its last word: half a secret no longer looks like one."""
    word = _LAST_WORD.search(text, len(text) - _LONGEST_WORD)
    return text[: word.start()] if word else text
