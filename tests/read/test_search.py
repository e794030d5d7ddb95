"""Pages over years of records, thick and thin, against their meaning in plain Python."""

from __future__ import annotations

import itertools
import random

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from structlog_activity import ALL_TENANTS, NIL, ActivityRecord, to_uuid
from structlog_activity.read.feeds import search
from structlog_activity.read.memory import MemoryReads
from structlog_activity.record.times import to_microseconds
from tests.read.test_feed import FILTERS
from tests.support.records import ACTORS, CHANNELS, DATA, NOON, ORGS, TYPES, VERBS, record
from tests.support.stores import Store, memory_store


DAWN = datetime(2018, 11, 1, tzinfo=UTC)

# Each with the months (counted from 2019) in which it has records.
TENANTS = {
    "always": range(92),
    "long ago": range(3),
    "now and then": range(0, 92, 17),
    "once": (40,),
    "of late": range(88, 92),
}


def years_of_records() -> list[ActivityRecord]:
    choose = random.Random(3)
    return [
        record(
            tenant_id=to_uuid(tenant),
            actor_id=choose.choice(ACTORS),
            user_id=choose.choice((NIL, *ACTORS)),
            org_id=choose.choice(ORGS),
            verb=choose.choice(VERBS) if month % 9 else "settings.updated",
            object_type=choose.choice(TYPES),
            object_id=choose.choice(("", "1", "50%_off", "a:b")),
            channel=choose.choice(CHANNELS) if month % 11 == 0 else choose.choice(CHANNELS[:2]),
            data=dict(choose.choice(DATA)),
            occurred_at=datetime(2019 + month // 12, month % 12 + 1, 1, tzinfo=UTC)
            + choose.choice(
                # The first moment of a month, a few ties in one hour, and anywhere.
                (
                    timedelta(0),
                    timedelta(days=9, microseconds=choose.randrange(2)),
                    timedelta(hours=choose.randrange(27 * 24)),
                )
            ),
        )
        for tenant, months in TENANTS.items()
        for month in months
        for _ in range(4)
    ]


class Listed(MemoryReads):
    """The reads of a plain list."""

    def __init__(self, records: list[ActivityRecord]) -> None:
        self._records = records

    @property
    def records(self) -> list[ActivityRecord]:
        return self._records


@pytest.fixture(scope="module")
def both(shared: Store) -> Iterator[tuple[Store, Store]]:
    """A database with real months, and the model in memory, with the same records."""
    records = years_of_records()
    random.Random(1).shuffle(records)  # They arrive in no order.
    moments = [to_microseconds(one.occurred_at) for one in records if one.occurred_at]
    shared.repository.make_room(min(moments), max(moments))
    for start in range(0, len(records), 100):
        shared.add(*records[start : start + 100])
    model = replace(memory_store(), feed=Listed(records).feed)
    if shared.name == "postgresql":
        with shared.database.connect() as connection:
            found = connection.execute(text("SELECT count(*) FROM pg_inherits")).scalar_one()
        assert found > 6 * 92
    yield shared, model


@pytest.fixture(params=["at once", "by the counts"])
def effort(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find scattered records near by, or hardly ever."""
    if request.param == "by the counts":
        monkeypatch.setattr(search, "_EFFORT", 1)


tenants = st.sampled_from([*TENANTS, "nobody", ALL_TENANTS])
wheres = st.lists(st.sampled_from(list(FILTERS.values())), max_size=2).map(
    lambda found: {key: value for where in found for key, value in where.items()}
)
moments = st.none() | st.builds(
    lambda days, micro: (
        datetime(2018, 11, 1, tzinfo=UTC) + timedelta(days=days, microseconds=micro)
    ),
    st.integers(0, 96 * 30),
    st.integers(-1, 1),
)
relaxed = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.usefixtures("effort")
@given(
    tenant=tenants,
    where=wheres,
    since=moments,
    until=moments,
    limit=st.sampled_from([1, 3, 10, 200]),
    offset=st.sampled_from([0, 0, 0, 1, 7]),
    total=st.sampled_from(["capped", "exact", "none"]),
)
@relaxed
def test_any_page_is_that_of_the_model(
    both: tuple[Store, Store], tenant: Any, where: dict[str, Any], since: Any, until: Any,
    **paging: Any,
) -> None:  # fmt: skip
    database, model = both
    where = {"tenant_id": tenant, "since": since, "until": until} | where | paging

    assert model.feed(**where) == database.feed(**where)


@pytest.mark.usefixtures("effort")
@given(tenant=tenants, where=wheres, until=moments, limit=st.sampled_from([1, 2, 9]))
@settings(relaxed, max_examples=25)
def test_a_walk_there_and_back_is_that_of_the_model(
    both: tuple[Store, Store], tenant: Any, where: dict[str, Any], until: Any, limit: int
) -> None:
    where = {"tenant_id": tenant, "limit": limit, "until": until} | where
    database, model = both
    cursors: list[str] = []
    pages = [database.feed(**where)]
    assert model.feed(**where) == pages[0]
    while pages[-1].next_cursor and len(pages) < 8:
        cursors.append(pages[-1].next_cursor)
        pages.append(database.feed(**where, after=cursors[-1]))
        assert model.feed(**where, after=cursors[-1]) == pages[-1]
    cursor = pages[-1].prev_cursor
    for expected in reversed(pages[:-1]):
        page = database.feed(**where, before=cursor)
        assert model.feed(**where, before=cursor) == page
        assert expected.records == page.records
        cursor = page.prev_cursor


@pytest.mark.usefixtures("effort")
@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_alone_walks_the_years(both: tuple[Store, Store], name: str) -> None:
    database, model = both
    for tenant in ("always", "now and then", "once"):
        where = {"tenant_id": tenant, **FILTERS[name]}
        assert model.walk(limit=30, **where) == database.walk(limit=30, **where)


def test_a_walk_back_sees_every_old_record_once_while_new_ones_arrive(store: Store) -> None:
    old = store.add(*(record(occurred_at=NOON + timedelta(hours=n % 40)) for n in range(60)))
    page = store.feed(tenant_id="acme", limit=7)
    while page.next_cursor:
        page = store.feed(tenant_id="acme", limit=7, after=page.next_cursor)
    seen = page.records
    late = itertools.count()
    while page.prev_cursor:
        moment = NOON + timedelta(hours=next(late), microseconds=1)
        store.add(record(occurred_at=moment), record(occurred_at=NOON + timedelta(days=50)))
        page = store.feed(tenant_id="acme", limit=7, before=page.prev_cursor)
        seen += page.records
        if next(late) > 200:
            break

    ids = [one.id for one in seen]
    assert len(ids) == len(set(ids))
    assert {one.id for one in old} <= set(ids)


def test_a_rare_channel_is_found_on_days_with_more_verbs_than_a_page_has_rows(
    store: Store,
) -> None:
    kinds = [record(verb=f"verb.{n:03}", channel="rare") for n in range(90)]
    earlier = [
        record(verb=f"verb.{n:03}", channel="rare", occurred_at=NOON - timedelta(days=n))
        for n in range(1, 30)
    ]
    noise = [record(channel="noise", occurred_at=NOON + timedelta(seconds=n)) for n in range(600)]
    stored = store.add(*kinds, *earlier)
    store.add(*noise)

    found = store.walk(limit=10, tenant_id="acme", channel="rare")

    assert sorted(stored, key=lambda one: (one.occurred_at, one.id), reverse=True) == found


def test_two_hundred_verbs_are_one_page(store: Store) -> None:
    stored = store.add(*(record(verb=f"verb.{n:03}") for n in range(220)))

    page = store.feed(
        tenant_id="acme", limit=200, verbs=[f"verb.{n:03}" for n in range(200)], total="exact"
    )

    assert 200 == page.total == len(page.records)
    assert {one.id for one in stored[:200]} == {one.id for one in page.records}
