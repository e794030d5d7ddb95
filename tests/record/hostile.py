"""
Values that break whoever asks them anything, and how long it may take to refuse to ask.
"""

from __future__ import annotations

import time
import weakref

from collections import UserDict, deque
from collections.abc import Callable
from datetime import date, datetime, timedelta, tzinfo
from datetime import time as clock_time
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, Final
from unittest.mock import MagicMock
from uuid import UUID


LIMIT: Final = 0.05
"""Seconds that any one value may cost."""


class ForeignCodeRan(BaseException):
    """Code of a value ran. As `SystemExit` it is no `Exception`; and it ends no test run."""


def foreign(*_: Any, **__: Any) -> Any:
    """Fail the test."""
    raise ForeignCodeRan


def leave(*_: Any) -> Any:
    """End the program, or try to."""
    raise SystemExit


_NAMES: Final = """
    __repr__ __str__ __format__ __eq__ __ne__ __lt__ __gt__ __le__ __ge__ __hash__ __bool__
    __len__ __iter__ __next__ __contains__ __getitem__ __getattribute__ __getattr__ __setattr__
    __int__ __float__ __index__ __abs__ __neg__ __add__ __radd__ __complex__ __trunc__
    __call__ __enter__ __reduce__ __reduce_ex__ __sizeof__ __dir__ __bytes__ __fspath__
    __buffer__ __length_hint__ __reversed__ __round__ __instancecheck__
    keys values items get pop copy strip lower casefold encode isascii partition decode
    isoformat astimezone utcoffset timetz date timestamp replace bit_length as_tuple hex
    total_seconds model_dump dict json asdict name value args _format_parsed_parts _parts
"""

OVERRIDES: Final[dict[str, Any]] = {
    **dict.fromkeys(_NAMES.split(), foreign),
    "__class__": property(foreign),
    "__dict__": property(foreign),
}
"""Nearly everything that can be asked of an object, answered by `foreign`."""


def hostile_class(*bases: type, **more: Any) -> Any:
    """Return a subclass that overrides all there is, but can still be made."""
    return type("Hostile", bases, {**OVERRIDES, "__module__": "their.code", **more})


LyingMeta: Any = type(
    "LyingMeta",
    (type,),
    {
        **dict.fromkeys(
            "__hash__ __eq__ __repr__ __call__ __getattr__ __getattribute__ "
            "__instancecheck__ __subclasscheck__".split(),
            foreign,
        ),
        **dict.fromkeys("__name__ __module__ __dict__ __mro__".split(), property(foreign)),
    },
)
"""A metaclass that runs code for whatever is asked of its classes."""


def lying_instance() -> Any:
    """Return an instance of a class whose metaclass can't be trusted with anything."""
    kind = type.__new__(LyingMeta, "Lying", (), {"__module__": "their.code"})
    return object.__new__(kind)


def dead_proxy() -> Any:
    """Return a weak reference's proxy whose object is gone."""

    class Owner:
        pass

    return weakref.proxy(Owner())


def endless() -> Any:
    """Return a generator that must not be started."""
    foreign()
    yield 1


def nested(depth: int) -> list[Any]:
    """Return lists in lists, *depth* of them."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def cycle() -> dict[str, Any]:
    """Return a dict that holds itself, at once and further down."""
    value: dict[str, Any] = {}
    value["self"] = value
    value["list"] = [value, {"again": value}]
    return value


def wide(depth: int) -> Any:
    """Return dicts that would hold 200 ** *depth* values, were they copied out."""
    value: Any = "leaf"
    for _ in range(depth):
        value = {str(i): value for i in range(200)}
    return value


def zone(utcoffset: Callable[..., Any] | None = None, *, module: str = "their.code") -> Any:
    """Return a time zone of somebody's own; without *utcoffset* it forgot to say its offset."""
    methods: dict[str, Any] = {"__module__": module}
    if utcoffset is not None:
        methods |= dict.fromkeys(("utcoffset", "dst", "tzname"), utcoffset)
    return type("Zone", (tzinfo,), methods)()


HOSTILE: Final[dict[str, Callable[[], Any]]] = {
    "object": hostile_class(object),
    "lying metaclass": lying_instance,
    "class with a lying metaclass": lambda: type(lying_instance()),
    "dead weakref proxy": dead_proxy,
    "MagicMock": MagicMock,
    "MagicMock of a dict": lambda: MagicMock(spec=dict),
    "generator": endless,
    "class": lambda: hostile_class(object),
    "exception": hostile_class(ValueError),
    "str": lambda: hostile_class(str)("text"),
    "int": lambda: hostile_class(int)(7),
    "float": lambda: hostile_class(float)(7.5),
    "bytes": lambda: hostile_class(bytes)(b"bytes"),
    "bytearray": lambda: hostile_class(bytearray)(b"bytes"),
    "dict": lambda: hostile_class(dict)(a=1),
    "list": lambda: hostile_class(list)([1, 2]),
    "tuple": lambda: hostile_class(tuple)((1, 2)),
    "set": lambda: hostile_class(set)([1, 2]),
    "frozenset": lambda: hostile_class(frozenset)([1, 2]),
    "deque": lambda: hostile_class(deque)([1, 2]),
    "Decimal": lambda: hostile_class(Decimal)("1.5"),
    "datetime": lambda: hostile_class(datetime)(2024, 1, 2),
    "date": lambda: hostile_class(date)(2024, 1, 2),
    "time": lambda: hostile_class(clock_time)(1, 2),
    "timedelta": lambda: hostile_class(timedelta)(1),
    "UUID": lambda: object.__new__(hostile_class(UUID, int=property(foreign))),
    "UUID without a value": lambda: object.__new__(UUID),
    "path": lambda: object.__new__(hostile_class(PurePosixPath)),
    "UserDict": lambda: UserDict({"a": hostile_class(object)()}),
    "datetime whose zone is silent": lambda: datetime(2024, 1, 2, tzinfo=zone()),
    "datetime whose zone exits": lambda: datetime(2024, 1, 2, tzinfo=zone(leave)),
    "nested lists": lambda: nested(20_000),
    "cycle": cycle,
    "wide dict": lambda: wide(5),
    "long text": lambda: "a" * 20_000_000,
    "long text of surrogates": lambda: "\ud800" * 1_000_000,
    "long text of NUL": lambda: "\0" * 5_000_000,
    "long int": lambda: 1 << 10_000_000,
    "long bytes": lambda: bytes(20_000_000),
    "long list": lambda: [None] * 2_000_000,
    "long dict": lambda: dict.fromkeys(range(300_000)),
    "long set": lambda: set(range(300_000)),
    "long exception": lambda: ValueError(*["a" * 1000] * 100_000),
    "long keys": lambda: {"k" * 100_000 + str(i): i for i in range(300)},
}
"""Makers of hostile values by name."""


def cost(call: Callable[[], Any]) -> float:
    """Return the CPU time of a call in seconds; the best of three if it seems too long."""
    found = _cost_once(call)
    return found if found < LIMIT / 2 else min(found, _cost_once(call), _cost_once(call))


def _cost_once(call: Callable[[], Any]) -> float:
    started = time.thread_time()
    call()
    return time.thread_time() - started
