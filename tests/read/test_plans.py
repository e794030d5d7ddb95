"""Each named filter is read from its own index, page after page, with nothing sorted."""

from __future__ import annotations

import json
import random

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sqlalchemy import Engine, text

from structlog_activity import ALL_TENANTS, ActivityFilter, feed, stats, to_uuid
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from tests.support.records import record
from tests.support.sent import sent_by
from tests.support.stores import Store, sqlite_store


ROWS = 12_000
ACTORS = [to_uuid(f"actor-{n}") for n in range(150)]

# The index that each filter wants, by a column that only this index leads with.
WANTED: dict[str, tuple[dict[str, Any], str]] = {
    "tenant": ({}, "key"),
    "since": ({"since": datetime.now(UTC) - timedelta(days=3)}, "key"),
    "actor": ({"actor_id": ACTORS[3]}, "actor"),
    "user": ({"user_id": ACTORS[3]}, "user"),
    "object": ({"object_type": "doc", "object_id": "17"}, "object"),
    "verb": ({"verbs": "verb.7"}, "verb"),
}


@pytest.fixture(scope="module")
def filled(shared: Store) -> Store:
    """Each of the two databases with many records, and what the planner knows of these."""
    fill(shared)
    if shared.name == "postgresql":
        engine = shared.database.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE user_activity"))
    return shared


def fill(store: Store) -> None:
    choose = random.Random(5)
    make = RowMaker().make_from
    now = datetime.now(UTC)
    for start in range(0, ROWS, 1000):
        rows = [
            make(
                record(
                    tenant_id=to_uuid(choose.choice(("big", "big", "big", "small"))),
                    actor_id=choose.choice(ACTORS),
                    user_id=choose.choice(ACTORS),
                    verb=f"verb.{choose.randrange(40)}",
                    object_type="doc",
                    object_id=str(choose.randrange(300)),
                    channel=choose.choice(("a", "b")),
                    occurred_at=now - timedelta(seconds=choose.randrange(20 * 86_400)),
                )
            )
            for _ in range(1000)
        ]
        store.repository.write(Batch(record().id, start + 1, start + 1, rows))


def plan_of(engine: Engine, statement: str, values: Any) -> str:
    """The plan as text, with all its nodes and the definitions of its indexes."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            return "\n".join(str(row[3]) for row in rows)
        found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
        return json.dumps(found.scalar_one())


def index_words(engine: Engine, wanted: str) -> str:
    if engine.dialect.name == "sqlite":
        return "PRIMARY KEY" if wanted == "key" else f"user_activity_{wanted}_idx"
    columns = {"actor": "actor_id", "user": "user_id", "object": "object_type", "verb": "verb"}
    return "_pkey" if wanted == "key" else f"_tenant_id_{columns[wanted]}_"


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("deep", [False, True], ids=["first page", "deep page"])
def test_a_filter_reads_its_index_in_order(filled: Store, name: str, deep: bool) -> None:
    engine = filled.database
    where, wanted = WANTED[name]
    cursor = None
    if deep:
        page = filled.feed(tenant_id="big", limit=10, total="none", **where)
        cursor = page.next_cursor
        assert cursor is not None

    filter_ = ActivityFilter(tenant_id="big", limit=10, after=cursor, total="none", **where)
    ((statement, values),) = sent_by(engine, lambda: feed(engine, filter_))
    plan = plan_of(engine, statement, values)

    assert index_words(engine, wanted) in plan
    assert "Seq Scan" not in plan
    assert "SCAN user_activity" not in plan
    assert "TEMP B-TREE" not in plan
    assert '"Sort"' not in plan


def test_a_deep_page_leaves_out_the_partitions_that_it_can_not_need(filled: Store) -> None:
    engine = filled.database
    if engine.dialect.name == "sqlite":
        pytest.skip("has one table")
    page = filled.feed(tenant_id="big", limit=10, total="none")
    filter_ = ActivityFilter(tenant_id="big", limit=10, after=page.next_cursor, total="none")
    ((statement, values),) = sent_by(engine, lambda: feed(engine, filter_))

    assert "user_activity_future" not in plan_of(engine, statement, values)


def test_a_deep_page_says_once_where_it_begins(filled: Store) -> None:
    """
    Of a parameter beside a bound PostgreSQL expects no rows between the two.

    A plan for any value, which it makes of a statement that comes often, then reads and
    sorts all that a large tenant has.
    """
    engine = filled.database
    if engine.dialect.name == "sqlite":
        pytest.skip("plans for the values that it is given")
    page = filled.feed(tenant_id="big", limit=10, total="none")
    for way, cursor in (("after", page.next_cursor), ("before", page.next_cursor)):
        filter_ = ActivityFilter(tenant_id="big", limit=10, total="none", **{way: cursor})  # type: ignore[arg-type]
        (statement, _), *_ = sent_by(engine, partial(feed, engine, filter_))

        assert 1 == statement.count("created_at >= '") == statement.count("created_at < '")
        assert "created_at <= %" not in statement
        assert "created_at >= %" not in statement


def test_statistics_of_a_span_read_days_and_the_edges_only(filled: Store) -> None:
    engine = filled.database
    now = datetime.now(UTC)
    filter_ = ActivityFilter(
        tenant_id="big", since=now - timedelta(days=15), until=now - timedelta(hours=30)
    )
    ((statement, values),) = sent_by(engine, lambda: stats(engine, filter_))
    plan = plan_of(engine, statement, values)

    assert "user_activity_daily" in plan
    if engine.dialect.name == "sqlite":
        assert 2 == plan.count("created_at>? AND created_at<?")
    assert '"Seq Scan", "Parent Relationship": "Member"' not in plan


@pytest.mark.parametrize("ends", [["since"], ["until"], ["since", "until"]])
def test_statistics_of_a_span_have_two_ends_so_that_one_plan_serves_all(
    filled: Store, ends: list[str]
) -> None:
    """
    Planning takes as long as reading the counts.

    PostgreSQL does it for each span as long as that looks cheaper: beyond a parameter it
    expects a third of all rows, between two of them few.
    """
    engine = filled.database
    if engine.dialect.name == "sqlite":
        pytest.skip("plans each statement once")
    moments = {
        "since": datetime(2026, 1, 5, 9, tzinfo=UTC),
        "until": datetime(2026, 4, 2, tzinfo=UTC),
    }
    span = ActivityFilter.of({"tenant_id": "big"} | {name: moments[name] for name in ends})

    ((statement, _),) = sent_by(engine, lambda: stats(engine, span))

    for column, parts in (("daily.day", 1), ("monthly.month", 2)):
        assert parts == statement.count(f"{column} >= %(")
        assert parts == statement.count(f"{column} < %(") + statement.count(f"{column} <= %(")


@pytest.mark.parametrize("hour", [1, 11, 13, 23])
@pytest.mark.parametrize("end", ["since", "until"])
def test_of_a_day_that_a_span_cuts_the_shorter_side_is_counted(
    filled: Store, end: str, hour: int
) -> None:
    """The day's own count gives the other. And only the month of the day is looked at."""
    engine = filled.database
    if engine.dialect.name == "sqlite":
        pytest.skip("values have no names; the bounds are the same")
    cut = datetime(2026, 1, 5, hour, tzinfo=UTC)
    where = ActivityFilter.of({"tenant_id": "big", end: cut})

    ((statement, values),) = sent_by(engine, lambda: stats(engine, where))

    edge = "first" if end == "since" else "last"
    bounds = [values[f"{edge}_begin"], values[f"{edge}_end"]]
    assert cut in bounds
    assert bounds[1] - bounds[0] <= timedelta(hours=11)
    assert (
        1
        == statement.count("created_at >= '2026-01-01 00:00")
        == statement.count("created_at >= '")
    )
    assert (
        1 == statement.count("created_at < '2026-02-01 00:00") == statement.count("created_at < '")
    )


CHEAP_WORKERS = (
    "parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size",
    "min_parallel_index_scan_size",
)  # fmt: skip


@pytest.mark.parametrize(
    ("where", "may_have_workers"),
    [
        ({}, False),
        ({"since": datetime.now(UTC) - timedelta(days=3)}, False),
        ({"org_id": to_uuid("nobody")}, True),
        ({"tenant_id": ALL_TENANTS}, True),
    ],
    ids=["tenant", "span", "rows", "all tenants"],
)
def test_the_counts_of_one_tenant_start_no_workers(
    filled: Store, where: dict[str, Any], may_have_workers: bool
) -> None:
    """They would take longer to start than the counts to be read."""
    engine = filled.engine
    assert engine is not None
    if engine.dialect.name == "sqlite":
        pytest.skip("has no workers")
    filter_ = ActivityFilter.of({"tenant_id": "big"} | where)
    ((statement, values),) = sent_by(engine, lambda: stats(engine, filter_))

    with engine.connect() as connection:
        for name in CHEAP_WORKERS:
            connection.exec_driver_sql(f"SET LOCAL {name} = 0")
        plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values)
        nodes = json.dumps(plan.scalar_one())

    assert may_have_workers == ('"Gather' in nodes)


def test_the_filters_of_a_new_file_use_their_indexes_from_the_first_row(tmp_path: Path) -> None:
    """Without figures SQLite takes every index for equally good."""
    with sqlite_store(tmp_path) as store:
        store.add(record())
        engine = store.database
        for where, wanted in WANTED.values():
            filter_ = ActivityFilter(tenant_id="acme", total="none", **where)
            ((statement, values),) = sent_by(engine, partial(feed, engine, filter_))
            assert index_words(engine, wanted) in plan_of(engine, statement, values)
