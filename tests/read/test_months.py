"""Months and parts of months: together they are the days of a span, each of them once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from structlog_activity.read.counts.months import days_in, month_bounds, read_day


DAY = timedelta(days=1)
EVER = (date(2025, 10, 1), date(2026, 8, 1))


def days_between(first: date, beyond: date) -> list[date]:
    return [first + n * DAY for n in range((beyond - first).days)]


def days_of(bounds: dict[str, Any]) -> Iterator[date]:
    """The days of some years that are in a whole month or in a part of one, as often as they are"""
    low, high = bounds.get("first_month") or date.min, bounds.get("last_month") or date.max
    for day in days_between(*EVER):
        month = day.replace(day=1)
        if low <= month < high:
            yield day
        for end in ("low", "high"):
            is_in = bounds.get(f"{end}_days", 0) >> day.day & 1
            if is_in and bounds[f"{end}_month"] == month:
                yield day


days = st.dates(date(2026, 1, 1), date(2026, 4, 1))


@given(first=st.none() | days, length=st.none() | st.integers(0, 70))
@example(date(2026, 1, 1), 31)
@example(date(2026, 1, 1), 59)
@example(date(2026, 1, 1), 0)
@example(date(2026, 1, 2), 30)
@example(date(2026, 1, 31), 1)
@example(date(2026, 1, 31), 2)
@example(date(2026, 1, 2), 1)
@example(date(2026, 1, 10), 60)
@example(date(2026, 2, 28), 0)
def test_each_day_of_a_span_is_in_one_month_or_part_of_one(
    first: date | None, length: int | None
) -> None:
    last = None if length is None else (first or date(2026, 1, 1)) + length * DAY

    bounds = month_bounds(first, last)

    assert days_between(first or EVER[0], last or EVER[1]) == sorted(days_of(bounds))
    for end in ("low", "high"):  # A part without a day is read from a month that there is not.
        assert (bounds.get(f"{end}_days") == 0) == (bounds.get(f"{end}_month") == date.max)
        assert not bounds.get(f"{end}_days", 0) & 1  # No month has a day 0.


@given(first=days, length=st.integers(0, 70))
def test_the_months_of_a_span_are_all_of_which_it_has_a_day(first: date, length: int) -> None:
    last = first + length * DAY

    low = month_bounds(first, last)["first_of"]

    assert {day.replace(day=1) for day in days_between(first, last)} == {
        month for month in map(date.fromisoformat, MONTHS) if low <= month < last
    } - ({low} if first == last else set())


MONTHS = [f"{number // 12}-{number % 12 + 1:02}-01" for number in range(2025 * 12, 2027 * 12)]


def test_a_span_that_begins_on_the_last_days_there_are_has_no_whole_month() -> None:
    bounds = month_bounds(date(9999, 12, 20), None)

    assert date(9999, 12, 1) < bounds["first_month"]
    assert sum(1 << day for day in range(20, 32)) == bounds["low_days"]
    assert date(9999, 12, 1) == bounds["low_month"]
    assert date(9999, 12, 1) == month_bounds(date(9999, 12, 1), None)["first_month"]
    assert date(9999, 12, 1) < month_bounds(date(9999, 12, 2), None)["first_month"]
    assert date(9999, 12, 1) == month_bounds(date(9999, 11, 2), None)["first_month"]


@pytest.mark.parametrize("name", ["2026-02-01", "20485"], ids=["PostgreSQL", "SQLite"])
def test_the_days_of_a_month_are_those_of_the_span_that_have_a_record(name: str) -> None:
    text = f"{name} 4 0 {' '.join(['1'] * 25)} 12 0 0 0"

    def counted(first: date | None, beyond: date | None) -> dict[int, int]:
        found = dict(days_in(text, first, beyond))
        assert all((day.year, day.month) == (2026, 2) for day in found)
        return {day.day: n for day, n in found.items()}

    middle = dict.fromkeys(range(3, 28), 1)
    assert {1: 4, **middle, 28: 12} == counted(None, None)
    assert {1: 4, **middle, 28: 12} == counted(date(2026, 1, 7), date(2026, 3, 1))
    assert {1: 4, **middle, 28: 12} == counted(date(2026, 2, 1), date(2027, 2, 1))
    assert {**middle, 28: 12} == counted(date(2026, 2, 2), None)
    assert {28: 12} == counted(date(2026, 2, 28), None)
    assert {1: 4} == counted(None, date(2026, 2, 2))
    assert {1: 4, **middle} == counted(None, date(2026, 2, 28))
    assert {3: 1} == counted(date(2026, 2, 2), date(2026, 2, 4))
    assert {} == counted(None, date(2026, 2, 1)) == counted(date(2026, 3, 1), None)
    assert {} == counted(None, date(2026, 1, 1))


def test_a_day_is_read_as_either_database_writes_it() -> None:
    assert date(2026, 2, 1) == read_day("2026-02-01") == read_day("20485")
    assert date(1970, 1, 1) == read_day("0")
