"""The views for dashboards: readable, never an error, and a role that can only look."""

from __future__ import annotations

import json
import re

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from structlog_activity import NIL, ActivityLog, to_uuid
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.maintenance.maintain import maintain
from tests.support.records import NOON, record
from tests.support.stores import TABLES, Store


PAGE = (Path(__file__).parents[2] / "docs" / "dashboards-sql.md").read_text()
ROLES = ("activity_dashboard", "activity_acme", "activity_program")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


RECIPES = [block for block in blocks("sql") if block.startswith("CREATE")]
QUERIES = [block for block in blocks("sql") if block.startswith("SELECT")]


def read(engine: Engine, query: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


@pytest.fixture
def engine(sql_store: Store) -> Engine:
    return sql_store.database


def test_a_record_is_readable(sql_store: Store, engine: Engine) -> None:
    moment = NOON.replace(microsecond=45)
    stored = record(occurred_at=moment, data={"event": "Ünïcode", "n": 1}, ip="::1", channel="c")
    sql_store.add(stored)

    (row,) = read(engine, "SELECT * FROM activity_feed_v1")

    assert [str(stored.id), str(to_uuid("acme")), str(NIL)] == [
        str(row[name]) for name in ("id", "tenant_id", "org_id")
    ]
    assert ("settings.updated", "settings", "global", "c", "::1") == tuple(
        row[name] for name in ("verb", "object_type", "object_id", "channel", "ip")
    )
    if engine.dialect.name == "sqlite":
        assert "2026-03-14T12:00:00.000045Z" == row["occurred_at"]
        assert {"event": "Ünïcode", "n": 1} == json.loads(row["data"])
    else:
        assert moment == row["occurred_at"]
        assert {"event": "Ünïcode", "n": 1} == row["data"]


def test_tenant_and_actor_have_the_names_that_the_application_gave_them(
    sql_store: Store, engine: Engine
) -> None:
    somebody = UUID("018f3a5e-0000-7000-8000-00000000abcd")
    with ActivityLog(engine.url.render_as_string(hide_password=False)) as activity:
        activity.record("a.b", "c:1", tenant_id="acme", actor_id=42)
        activity.record("a.b", "c:2", tenant_id=somebody, actor_id=somebody)
        assert activity.flush(20)

    found = read(engine, "SELECT tenant, actor FROM activity_feed_v1 ORDER BY object_id")

    assert [("acme", "42"), (str(somebody), str(somebody))] == [tuple(f.values()) for f in found]


@pytest.mark.parametrize(
    "data", ["[]", "1", '"text"', "null", '{"_raw": 1}', '{"_raw": {"actor_id": {"a": [1]}}}']
)
def test_odd_data_are_no_error(sql_store: Store, engine: Engine, data: str) -> None:
    sql_store.add(record(actor_id=NIL))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE user_activity SET data = '{data}'")

    (row,) = read(engine, "SELECT * FROM activity_feed_v1")

    assert isinstance(row["actor"], str)


def test_what_is_no_json_and_lies_before_1970_is_no_error_in_a_file(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from tests.support.stores import sqlite_store

    with sqlite_store(tmp_path) as store:
        store.add(record())
        with store.database.begin() as connection:
            connection.exec_driver_sql("UPDATE user_activity SET data = '{', created_at = -1")

        (row,) = read(store.database, "SELECT * FROM activity_feed_v1")

    assert ("{", "1969-12-31T23:59:59.999999Z") == (row["data"], row["occurred_at"])


def test_days_are_counted_whether_folded_or_not(sql_store: Store, engine: Engine) -> None:
    sql_store.add(record(), record())
    if engine.dialect.name == "sqlite":
        maintain(engine, today=date(2026, 5, 1))
    else:
        from structlog_activity.store.counts import fold_months

        fold_months(engine, date(2026, 5, 1), str)
    sql_store.add(record())

    (row,) = read(engine, "SELECT * FROM activity_daily_v1")

    assert ("2026-03-14", 3) == (str(row["day"]), row["n"])
    assert str(to_uuid("acme")) == str(row["tenant_id"])


def test_the_question_for_datasette_has_an_answer(tmp_path: Path) -> None:
    from tests.support.stores import sqlite_store

    with sqlite_store(tmp_path) as store:
        store.add(record(occurred_at=datetime.now(UTC)))
        (query,) = blocks("sqlite")

        assert [{"verb": "settings.updated", "records": 1}] == read(store.database, query)


# -- the roles of the page, on PostgreSQL ----------------------------------------


@pytest.fixture
def owner(tables_url: str) -> Iterator[Engine]:
    """A database with two records, and the roles exactly as the page makes them."""
    with ActivityLog(tables_url) as activity:
        for tenant in ("acme", "other"):
            activity.log(record(tenant_id=to_uuid(tenant), occurred_at=datetime.now(UTC)))
        assert activity.flush(20)
    engine = make_engine(parse_url(tables_url))
    drop_roles(engine)
    with engine.begin() as connection:
        for recipe in RECIPES:
            connection.exec_driver_sql(recipe)
    yield engine
    drop_roles(engine)
    engine.dispose()


def drop_roles(engine: Engine) -> None:
    with engine.begin() as connection:
        for role in ROLES:
            if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": role}):
                connection.exec_driver_sql(f"DROP OWNED BY {role}")
                connection.exec_driver_sql(f"DROP ROLE {role}")


@pytest.fixture
def dashboard(owner: Engine) -> Iterator[Engine]:
    yield from signed_in(owner, "activity_dashboard")


def signed_in(owner: Engine, role: str) -> Iterator[Engine]:
    engine = make_engine(owner.url.set(username=role, password="change me"))
    yield engine
    engine.dispose()


def test_the_page_has_the_recipes_and_queries_that_are_tested_here() -> None:
    assert (3, 3) == (len(RECIPES), len(QUERIES))
    assert str(to_uuid("acme")) in RECIPES[1]


@pytest.mark.parametrize("query", QUERIES)
def test_the_queries_of_the_page_find_the_records(dashboard: Engine, query: str) -> None:
    query = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 > now() - interval '1 day'", query)
    query = query.replace("day > now()", "day::timestamptz > now()")

    assert read(dashboard, query.replace(" - interval '1 day'", " - interval '3 days'"))


def test_a_dashboard_reads_the_views_and_nothing_else(dashboard: Engine) -> None:
    assert 2 == len(read(dashboard, "SELECT * FROM activity_feed_v1"))
    assert 2 == len(read(dashboard, "SELECT * FROM activity_daily_v1"))
    for table in (*TABLES, "user_activity_migration"):
        with pytest.raises(DBAPIError, match="permission denied"):
            read(dashboard, f"SELECT * FROM {table}")


WRITES = [
    *(f"DELETE FROM {name}" for name in (*TABLES, "activity_feed_v1", "activity_daily_v1")),
    "UPDATE activity_feed_v1 SET verb = 'x'",
    "INSERT INTO activity_feed_v1 (id) VALUES (gen_random_uuid())",
    "TRUNCATE user_activity",
    "DROP VIEW activity_feed_v1",
    "CREATE TABLE mine (a int)",
]


@pytest.mark.parametrize("statement", WRITES)
def test_a_dashboard_writes_nothing_even_where_it_says_so_itself(
    dashboard: Engine, statement: str
) -> None:
    for mode in ("READ ONLY", "READ WRITE"):
        with dashboard.connect() as connection:
            connection.exec_driver_sql(f"SET TRANSACTION {mode}")
            with pytest.raises(DBAPIError):
                connection.exec_driver_sql(statement)


def test_a_dashboard_of_one_tenant_sees_no_other(owner: Engine) -> None:
    for engine in signed_in(owner, "activity_acme"):
        (row,) = read(engine, "SELECT * FROM activity_of_acme")
        assert to_uuid("acme") == row["tenant_id"]
        with pytest.raises(DBAPIError, match="permission denied"):
            read(engine, "SELECT * FROM activity_feed_v1")


def test_a_reader_reads_everything_through_the_log(owner: Engine) -> None:
    url = owner.url.set(username="activity_program", password="change me")
    with ActivityLog(url.render_as_string(hide_password=False)) as activity:
        assert 1 == activity.feed(tenant_id="acme").total
        assert 1 == activity.stats(tenant_id="acme").total
        assert 1 == activity.timeline(tenant_id="acme", bucket="month")[0][1]
        assert [("settings.updated", 1)] == activity.top(tenant_id="acme", by="verb")
    for engine in signed_in(owner, "activity_program"):
        for table in TABLES:
            with pytest.raises(DBAPIError, match="permission denied"):
                read(engine, f"DELETE FROM {table} RETURNING *")
