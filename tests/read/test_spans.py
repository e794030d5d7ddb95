"""The months that a page is looked for in: few at first, then more, and none in vain."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

import pytest

from hypothesis import given
from hypothesis import strategies as st

from structlog_activity import ActivityFilter
from structlog_activity.read.dates import Span, midnight, month_of, next_midnight
from structlog_activity.read.feeds.spans import spans


JUNE = datetime(2025, 6, 15, 8, tzinfo=UTC)


def moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def looked_at(way: str, records: tuple[str, str] | None, **ends: str) -> list[str]:
    """The spans of a search, as text, for a tenant with records from a day to another."""
    bounds = {name: moment(text) for name, text in ends.items()}
    at = bounds.pop("at", None)
    where = ActivityFilter.of({"tenant_id": "acme", **bounds})

    def extremes() -> tuple[date, date] | None:
        return records and (date.fromisoformat(records[0]), date.fromisoformat(records[1]))

    found = spans(where, at, extremes, ascending=way == "up")
    return [f"{shown(span.low)}..{shown(span.high)}" for span in found]


def shown(end: datetime | None) -> str:
    if end is None:
        return ""
    assert end == datetime(end.year, end.month, 1, tzinfo=UTC)
    return end.strftime("%Y-%m").zfill(7)


AT = {"at": "2025-06-15T08:00"}
DOWN: dict[str, tuple[dict[str, str], tuple[str, str] | None, list[str]]] = {
    "no record": (AT, None, ["2025-04..2025-07"]),
    "none before": (AT, ("2025-04-01", "2026-01-01"), ["2025-04..2025-07"]),
    "some before": (AT, ("2025-03-31", "2026-01-01"), ["2025-04..2025-07", "2025-03..2025-07"]),
    "for two years": (AT, ("2023-06-02", "2025-06-14"), ["2025-04..2025-07", "2023-06..2025-07"]),
    "for longer": (
        AT,
        ("2023-05-31", "2025-06-14"),
        ["2025-04..2025-07", "2023-06..2025-07", "2023-05..2025-07"],
    ),
    "the last just near": (
        AT,
        ("2019-03-05", "2025-04-01"),
        ["2025-04..2025-07", "2023-06..2025-07", "2019-03..2025-07"],
    ),
    "long ago": (AT, ("2019-03-05", "2020-05-20"), ["2025-04..2025-07", "2019-03..2020-06"]),
    "longer ago": (
        AT,
        ("2016-03-05", "2020-05-20"),
        ["2025-04..2025-07", "2018-05..2020-06", "2016-03..2020-06"],
    ),
    "since a month ago": (
        AT | {"since": "2025-05-10"},
        ("2016-03-05", "2025-06-14"),
        ["2025-05..2025-07"],
    ),
    "since the first moment": (
        AT | {"since": "2025-04-01"},
        ("2016-03-05", "2025-06-14"),
        ["2025-04..2025-07"],
    ),
    "since a moment earlier": (
        AT | {"since": "2025-03-31T23:59:59.999999"},
        ("2016-03-05", "2025-06-14"),
        ["2025-04..2025-07", "2025-03..2025-07"],
    ),
    "since before all": (
        AT | {"since": "2024-01-20"},
        ("2024-08-05", "2025-06-14"),
        ["2025-04..2025-07", "2024-08..2025-07"],
    ),
    "until before the place": (AT | {"until": "2025-02-10"}, None, ["2024-12..2025-03"]),
    "until after the place": (AT | {"until": "2026-02-10"}, None, ["2025-04..2025-07"]),
    "until alone": ({"until": "2025-02-10"}, None, ["2024-12..2025-03"]),
    "until the calendar ends": ({"until": "9999-12-31T23:59"}, None, ["9999-10.."]),
    "where it begins": ({"at": "0001-02-10"}, None, ["..0001-03"]),
    "since it began": ({"at": "0001-02-10", "since": "0001-01-05"}, None, ["0001-01..0001-03"]),
}


@pytest.mark.parametrize(("ends", "records", "expected"), DOWN.values(), ids=DOWN)
def test_older_records_are_looked_for_in_the_months_before(
    ends: dict[str, str], records: tuple[str, str] | None, expected: list[str]
) -> None:
    assert expected == looked_at("down", records, **ends)


UP: dict[str, tuple[dict[str, str], tuple[str, str] | None, list[str]]] = {
    "no record": (AT, None, ["2025-06..2025-09"]),
    "none behind": (AT, ("2019-03-05", "2025-08-31"), ["2025-06..2025-09"]),
    "some behind": (AT, ("2019-03-05", "2025-09-01"), ["2025-06..2025-09", "2025-06..2025-10"]),
    "for two years": (AT, ("2019-03-05", "2027-06-30"), ["2025-06..2025-09", "2025-06..2027-07"]),
    "for longer": (
        AT,
        ("2019-03-05", "2027-07-01"),
        ["2025-06..2025-09", "2025-06..2027-07", "2025-06..2027-08"],
    ),
    "far ahead": (AT, ("2030-03-05", "2031-02-01"), ["2025-06..2025-09", "2025-06..2031-03"]),
    "farther ahead": (
        AT,
        ("2030-03-05", "2033-02-01"),
        ["2025-06..2025-09", "2025-06..2032-04", "2025-06..2033-03"],
    ),
    "until the next month": (
        AT | {"until": "2025-07-10"},
        ("2019-03-05", "2033-02-01"),
        ["2025-06..2025-08"],
    ),
    "until the last moment": (
        AT | {"until": "2025-09-01"},
        ("2019-03-05", "2033-02-01"),
        ["2025-06..2025-10"],
    ),
    "until a moment later": (
        AT | {"until": "2025-09-01T00:00:00.000001"},
        ("2019-03-05", "2033-02-01"),
        ["2025-06..2025-09", "2025-06..2025-10"],
    ),
    "until after all": (
        AT | {"until": "2028-09-01"},
        ("2019-03-05", "2026-02-01"),
        ["2025-06..2025-09", "2025-06..2026-03"],
    ),
    "since after the place": (AT | {"since": "2025-11-10"}, None, ["2025-11..2026-02"]),
    "since before the place": (AT | {"since": "2024-11-10"}, None, ["2025-06..2025-09"]),
    "since alone": ({"since": "2025-11-10"}, None, ["2025-11..2026-02"]),
    "from the beginning": (
        {},
        ("2019-03-05", "2025-06-14"),
        ["0001-01..0001-04", "0001-01..2021-04", "0001-01..2025-07"],
    ),
    "where the calendar ends": ({"at": "9999-10-31"}, None, ["9999-10.."]),
    "until it ends": ({"at": "9999-11-10", "until": "9999-11-20"}, None, ["9999-11..9999-12"]),
    "to its last month": (AT, ("2019-03-05", "9999-12-31"), ["2025-06..2025-09", "2025-06.."]),
}


@pytest.mark.parametrize(("ends", "records", "expected"), UP.values(), ids=UP)
def test_newer_records_are_looked_for_in_the_months_behind(
    ends: dict[str, str], records: tuple[str, str] | None, expected: list[str]
) -> None:
    assert expected == looked_at("up", records, **ends)


def test_the_newest_are_looked_for_from_two_months_ago_on_without_end() -> None:
    where = ActivityFilter(tenant_id="acme")
    before = datetime.now(UTC)

    (found,) = spans(where, None, lambda: None, ascending=False)

    assert found in {Span(month_of(now, -2), None) for now in (before, datetime.now(UTC))}


@pytest.mark.parametrize("ascending", [False, True], ids=["down", "up"])
def test_nobody_asks_for_the_first_and_last_record_before_the_near_months_were_too_few(
    ascending: bool,
) -> None:
    def not_yet() -> NoReturn:
        raise AssertionError

    found = spans(ActivityFilter(tenant_id="acme"), JUNE, not_yet, ascending=ascending)

    next(found)
    with pytest.raises(AssertionError):
        next(found)


days = st.dates(date(1990, 1, 1), date(2060, 1, 1))
bounds = st.none() | st.datetimes(
    datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)
)


@given(
    first=days,
    length=st.integers(0, 9000),
    at=bounds,
    since=bounds,
    until=bounds,
    ascending=st.booleans(),
)
def test_the_last_span_holds_all_that_is_wanted(
    first: date, length: int, at: Any, since: Any, until: Any, ascending: bool
) -> None:
    last = first + timedelta(days=length)
    where = ActivityFilter(tenant_id="acme", since=since, until=until)

    *_, span = spans(where, at, lambda: (first, last), ascending=ascending)

    after, before = (at, None) if ascending else (None, at)
    lows = [midnight(first), since, after]
    highs = [midnight(last), until, before]
    low = max(moment for moment in lows if moment is not None)
    high = min(moment for moment in highs if moment is not None)
    if low <= high:
        assert span.low is None or span.low <= low
        assert span.high is None or high < span.high


def test_the_last_day_of_the_calendar_ends_with_its_last_moment() -> None:
    assert datetime.max.replace(tzinfo=UTC) == next_midnight(date.max)
    assert datetime(9999, 12, 31, tzinfo=UTC) == next_midnight(date(9999, 12, 30))
