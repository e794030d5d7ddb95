"""
Whatever a caller passes becomes JSON that can be stored, and says what was true.
"""

from __future__ import annotations

import json
import math
import threading
import time as time_

from collections import Counter, OrderedDict, UserDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar, NamedTuple
from unittest.mock import MagicMock
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from structlog_activity.record.budgets import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_ITEMS,
    MAX_KEY,
    MAX_NODES,
    MAX_STRING,
    MAX_TOTAL,
)
from structlog_activity.record.plain import CUT, Plainer, encode_json
from structlog_activity.record.readers import error_message
from structlog_activity.record.redact import REDACTED, Redactor
from tests.record.hostile import (
    HOSTILE,
    LIMIT,
    cost,
    cycle,
    dead_proxy,
    foreign,
    hostile_class,
    lying_instance,
    nested,
    zone,
)


SECRET = "hunter2-correct-horse"


def plain(value: Any) -> Any:
    return Plainer(None).value(value)


def redacted(values: dict[Any, Any]) -> dict[str, Any]:
    return Plainer(Redactor()).mapping(values)


class Colour(Enum):
    RED = "red"
    PAIR = ("a", 1)


class Size(IntEnum):
    BIG = 3


class Mood(StrEnum):
    GOOD = "good"


class Right(Flag):
    READ = 1
    WRITE = 2


class Bit(IntFlag):
    ONE = 1
    TWO = 2


@dataclass
class Point:
    x: int
    y: Any = None
    kind: ClassVar[str] = "point"


@dataclass(slots=True, frozen=True)
class SlottedPoint:
    x: int
    y: Any = None


@dataclass
class Account:
    name: str
    password: str = field(repr=False)


class Pair(NamedTuple):
    left: Any
    right: Any


OldPair = namedtuple("OldPair", "left right")  # noqa: PYI024


class Login(NamedTuple):
    user: str
    password: str


class AttrsLike:
    """Has what attrs gives a class, with and without slots."""

    __attrs_attrs__: Any = (SimpleNamespace(name="x"), SimpleNamespace(name="y"))

    def __init__(self) -> None:
        self.x = 1
        self.y = [2]
        self.cache = "no field"


class Attribute:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class AttrsSlottedLike:
    __slots__ = ("x", "y")
    __attrs_attrs__: Any = (Attribute("x"), Attribute("y"), Attribute("unset"))

    def __init__(self) -> None:
        self.x = 1
        self.y = 2


class PydanticLike:
    __pydantic_fields__: Any = {"x": object(), "secret": object()}  # noqa: RUF012

    def __init__(self) -> None:
        self.x = 1
        self.secret = SECRET

    def model_dump(self) -> Any:
        foreign()


def ambiguous(*_: Any) -> Any:
    raise ValueError("ambiguous time")


KOLKATA = zone(lambda *_: timedelta(hours=5, minutes=30), module="pytz.tzfile")
BROKEN = zone(ambiguous, module="pytz.tzfile")
OWN = zone(foreign)


# -- scalars -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (str(2**63), 2**63),
        (str(-(2**63) - 1), -(2**63) - 1),
        (str(2**1024 - 1), 2**1024 - 1),
        ("<int: 1025 bits>", 2**1024),
        (1.5, 1.5),
        (0.0, -0.0),
        (5e-324, 5e-324),
        (9007199254740993.0, 9007199254740993.0),
        (10**16, 1e16),
        (-(10**16), -1e16),
        (-(2**63), -(2.0**63)),
        ("9.223372036854776e+18", 2.0**63),
        ("1e+23", 1e23),
        ("NaN", math.nan),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
    ],
    ids=str,
)
def test_numbers_come_back_alike_wherever_they_are_stored(expected: Any, value: Any) -> None:
    actual = plain(value)

    assert (type(expected), repr(expected)) == (type(actual), repr(actual))


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("text", "text"),
        ("a\ufffdb", "a\0b"),
        ("\ufffd", "\ud800"),
        ("base64:", b""),
        ("base64:AP8=", b"\x00\xff"),
        ("base64:AP8=", bytearray(b"\x00\xff")),
        (f"base64:{'AAAA' * (MAX_BYTES // 3)}", bytes(MAX_BYTES)),
        (f"<bytes: {MAX_BYTES + 1}>", bytes(MAX_BYTES + 1)),
        ("<memoryview: 3>", memoryview(b"abc")),
        ("1.50", Decimal("1.50")),
        ("sNaN", Decimal("sNaN")),
        ("0199c8a2-7d3f-7b1a-9c4e-1f2a3b4c5d6e", UUID("0199c8a27d3f7b1a9c4e1f2a3b4c5d6e")),
        ("2024-05-06", date(2024, 5, 6)),
        ("12:30:00", time(12, 30)),
        ("12:30:00+02:00", time(12, 30, tzinfo=timezone(timedelta(hours=2)))),
        ("12:30:00", time(12, 30, tzinfo=OWN)),
        ("1 day, 0:00:01", timedelta(days=1, seconds=1)),
        ("a/b", PurePosixPath("a/b")),
        ("a\\b", PureWindowsPath("a/b")),
    ],
    ids=[
        "text",
        "NUL",
        "lone surrogate",
        "no bytes",
        "bytes",
        "bytearray",
        "longest bytes",
        "too many bytes",
        "memoryview",
        "Decimal",
        "signalling NaN",
        "UUID",
        "date",
        "time",
        "time with offset",
        "time in a foreign zone",
        "timedelta",
        "path",
        "Windows path",
    ],
)
def test_other_scalars_become_text(expected: str, value: Any) -> None:
    assert expected == plain(value)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("2024-05-06T12:00:00", datetime(2024, 5, 6, 12)),
        ("2024-05-06T12:00:00.000001Z", datetime(2024, 5, 6, 12, 0, 0, 1, tzinfo=UTC)),
        ("2024-05-06T10:00:00Z", datetime(2024, 5, 6, 12, tzinfo=ZoneInfo("Europe/Berlin"))),
        ("2024-05-06T10:00:00Z", datetime(2024, 5, 6, 12, tzinfo=timezone(timedelta(hours=2)))),
        ("2024-05-06T06:30:00Z", datetime(2024, 5, 6, 12, tzinfo=KOLKATA)),
        ("2024-05-06T12:00:00", datetime(2024, 5, 6, 12, tzinfo=BROKEN)),
        ("<datetime.datetime>", datetime(2024, 5, 6, 12, tzinfo=OWN)),
        (
            "9999-12-31T23:59:59.999999-14:00",
            datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        ),
    ],
    ids=["naive", "UTC", "zone", "offset", "pytz", "broken pytz", "own zone", "out of range"],
)
def test_a_datetime_is_utc_or_stays_naive(expected: str, value: datetime) -> None:
    assert expected == plain(value)


@pytest.mark.skipif(not hasattr(time_, "tzset"), reason="needs tzset")
def test_a_datetime_is_utc_wherever_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XXX-9")
        time_.tzset()
        try:
            assert plain(datetime(2024, 5, 6, 12, tzinfo=KOLKATA)) == "2024-05-06T06:30:00Z"
            assert plain(datetime(2024, 5, 6, 12)) == "2024-05-06T12:00:00"
        finally:
            elsewhere.undo()
            time_.tzset()


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("red", Colour.RED),
        (["a", 1], Colour.PAIR),
        (3, Size.BIG),
        ("good", Mood.GOOD),
        (3, Right.READ | Right.WRITE),
        (3, Bit.ONE | Bit.TWO),
    ],
    ids=["Enum", "Enum of a tuple", "IntEnum", "StrEnum", "Flag", "IntFlag"],
)
def test_a_member_of_an_enum_becomes_its_value(expected: Any, value: Any) -> None:
    actual = plain(value)

    assert expected == actual
    assert type(expected) is type(actual)


@pytest.mark.parametrize(
    ("expected", "make"),
    [
        ("text", lambda: hostile_class(str)("text")),
        (7, lambda: hostile_class(int)(7)),
        (7.5, lambda: hostile_class(float)(7.5)),
        ("base64:Yg==", lambda: hostile_class(bytes)(b"b")),
        ("base64:Yg==", lambda: hostile_class(bytearray)(b"b")),
        ({"a": 1}, lambda: hostile_class(dict)(a=1)),
        ([1, 2], lambda: hostile_class(list)([1, 2])),
        ([1, 2], lambda: hostile_class(tuple)((1, 2))),
        ([1, 2], lambda: hostile_class(set)([1, 2])),
        ([1, 2], lambda: hostile_class(deque)([1, 2])),
        ("1.5", lambda: hostile_class(Decimal)("1.5")),
        ("2024-01-02T00:00:00", lambda: hostile_class(datetime)(2024, 1, 2)),
        ("2024-01-02T00:00:00Z", lambda: hostile_class(datetime)(2024, 1, 2, tzinfo=UTC)),
        ("2024-01-02", lambda: hostile_class(date)(2024, 1, 2)),
        ("01:02:00", lambda: hostile_class(time)(1, 2)),
        ("1 day, 0:00:00", lambda: hostile_class(timedelta)(1)),
        ("<their.code.Hostile>", lambda: object.__new__(hostile_class(PurePosixPath))),
        ({"type": "their.code.Hostile", "message": "x"}, lambda: hostile_class(ValueError)("x")),
    ],
    ids=[
        "str",
        "int",
        "float",
        "bytes",
        "bytearray",
        "dict",
        "list",
        "tuple",
        "set",
        "deque",
        "Decimal",
        "datetime",
        "aware datetime",
        "date",
        "time",
        "timedelta",
        "path",
        "exception",
    ],
)
def test_a_subclass_is_read_past_its_overrides(expected: Any, make: Any) -> None:
    actual = plain(make())

    assert expected == actual
    assert type(expected) is type(actual)


# -- containers ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ({}, {}),
        ({"a": [1, {"b": None}]}, {"a": (1, {"b": None})}),
        ({"b": 1, "a": 2}, OrderedDict([("b", 1), ("a", 2)])),
        ({"a": []}, defaultdict(list, a=[])),
        ({"x": 2}, Counter("xx")),
        ([1, 2, 3], deque([1, 2, 3])),
        ([1, 2, 3], {3, 1, 2}),
        (["a", "b"], frozenset("ba")),
        ([1, "1", [2]], {1, "1", (2,)}),
        ({"left": 1, "right": [2]}, Pair(1, [2])),
        ({"left": 1, "right": 2}, OldPair(1, 2)),
    ],
    ids=[
        "empty",
        "nested",
        "OrderedDict",
        "defaultdict",
        "Counter",
        "deque",
        "set",
        "frozenset",
        "mixed set",
        "NamedTuple",
        "namedtuple",
    ],
)
def test_containers_become_lists_and_objects(expected: Any, value: Any) -> None:
    actual = plain(value)

    if isinstance(value, set):
        assert sorted(map(json.dumps, expected)) == list(map(json.dumps, actual))
    else:
        assert json.dumps(expected) == json.dumps(actual)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ({"x": 1, "y": [2]}, Point(1, [2])),
        ({"x": 1, "y": None}, SlottedPoint(1)),
        ({"x": 1, "y": [2]}, AttrsLike()),
        ({"x": 1, "y": 2}, AttrsSlottedLike()),
        ({"x": 1, "secret": SECRET}, PydanticLike()),
        ({"x": {"x": 1, "y": None}, "y": None}, Point(SlottedPoint(1))),  # type: ignore[arg-type]
    ],
    ids=["dataclass", "slots", "attrs", "attrs with slots", "pydantic", "one in another"],
)
def test_objects_with_declared_fields_become_what_they_store(expected: Any, value: Any) -> None:
    """What is only in the class (a ``ClassVar``) or no field at all is left out."""
    assert expected == plain(value)


def test_a_slot_that_was_never_set_is_left_out() -> None:
    value = SlottedPoint.__new__(SlottedPoint)
    object.__setattr__(value, "x", 1)

    assert plain(value) == {"x": 1}


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("<object>", object()),
        ("<generator>", (i for i in [1])),
        ("<map>", map(foreign, [1])),
        ("<range>", range(3)),
        ("<mappingproxy>", MappingProxyType({})),
        ("<types.SimpleNamespace>", SimpleNamespace(a=1)),
        ("<collections.UserDict>", UserDict()),
        ("<function>", lambda: 1),
        ("<type>", int),
        ("<unittest.mock.MagicMock>", MagicMock()),
        ("<_thread.lock>", threading.Lock()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_objects_are_named_by_their_type(expected: str, value: Any) -> None:
    assert expected == plain(value)


def test_a_proxy_whose_object_is_gone_is_named_by_its_type() -> None:
    assert plain(dead_proxy()).startswith("<weak")


def test_a_generator_is_not_consumed() -> None:
    value = (i for i in [1, 2])
    plain({"items": value})

    assert list(value) == [1, 2]


def test_the_copy_shares_nothing_with_the_original() -> None:
    value: dict[str, Any] = {"list": [{"a": 1}]}
    actual = Plainer(None).mapping(value)
    value["list"][0]["a"] = 2
    value["list"].append(3)

    assert actual == {"list": [{"a": 1}]}


def test_the_original_is_not_changed() -> None:
    value = {"b": [1, (2,)], "password": SECRET, 3: {4}}
    redacted(value)

    assert {"b": [1, (2,)], "password": SECRET, 3: {4}} == value


def test_a_cycle_is_cut_where_it_closes() -> None:
    actual = plain(cycle())

    assert actual == {"self": "<cycle>", "list": ["<cycle>", {"again": "<cycle>"}]}


def test_what_comes_twice_is_no_cycle() -> None:
    shared = [1]

    assert plain([shared, shared]) == [[1], [1]]


def test_an_enum_that_is_its_own_value_ends() -> None:
    class Loop(Enum):
        A = 1

    Loop.A._value_ = Loop.A  # type: ignore[assignment]

    assert plain([Loop.A, 1])[1] == 1


# -- exceptions ----------------------------------------------------------------


class LoudError(Exception):
    __str__ = __repr__ = foreign


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("", ValueError()),
        ("no", ValueError("no")),
        ("a, 1, 2.5, True, None", ValueError("a", 1, 2.5, True, None)),
        ("a", LoudError("a", object(), [1])),
        ("key", KeyError("key")),
        ("<int: 10000001 bits>", ValueError(1 << 10_000_000)),
        ("nan", ValueError(float("nan"))),
        ("good", ValueError(Mood.GOOD)),
        ("two", ExceptionGroup("two", [ValueError("a")])),
    ],
    ids=["empty", "text", "scalars", "objects", "key", "long int", "nan", "StrEnum", "group"],
)
def test_the_message_of_an_error_comes_from_its_arguments(
    expected: str, error: BaseException
) -> None:
    assert expected.lower() == error_message(error).lower()


def test_an_exception_becomes_type_and_message() -> None:
    assert plain(ValueError("no")) == {"type": "ValueError", "message": "no"}


def test_an_argument_with_a_lying_metaclass_is_left_out() -> None:
    assert error_message(ValueError("a", lying_instance())) == "a"


def test_a_message_is_bounded() -> None:
    actual = error_message(ValueError(*["a" * 100_000] * 10_000))

    assert len(actual) <= MAX_ITEMS * (MAX_STRING + 2)


# -- keys ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "key"),
    [
        ("", ""),
        pytest.param("a\ufffd", "a\0", id="NUL"),
        ("null", None),
        ("true", True),
        ("false", False),
        ("1", 1),
        (str(2**70), 2**70),
        ("1.5", 1.5),
        ("NaN", math.nan),
        ("2024-05-06", date(2024, 5, 6)),
        ("abc", b"abc"),
        pytest.param("\ufffd", b"\xff", id="no UTF-8"),
        ("red", Colour.RED),
        ("3", Size.BIG),
        ("good", Mood.GOOD),
        ("<tuple>", (1, 2)),
        ("<object>", object()),
    ],
    ids=lambda value: None if type(value) is object else ascii(value),
)
def test_keys_become_text(expected: str, key: Any) -> None:
    assert {expected: 0} == plain({key: 0})


def test_keys_that_become_the_same_text_are_numbered() -> None:
    """``json.dumps`` would write the key twice, and the two databases keep different ones."""
    actual = plain({"1": "a", 1: "b", b"1": "c", "1#2": "d"})

    assert actual == {"1": "a", "1#2": "b", "1#3": "c", "1#2#2": "d"}


def test_as_many_keys_as_are_kept_may_become_the_same_text() -> None:
    actual = plain({(1, i): i for i in range(MAX_ITEMS)})

    assert list(actual) == ["<tuple>", *(f"<tuple>#{i}" for i in range(2, MAX_ITEMS + 1))]


def test_long_keys_are_shortened_and_stay_different() -> None:
    actual = plain({"k" * 300 + "a": 1, "k" * 300 + "b": 2})

    assert list(actual.values()) == [1, 2]
    assert list(map(len, actual)) == [MAX_KEY, MAX_KEY]


def test_a_long_key_is_shortened_alike_with_and_without_a_redactor() -> None:
    key = "a key with many words " * 40

    assert redacted({key: None}) == plain({key: None})


def test_keys_of_lying_classes_are_named_by_their_type() -> None:
    kind = type("Key", (), {"__module__": "their.code", "__repr__": foreign, "__str__": foreign})

    assert plain({kind(): 1, kind(): 2}) == {"<their.code.Key>": 1, "<their.code.Key>#2": 2}


def test_a_key_that_can_no_longer_be_read_costs_nothing_else() -> None:
    view = memoryview(b"a")
    values = {view: 1, "b": 2}
    view.release()

    assert plain(values) == {"<unreadable>": 1, "b": 2}


# -- budgets -------------------------------------------------------------------


def test_the_budgets_are_those_that_are_promised() -> None:
    assert (MAX_DEPTH, MAX_ITEMS, MAX_NODES) == (8, 256, 2_000)
    assert (MAX_STRING, MAX_TOTAL, MAX_KEY, MAX_BYTES) == (8_192, 65_536, 256, 3_072)


def depth_of(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inside), default=0) if isinstance(value, dict | list) else 0


def test_values_nest_eight_levels() -> None:
    actual = Plainer(None).mapping({"a": nested(100)})

    assert depth_of(actual) == MAX_DEPTH
    assert '"<too deep>"' in json.dumps(actual)


def test_eight_levels_are_kept_whole() -> None:
    assert nested(MAX_DEPTH - 1) == plain(nested(MAX_DEPTH - 1))


@pytest.mark.parametrize(
    "kind", [list, tuple, deque, set, frozenset], ids=lambda kind: kind.__name__
)
def test_a_long_sequence_is_cut_with_a_marker(kind: Any) -> None:
    actual = plain(kind(range(MAX_ITEMS + 1)))

    assert len(actual) == MAX_ITEMS + 1
    assert actual.count("<cut: more items>") == 1


@pytest.mark.parametrize("kind", [list, tuple, set], ids=lambda kind: kind.__name__)
def test_a_sequence_within_the_budget_is_whole(kind: Any) -> None:
    assert len(plain(kind(range(MAX_ITEMS)))) == MAX_ITEMS


def test_a_long_dict_is_cut_with_a_marker() -> None:
    actual = plain({f"k{i}": i for i in range(MAX_ITEMS + 1)})

    assert len(actual) == MAX_ITEMS + 1
    assert actual[CUT] == "more items"
    assert len(plain({f"k{i}": i for i in range(MAX_ITEMS)})) == MAX_ITEMS


def test_a_long_text_is_cut_and_says_by_how_much() -> None:
    actual = plain("a" * (MAX_STRING + 5))

    assert actual == "a" * MAX_STRING + "<cut: 5 characters>"
    assert plain("a" * MAX_STRING) == "a" * MAX_STRING


def test_a_record_holds_two_thousand_values() -> None:
    actual = plain([[0] * 250 for _ in range(20)])

    kept = sum(item == 0 for part in actual if isinstance(part, list) for item in part)
    assert MAX_NODES - 20 < kept < MAX_NODES
    assert CUT in actual[-1]


def test_two_thousand_values_are_kept_whole() -> None:
    values: dict[str, Any] = {str(i): [0] * 249 for i in range(8)}
    plainer = Plainer(None)

    assert plainer.mapping(values) == values
    assert plainer.mapping({**values, "one more": 0}) == {**values, "one more": CUT}


@pytest.mark.parametrize(
    "value",
    ["a" * MAX_STRING, StrEnum("Long", {"A": "a" * MAX_STRING}).A, bytes(MAX_BYTES)],  # type: ignore[attr-defined]
    ids=["text", "enum", "bytes"],
)
def test_the_text_of_a_record_is_bounded_in_all(value: Any) -> None:
    actual = plain([value] * 20)

    assert sum(text != CUT for text in actual) == MAX_TOTAL // len(actual[0]) + 1
    assert actual[-1] == CUT


def test_keys_are_text_of_a_record_too() -> None:
    keys = [str(i).rjust(MAX_KEY) for i in range(MAX_TOTAL // MAX_KEY)]

    actual = plain([dict.fromkeys(keys, 0), {"one more": 0, "cut": 0}])

    assert actual == [dict.fromkeys(keys, 0), {"one more": 0, "cut": CUT}]


def test_every_mapping_has_a_budget_of_its_own() -> None:
    plainer = Plainer(None)
    plainer.mapping({"a": ["b" * MAX_STRING] * 20})

    assert plainer.mapping({"a": "b"}) == {"a": "b"}


def test_the_names_of_types_do_not_break_the_budget() -> None:
    kind = type("K" * 100_000, (), {})

    assert len(json.dumps(plain([kind() for _ in range(MAX_ITEMS)]))) < 100_000


# -- values that change, or strike back ----------------------------------------


def test_a_dict_that_changes_while_it_is_read_is_marked() -> None:
    """A time zone stands for the other thread."""
    values: dict[str, Any] = {"a": 1}

    def intrude(*_: Any) -> timedelta:
        values["new"] = 1
        return timedelta(0)

    values["when"] = datetime(2024, 5, 6, tzinfo=zone(intrude, module="pytz"))
    values["last"] = 2
    actual = Plainer(None).mapping(values)

    expected = {"a": 1, "when": "2024-05-06T00:00:00Z", CUT: "changed while it was read"}
    assert expected == actual


def test_a_dict_that_another_thread_keeps_changing_does_no_harm() -> None:
    values: dict[str, Any] = {"a": 1, "b": 2}
    stop = threading.Event()

    def churn() -> None:
        i = 0
        while not stop.is_set():
            values[f"k{i % 50}"] = i
            values.pop(f"k{(i + 7) % 50}", None)
            i += 1

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        found = [Plainer(None).value([values]) for _ in range(200)]
    finally:
        stop.set()
        thread.join()

    assert all(mapping["a"] == 1 for (mapping,) in found)


@pytest.mark.parametrize("name", list(HOSTILE))
def test_no_value_raises_runs_or_costs_much(name: str) -> None:
    value = HOSTILE[name]()
    plainer = Plainer(Redactor())

    actual = plainer.mapping({"before": 1, "value": value, "in list": [value]})

    assert_storable(encode_json(actual))
    assert actual["before"] == 1
    assert cost(lambda: plainer.mapping({"value": value})) < LIMIT


@pytest.mark.parametrize("name", list(HOSTILE))
def test_no_field_of_an_object_raises_runs_or_costs_much(name: str) -> None:
    value = HOSTILE[name]()
    holders = [Point(value), SlottedPoint(value), Pair(value, value), ValueError(value)]

    actual = Plainer(None).mapping({"holders": holders})

    assert_storable(encode_json(actual))
    assert cost(lambda: Plainer(None).value(holders)) < 2 * LIMIT


def test_an_item_of_a_set_is_not_hashed_again() -> None:
    armed = False

    class Touchy:
        def __hash__(self) -> int:
            return foreign() if armed else 1

    values = {Touchy()}, frozenset([Touchy()])
    armed = True

    name = f"<{__name__}.test_an_item_of_a_set_is_not_hashed_again.<locals>.Touchy>"
    assert [[name], [name]] == plain(list(values))


@pytest.mark.parametrize(
    "markers",
    [
        {"__dataclass_fields__": {"a": 1, 2: 3, None: 4}},
        {"__dataclass_fields__": hostile_class(dict)()},
        {"__pydantic_fields__": property(foreign)},
        {"__attrs_attrs__": hostile_class(tuple)(["a", 1])},
        {"__attrs_attrs__": (object.__new__(hostile_class(object)),)},
        {"_fields": ("a",), "_value_": 1},
    ],
    ids=[
        "names of other types",
        "fields of a foreign class",
        "a property",
        "attrs of other types",
        "hostile attribute",
        "no tuple",
    ],
)
def test_a_class_that_only_looks_like_another_does_no_harm(markers: dict[str, Any]) -> None:
    kind = hostile_class(object, **markers)

    assert plain(kind()) in ({}, "<their.code.Hostile>")


def test_a_named_tuple_may_have_odd_names() -> None:
    kind = type("Odd", (tuple,), {"_fields": (1, None, hostile_class(object)())})

    assert plain(kind("abc")) == {"1": "a", "null": "b", "<their.code.Hostile>": "c"}


def test_a_named_tuple_may_have_more_items_than_names() -> None:
    assert plain(type("More", (tuple,), {"_fields": ("a", "b")})("abc")) == {"a": "a", "b": "b"}


# -- secrets -------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        {"password": SECRET},
        {"password": [SECRET, {"a": SECRET}]},
        {"a": {"b": [{"c": {"Api-Key": SECRET}}]}},
        {b"authorization": SECRET.encode()},
        {"headers": [("Authorization", SECRET)]},
        {"headers": [["Cookie", SECRET], ["Accept", "*/*"]]},
        {"headers": [(b"authorization", SECRET)]},
        {"headers": {("X-Api-Key", SECRET)}},
        {"headers": deque([deque(["Set-Cookie", SECRET])])},
        {"pair": ["token", SECRET]},
        {Mood.GOOD: 1, StrEnum("Key", {"PW": "password"}).PW: SECRET},  # type: ignore[attr-defined]
        {Enum("Key", {"PW": "password"}).PW: SECRET},  # type: ignore[attr-defined]
        {"headers": [(StrEnum("Key", {"A": "Authorization"}).A, SECRET)]},  # type: ignore[attr-defined]
        {"x" * 300 + "password": SECRET},
        {"password" + "x" * 300: SECRET},
        {"pin\0": SECRET, "pin\ud800": SECRET},
        {"pin": SECRET, b"pin": SECRET},
        {"user": Account("ada", SECRET)},
        {"model": PydanticLike()},
        {"named": Login("ada", SECRET)},
        {hostile_class(str, __hash__=str.__hash__)("password"): SECRET},
        {"a": {"ｐａｓｓｗｏｒｄ": SECRET}},  # noqa: RUF001
    ],
    ids=[
        "at the top",
        "whole structure",
        "deep",
        "bytes key",
        "header pair",
        "header list",
        "bytes header",
        "header in a set",
        "header in a deque",
        "bare pair",
        "StrEnum key",
        "Enum key",
        "StrEnum header",
        "end of a long key",
        "start of a long key",
        "keys alike once stored",
        "bytes and text key",
        "dataclass",
        "pydantic",
        "named tuple",
        "str subclass",
        "full-width",
    ],
)
def test_a_secret_is_stored_nowhere(data: dict[Any, Any]) -> None:
    actual = encode_json(redacted(data))

    assert SECRET not in actual
    assert "aHVudGVyMi" not in actual  # The same in base64.
    assert REDACTED in actual


def test_the_rest_of_a_structure_stays() -> None:
    data = {"user": {"name": "ada", "password": SECRET}, "headers": [("Accept", "*/*")]}

    expected = {"user": {"name": "ada", "password": REDACTED}, "headers": [["Accept", "*/*"]]}
    assert expected == redacted(data)


def test_a_header_pair_keeps_its_name() -> None:
    assert redacted({"h": [("Authorization", SECRET)]}) == {"h": [["Authorization", REDACTED]]}


def test_a_missing_secret_is_shown_as_missing() -> None:
    assert redacted({"password": None}) == {"password": None}


def test_two_long_texts_are_no_header() -> None:
    """A before and an after must not be mistaken for a name too long to be read."""
    data = {"change": ["old " * 100, "new " * 100]}

    assert data == redacted(data)


def test_two_words_of_a_set_are_no_header() -> None:
    """Which of them came first would depend on the seed of the hash."""
    assert redacted({"scopes": {"token", "read"}}) == {"scopes": ["read", "token"]}


def test_without_a_redactor_nothing_is_hidden() -> None:
    data = {"password": SECRET, "headers": [["Cookie", SECRET]]}

    assert data == Plainer(None).mapping(data)


# -- general rules -------------------------------------------------------------


def assert_storable(text: str) -> None:
    def strings(value: Any) -> Any:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from strings(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from strings(inner)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text.encode()  # No lone surrogates.
    assert len(text) < 1 << 20
    assert "\0" not in "".join(strings(json.loads(text, parse_constant=refuse)))


ANY_TEXT = st.text(alphabet=st.characters(codec=None, exclude_categories=()))
ANY_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ANY_TEXT
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.datetimes(timezones=st.sampled_from([None, UTC, ZoneInfo("Europe/Berlin")]))
    | st.dates()
    | st.times()
    | st.timedeltas()
)
ANY_KEY = ANY_TEXT | st.integers() | st.booleans() | st.none() | st.floats() | st.binary()
ANY_VALUE = st.recursive(
    ANY_SCALAR,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(ANY_KEY, inner)
        | st.tuples(inner, inner)
        | st.frozensets(ANY_SCALAR)
    ),
    max_leaves=6,
)
STORED_TEXT = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50
)
STORED_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats(min_value=-9e15, max_value=9e15).map(lambda number: number + 0.0)
    | STORED_TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(STORED_TEXT, inner, max_size=5),
    max_leaves=10,
)


@settings(max_examples=30)
@given(st.dictionaries(ANY_KEY, ANY_VALUE, max_size=4))
def test_any_value_becomes_json_that_can_be_stored(values: dict[Any, Any]) -> None:
    actual = Plainer(Redactor()).mapping(values)

    assert_storable(encode_json(actual))
    assert min(len(values), MAX_ITEMS) == len(actual)


@settings(max_examples=30)
@given(ANY_VALUE)
def test_a_value_gives_the_same_every_time(value: Any) -> None:
    assert encode_json(plain(value)) == encode_json(plain(value))


@settings(max_examples=30)
@given(st.dictionaries(STORED_TEXT, STORED_VALUE, max_size=5))
def test_ordinary_json_stays_as_it_is(values: dict[str, Any]) -> None:
    actual = Plainer(None).mapping(values)

    assert repr(values) == repr(actual)
    assert values == json.loads(encode_json(actual))


@settings(max_examples=30)
@given(ANY_VALUE)
def test_what_was_stored_can_be_stored_again(value: Any) -> None:
    once = json.loads(encode_json(plain(value)))

    assert once == json.loads(encode_json(plain(once)))
