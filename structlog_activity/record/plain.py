"""
Values made plain: whatever a caller passes becomes JSON that can be stored.

Nothing here raises, hangs or runs code of the values: types are looked up, never
asked. No ``repr``, ``str``, ``==``, ``bool`` or ``isinstance`` is used on a
foreign object, for each of them can be overridden to do anything.
"""

from __future__ import annotations

import json
import math

from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from types import GeneratorType, MemberDescriptorType
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from .redact import REDACTED, Redactor
from .text import shortened, storable, type_name


MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 256
MAX_NODES: Final = 2_000
MAX_STRING: Final = 8_192
MAX_TOTAL: Final = 65_536
MAX_KEY: Final = 256
MAX_BYTES: Final = 3_072

CUT: Final = "<cut>"
"""Stands for values beyond the budget of a record."""

SCALARS: Final = frozenset({str, int, float, bool, type(None)})
"""Types whose values can't change after the call, so that they may wait."""

_INT64 = 1 << 63
_LONGEST_INT = 1_024  # bits
_EXACT_FLOAT = 1e16
_PAIR = 2
_AFFORDED = slice(MAX_ITEMS + 1)
_mro = type.__dict__["__mro__"].__get__  # Not kind.__mro__: a metaclass may override that.
_TRUSTED_ZONES = (timezone, ZoneInfo)

encode_json = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode
"""Write plain values as compact JSON."""


class Plainer:
    """
    Make mappings plain and redact them by key, each within the same budgets.

    A mapping may nest 8 levels, hold 256 items a level and 2,000 values in all,
    strings of 8,192 and together 65,536 characters. What is beyond is cut, and
    a marker says so.

    Args:

        redactor: Tells which keys hide their values; `None` hides nothing.
    """

    __slots__ = ("_redactor",)

    def __init__(self, redactor: Redactor | None) -> None:
        self._redactor = redactor

    def mapping(self, values: dict[Any, Any]) -> dict[str, Any]:
        """Return a plain copy of *values*."""
        return _Walk(self._redactor).items(dict.items(values), 0)

    def value(self, value: Any) -> Any:
        """Return a plain copy of one value."""
        return _Walk(self._redactor).value(value, 0)


class _Walk:
    """One pass over one record's values, with what is left of its budgets."""

    __slots__ = ("_characters", "_nodes", "_open", "_redactor")

    def __init__(self, redactor: Redactor | None) -> None:
        self._redactor = redactor
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
        return self._other(kind, value, depth)

    def text(self, value: str) -> str:
        if len(value) > MAX_STRING:
            value = f"{value[:MAX_STRING]}<cut: {len(value) - MAX_STRING} characters>"
        self._characters -= len(value)
        return storable(value)

    def items(self, pairs: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        hides = self._redactor.hides if self._redactor else None
        try:
            for key, value in pairs:
                if len(out) >= MAX_ITEMS:
                    out[CUT] = "more items"
                    break
                name = self._key(key, out)
                hidden = hides is not None and value is not None and hides(name)
                out[name] = REDACTED if hidden else self.value(value, depth + 1)
        except RuntimeError:  # Another thread changed the mapping while it was read.
            out[CUT] = "changed while it was read"
        return out

    def _key(self, key: Any, taken: dict[str, Any]) -> str:
        name = key if type(key) is str else _key_text(key)
        name = storable(shortened(name[:MAX_STRING], MAX_KEY))
        self._characters -= len(name)
        if name not in taken:
            return name
        return next(n for i in range(2, MAX_ITEMS + 3) if (n := f"{name}#{i}") not in taken)

    def _other(self, kind: type, value: Any, depth: int) -> Any:
        try:
            return self._by_type(kind, value, depth)
        except Exception:  # noqa: BLE001  Metaclasses can make even a look-up fail.
            return "<unreadable>"

    def _by_type(self, kind: type, value: Any, depth: int) -> Any:
        for base in _mro(kind):
            if base in _CONTAINERS:
                return self._container(_CONTAINERS[base], value, depth)
            if base in _CONVERTERS:
                plain = _CONVERTERS[base](value)
                return self.text(plain) if type(plain) is str else plain
            if base is Enum:
                return self.value(vars_of(value).get("_value_"), depth)
        fields = stored_fields(kind, value)
        if fields is None:
            return f"<{type_name(value)}>"
        return self._container(lambda _: fields.items(), value, depth)

    def _container(self, read: Callable[[Any], Any], value: Any, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            return "<too deep>"
        if id(value) in self._open:
            return "<cycle>"
        self._open.add(id(value))
        try:
            content = read(value)
            kind = type(content)
            if kind is list or kind is tuple:
                return self._sequence(content, depth)
            if kind is set or kind is frozenset:
                return sorted(self._sequence(list(content), depth), key=encode_json)
            return self.items(content, depth)
        finally:
            self._open.discard(id(value))

    def _sequence(self, content: Sequence[Any], depth: int) -> list[Any]:
        if len(content) == _PAIR and self._is_secret_pair(content[0]):
            return [self.value(content[0], depth + 1), REDACTED]
        out = [self.value(item, depth + 1) for item in content[:MAX_ITEMS]]
        if len(content) > MAX_ITEMS:
            out.append("<cut: more items>")
        return out

    def _is_secret_pair(self, name: Any) -> bool:
        # Headers travel as pairs: [("Authorization", "Bearer ..."), ...].
        if self._redactor is None or type(name) not in (str, bytes):
            return False
        text = name if type(name) is str else name.decode("latin-1")
        return self._redactor.hides(text)


def vars_of(value: Any) -> dict[str, Any]:
    """Return the instance dict of *value*, past any ``__getattribute__`` of its own."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except Exception:  # noqa: BLE001  A __dict__ can be a property that does anything.
        return {}
    return found if type(found) is dict else {}


def stored_fields(kind: type, value: Any) -> dict[str, Any] | None:
    """Return the stored fields of a dataclass, attrs or pydantic object; else `None`."""
    names = _declared_fields(kind)
    if names is None:
        return None
    inside = vars_of(value)
    return {
        name: inside[name] if name in inside else _slot(kind, name, value)
        for name in names
        if type(name) is str
    }


def _declared_fields(kind: type) -> Iterable[Any] | None:
    for marker in ("__dataclass_fields__", "__pydantic_fields__"):
        found = _class_attribute(kind, marker)
        if type(found) is dict:
            return list(found)
    attrs = _class_attribute(kind, "__attrs_attrs__")
    if attrs is not None and issubclass(type(attrs), tuple):
        return [vars_of(a).get("name") or _slot(type(a), "name", a) for a in tuple.__iter__(attrs)]
    return None


def _class_attribute(kind: type, name: str) -> Any:
    for base in _mro(kind):
        found = type.__getattribute__(base, "__dict__").get(name)
        if found is not None:
            return found
    return None


def _slot(kind: type, name: str, value: Any) -> Any:
    descriptor = _class_attribute(kind, name)
    if type(descriptor) is not MemberDescriptorType:
        return None
    try:
        return descriptor.__get__(value, kind)
    except AttributeError:
        return None


def _number(value: float) -> Any:
    if type(value) is int:
        if -_INT64 <= value < _INT64:
            return value
        bits = value.bit_length()
        return str(value) if bits <= _LONGEST_INT else f"<int: {bits} bits>"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if abs(value) >= _EXACT_FLOAT:  # jsonb gives it back as an int.
        return int(value) if abs(value) < _INT64 else repr(value)
    return value + 0.0  # -0.0 + 0.0 is 0.0, as jsonb has it.


def _key_text(key: Any) -> str:
    kind = type(key)
    if key is None or kind is bool:
        return {None: "null", True: "true", False: "false"}[key]
    for base in _mro(kind):
        if base in _CONVERTERS and base is not bytes:
            plain = _CONVERTERS[base](key)
            return plain if type(plain) is str else repr(plain)
    return f"<{type_name(key)}>"


def _moment(value: datetime) -> str:
    zone = datetime.tzinfo.__get__(value)  # type: ignore[attr-defined]
    if zone is None:
        return datetime.isoformat(value)
    if type(zone) not in _TRUSTED_ZONES and not type(zone).__module__.startswith(
        ("pytz", "dateutil", "datetime")
    ):
        return f"<{type_name(value)}>"
    try:
        return datetime.astimezone(value, UTC).isoformat().replace("+00:00", "Z")
    except Exception:  # noqa: BLE001  Zones of other packages raise what they like.
        return f"<{type_name(value)}>"


def _time(value: time) -> str:
    zone = time.tzinfo.__get__(value)  # type: ignore[attr-defined]
    return time.isoformat(time.replace(value, tzinfo=None)) if zone else time.isoformat(value)


def _bytes(value: bytes | bytearray) -> str:
    size = len(memoryview(value))
    return f"base64:{b64encode(value).decode()}" if size <= MAX_BYTES else f"<bytes: {size}>"


def _decimal(value: Decimal) -> str:
    return shortened(Decimal.__str__(value), MAX_KEY)


def _error(value: BaseException) -> dict[str, Any]:
    return {"type": type_name(value), "message": error_message(value)}


def error_message(error: BaseException) -> str:
    """Return the message of an exception from its arguments, without its ``__str__``."""
    args = BaseException.args.__get__(error)  # type: ignore[attr-defined]
    return ", ".join(
        str.__str__(arg) if issubclass(type(arg), str) else str(arg)
        for arg in args
        if issubclass(type(arg), str) or type(arg) in SCALARS
    )


def _tuple(value: tuple[Any, ...]) -> Any:
    names = _class_attribute(type(value), "_fields")
    items = tuple.__getitem__(value, _AFFORDED)
    return zip(names, items, strict=False) if type(names) is tuple else items


_CONTAINERS: Final[dict[type, Callable[[Any], Any]]] = {
    dict: dict.items,
    list: lambda value: list.__getitem__(value, _AFFORDED),
    tuple: _tuple,
    set: lambda value: set(islice(set.__iter__(value), MAX_ITEMS + 1)),
    frozenset: lambda value: frozenset(islice(frozenset.__iter__(value), MAX_ITEMS + 1)),
    deque: lambda value: list(islice(deque.__iter__(value), MAX_ITEMS + 1)),
    BaseException: lambda value: _error(value).items(),
}
"""How to read what holds others: as a list, a tuple, a set, or pairs of key and value."""

_CONVERTERS: Final[dict[type, Callable[[Any], Any]]] = {
    str: str.__str__,
    bool: bool,
    int: lambda value: _number(int.__int__(value)),
    float: lambda value: _number(float.__float__(value)),
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: lambda value: f"<memoryview: {value.nbytes}>",
    datetime: _moment,
    date: date.isoformat,
    time: _time,
    timedelta: timedelta.__str__,
    Decimal: _decimal,
    UUID: lambda value: str(UUID(int=object.__getattribute__(value, "int"))),
    PurePath: PurePath.__str__,
    GeneratorType: lambda _: "<generator>",
}
