"""
Templates: what is known of a row before its values are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final
from uuid import UUID

from .ids import NIL_BYTES, id_bytes, raw_id
from .jsontext import encode_text
from .plain import INT64, MAX_DEPTH, MAX_ITEMS, MAX_KEY, Plainer, encode_json
from .redact import REDACTED
from .row import Row
from .rowmaker import (
    MAX_CHANNEL,
    MAX_OBJECT_ID,
    MAX_OBJECT_TYPE,
    MAX_RAW,
    MAX_VERB,
    RAW,
    WHO,
    RowMaker,
    ip_text,
)
from .secrets import SHORTEST
from .text import has_control, storable


_FIELDS: Final = frozenset({"verb", "channel", "ip", *WHO})
_OBJECTS: Final = ({"object"}, {"object_type", "object_id"}, {"object_type"})
_LONGEST: Final = 4_000  # characters of JSON, which is well within all budgets of a record
_LONGEST_ID: Final = 128
_LONGEST_IP: Final = 64
_EXACT: Final = 1e16
_PAIR: Final = 2
_REDACTED_TEXT: Final = encode_json(REDACTED)
_new_row: Final[Callable[[Any], Row]] = partial(tuple.__new__, Row)


class Place(str):
    """The key of an event under which it has a value."""

    __slots__ = ()


class UnusualError(Exception):
    """A value that takes `RowMaker.make`."""


class Template:
    """
    Make rows of events that have the same keys.

    A program has few log calls, and each always has the same keys. What they
    mean, and which of them hide secrets, is told once; what is left per record
    is its values. Whatever is not as usual about those (a long text, a NUL, a
    float beyond the exact ones) is left to `RowMaker.make`. Where this makes a
    row, it is the same one.

    Args:

        fields: Where each field is; what is no `Place` is the value itself.

        data: The same for each item of ``data``, under its name.

        plainer: Redacts, and makes nested values plain.
    """

    __slots__ = (
        "_channel", "_cleaned", "_constants", "_hides", "_id", "_ip", "_items", "_json_of", "_keys",
        "_may_hold", "_object", "_plainer", "_type", "_verb", "_who",
    )  # fmt: skip

    def __init__(
        self, fields: Mapping[str, Any], data: Mapping[str, Any], plainer: Plainer
    ) -> None:
        self._plainer = plainer
        self._constants: dict[str, Any] = {}
        keys = {name: self._key(value) for name, value in fields.items()}
        self._verb, self._object = keys["verb"], keys.get("object")
        self._type, self._id = keys.get("object_type", ""), keys.get("object_id")
        self._channel, self._ip = keys.get("channel"), keys.get("ip")
        self._who = [(ix, name, keys[name]) for ix, name in enumerate(WHO) if name in keys]
        self._items = [
            (self._key(value), name, plainer.hides(name)) for name, value in data.items()
        ]
        names = ",".join([f"{encode_json(storable(name))}:\0" for name in data])
        self._json_of = f"{{{names}}}".replace("%", "%%").replace("\0", "%s").__mod__
        self._keys = [key for key, _, is_secret in self._items if not is_secret]
        self._hides = plainer.hides
        self._cleaned = plainer.cleaned
        self._may_hold = plainer.may_hold

    def _key(self, value: Any) -> str:
        if type(value) is Place:
            return str(value)
        # Behind a space and a number, so that it can't be a key of the event, too.
        key = f"\0{len(self._constants)}"
        self._constants[key] = value
        return key

    def row(self, event: dict[str, Any], id_: bytes, created_at: int) -> Row | None:
        """
        Return the row of *event*; `None` if it takes `RowMaker.make`.

        Args:

            event: Nothing in it changes any more.

            id_: The record's id.

            created_at: Its time, in microseconds since 1970.
        """
        if self._constants:
            event = {**event, **self._constants}
        try:
            return self._row(event, id_, created_at)
        except (UnusualError, ValueError, TypeError):
            return None

    def _row(self, event: dict[str, Any], id_: bytes, created_at: int) -> Row:
        actor_id, user_id, tenant_id, org_id, raw = self._ids(event)
        object_type, object_id = self._pair(event)
        channel, ip = self._channel, self._ip
        return _new_row(
            (
                tenant_id, created_at, id_, actor_id, user_id, org_id,
                _verb(event[self._verb]), object_type, object_id,
                "" if channel is None else _channel(event[channel]),
                "" if ip is None else _ip(event[ip]),
                self._json(event, raw),
            )
        )  # fmt: skip

    def _pair(self, event: dict[str, Any]) -> tuple[str, str]:
        if self._object is None:
            type_, id_ = event[self._type], None if self._id is None else event[self._id]
        else:
            given = event[self._object]
            type_, _, id_ = given.partition(":") if type(given) is str else _parts(given)
        if type(type_) is not str or len(type_) > MAX_OBJECT_TYPE:
            raise UnusualError
        object_id = _object_id(id_)
        if len(object_id) >= SHORTEST:
            object_id = self._cleaned("object_id", object_id)
        return _object_type(type_), object_id

    def _ids(self, event: dict[str, Any]) -> list[Any]:
        found: list[Any] = [NIL_BYTES, NIL_BYTES, NIL_BYTES, NIL_BYTES, None]
        for ix, name, key in self._who:
            value = event[key]
            kind = type(value)
            if kind is UUID:
                found[ix] = id_bytes(value)
            elif value is not None:
                is_text = kind is str and len(value) <= _LONGEST_ID
                found[ix], raw = _id(value if is_text else _int_text(value))
                if raw is not None:
                    if len(raw) >= SHORTEST:
                        raw = self._cleaned(name, raw)
                    found[4] = {**(found[4] or {}), name: raw}
        return found

    def _json(self, event: dict[str, Any], raw: dict[str, str] | None) -> str:
        parts = []
        # All texts at once, for most records hold no secret in any.
        texts = "\n".join([v for v in map(event.get, self._keys) if v.__class__ is str])
        if len(texts) > _LONGEST:
            raise UnusualError
        may_hold = self._may_hold(texts)
        for key, name, is_secret in self._items:
            value = event[key]
            # Most values are short texts, so these take no other call.
            if type(value) is str and not is_secret and len(value) <= _LONGEST:
                parts.append(encode_text(self._cleaned(name, value) if may_hold else value))
            else:
                parts.append(self._text(name, value, is_secret))
        text = self._json_of(tuple(parts))
        if raw is not None:
            text = f'{text[:-1]}{"," if parts else ""}"{RAW}":{encode_json(raw)}}}'
        # What a text must not hold is looked for in all of them at once. A
        # surrogate is what UTF-8 can't hold; that is a ValueError.
        if len(text) > _LONGEST or "\\u0000" in text or not (text.isascii() or text.encode()):
            raise UnusualError
        return text

    def _text(self, name: str, value: Any, is_secret: bool) -> str:  # noqa: FBT001  Called per value.
        """Return the JSON text of one item."""
        if value is None:
            return "null"
        if is_secret:
            return _REDACTED_TEXT
        kind = type(value)
        if kind is int and -INT64 <= value < INT64:
            return int.__repr__(value)
        if kind is bool:
            return "true" if value else "false"
        if kind is str:
            raise UnusualError
        return encode_json(self._plain(kind, value, 1, name))

    def _plain(self, kind: type, value: Any, depth: int, name: str) -> Any:
        """Return what stands for anything but a text, a bool or `None`."""
        if kind is int:
            if -INT64 <= value < INT64:
                return value
        elif kind is float:
            if -_EXACT < value < _EXACT:
                return value + 0.0  # -0.0 becomes 0.0.
        elif kind is dict:
            return self._mapping(value, depth)
        elif kind is list or kind is tuple:
            return self._sequence(value, depth, name)
        else:
            return self._plainer.item(value)
        raise UnusualError

    def _mapping(self, values: dict[str, Any], depth: int) -> dict[str, Any]:
        if depth > MAX_DEPTH or len(values) > MAX_ITEMS:
            raise UnusualError
        out = {}
        hides, cleaned = self._hides, self._cleaned
        for key, value in values.items():
            kind = type(value)
            if value is not None and hides(key):
                out[key] = self._masked(key)
            elif kind is str:
                out[key] = cleaned(key, value)
            elif kind is bool or value is None:
                out[key] = value
            else:
                out[key] = self._plain(kind, value, depth + 1, key)
            if len(key) >= SHORTEST and not self._is_plain_key(key):
                raise UnusualError
        return out

    def _is_plain_key(self, key: str) -> bool:
        return len(key) <= MAX_KEY and self._plainer.cleaned_key(key) == key

    def _masked(self, key: str) -> str:
        if self._plainer.masks(key):
            return REDACTED
        raise UnusualError

    def _sequence(self, values: Sequence[Any], depth: int, name: str) -> list[Any]:
        if depth > MAX_DEPTH or len(values) > MAX_ITEMS:
            raise UnusualError
        if len(values) == _PAIR and self._is_secret(values[0]):
            return [self._cleaned(name, values[0]), self._masked(values[0])]  # A header.
        out = list(values)
        for ix, value in enumerate(values):
            kind = type(value)
            if kind is str:
                out[ix] = self._cleaned(name, value)
            elif kind is not bool and value is not None:
                out[ix] = self._plain(kind, value, depth + 1, name)
        return out

    def _is_secret(self, name: Any) -> bool:
        return type(name) is str and len(name) <= MAX_KEY and self._hides(name)


def template_for(
    rows: RowMaker, fields: Mapping[str, Any], data: Mapping[str, Any]
) -> Template | None:
    """
    Return the template of events whose parts are at these places; `None` if there can't be one.

    Args:

        rows: Whose rows it makes.

        fields: As `Template` takes them.

        data: As `Template` takes it.
    """
    names = {storable(name) for name in data}
    is_usual = len(names) == len(data) <= MAX_ITEMS // 2 and RAW not in names
    is_usual = is_usual and all(_is_usual(name, rows.plainer) for name in data)
    if (
        not is_usual
        or not rows.plainer.allows_all
        or "verb" not in fields
        or fields.keys() - _FIELDS not in _OBJECTS
    ):
        return None
    return Template(fields, data, rows.plainer)


def _is_usual(name: str, plainer: Plainer) -> bool:
    """Tell whether an item of that name is stored under it, and redacted in the same way always."""
    is_masked = not plainer.hides(name) or plainer.masks(name)
    return is_masked and len(name) <= MAX_KEY and plainer.cleaned_key(name) == name


def _int_text(value: Any) -> str:
    if type(value) is int and -INT64 <= value < INT64:
        return str(value)
    raise UnusualError


@lru_cache(maxsize=8192)
def _id(text: str) -> tuple[bytes, str | None]:
    """Return the bytes of an id, and what is kept of it where it is the caller's own."""
    found = id_bytes(text)
    raw = None if found == NIL_BYTES else raw_id(text)
    return found, None if raw is None else storable(raw[:MAX_RAW])


@lru_cache(maxsize=4096)
def _verb(text: Any) -> str:
    if type(text) is str and len(text) <= MAX_VERB:
        verb = text.strip()
        if verb and not has_control(verb):
            return storable(verb)
    raise UnusualError


@lru_cache(maxsize=4096)
def _object_type(text: str) -> str:
    object_type = storable(text.strip())
    if not object_type:
        raise UnusualError
    return object_type


def _parts(given: Any) -> tuple[Any, None, Any]:
    if type(given) is not tuple:
        raise UnusualError
    type_, id_ = given
    return type_, None, id_


def _object_id(value: Any) -> str:
    kind = type(value)
    if kind is str:
        if len(value) <= MAX_OBJECT_ID:
            return storable(value).strip()
    elif kind is int:
        if -INT64 <= value < INT64:
            return str(value)
    elif value is None:
        return ""
    elif kind is UUID:
        return str(value)
    raise UnusualError


def _channel(value: Any) -> str:
    if value is None:
        return ""
    if type(value) is not str or len(value) > MAX_CHANNEL:
        raise UnusualError
    return storable(value.strip())


def _ip(value: Any) -> str:
    if value is None or (type(value) is str and not value):
        return ""
    found = ip_text(value.strip()) if type(value) is str and len(value) <= _LONGEST_IP else None
    if found is None:
        raise UnusualError
    return found
