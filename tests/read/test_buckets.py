"""Hours, days, weeks and months are those that a clock on the wall shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from hypothesis import example, given, settings
from hypothesis import strategies as st

from structlog_activity import InvalidFilterError
from structlog_activity.read.counts import buckets
from structlog_activity.read.counts.buckets import Piece, calendar
from tests.support.records import NOON, record
from tests.support.stores import Store, memory_store


ZONES = (
    "UTC", "Europe/Berlin", "America/Havana", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia",
)  # fmt: skip
# The longest spans, and the steps in which clocks are looked at.
SPANS = {
    "hour": (timedelta(days=3), timedelta(minutes=15)),
    "day": (timedelta(days=20), timedelta(hours=1)),
    "week": (timedelta(days=60), timedelta(hours=6)),
    "month": (timedelta(days=400), timedelta(days=1)),
}
INSTANT = timedelta(microseconds=1)


def shown(moment: datetime, bucket: str, zone: str) -> Any:
    """What a clock and a calendar on the wall tell of the bucket of a moment."""
    clock = moment.astimezone(ZoneInfo(zone))
    if bucket == "hour":  # An hour that comes twice is two.
        return clock.date(), clock.hour, clock.utcoffset()
    if bucket == "day":
        return clock.date()
    return clock.isocalendar()[:2] if bucket == "week" else (clock.year, clock.month)


def cut(first: datetime, last: datetime, bucket: str, zone: str) -> list[Piece]:
    return calendar(bucket, zone).pieces(first, last)


@given(
    bucket=st.sampled_from(buckets.BUCKETS),
    zone=st.sampled_from(ZONES),
    first=st.datetimes(datetime(2009, 1, 1), datetime(2026, 1, 1), timezones=st.just(UTC)),
    part=st.floats(0, 1),
)
@example("hour", "Europe/Berlin", datetime(2025, 10, 25, 22, tzinfo=UTC), 0.5)
@example("hour", "Australia/Lord_Howe", datetime(2025, 4, 5, 12, tzinfo=UTC), 0.5)
@example("day", "Pacific/Apia", datetime(2011, 12, 28, tzinfo=UTC), 0.5)  # Has no 30th.
@example("day", "America/Havana", datetime(2025, 10, 30, tzinfo=UTC), 0.5)
@example("month", "UTC", datetime(2024, 1, 1, tzinfo=UTC), 1.0)
@example("week", "UTC", datetime(2024, 1, 1, tzinfo=UTC), 0.0)
@settings(max_examples=60)
def test_pieces_are_the_whole_buckets_that_a_clock_shows(
    bucket: str, zone: str, first: datetime, part: float
) -> None:
    longest, step = SPANS[bucket]
    last = first + longest * part

    pieces = cut(first, last, bucket, zone)

    # Without gaps, in order, from the bucket of the first moment to that of the last.
    assert all(one.end == next_.start for one, next_ in pairwise(pieces))
    assert all(piece.start < piece.end for piece in pieces)
    assert pieces[0].start <= first
    assert last < pieces[-1].end
    of = {piece.bucket: shown(piece.start, bucket, zone) for piece in pieces}
    assert list(of) == list(range(len(of)))
    assert len(set(of.values())) == len(of)
    assert (shown(first, bucket, zone), shown(last, bucket, zone)) == (of[0], of[len(of) - 1])
    for piece in pieces:
        # Each shows one bucket, and no bucket begins before its first piece or goes on after its
        # last one.
        moments = [piece.start, piece.end - INSTANT]
        moments += [piece.start + n * step for n in range((piece.end - piece.start) // step)]
        assert {shown(moment, bucket, zone) for moment in moments} == {of[piece.bucket]}
    assert shown(pieces[0].start - INSTANT, bucket, zone) != of[0]
    assert shown(pieces[-1].end, bucket, zone) != of[len(of) - 1]


def test_a_day_on_which_clocks_change_has_an_hour_less_or_one_twice() -> None:
    def hours(day: str) -> list[str]:
        zone = ZoneInfo("Europe/Berlin")
        start = datetime.fromisoformat(day).replace(tzinfo=zone)
        end = start + timedelta(days=1)
        found = cut(start.astimezone(UTC), end.astimezone(UTC) - INSTANT, "hour", zone.key)
        return [piece.start.astimezone(zone).strftime("%H") for piece in found]

    all_ = [f"{hour:02}" for hour in range(24)]
    assert hours("2026-03-28") == all_
    assert hours("2026-03-29") == [*all_[:2], *all_[3:]]
    assert hours("2026-10-25") == [*all_[:3], *all_[2:]]


def test_a_line_may_have_as_many_buckets_as_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "MAX_BUCKETS", 10)
    first = datetime(2026, 1, 1, 0, 30, tzinfo=UTC)

    assert 11 == len(cut(first, first + timedelta(hours=10, minutes=29), "hour", "UTC"))
    with pytest.raises(InvalidFilterError, match="bucket='hour': makes more than 10 of 2026-01-01"):
        cut(first, first + timedelta(hours=11), "hour", "UTC")


DAY = timedelta(days=1)
DAYS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "no bound": ({}, [2, 0, 1]),
    "since": ({"since": NOON - 2 * DAY}, [0, 0, 2, 0, 1]),
    "until": ({"until": NOON + 4 * DAY}, [2, 0, 1, 0, 0]),
    "until a midnight": ({"until": (NOON + 4 * DAY).replace(hour=0)}, [2, 0, 1, 0]),
    "until just behind a midnight": (
        {"until": (NOON + 4 * DAY).replace(hour=0, microsecond=1)},
        [2, 0, 1, 0, 0],
    ),
    "both": ({"since": NOON - DAY, "until": NOON + 3 * DAY}, [0, 2, 0, 1, 0]),
    "both and nothing between": ({"since": NOON - 4 * DAY, "until": NOON - 2 * DAY}, [0, 0, 0]),
    "since and nothing behind": ({"since": NOON + 4 * DAY}, []),
    "until and nothing before": ({"until": NOON - 4 * DAY}, []),
}


@pytest.mark.parametrize(("where", "counts"), DAYS.values(), ids=DAYS.keys())
def test_a_line_goes_from_bound_to_bound_and_else_from_record_to_record(
    where: dict[str, Any], counts: list[int]
) -> None:
    store = memory_store()
    store.add(*(record(occurred_at=NOON + days * DAY) for days in (0, 0, 2)))

    line = store.timeline(tenant_id="acme", **where)

    assert counts == [count for _, count in line]
    assert all(after - before == DAY for (before, _), (after, _) in pairwise(line))


def test_a_bucket_begins_by_the_clocks_of_the_zone_that_was_asked_for() -> None:
    store = memory_store()
    store.add(record())

    ((start, _),) = store.timeline(tenant_id="acme", tz="Asia/Kolkata")

    assert start.isoformat() == "2026-03-14T00:00:00+05:30"
    assert start.tzinfo == ZoneInfo("Asia/Kolkata")


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"bucket": "fortnight"}, "bucket='fortnight': use one of hour, day, week, month$"),
        ({"tz": "Mars"}, "tz='Mars': is no time zone that this system knows"),
    ],
    ids=["bucket", "zone"],
)
def test_what_nobody_can_cut_time_into_is_told(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidFilterError, match=f"^{problem}"):
        memory_store().timeline(tenant_id="acme", **asked)


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("where", "counts"),
    [
        ({}, [1, 0, 1]),
        ({"since": NOON - 2 * HOUR}, [0, 0, 1, 0, 1]),
        ({"until": NOON + 5 * HOUR}, [1, 0, 1, 0, 0]),
        ({"since": NOON - HOUR, "until": NOON + 4 * HOUR}, [0, 1, 0, 1, 0]),
        ({"since": NOON + 4 * HOUR}, []),
        ({"until": NOON - 4 * HOUR}, []),
    ],
    ids=["no bound", "since", "until", "both", "since and nothing behind", "until and none before"],
)
def test_a_line_has_no_empty_hours_at_an_end_without_bound(
    store: Store, where: dict[str, Any], counts: list[int]
) -> None:
    """Though the counts, which tell its ends, know only of days."""
    store.add(record(occurred_at=NOON), record(occurred_at=NOON + 2 * HOUR))

    assert counts == [n for _, n in store.timeline(tenant_id="acme", bucket="hour", **where)]
