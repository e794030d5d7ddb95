"""Statistics always equal counting the rows."""

from __future__ import annotations

import dataclasses

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from structlog_activity import (
    ALL_TENANTS,
    ActivityFilter,
    ActivityRecord,
    ActivityStats,
)
from structlog_activity.read.counts.stats import stats
from structlog_activity.read.counts.timeline import timeline
from structlog_activity.read.counts.top import top
from structlog_activity.testing import matches
from tests.read.test_feed import FILTERS
from tests.support.records import CHANNELS, NOON, TYPES, VERBS, random_records, record
from tests.support.stores import Store, opened, postgresql_store


def counted(records: list[ActivityRecord], **where: Any) -> ActivityStats:
    filter_ = ActivityFilter(**where)
    found = [one for one in records if matches(filter_, one)]
    return ActivityStats(
        total=len(found),
        by_verb=dict(Counter(one.verb for one in found)),
        by_channel=dict(Counter(one.channel for one in found)),
        by_object_type=dict(Counter(one.object_type for one in found)),
        by_day=dict(Counter(one.occurred_at.date() for one in found if one.occurred_at)),
    )


@pytest.fixture
def filled(store: Store) -> tuple[Store, list[ActivityRecord]]:
    return store, store.add(*random_records(21, 150))


def test_every_filter_is_counted_as_the_rows_are(
    filled: tuple[Store, list[ActivityRecord]], subtests: pytest.Subtests
) -> None:
    store, records = filled
    for name, where in FILTERS.items():
        with subtests.test(name):
            assert counted(records, tenant_id="tenant-0", **where) == store.stats(
                tenant_id="tenant-0", **where
            )


moments = st.builds(
    lambda days, hours, micro: (
        NOON.replace(hour=0) + timedelta(days=days, hours=hours, microseconds=micro)
    ),
    st.integers(-45, 5),
    st.sampled_from([0, 0, 12, 23]),
    st.sampled_from([-1, 0, 0, 1]),
)


@given(
    since=st.none() | moments,
    until=st.none() | moments,
    verbs=st.lists(st.sampled_from([*VERBS, "settings.*", "e*"]), max_size=2),
    channels=st.lists(st.sampled_from(CHANNELS[1:]), max_size=2),
    object_type=st.none() | st.sampled_from(TYPES),
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_span_equals_counting_the_rows(
    filled: tuple[Store, list[ActivityRecord]],
    since: datetime | None,
    until: datetime | None,
    verbs: list[str],
    channels: list[str],
    object_type: str | None,
) -> None:
    store, records = filled
    where = {"verbs": verbs, "channels": channels, "object_type": object_type}

    found = store.stats(tenant_id="tenant-1", since=since, until=until, **where)

    assert counted(records, tenant_id="tenant-1", since=since, until=until, **where) == found


def test_the_first_moment_of_a_month_is_counted_in_that_month(store: Store) -> None:
    first, instant = datetime(2026, 2, 1, tzinfo=UTC), timedelta(microseconds=1)
    store.add(*(record(occurred_at=first + n * instant) for n in (-1, 0, 0, 1)))

    def total(since: datetime | None, until: datetime | None) -> int:
        return store.stats(tenant_id="acme", since=since, until=until).total

    morning = first + timedelta(hours=5)
    assert [1, 3, 4] == [total(None, first + n * instant) for n in (0, 1, 2)]
    assert [4, 3, 1] == [total(first + n * instant, None) for n in (-1, 0, 1)]
    assert [4, 3, 1] == [total(first + n * instant, morning) for n in (-1, 0, 1)]


def test_all_tenants_are_counted_only_when_asked_for(
    filled: tuple[Store, list[ActivityRecord]],
) -> None:
    store, records = filled

    assert 150 == store.stats(tenant_id=ALL_TENANTS).total
    assert counted(records, tenant_id="tenant-0") == store.stats(tenant_id="tenant-0")
    assert 0 == store.stats(tenant_id="nobody").total


def test_counts_are_sorted_largest_first_then_by_key(store: Store) -> None:
    for verb, n in (("a.a", 2), ("d.d", 3), ("c.c", 2), ("b.b", 2)):
        store.add(*(record(verb=verb) for _ in range(n)))

    found = store.stats(tenant_id="acme")

    counts = [("d.d", 3), ("a.a", 2), ("b.b", 2), ("c.c", 2)]
    assert counts == list(found.by_verb.items())


def test_days_are_in_order_and_become_text_for_json(store: Store) -> None:
    store.add(*(record(occurred_at=NOON + timedelta(days=d)) for d in (2, 0, 0, 1)))

    found = store.stats(tenant_id="acme")

    assert sorted(found.by_day) == list(found.by_day)
    assert {"2026-03-14": 2, "2026-03-15": 1, "2026-03-16": 1} == found.to_dict()["by_day"]
    assert 4 == found.to_dict()["total"]


def test_a_batch_sent_twice_is_counted_once(store: Store) -> None:
    from structlog_activity.record.rowmaker import RowMaker

    batch = store.batch([RowMaker().make_from(record()) for _ in range(3)])
    store.repository.write(batch)
    store.repository.write(batch)

    assert 3 == store.stats(tenant_id="acme").total


def test_statistics_as_json_knows_them_have_the_names_of_their_attributes(store: Store) -> None:
    store.add(record(channel="a"))

    stats = store.stats(tenant_id="acme")

    days = {day.isoformat(): n for day, n in stats.by_day.items()}
    assert stats.to_dict() == {**dataclasses.asdict(stats), "by_day": days}


@pytest.mark.parametrize("where", [{}, {"keyword": "sett"}], ids=["counts", "rows"])
@pytest.mark.parametrize("bucket", ["hour", "day"])
def test_what_comes_while_a_timeline_is_read_is_in_no_bucket_of_others(
    sql_store: Store, where: dict[str, Any], bucket: str
) -> None:
    """Its ends are read first, and then what lies between them."""
    midnight = NOON.replace(hour=0)
    ends = [midnight, midnight + timedelta(hours=47)]
    late = [midnight - timedelta(days=3), midnight + timedelta(days=2)]
    sql_store.add(*(record(occurred_at=moment) for moment in ends))
    assert sql_store.engine is not None
    sent: list[str] = []

    def come(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)
        if len(sent) == 2:
            sql_store.add(*(record(occurred_at=moment) for moment in late))

    event.listen(sql_store.engine, "before_cursor_execute", come)
    line = sql_store.timeline(tenant_id="acme", bucket=bucket, **where)
    event.remove(sql_store.engine, "before_cursor_execute", come)

    assert len(sent) >= 2
    assert ends == [start for start, n in line if n] or bucket == "day"
    assert 2 == sum(n for _, n in line)
    assert 4 == sql_store.stats(tenant_id="acme").total


def test_timelines_are_by_day_in_utc_and_tops_have_ten_unless_told_otherwise(
    sql_store: Store,
) -> None:
    sql_store.add(*(record(object_id=f"{n:02}") for n in range(12)))
    assert sql_store.engine is not None
    where = ActivityFilter(tenant_id="acme")

    assert [(NOON.replace(hour=0), 12)] == timeline(sql_store.engine, where)
    assert [(("settings", f"{n:02}"), 1) for n in range(10)] == top(
        sql_store.engine, where, by="object"
    )


def test_a_span_that_ends_before_it_begins_holds_nothing_of_its_day(store: Store) -> None:
    store.add(*(record(occurred_at=NOON + timedelta(hours=n)) for n in range(-6, 7)))
    since, until = NOON + timedelta(hours=2), NOON - timedelta(hours=2)

    assert 0 == store.stats(tenant_id="acme", since=since, until=until).total


@pytest.mark.parametrize("where", [{}, {"keyword": "sett"}], ids=["counts", "rows"])
def test_a_line_of_one_moment_has_one_bucket_in_the_clocks_of_its_zone(
    store: Store, where: dict[str, Any]
) -> None:
    store.add(record())
    asked: dict[str, Any] = {"tenant_id": "acme", "tz": "Europe/Berlin", **where}

    ever = store.timeline(**asked)
    since = store.timeline(since=NOON - timedelta(hours=1), **asked)
    at = store.timeline(since=NOON, until=NOON + timedelta(microseconds=1), **asked)

    day = NOON.replace(hour=0) - timedelta(hours=1)
    assert [(day, 1)] == ever == since == at
    assert "2026-03-14T00:00:00+01:00" == ever[0][0].isoformat()


@pytest.mark.parametrize("where", [{}, {"keyword": "sett"}], ids=["counts", "rows"])
@pytest.mark.parametrize(
    ("bucket", "starts"),
    [
        ("hour", [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)]),
        ("day", [datetime(2024, 3, n, tzinfo=UTC) for n in (1, 2, 3)]),
        ("week", [datetime(2024, 3, n, tzinfo=UTC) for n in (4, 11, 18)]),
        ("month", [datetime(2024, n, 1, tzinfo=UTC) for n in (3, 4, 5)]),
    ],
)
def test_the_first_and_last_moments_of_a_bucket_are_counted_in_it(
    store: Store, where: dict[str, Any], bucket: str, starts: list[datetime]
) -> None:
    instant = timedelta(microseconds=1)
    moments = [moment for start in starts for moment in (start - instant, start, start)]
    store.add(*(record(occurred_at=moment) for moment in moments))

    line = store.timeline(
        tenant_id="acme", bucket=bucket, since=starts[0], until=starts[-1], **where
    )

    assert [(start, 3) for start in starts[:-1]] == line


def test_what_a_line_has_of_its_first_and_last_days_is_counted_in_each(store: Store) -> None:
    """Its whole days are read from the counts, the rest from the rows, each for its bucket."""
    hours = (-14, -11, 5, 20, 25, 44, 70, 71, 83)
    store.add(*(record(occurred_at=NOON + timedelta(hours=n)) for n in hours))

    line = store.timeline(tenant_id="acme", since=NOON, until=NOON + timedelta(days=3))

    assert [1, 2, 1, 2] == [n for _, n in line]


def test_days_are_those_of_utc_also_in_a_session_of_another_zone(migrated_url: str) -> None:
    with postgresql_store(migrated_url) as store:
        store.add(record(), record(occurred_at=NOON + timedelta(hours=9)))
    mark = "&" if "?" in migrated_url else "?"
    with opened(f"{migrated_url}{mark}options=-c%20timezone%3DAsia/Tokyo") as engine:
        found = stats(engine, ActivityFilter(tenant_id="acme", keyword="sett"))

    assert {NOON.date(): 2} == found.by_day
