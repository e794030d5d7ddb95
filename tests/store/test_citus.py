"""
What Citus demands of the schema and of the statements; and on a real cluster, that all works.

The demands are checked on plain PostgreSQL, where they can't be seen to fail. A cluster is
used where STRUCTLOG_ACTIVITY_TEST_CITUS_URL names an empty database of its coordinator, which
has the extension and at least one worker.
"""

from __future__ import annotations

import ast
import os
import re

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sqlalchemy import Engine, make_url, text

import structlog_activity

from structlog_activity import ActivityFilter, feed, stats, to_uuid
from structlog_activity.read.get import get
from structlog_activity.read.history import history
from structlog_activity.read.timeline import timeline
from structlog_activity.read.top import top
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.record.times import to_microseconds
from structlog_activity.store import postgresql
from structlog_activity.store.batch import Batch
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.postgresql import PostgresRepository
from structlog_activity.store.schema import Schema
from structlog_activity.testing import matches
from tests.support.records import NOON, random_records, record


VARIABLE = "STRUCTLOG_ACTIVITY_TEST_CITUS_URL"
PACKAGE = Path(structlog_activity.__file__).parent
SCRIPT = PACKAGE.parent / "migrations" / "citus" / "distribute.sql"
DISTRIBUTED = dict(re.findall(r"create_distributed_table\(\s*'(\w+)', '(\w+)'", SCRIPT.read_text()))
REFERENCED = set(re.findall(r"create_reference_table\('(\w+)'", SCRIPT.read_text()))


# -- the demands, on plain PostgreSQL -------------------------------------------


@pytest.fixture
def plain(migrated_url: str) -> Iterator[psycopg.Connection[Any]]:
    url = make_url(migrated_url).set(drivername="postgresql")
    dsn = url.render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as found:
        yield found


def rows(connection: psycopg.Connection[Any], sql: str, *values: Any) -> list[Any]:
    return connection.execute(sql.encode(), values).fetchall()


def test_the_script_spreads_every_table_of_the_schema(plain: psycopg.Connection[Any]) -> None:
    found = rows(
        plain,
        "SELECT relname FROM pg_class WHERE relname LIKE 'user_activity%%'"
        " AND relkind IN ('r', 'p') AND NOT relispartition"
        " AND relnamespace = 'public'::regnamespace",
    )

    assert {name for (name,) in found} == DISTRIBUTED.keys() | REFERENCED
    assert "tenant_id" == DISTRIBUTED["user_activity"] == DISTRIBUTED["user_activity_daily"]


def test_every_unique_key_holds_the_column_that_its_table_is_spread_by(
    plain: psycopg.Connection[Any],
) -> None:
    keys = rows(
        plain,
        "SELECT coalesce(p.inhparent, i.indrelid)::regclass::text, array_agg(a.attname::text)"
        " FROM pg_index i"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)"
        " LEFT JOIN pg_inherits p ON p.inhrelid = i.indrelid"
        " WHERE i.indisunique GROUP BY i.indexrelid, 1",
    )
    checked = [(table, columns) for table, columns in keys if table in DISTRIBUTED]

    assert DISTRIBUTED.keys() == {table for table, _ in checked}
    assert all(DISTRIBUTED[table] in columns for table, columns in checked)


def test_no_column_that_a_table_is_spread_by_may_be_null(plain: psycopg.Connection[Any]) -> None:
    for table, column in DISTRIBUTED.items():
        found = rows(
            plain,
            "SELECT attnotnull FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s",
            table, column,
        )  # fmt: skip
        assert [(True,)] == found


def test_there_is_no_trigger_no_identity_no_sequence_and_no_foreign_key(
    plain: psycopg.Connection[Any],
) -> None:
    ours = "IN (SELECT oid FROM pg_class WHERE relname LIKE 'user_activity%%')"

    assert [] == rows(plain, f"SELECT tgname FROM pg_trigger WHERE tgrelid {ours}")
    assert [] == rows(
        plain, f"SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid {ours}"
    )
    defaults = rows(
        plain,
        f"SELECT attname FROM pg_attribute WHERE attrelid {ours}"
        " AND (attidentity <> '' OR atthasdef)",
    )
    # A constant, and the transaction of whoever takes the statement: the coordinator.
    assert {("folded",), ("ordinal",)} == set(defaults)


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the package's code with its module, formatted ones with {} for each value."""
    for path in sorted(PACKAGE.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        parts_of = {id(p) for node in nodes if isinstance(node, ast.JoinedStr) for p in node.values}
        for node in nodes:
            is_whole = id(node) not in parts_of
            if is_whole and isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
                yield path.name, "".join(map(str, parts))


def updates() -> list[str]:
    """The SET clauses of all statements that change a row."""
    found = []
    for _, sql in texts():
        found += re.findall(
            r"\bUPDATE\b(?:\s+\w+)?\s+SET\s+(.*?)(?:\bWHERE\b|\bRETURNING\b|\Z)", sql, re.DOTALL
        )
    return found


def test_no_update_calls_a_volatile_function_or_moves_a_row_to_another_shard(
    plain: psycopg.Connection[Any],
) -> None:
    found = updates()
    assert any("n = d.n + excluded.n" in one for one in found)

    for clause in found:
        for name in re.findall(r"\b(\w+)\s*\(", clause):
            kinds = rows(plain, "SELECT provolatile FROM pg_proc WHERE proname = %s", name.lower())
            assert (b"v",) not in kinds
            assert ("v",) not in kinds
        assert not re.search(r"\b(tenant_id|writer_id)\s*=", clause)


def test_settings_are_made_for_one_transaction_by_literals_only(
    plain: psycopg.Connection[Any],
) -> None:
    """The workers never hear of set_config(): what it sets would be unset there, without a word."""
    told = [(module, sql) for module, sql in texts() if re.search(r"\bSET LOCAL\b", sql)]
    statements = [(m, sql) for m, sql in told if re.search(r"SET LOCAL [\w{}]+ =", sql)]

    assert {"postgresql.py"} <= {module for module, _ in statements}
    for _, sql in statements:
        assert re.fullmatch(r"(BEGIN;)?(SET LOCAL [\w{}]+ = ('[^']*'|\d+|\{\});?)+", sql.strip())
    assert not [module for module, sql in texts() if "set_config(" in sql]
    assert re.fullmatch(r"BEGIN;(SET LOCAL \w+ = \d+;)+", postgresql._begin(plain))


# -- a cluster --------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[Engine]:
    """The tables, spread over the workers of a cluster."""
    url = os.environ.get(VARIABLE)
    if not url:
        pytest.skip(f"{VARIABLE} names no coordinator")
    engine = make_engine(parse_url(url))
    Schema(engine).migrate()
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(SCRIPT.read_text())
        yield engine
    finally:
        Schema(engine).downgrade(0)
        engine.dispose()


@pytest.fixture
def repository(cluster: Engine) -> Iterator[PostgresRepository]:
    with cluster.begin() as connection:
        tables = ", ".join(DISTRIBUTED)
        connection.execute(text(f"TRUNCATE {tables}"))
    found = PostgresRepository(parse_url(os.environ[VARIABLE]))
    yield found
    found.close()


def test_a_batch_is_written_once_and_counted(
    cluster: Engine, repository: PostgresRepository
) -> None:
    batch = Batch.alone([RowMaker().make_from(one) for one in random_records(3, 300, tenants=5)])

    assert (True, False) == (repository.write(batch), repository.write(batch))

    for n in range(5):
        where = ActivityFilter(tenant_id=f"tenant-{n}", total="exact")
        found = sum(matches(where, row.to_record()) for row in batch.rows)
        assert found == stats(cluster, where).total == feed(cluster, where).total


def test_a_cluster_reads_as_one_server_does(
    cluster: Engine, repository: PostgresRepository
) -> None:
    made = [RowMaker().make_from(one) for one in random_records(7, 400, tenants=2)]
    moments = [row.created_at for row in made]
    repository.make_room(min(moments), max(moments))
    repository.write(Batch.alone(made))
    records = [row.to_record() for row in made]
    for where in (
        {}, {"actor_id": "actor-1"}, {"user_id": "actor-2"}, {"involving": "actor-3"},
        {"verbs": ["settings.updated", "user.created"]}, {"verbs": "settings.*"},
        {"channel": "exports"}, {"object_type": "user", "object_id": "1"}, {"keyword": "sett"},
        {"data": {"count": 1}}, {"since": NOON - timedelta(days=20), "until": NOON},
    ):  # fmt: skip
        filter_ = ActivityFilter.of({"tenant_id": "tenant-0", "limit": 200, **where})
        expected = [one for one in records if matches(filter_, one)]
        expected.sort(key=lambda one: (one.occurred_at, one.id), reverse=True)
        page = feed(cluster, filter_)
        assert expected[:200] == page.records
        assert len(expected) == stats(cluster, filter_).total
        assert len(expected) == sum(n for _, n in timeline(cluster, filter_, bucket="week"))
        assert len(expected) == sum(n for _, n in top(cluster, filter_, by="channel", limit=200))
        if expected:
            assert expected[-1] == get(cluster, "tenant-0", expected[-1].id)
    assert history(cluster, ("user", "1"), ActivityFilter(tenant_id="tenant-1")).records


def test_rows_of_an_edge_move_to_their_months(
    cluster: Engine, repository: PostgresRepository
) -> None:
    old = [record(occurred_at=NOON - timedelta(days=4_000 + n)) for n in range(40)]
    repository.write(Batch.alone([RowMaker().make_from(one) for one in old]))
    moments = [to_microseconds(one.occurred_at) for one in old if one.occurred_at]

    repository.make_room(min(moments), max(moments))

    page = feed(cluster, ActivityFilter(tenant_id=to_uuid("acme"), limit=200))
    assert {one.id for one in old} == {one.id for one in page.records}
    with cluster.connect() as connection:
        past = connection.execute(text("SELECT count(*) FROM user_activity_past")).scalar_one()
    assert 0 == past
