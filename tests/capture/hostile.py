"""Values that do harm where they can, for the tests of what catches activities."""

from __future__ import annotations

import array
import collections
import dataclasses
import decimal
import enum
import fractions
import ipaddress
import itertools
import os
import pathlib
import re
import threading
import types
import uuid

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Any, NamedTuple


alarms: list[str] = []
"""What foreign code ran; empty, if all is well."""

loaded = [False]
"""Whether what can leave or interrupt the program does; not while pytest prints a failure."""

_NAMES = """
    abs add and await bool bytes call ceil complex contains copy deepcopy delitem dir
    divmod enter eq exit float floor format fspath ge getattr getattribute getitem getstate
    gt hash html index int invert iter json le len length_hint lt mod mul ne neg next or pos
    reduce reduce_ex repr reversed round set_name setattr sizeof str sub truediv trunc xor
    instancecheck subclasscheck getnewargs getnewargs_ex rich rich_repr bytes aiter anext
""".split()
_METHODS = (
    "items keys values get copy pop isoformat utcoffset strip encode lower as_tuple hex".split()
)


def rigged(base: type = object, *, loud: BaseException | None = None) -> dict[str, Any]:
    """Return a class body in which everything that can be overridden rings the alarm."""

    def trap(name: str) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            alarms.append(f"{base.__name__}.{name}")
            if loud is not None and loaded[0]:
                raise loud
            return NotImplemented

        return method

    names = [f"__{name}__" for name in _NAMES] + [m for m in _METHODS if hasattr(base, m)]
    return {
        **{name: trap(name) for name in names},
        "__class__": property(trap("__class__")),
        "__dict__": property(trap("__dict__")),
    }


def armed(base: type, *args: Any) -> Any:
    """Return an instance of a rigged subclass of *base*."""
    kind = type(f"Armed{base.__name__}", (base,), rigged(base))
    new = base.__new__(kind) if base is object else base.__new__(kind, *args)
    if base in (dict, list, set, collections.deque, collections.OrderedDict):
        base.__init__(new, *args)
    return new


class Meta(type):
    """A metaclass that answers every question about its classes with an alarm."""

    def __getattribute__(cls, name: str) -> Any:
        alarms.append(f"Meta.{name}")
        raise RuntimeError(name)

    def __instancecheck__(cls, instance: object) -> bool:
        alarms.append("Meta.__instancecheck__")
        raise RuntimeError

    def __hash__(cls) -> int:
        alarms.append("Meta.__hash__")
        raise RuntimeError

    def __eq__(cls, other: object) -> bool:
        alarms.append("Meta.__eq__")
        raise RuntimeError


class OfMeta(metaclass=Meta):
    """Nothing about it may be asked."""


class Exiting:
    """Leaves the program wherever it is asked."""

    locals().update(rigged(loud=SystemExit(1)))


class Interrupting:
    """Interrupts the program wherever it is asked."""

    locals().update(rigged(loud=KeyboardInterrupt()))


class Recursing:
    """Needs itself for its own text."""

    def __repr__(self) -> str:
        alarms.append("Recursing.__repr__")
        return repr(self)

    __str__ = __repr__


class Zone(tzinfo):
    """A time zone that is foreign code."""

    def utcoffset(self, dt: datetime | None) -> timedelta:
        alarms.append("Zone.utcoffset")
        raise RuntimeError("no offset")

    dst = tzname = utcoffset  # type: ignore[assignment]


class Slots:
    """Has no __dict__."""

    __slots__ = ("a",)


@dataclasses.dataclass
class Point:
    """Plain data."""

    x: int = 1
    y: Any = None


class Pair(NamedTuple):
    """A tuple with names."""

    left: int
    right: Any


class Colour(enum.Enum):
    """An enum of nested values."""

    RED = {"r": 255}  # noqa: RUF012


class Flags(enum.IntFlag):
    """Bits."""

    A = 1
    B = 2


class RiggedError(Exception):
    """An exception that rings when it is printed."""

    def __str__(self) -> str:
        alarms.append("RiggedError.__str__")
        raise RuntimeError

    __repr__ = __str__


def deep(kind: type, levels: int) -> Any:
    out: Any = "bottom"
    for _ in range(levels):
        out = {"in": out} if kind is dict else kind([out])
    return out


def cycle() -> Any:
    out: list[Any] = [1]
    out.append({"again": out})
    return out


def wide_and_deep() -> Any:
    """Two to the power of thirty leaves, in thirty lists."""
    out: Any = ["leaf", "leaf"]
    for _ in range(30):
        out = [out, out]
    return out


def endless() -> Iterator[int]:
    alarms.append("generator")
    yield from itertools.count()


async def coroutine() -> None:
    """Never awaited; closed by who made it."""


def group() -> BaseException:
    return ExceptionGroup("many", [ValueError("a"), RiggedError(OfMeta())])


def released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


def own_point() -> Point:
    point = Point()
    point.y = [point]
    return point


def unicode_error() -> BaseException:
    try:
        "\ud800".encode()
    except UnicodeEncodeError as error:
        return error
    raise AssertionError


VALUES: dict[str, Callable[[], Any]] = {
    # text
    "empty text": str,
    "blank": lambda: "  \t ",
    "nul": lambda: "a\x00b",
    "only nul": lambda: "\x00",
    "lone high surrogate": lambda: "a\ud800b",
    "lone low surrogate": lambda: "\udfff",
    "swapped surrogates": lambda: "\udc00\ud800",
    "surrogate pair apart": lambda: "\ud83d" + "\ude00",
    "emoji": lambda: "👩‍👩‍👧‍👦",
    "bidi": lambda: "abc\u202edef\u2066",
    "line separators": lambda: "a\u2028b\u2029c\x85d",
    "escape sequences": lambda: "\x1b[2J\x1b]0;title\x07",
    "control characters": lambda: "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "combining marks": lambda: "z" + "\u0301" * 10_000,
    "non-characters": lambda: "\ufffe\uffff\U0010ffff",
    "json": lambda: '"},{"verb":"forged"}',
    "sql": lambda: "'; DROP TABLE user_activity; --",
    "csv formula": lambda: "=cmd|' /C calc'!A0",
    "copy end": lambda: "\\.\n\\N\t",
    "percent": lambda: "%s %d %(a)s {0} {a.b}",
    "html": lambda: "<script>alert(1)</script>",
    "path": lambda: "../../etc/passwd\x00.png",
    "long text": lambda: "x" * 5_000_000,
    "long text of many bytes": lambda: "€" * 3_000_000,
    "long text of nuls": lambda: "\x00" * 3_000_000,
    "long text of surrogates": lambda: "\ud800" * 3_000_000,
    "long text of spaces": lambda: " " * 5_000_000,
    "long text of colons": lambda: ":" * 5_000_000,
    "regex bait": lambda: "a" * 50_000 + "!",
    # numbers
    "zero": lambda: 0,
    "negative zero": lambda: -0.0,
    "true": lambda: True,
    "int64": lambda: 2**63 - 1,
    "past int64": lambda: 2**63,
    "below int64": lambda: -(2**63) - 1,
    "big int": lambda: 10**300,
    "int past the digit limit": lambda: 10**5_000,
    "huge int": lambda: 1 << 4_000_000,
    "negative huge int": lambda: -(1 << 4_000_000),
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "minus infinity": lambda: float("-inf"),
    "largest float": lambda: 1.7976931348623157e308,
    "smallest float": lambda: 5e-324,
    "float beyond exact": lambda: 1e16,
    "complex": lambda: complex(1, float("nan")),
    "decimal": lambda: decimal.Decimal("1.10"),
    "decimal nan": lambda: decimal.Decimal("sNaN"),
    "decimal exponent": lambda: decimal.Decimal("1e999999"),
    "long decimal": lambda: decimal.Decimal("1" * 100_000),
    "fraction": lambda: fractions.Fraction(1, 3),
    "flags": lambda: Flags.A | Flags.B,
    # bytes
    "bytes": lambda: b"\x00\xff",
    "long bytes": lambda: b"x" * 5_000_000,
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: memoryview(b"x" * 10_000),
    "released memoryview": released,
    "array": lambda: array.array("d", [1.0]),
    # moments
    "naive datetime": lambda: datetime(2020, 1, 1),
    "first datetime": lambda: datetime.min,
    "last datetime": lambda: datetime.max,
    "first datetime far east": lambda: datetime.min.replace(tzinfo=timezone(timedelta(hours=23))),
    "last datetime far west": lambda: datetime.max.replace(tzinfo=timezone(-timedelta(hours=23))),
    "foreign zone": lambda: datetime(2020, 1, 1, tzinfo=Zone()),
    "date": lambda: date(2020, 1, 1),
    "time": lambda: time(1, 2, tzinfo=UTC),
    "time of foreign zone": lambda: time(1, 2, tzinfo=Zone()),
    "timedelta": lambda: timedelta.max,
    # containers
    "empty list": list,
    "nested": lambda: {"a": [1, {"b": (2, {3})}]},
    "deep lists": lambda: deep(list, 10_000),
    "deep tuples": lambda: deep(tuple, 10_000),
    "deep dicts": lambda: deep(dict, 10_000),
    "cycle": cycle,
    "two cycles": lambda: [cycle(), cycle()],
    "wide and deep": wide_and_deep,
    "long list": lambda: [0] * 1_000_000,
    "long tuple": lambda: (0,) * 1_000_000,
    "long set": lambda: set(range(500_000)),
    "long dict": lambda: dict.fromkeys(range(500_000)),
    "dict of many types": lambda: {1: 1, "1": 2, 1.5: 3, None: 4, (1, 2): 5, b"x": 6, date.min: 7},
    "dict of bad keys": lambda: {"": 1, "\x00": 2, "\ud800": 3, "k" * 100_000: 4},
    "dict of reserved keys": lambda: {"_raw": 1, "error": 2, "event": 3, "<cut>": 4},
    "mixed set": lambda: {1, "a", None, (1, 2)},
    "frozenset": lambda: frozenset({frozenset({1})}),
    "deque": lambda: collections.deque([1, 2], maxlen=5),
    "counter": lambda: collections.Counter("abca"),
    "ordered dict": lambda: collections.OrderedDict(a=1),
    "default dict": lambda: collections.defaultdict(list, a=[1]),
    "chain map": lambda: collections.ChainMap({"a": 1}, {"b": 2}),
    "user dict": lambda: collections.UserDict(a=1),
    "mapping proxy": lambda: types.MappingProxyType({"a": 1}),
    "range": lambda: range(10**12),
    "namedtuple": lambda: Pair(1, [2]),
    "list of one tuple of 100": lambda: [tuple(range(100))],
    # lazy things
    "generator": endless,
    "counting": itertools.count,
    "map": lambda: map(alarms.append, ["map"]),
    "zip": lambda: zip([1], [2], strict=True),
    "iterator": lambda: iter([1, 2]),
    "dict view": {"a": 1}.items,
    # objects
    "object": object,
    "class": lambda: Point,
    "builtin": lambda: len,
    "lambda": lambda: lambda: alarms.append("lambda"),
    "module": lambda: os,
    "type": lambda: type,
    "ellipsis": lambda: ...,
    "not implemented": lambda: NotImplemented,
    "slots": Slots,
    "dataclass": lambda: Point(2, Point()),
    "dataclass cycle": own_point,
    "enum": lambda: Colour.RED,
    "uuid": lambda: uuid.UUID(int=1),
    "ip address": lambda: ipaddress.ip_address("::1"),
    "path object": lambda: pathlib.PurePosixPath("/a\udcff"),
    "pattern": lambda: re.compile("a"),
    "lock": threading.Lock,
    "exception": lambda: ValueError("a", 1),
    "exception without text": ValueError,
    "rigged exception": lambda: RiggedError("x", Exiting()),
    "exception group": group,
    "unicode error": unicode_error,
    # what runs code wherever it is asked
    "armed object": lambda: armed(object),
    "armed str": lambda: armed(str, "armed"),
    "armed int": lambda: armed(int, 5),
    "armed float": lambda: armed(float, 1.5),
    "armed bytes": lambda: armed(bytes, b"armed"),
    "armed tuple": lambda: armed(tuple, (1, 2)),
    "armed list": lambda: armed(list, [1, 2]),
    "armed dict": lambda: armed(dict, {"a": 1}),
    "armed set": lambda: armed(set, {1}),
    "armed frozenset": lambda: armed(frozenset, {1}),
    "armed ordered dict": lambda: armed(collections.OrderedDict, {"a": 1}),
    "armed deque": lambda: armed(collections.deque, [1]),
    "armed datetime": lambda: armed(datetime, 2020, 1, 1),
    "armed date": lambda: armed(date, 2020, 1, 1),
    "armed timedelta": lambda: armed(timedelta, 1),
    "armed decimal": lambda: armed(decimal.Decimal, "1.5"),
    "armed exception": lambda: armed(Exception, "armed"),
    "class of a hostile metaclass": lambda: OfMeta,
    "object of a hostile metaclass": lambda: object.__new__(OfMeta),
    "exiting": lambda: object.__new__(Exiting),
    "interrupting": lambda: object.__new__(Interrupting),
    "recursing": Recursing,
    "armed tracebacks": lambda: [{"exc_type": armed(object), "exc_value": OfMeta}],
    "armed things within": lambda: [{"a": armed(object)}, (armed(str, "x"), OfMeta)],
    "armed things in a dataclass": lambda: Point(1, armed(object)),
    "armed type and id": lambda: (armed(str, "invoice"), armed(object)),
    "armed object dict": lambda: {"type": armed(str, "invoice"), "id": armed(object)},
    "armed exc_info": lambda: (ValueError, armed(Exception, "x"), None),
}
"""Makers of values, by name."""
