"""
Moments are read from what people write, and are UTC afterwards.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from structlog_activity.errors import InvalidRecordError
from structlog_activity.record.times import (
    EPOCH,
    as_given,
    exact,
    from_day,
    from_microseconds,
    to_datetime,
    to_day,
    to_microseconds,
)
from tests.record.hostile import HOSTILE, LIMIT, cost, hostile_class, leave, zone


NOON = datetime(2024, 5, 6, 12, 0, 0, 123456, tzinfo=UTC)


def broken(*_: Any) -> Any:
    raise KeyError("no such zone")


@pytest.mark.parametrize(
    ("day", "days"),
    [(date(1970, 1, 1), 0), (date(1969, 12, 31), -1), (date(2024, 5, 6), 19_849)],
    ids=str,
)
def test_days_are_counted_from_1970(day: date, days: int) -> None:
    assert to_day(day) == days
    assert from_day(days) == day


@settings(max_examples=40)
@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_and_back_is_the_same_moment(moment: datetime) -> None:
    assert moment == from_microseconds(to_microseconds(moment))


@settings(max_examples=40)
@given(st.integers(min_value=-62_135_596_800_000_000, max_value=253_402_300_799_999_999))
def test_a_moment_and_back_is_the_same_microsecond(us: int) -> None:
    assert us == to_microseconds(from_microseconds(us))


def test_the_epoch_is_microsecond_nought() -> None:
    assert to_microseconds(EPOCH) == 0
    assert from_microseconds(1).tzinfo == UTC


@pytest.mark.parametrize(
    "value",
    [
        NOON,
        NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=-14))),
        NOON.astimezone(ZoneInfo("Europe/Berlin")),
        NOON.replace(tzinfo=zone(lambda *_: None)),
        "2024-05-06T12:00:00.123456Z",
        "2024-05-06T12:00:00.123456",
        "2024-05-06 14:00:00.123456+02:00",
        " 2024-05-06T12:00:00.123456+00:00\n",
    ],
    ids=[
        "UTC",
        "naive",
        "fixed offset",
        "zone",
        "zone without offset",
        "text with Z",
        "naive text",
        "text with offset",
        "space around",
    ],
)
def test_a_moment_is_read_as_utc(value: Any) -> None:
    actual = to_datetime(value)

    assert actual == NOON
    assert UTC is actual.tzinfo


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC), 1_000_000_000),
        (datetime(2001, 9, 9, 1, 46, 40, 500000, tzinfo=UTC), 1_000_000_000.5),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), -1),
        (datetime(2024, 5, 6, tzinfo=UTC), "2024-05-06"),
        (datetime(2024, 5, 6, tzinfo=UTC), "2024-05-06".ljust(64)),
        (datetime(1, 1, 1, tzinfo=UTC), -62_135_596_800),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), 253_402_300_799),
    ],
    ids=["epoch", "int", "float", "before the epoch", "a day", "padded", "first", "last"],
)
def test_seconds_and_days_are_read(expected: datetime, value: Any) -> None:
    assert expected == to_datetime(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "yesterday",
        "2024-13-01",
        "1700000000",
        float("nan"),
        float("inf"),
        1e300,
        10**400,
        -(10**12),
        date(2024, 5, 6),
        [2024, 5, 6],
        b"2024-05-06",
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        NOON.replace(tzinfo=zone(broken)),
        NOON.replace(tzinfo=zone()),
        NOON.replace(tzinfo=zone(leave)),
        "2024-05-06T12:00:00Z" + " " * 100,
    ],
    ids=[
        "none",
        "bool",
        "empty text",
        "words",
        "month 13",
        "digits as text",
        "nan",
        "inf",
        "huge float",
        "huge int",
        "year -30000",
        "date",
        "list",
        "bytes",
        "after the year 9999",
        "before the year 1",
        "broken zone",
        "silent zone",
        "zone that exits",
        "long text",
    ],
)
def test_what_is_no_moment_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRecordError, match="is needed, not") as info:
        to_datetime(value)

    assert info.value.field == "occurred_at"
    assert info.value.__cause__ is None


def test_a_refusal_shows_text_but_no_object() -> None:
    with pytest.raises(InvalidRecordError, match="not 'noon'"):
        to_datetime("noon")
    with pytest.raises(InvalidRecordError, match=r"not their\.code\.Hostile"):
        to_datetime(hostile_class(object)())


def test_a_subclass_becomes_a_plain_datetime() -> None:
    given_ = hostile_class(datetime)(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC, fold=1)

    actual = exact(given_)

    assert datetime is type(actual)
    assert datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=UTC) == actual
    assert actual.fold == 1


def test_a_subclass_is_read_without_its_code() -> None:
    assert datetime(2024, 5, 6, tzinfo=UTC) == to_datetime(hostile_class(datetime)(2024, 5, 6))
    assert datetime(2024, 5, 6, tzinfo=UTC) == to_datetime(hostile_class(str)("2024-05-06"))
    assert EPOCH + timedelta(seconds=7) == to_datetime(hostile_class(int)(7))
    assert EPOCH + timedelta(seconds=7.5) == to_datetime(hostile_class(float)(7.5))


def test_the_second_of_two_equal_hours_is_the_later_one() -> None:
    """At the end of summer time an hour comes twice; ``fold`` says which."""
    zone = ZoneInfo("Europe/Berlin")
    first, second = (datetime(2024, 10, 27, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1))

    assert timedelta(hours=1) == to_datetime(second) - to_datetime(first)


@pytest.mark.parametrize(
    ("expected", "moment"),
    [
        (
            "9999-12-31T23:59:59.999999-14:00",
            datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))),
        ),
        ("2024-05-06T12:00:00.123456", NOON.replace(tzinfo=zone(broken))),
        ("2024-05-06T12:00:00.123456", NOON.replace(tzinfo=zone(leave))),
        ("2024-05-06T12:00:00.123456", NOON.replace(tzinfo=None)),
    ],
    ids=["out of range", "broken zone", "zone that exits", "naive"],
)
def test_any_datetime_can_be_shown_as_given(expected: str, moment: datetime) -> None:
    assert expected == as_given(moment)


@settings(max_examples=40)
@given(st.one_of(st.text(), st.floats(), st.integers(), st.datetimes(), st.dates()))
def test_anything_is_a_utc_datetime_or_refused(value: Any) -> None:
    try:
        actual = to_datetime(value)
    except InvalidRecordError:
        return

    assert UTC is actual.tzinfo


@pytest.mark.parametrize("name", list(HOSTILE))
def test_no_value_breaks_a_time_or_costs_much(name: str) -> None:
    value = HOSTILE[name]()

    def read() -> None:
        with suppress(InvalidRecordError):
            to_datetime(value)

    assert cost(read) < LIMIT


def test_an_interrupt_is_not_swallowed() -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        to_datetime(NOON.replace(tzinfo=zone(interrupt)))
