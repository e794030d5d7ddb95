"""Counts over years and single records, against their meaning in plain Python."""

from __future__ import annotations

import itertools
import random

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from structlog_activity import ALL_TENANTS, ActivityRecord, InvalidFilterError, to_uuid
from structlog_activity.read.arguments import TOP_FIELDS
from structlog_activity.record.ids import uuid7
from structlog_activity.record.times import to_microseconds
from tests.read.test_feed import FILTERS
from tests.read.test_search import TENANTS, Listed, years_of_records
from tests.support.records import record
from tests.support.stores import Store


ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
    "Pacific/Apia",
)  # fmt: skip
TENANT = "always"


def odd_ids() -> list[ActivityRecord]:
    """Records whose ids lie: of another time, of no time, twice, and in two tenants."""
    moment = datetime(2024, 6, 9, 8, 7, 6, 543_210, tzinfo=UTC)
    twice, shared = uuid4(), uuid7(to_microseconds(moment) * 1000)
    elsewhere = uuid7(to_microseconds(moment - timedelta(days=900)) * 1000)
    return [
        record(tenant_id=to_uuid(TENANT), id=id_, occurred_at=at, verb="odd.id")
        for id_, at in (
            (uuid4(), moment),
            (elsewhere, moment),
            (twice, moment),
            (twice, moment + timedelta(days=40)),
            (twice, moment - timedelta(days=40)),
            (shared, moment),
            (shared, moment + timedelta(days=3)),
        )
    ] + [record(tenant_id=to_uuid("once"), id=shared, occurred_at=moment, verb="odd.id")]


@pytest.fixture(scope="module")
def both(shared: Store) -> Iterator[tuple[Store, Listed]]:
    """A database and a plain list with the same records, which arrived in no order."""
    records = years_of_records() + odd_ids()
    random.Random(2).shuffle(records)
    moments = [to_microseconds(one.occurred_at) for one in records if one.occurred_at]
    shared.repository.make_room(min(moments), max(moments))
    for start in range(0, len(records), 100):
        shared.add(*records[start : start + 100])
    yield shared, Listed(records)


Reading = Callable[[Any, dict[str, Any]], Any]

# Days and weeks of eight years would be most of the work of this module.
RECENT = {"since": datetime(2025, 12, 24, 13, tzinfo=UTC)}


def line_by(bucket: str) -> Reading:
    return lambda log, where: log.timeline(bucket=bucket, tz="Europe/Berlin", **RECENT | where)


def top_by(field: str) -> Reading:
    return lambda log, where: log.top(by=field, **where)


READS: dict[str, Reading] = {
    "stats": lambda log, where: log.stats(**where),
    **{f"timeline by {bucket}": line_by(bucket) for bucket in ("day", "week", "month")},
    **{f"top {field}": top_by(field) for field in TOP_FIELDS},
}


def check(both: tuple[Store, Listed], name: str, where: dict[str, Any]) -> None:
    database, model = both
    asked = {"tenant_id": TENANT, **where}
    told = (name, asked)
    assert (told, READS[name](model, asked)) == (told, READS[name](database, asked))


def test_every_filter_alone_is_counted_as_the_model_does(both: tuple[Store, Listed]) -> None:
    timelines = itertools.cycle(name for name in READS if name.startswith("timeline"))
    tops = itertools.cycle(name for name in READS if name.startswith("top"))
    for where in FILTERS.values():
        for name in ("stats", next(timelines), next(tops)):
            check(both, name, where)


@pytest.mark.parametrize("name", READS)
@pytest.mark.soak
def test_every_filter_alone_is_counted_in_every_way_as_the_model_does(
    both: tuple[Store, Listed], name: str
) -> None:
    for where in FILTERS.values():
        check(both, name, where)


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.soak)])
def test_any_two_filters_together_are_counted_as_the_model_does(
    both: tuple[Store, Listed], step: int
) -> None:
    """Each pair by one read after the other, so that each read meets pairs of all kinds."""
    reads = itertools.cycle(READS)
    pairs = itertools.combinations(FILTERS.values(), 2)
    apart = [a | b for a, b in pairs if not a.keys() & b.keys()]
    for where in apart[::step]:
        check(both, next(reads), where)


tenants = st.sampled_from([*TENANTS, "nobody", ALL_TENANTS])
wheres = st.lists(st.sampled_from(list(FILTERS.values())), max_size=2).map(
    lambda found: {key: value for where in found for key, value in where.items()}
)
moments = st.builds(
    lambda days, seconds, micro: (
        datetime(2018, 11, 1, tzinfo=UTC)
        + timedelta(days=days, seconds=seconds, microseconds=micro)
    ),
    st.integers(0, 96 * 30),
    st.sampled_from([0, 0, 1, 3_600, 43_210, 86_399]),
    st.integers(-1, 1),
)
relaxed = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def outcome(read: Callable[..., Any], **where: Any) -> Any:
    """What a read returns, or what it finds wrong."""
    try:
        return read(**where)
    except InvalidFilterError as error:
        return str(error)


@given(
    tenant=tenants,
    where=wheres,
    since=st.none() | moments,
    until=st.none() | moments,
    bucket=st.sampled_from(["day", "week", "month"]),
    tz=st.sampled_from(ZONES),
)
@relaxed
def test_any_timeline_is_that_of_the_model(
    both: tuple[Store, Listed], tenant: Any, where: dict[str, Any], since: Any, until: Any,
    bucket: str, tz: str,
) -> None:  # fmt: skip
    database, model = both
    asked = {"tenant_id": tenant, "since": since, "until": until} | where

    expected = outcome(model.timeline, bucket=bucket, tz=tz, **asked)

    assert expected == outcome(database.timeline, bucket=bucket, tz=tz, **asked)


@given(
    tenant=tenants,
    where=wheres,
    since=moments,
    hours=st.integers(0, 900),
    tz=st.sampled_from(ZONES),
)
@relaxed
def test_any_timeline_by_hour_is_that_of_the_model(
    both: tuple[Store, Listed], tenant: Any, where: dict[str, Any], since: Any, hours: int, tz: str
) -> None:
    database, model = both
    span = {"since": since, "until": since + timedelta(hours=hours, minutes=17)}
    asked = {"tenant_id": tenant, **where, **span}

    expected = model.timeline(bucket="hour", tz=tz, **asked)

    assert expected == database.timeline(bucket="hour", tz=tz, **asked)


@given(
    tenant=tenants,
    where=wheres,
    since=st.none() | moments,
    until=st.none() | moments,
    by=st.sampled_from(TOP_FIELDS),
    limit=st.sampled_from([-1, 0, 1, 3, 200, 10**9]),
)
@relaxed
def test_any_top_and_any_statistics_are_those_of_the_model(
    both: tuple[Store, Listed], tenant: Any, where: dict[str, Any], since: Any, until: Any,
    by: str, limit: int,
) -> None:  # fmt: skip
    database, model = both
    asked = {"tenant_id": tenant, "since": since, "until": until} | where

    assert model.top(by=by, limit=limit, **asked) == database.top(by=by, limit=limit, **asked)
    assert model.stats(**asked) == database.stats(**asked)


def test_every_record_is_found_by_its_id_in_its_own_tenant_only(
    both: tuple[Store, Listed],
) -> None:
    database, model = both
    tenants: list[Any] = [to_uuid(name) for name in (*TENANTS, "nobody")]
    choose = random.Random(4)
    for one in [*model.records[::15], *odd_ids()]:
        known: list[Any] = [one.tenant_id, ALL_TENANTS, choose.choice(tenants)]
        for tenant in known:
            expected = model.get(tenant, one.id)
            assert expected == database.get(tenant, one.id)
            assert expected is None or expected.id == one.id


def test_an_id_that_nobody_has_is_none(both: tuple[Store, Listed]) -> None:
    database, _ = both
    for id_ in (uuid4(), uuid7(to_microseconds(datetime(2020, 2, 1, tzinfo=UTC)) * 1000), "x", 7,
                UUID(int=(2**48 - 1) << 80 | 7 << 76 | 2 << 62)):  # fmt: skip
        for tenant in (TENANT, "nobody", ALL_TENANTS):
            assert database.get(tenant, id_) is None


def test_pages_have_no_bearing_on_what_is_counted(both: tuple[Store, Listed]) -> None:
    database, model = both
    asked: dict[str, Any] = {"tenant_id": TENANT, "verbs": "settings.*"}
    paged = replace(database).stats(**asked, limit=1, offset=3, total="none")

    assert model.stats(**asked) == paged
