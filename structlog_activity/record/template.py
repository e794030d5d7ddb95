"""
Templates: what is known of a row before its values are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final
from uuid import UUID

from .budgets import (
    INT64,
    MAX_CHANNEL,
    MAX_IP,
    MAX_ITEMS,
    MAX_KEY,
    MAX_OBJECT_ID,
    MAX_OBJECT_TYPE,
    MAX_VERB,
)
from .canonical import in_order
from .data_template import DataTemplate, UnusualError
from .ids import NIL_BYTES, id_bytes, raw_id
from .jsontext import encode_text
from .plain import Plainer
from .record import RAW
from .row import Row
from .rowmaker import WHO, RowMaker, ip_text
from .secrets import SHORTEST
from .text import has_control, storable


_FIELDS: Final = frozenset({"verb", "channel", "ip", *WHO})
_OBJECTS: Final = ({"object"}, {"object_type", "object_id"}, {"object_type"})
_LONGEST_ID: Final = 128
_new_row: Final[Callable[[Any], Row]] = partial(tuple.__new__, Row)


class EventKey(str):
    """The key of an event under which it has a value."""

    __slots__ = ()


class Template:
    """
    Make rows of events that have the same keys.

    A program has few log calls, and each always has the same keys. What they
    mean, and which of them hide secrets, is told once; what is left per record
    is its values. Whatever is not as usual about those (a long text, a NUL, a
    float beyond the exact ones) is left to `RowMaker.make`. Where this makes a
    row, it is the same one.

    Args:

        fields: Where each field is; what is no `EventKey` is the value itself.

        data: The same for each item of ``data``, under its name.

        plainer: Redacts, and makes nested values plain.
    """

    __slots__ = (
        "_channel", "_cleaned", "_constants", "_id", "_ip", "_object", "_text_of", "_type", "_verb",
        "_who",
    )  # fmt: skip

    def __init__(
        self, fields: Mapping[str, Any], data: Mapping[str, Any], plainer: Plainer
    ) -> None:
        self._constants: dict[str, Any] = {}
        keys = {name: self._key(value) for name, value in fields.items()}
        self._verb, self._object = keys["verb"], keys.get("object")
        self._type, self._id = keys.get("object_type", ""), keys.get("object_id")
        self._channel, self._ip = keys.get("channel"), keys.get("ip")
        who = [name for name in in_order(WHO) if name in keys]
        self._who = [(WHO.index(name), name, keys[name]) for name in who]
        self._text_of = DataTemplate(
            {name: self._key(value) for name, value in data.items()}, plainer
        ).text
        self._cleaned = plainer.cleaned

    def _key(self, value: Any) -> str:
        if type(value) is EventKey:
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
                self._text_of(event, f"{{{', '.join(raw)}}}" if raw else ""),
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
        """Return the ids in the order of `WHO`, and the JSON of what is kept of each original."""
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
                    found[4] = [*(found[4] or ()), f'"{name}": {encode_text(raw)}']
        return found


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
    is_usual = "verb" in fields and fields.keys() - _FIELDS in _OBJECTS
    if not (is_usual and rows.plainer.allows_all and _are_usual(data, rows.plainer)):
        return None
    return Template(fields, data, rows.plainer)


def _are_usual(data: Mapping[str, Any], plainer: Plainer) -> bool:
    names = {storable(name) for name in data}
    return (
        len(names) == len(data) <= MAX_ITEMS // 2
        and RAW not in names
        and all(_is_usual(name, plainer) for name in data)
        # Types are looked up by their hash, which the class of a class may have made its own.
        and all(type(type(value)) is type for value in data.values())
    )


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
    raw = raw_id(text)
    return id_bytes(text), None if raw is None else storable(raw)


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
    found = ip_text(value.strip()) if type(value) is str and len(value) <= MAX_IP else None
    if found is None:
        raise UnusualError
    return found
