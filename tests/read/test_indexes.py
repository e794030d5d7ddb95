"""Every read costs what it returns: the index that it wants, few pages of it, nothing sorted."""

from __future__ import annotations

import hashlib

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sqlalchemy import Engine, text

from structlog_activity import ActivityFilter, ActivityRecord, feed, stats, to_uuid
from structlog_activity.read.counts.timeline import timeline
from structlog_activity.read.counts.top import top
from structlog_activity.read.feeds.get import get
from structlog_activity.read.feeds.history import history
from structlog_activity.record.times import to_microseconds
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.schema import Schema
from tests.read.plans import work_of
from tests.support.postgres import PostgresServer


ROWS = 40_000
DAYS = 150
DAY = timedelta(days=1)
NOW = datetime.now(UTC)
BIG = to_uuid("big")
PAGE = 50
REACH = PAGE + 1  # A page reads one row more, to know whether there are others.


def same(name: str) -> UUID:
    """The UUID that the statement below makes of a name."""
    return UUID(hashlib.md5(name.encode()).hexdigest())


SMALL = same("tenant2")

# Six months; one tenant has a quarter of the rows, the others a fortieth or less. The
# rare channel, verb and organisation have ten to twenty records in all that time.
_FILL = text("""
    INSERT INTO user_activity
    SELECT CASE n % 4 WHEN 3 THEN CAST(:big AS uuid) ELSE CAST(md5('tenant' || n % 30) AS uuid) END,
           at,
           CAST(lpad(to_hex(CAST(floor(extract(epoch FROM at) * 1000) AS bigint)), 12, '0') || '7'
                || substr(md5(CAST(n AS text)), 1, 3) || 'a' || substr(md5(CAST(n AS text)), 4, 15)
                AS uuid),
           CAST(md5('actor' || abs(hashint4(n)) % 150) AS uuid),
           CAST(md5('actor' || abs(hashint4(-n)) % 150) AS uuid),
           CAST(md5('org' || CASE WHEN n % 500 = 7 THEN 'rare' ELSE 'usual' END) AS uuid),
           CASE WHEN n % 1000 = 3 THEN 'rare.made'
                ELSE 'kind' || kind % 4 || '.verb' || kind % 40 END,
           'doc', CAST(abs(hashint4(n + 2000000)) % 300 AS text),
           CASE WHEN n % 1000 = 3 THEN 'rare' ELSE 'channel' || kind % 4 END,
           '', CAST('{"n": ' || n % 7 || '}' AS jsonb), 1, n, ''
    FROM (
        SELECT n, :now - n * CAST(:step AS interval) AS at, abs(hashint4(n + 1000000)) AS kind
        FROM generate_series(1, :rows) n
    ) made
""")
_COUNT = text("""
    INSERT INTO user_activity_daily (tenant_id, day, channel, verb, object_type, n)
    SELECT tenant_id, CAST(created_at AT TIME ZONE 'UTC' AS date), channel, verb, object_type,
           count(*)
    FROM user_activity GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
""")


@pytest.fixture(scope="module")
def engine(postgres_server: PostgresServer) -> Iterator[Engine]:
    """A PostgreSQL with those rows."""
    postgres_server.ensure_running()
    url = postgres_server.create_database()
    found = seeded(url)
    yield found
    found.dispose()
    postgres_server.drop_database(url)


def seeded(url: str) -> Engine:
    from structlog_activity.store.postgresql.repository import PostgresRepository

    engine = make_engine(parse_url(url))
    Schema(engine).migrate()
    repository = PostgresRepository(parse_url(url))
    repository.make_room(to_microseconds(NOW - (DAYS + 31) * DAY), to_microseconds(NOW))
    repository.close()
    values = {"big": BIG, "now": NOW, "rows": ROWS, "step": DAYS * DAY / ROWS}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(_FILL, values)
        connection.execute(_COUNT)
        connection.execute(text("VACUUM ANALYZE user_activity"))
        connection.execute(text("VACUUM ANALYZE user_activity_daily"))
    return engine


Read = Callable[[Engine], Any]


def page(**where: Any) -> Read:
    """The first page of a feed of the big tenant."""
    filter_ = ActivityFilter.of({"tenant_id": BIG, "total": "none"} | where)
    return lambda engine: feed(engine, filter_)


def counted(read: Any, *, by: str = "", bucket: str = "", **where: Any) -> Read:
    filter_ = ActivityFilter.of({"tenant_id": BIG} | where)
    options = {name: value for name, value in (("by", by), ("bucket", bucket)) if value}
    return lambda engine: read(engine, filter_, **options)


# Short pages where rows are few: on any day of any month the two months that are read
# first are to hold one, so that the plans don't depend on the date.


@dataclass(frozen=True)
class Costs:
    """
    What a read may cost.

    Attributes:

        read: The read.

        indexes: The only indexes of the log and the counts that it touches.

        buffers: Most pages of the database, about twice of what it takes.

        removed: Most rows that are read for nothing.

        sorted: Most rows that are sorted: the short results of several index ranges.

        months: Most partitions with rows that are read.
    """

    read: Read
    indexes: str
    buffers: int
    removed: int = 0
    sorted: int = 0
    months: int = 6


ACTOR = same("actor3")
VERBS = ["kind3.verb31", "kind2.verb2", "kind1.verb13"]
# Before a page the newest of the tenant are looked through, forty times as many as a
# page has; after that the counts lead to it.
PROBE = 40 * REACH

PROPORTIONAL: dict[str, Costs] = {
    "tenant": Costs(page(), "key", 50),
    "small tenant": Costs(page(tenant_id=SMALL), "key", 90),
    "since": Costs(page(since=NOW - 100 * DAY), "key", 50),
    "until": Costs(page(until=NOW - 60 * DAY), "key", 50, months=2),
    "since and until": Costs(page(since=NOW - 65 * DAY, until=NOW - 60 * DAY), "key", 50, months=2),
    "actor": Costs(page(actor_id=ACTOR, limit=8), "actor", 50),
    "user": Costs(page(user_id=ACTOR, limit=8), "user", 50),
    "involving": Costs(page(involving=ACTOR, limit=8), "actor user", 80, removed=4, sorted=42),
    "object": Costs(page(object_type="doc", object_id="17", limit=3), "object", 45),
    "verb": Costs(page(verbs=VERBS[0]), "verb", 120),
    "several verbs": Costs(page(verbs=VERBS), "verb", 360, sorted=3 * REACH),
    "beginning of verbs": Costs(page(verbs="kind1.*"), "key", 90, removed=400),
    "rare beginning of verbs": Costs(
        page(verbs="rare.*"), "key counts verb", 1000, removed=PROBE, sorted=60
    ),
    "channel": Costs(page(channel="channel1"), "key", 90, removed=400),
    "rare channel, by its verbs": Costs(
        page(channel="rare"), "key counts verb", 1000, removed=PROBE, sorted=60
    ),
    "denied channel": Costs(page(channel_denylist="channel1"), "key", 60, removed=60),
    "object type": Costs(page(object_type="doc"), "key", 50),
    "history": Costs(
        lambda engine: history(
            engine, ("doc", 17), ActivityFilter(tenant_id=BIG, total="none", limit=3)
        ),
        "object",
        45,
    ),
    "stats": Costs(counted(stats), "counts", 1100, months=0),
    "stats of whole days": Costs(
        counted(stats, since=NOW.date() - 30 * DAY, until=NOW.date()), "counts", 250, months=0
    ),
    "stats of a span": Costs(
        counted(stats, since=NOW - 30 * DAY, until=NOW - 3 * DAY),
        "key counts",
        400,
        months=2,
        sorted=200,  # The rows of the days that are not whole.
    ),
    "stats of verbs": Costs(
        counted(stats, verbs=VERBS[0], since=NOW.date() - 30 * DAY),
        "counts",
        250,
        months=0,
        removed=1500,
    ),
    "timeline by day": Costs(counted(timeline), "counts", 1200, months=0),
    "timeline by hour": Costs(
        counted(timeline, bucket="hour", since=NOW - DAY, until=NOW), "key", 120, months=2
    ),
    "top verbs": Costs(counted(top, by="verb"), "counts", 1100, months=0),
}


@pytest.mark.parametrize("name", PROPORTIONAL)
def test_a_read_costs_what_its_index_and_its_page_do(engine: Engine, name: str) -> None:
    costs = PROPORTIONAL[name]

    work = work_of(engine, lambda: costs.read(engine))

    assert (set(costs.indexes.split()), set()) == (work.indexes, work.scanned)
    assert work.buffers <= costs.buffers
    assert work.removed <= costs.removed
    assert work.sorted <= costs.sorted
    assert len(work.filled) <= costs.months


@pytest.mark.parametrize("name", ["tenant", "actor", "verb", "several verbs", "channel"])
def test_a_page_costs_the_same_at_any_depth_and_in_both_directions(
    engine: Engine, name: str
) -> None:
    conditions: dict[str, dict[str, Any]] = {
        "tenant": {}, "actor": {"actor_id": ACTOR}, "verb": {"verbs": VERBS[0]},
        "several verbs": {"verbs": VERBS}, "channel": {"channel": "channel1"},
    }  # fmt: skip
    where = conditions[name] | {"tenant_id": BIG, "total": "none", "limit": 10}
    first = second = feed(engine, ActivityFilter(**where))
    for _ in range(3):
        second = feed(engine, ActivityFilter(**where, after=second.next_cursor))
    costs = PROPORTIONAL[name]

    places: list[dict[str, Any]] = [{"after": second.next_cursor}, {"before": second.prev_cursor}]
    for place in places:
        filter_ = ActivityFilter(**where, **place)
        work = work_of(engine, lambda filter_=filter_: feed(engine, filter_))  # type: ignore[misc]
        assert (set(costs.indexes.split()), set()) == (work.indexes, work.scanned)
        assert work.buffers <= costs.buffers
        assert work.sorted <= 40 * 11  # What is looked through, where that is less than a page.
    assert len(first.records) == 10


def test_a_record_is_found_by_the_time_in_its_id(engine: Engine) -> None:
    for record in feed(engine, ActivityFilter(tenant_id=BIG, offset=5_000, limit=3)).records:
        work = work_of(engine, lambda record=record: get(engine, BIG, record.id))  # type: ignore[misc]

        assert ({"key"}, set(), 1) == (work.indexes, work.scanned, work.statements)
        assert work.buffers <= 10
        assert work.removed <= 1


def test_the_newest_hold_a_page_of_what_is_frequent_so_no_month_is_sorted(engine: Engine) -> None:
    frequent: list[dict[str, Any]] = [
        {"keyword": "VERB3"}, {"data": {"n": 3}}, {"org_id": same("orgusual")},
    ]  # fmt: skip
    for where in frequent:
        work = work_of(engine, lambda where=where: page(**where)(engine))  # type: ignore[misc]

        assert ({"key"}, set(), 0) == (work.indexes, work.scanned, work.sorted)
        assert work.removed <= PROBE
        assert work.buffers <= 150


# What docs/reading.md says is not proportional to the page: all that the tenant has
# (in the span of time) is read.
WHOLE: dict[str, Read] = {
    "rare organisation": page(org_id=same("orgrare")),
    "rare keyword": page(keyword="rare.m"),
    "rare data": page(data={"n": 99}),
    "exact total of an organisation": page(org_id=same("orgusual"), total="exact"),
    "stats of an organisation": counted(stats, org_id=same("orgusual")),
    "top actors": counted(top, by="actor_id"),
    "top objects": counted(top, by="object"),
    "timeline of a keyword": counted(timeline, keyword="verb3"),
    "an id without a time": lambda engine: get(engine, BIG, UUID(int=4 << 76 | 1 << 63 | 7)),
}


def within(read: str, **span: Any) -> Read:
    """The same read, within a span of time."""
    return {
        "rare organisation": page(org_id=same("orgrare"), **span),
        "rare keyword": page(keyword="rare.m", **span),
        "rare data": page(data={"n": 99}, **span),
        "exact total of an organisation": page(org_id=same("orgusual"), total="exact", **span),
        "stats of an organisation": counted(stats, org_id=same("orgusual"), **span),
        "top actors": counted(top, by="actor_id", **span),
        "top objects": counted(top, by="object", **span),
        "timeline of a keyword": counted(timeline, keyword="verb3", **span),
    }[read]


@pytest.mark.parametrize("name", [name for name in WHOLE if not name.startswith("an id")])
def test_what_is_not_proportional_to_its_page_reads_the_span_and_no_more(
    engine: Engine, name: str
) -> None:
    everything = work_of(engine, lambda: WHOLE[name](engine))
    span = within(name, since=NOW - 8 * DAY, until=NOW - 2 * DAY)
    some = work_of(engine, lambda: span(engine))

    # A quarter of the rows is the tenant's, and a 25th of these lies in the span.
    assert len(everything.filled) >= 5
    assert everything.read >= ROWS / 4
    assert len(some.filled) <= 2
    assert some.buffers <= everything.buffers / 2


def test_an_id_without_a_time_is_looked_for_everywhere(engine: Engine) -> None:
    work = work_of(engine, lambda: WHOLE["an id without a time"](engine))

    assert ("key" in work.indexes, set()) == (True, work.scanned)
    assert work.buffers >= 100  # Of 150 days' index pages, however the server goes through them.


def test_what_the_reads_here_return_is_not_empty(engine: Engine) -> None:
    """A plan for nothing would be a cheap one."""
    for name, costs in PROPORTIONAL.items():
        found = costs.read(engine)
        records = getattr(found, "records", None)
        assert found, name
        assert records is None or isinstance(records[0], ActivityRecord), name
