"""
How a value of each type is read, running no code of its own.
"""

from __future__ import annotations

import math

from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from itertools import islice
from pathlib import PurePath
from types import GeneratorType
from typing import Any, Final
from uuid import UUID

from .budgets import EXACT, INT64, MAX_BYTES, MAX_ITEMS, MAX_KEY, MAX_STRING
from .introspection import class_attribute, mro, vars_of
from .text import shortened, type_name
from .times import as_given, exact


UNREADABLE: Final = "<unreadable>"
"""Stands for what failed while it was read."""

_LONGEST_INT = 1_024  # bits
_AFFORDED = slice(MAX_ITEMS + 1)
_KEPT = slice(MAX_BYTES)
_TRUSTED_ZONES = ("datetime.", "zoneinfo.", "pytz", "dateutil.", "pendulum.")
_int_of = UUID.__dict__["int"].__get__


class Unordered(list[Any]):
    """The items of a set."""


def number(value: float) -> Any:
    """Return a number as it is stored; one that no database keeps is text."""
    if type(value) is int:
        if -INT64 <= value < INT64:
            return value
        bits = value.bit_length()
        return str(value) if bits <= _LONGEST_INT else f"<int: {bits} bits>"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if abs(value) >= EXACT:  # jsonb gives it back as an int.
        return int(value) if -INT64 <= value < INT64 else repr(value)
    return value + 0.0  # -0.0 + 0.0 is 0.0, as jsonb has it.


def key_text(key: Any) -> str:
    """Return the text of a key, which may be anything."""
    if key is None or type(key) is bool:
        return {None: "null", True: "true", False: "false"}[key]
    try:
        return _text_of(key)
    except Exception:  # noqa: BLE001  As above.
        return UNREADABLE


def _text_of(key: Any) -> str:
    for base in mro(type(key)):
        if base is bytes:
            return bytes.__getitem__(key, slice(MAX_STRING)).decode("utf-8", "replace")
        if base is Enum:
            return key_text(vars_of(key).get("_value_"))
        if id(base) in CONVERTERS:
            plain = CONVERTERS[id(base)](key)
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
        return str(number(value))
    return str(value) if kind is bool or value is None else None


def _tuple(value: tuple[Any, ...]) -> Any:
    names = class_attribute(type(value), "_fields")
    items = tuple.__getitem__(value, _AFFORDED)
    return zip(names, items, strict=False) if type(names) is tuple else items


def _by_id(readers: dict[type, Callable[[Any], Any]]) -> dict[int, Callable[[Any], Any]]:
    # To look a class up by itself would call its metaclass's __hash__ and __eq__.
    return {id(kind): read for kind, read in readers.items()}


CONTAINERS: Final = _by_id(
    {
        dict: dict.items,
        list: lambda value: list.__getitem__(value, _AFFORDED),
        tuple: _tuple,
        set: lambda value: Unordered(islice(set.__iter__(value), MAX_ITEMS + 1)),
        frozenset: lambda value: Unordered(islice(frozenset.__iter__(value), MAX_ITEMS + 1)),
        deque: lambda value: list(islice(deque.__iter__(value), MAX_ITEMS + 1)),
        BaseException: lambda value: _error(value).items(),
    }
)
"""How to read what holds others: as a list, a tuple, or pairs of key and value."""

CONVERTERS: Final = _by_id(
    {
        str: str.__str__,
        bool: bool,
        int: lambda value: number(int.__int__(value)),
        float: lambda value: number(float.__float__(value)),
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

ENCODERS: Final = _by_id(
    {
        bytes: lambda value: (bytes.__getitem__(value, _KEPT), bytes.__len__(value)),
        bytearray: lambda value: (
            bytes(bytearray.__getitem__(value, _KEPT)),
            bytearray.__len__(value),
        ),
    }
)
"""How to read bytes: their beginning, and how many there are."""
