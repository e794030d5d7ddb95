"""
What Citus demands of the schema and of the statements, checked on plain PostgreSQL.

There they can't be seen to fail; that all works on a real cluster is for test_citus_cluster.py.
"""

from __future__ import annotations

import ast
import re

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sqlalchemy import make_url
from sqlalchemy.orm import Session

import structlog_activity

from structlog_activity import ActivityLog
from structlog_activity.store import counts
from structlog_activity.store.check_database import check_database
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.faults import Fault
from structlog_activity.store.postgresql import repository
from structlog_activity.store.postgresql.diagnosis import diagnosed
from tests.support.citus import DISTRIBUTED, LOCAL, REFERENCED
from tests.support.sent import sent_by


PACKAGE = Path(structlog_activity.__file__).parent


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

    assert {name for (name,) in found} == DISTRIBUTED.keys() | REFERENCED | LOCAL
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

    assert {"repository.py"} <= {module for module, _ in statements}
    for _, sql in statements:
        assert re.fullmatch(r"(BEGIN;)?(SET LOCAL [\w{}]+ = ('[^']*'|\d+|\{\});?)+", sql.strip())
    assert not [module for module, sql in texts() if "set_config(" in sql]
    assert re.fullmatch(r"BEGIN;(SET LOCAL \w+ = \d+;)+", repository._begin(plain))


def test_what_is_done_tenant_by_tenant_comes_to_the_same(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of many machines can't be locked and moved in one statement."""
    monkeypatch.setattr(counts, "is_spread", lambda _: True)
    now = datetime.now(UTC)
    with ActivityLog(postgres_url, migrate=True, warn_role=False) as log:
        for days, n in product((0, 40, 45, 75, 100), range(12)):
            log.record(
                f"doc.{n % 2}", ("doc", n), tenant_id=f"t{n % 3}",
                occurred_at=now - timedelta(days=days),
            )  # fmt: skip
        assert log.flush(20)

        assert log.maintain().counts_folded
        assert 8 == log.prune(timedelta(days=74), tenant_id="t1").rows
        assert 16 == log.prune(timedelta(days=74)).rows

        for tenant in ("t0", "t1", "t2"):
            counted = log.feed(tenant_id=tenant, keyword="doc", total="exact").total
            assert 12 == log.stats(tenant_id=tenant).total == counted
        assert log.verify().ok


@pytest.fixture
def worker_url(tables_url: str) -> str:
    """A database whose catalog is that of a worker, as far as anybody asks."""
    engine = make_engine(parse_url(tables_url))
    with engine.begin() as connection:
        connection.exec_driver_sql("""
            SET allow_system_table_mods = on;
            CREATE TABLE pg_catalog.pg_dist_partition AS
                SELECT 'user_activity'::regclass AS logicalrelid;
            CREATE TABLE pg_catalog.pg_dist_local_group AS SELECT 7 AS groupid;
            CREATE TABLE pg_catalog.pg_dist_node AS
                SELECT 0 AS groupid, 'primary' AS noderole, 'first.example' AS nodename,
                    5432 AS nodeport;
        """)
    engine.dispose()
    return tables_url


def test_the_doctor_tells_of_a_url_that_leads_to_a_worker(worker_url: str) -> None:
    with ActivityLog(worker_url, warn_role=False) as log:
        (finding,) = check_database(log.engine, migrates=False)

    assert "database.worker" == finding.check
    assert "this is a worker of a Citus cluster, through which one may only read" in finding.problem
    assert "connect to its coordinator, first.example:5432," in finding.problem
    assert not finding.is_note


def test_the_doctor_has_nothing_against_a_server_that_is_no_worker(migrated_url: str) -> None:
    with ActivityLog(migrated_url, warn_role=False) as log:
        assert [] == list(check_database(log.engine, migrates=False))


def test_a_connection_is_asked_once_whether_it_reaches_a_worker(migrated_url: str) -> None:
    engine = make_engine(parse_url(migrated_url))
    with ActivityLog(migrated_url, warn_role=False) as log:

        def write() -> None:
            with Session(engine) as session:
                log.record("doc.opened", "doc:1", tenant_id="acme", session=session)
                session.commit()

        asked = [
            [sql for sql, _ in sent_by(engine, write) if "pg_dist" in sql] for _ in range(3)
        ]  # fmt: skip
    engine.dispose()

    assert [1, 0, 0] == [len(statements) for statements in asked]


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("user_activity_y2026m11_pkey_102090", Fault.DUPLICATE),
        ("user_activity_pkey_102008", Fault.DUPLICATE),
        ("one_of_yours_102090", Fault.UNKNOWN),
    ],
)
def test_what_a_worker_refuses_of_a_copy_is_told_by_its_words(
    plain: psycopg.Connection[Any], key: str, fault: Fault
) -> None:
    """Its code is lost on the way, and its names with it."""
    said = f'duplicate key value violates unique constraint "{key}"'
    with pytest.raises(psycopg.Error) as caught:
        plain.execute(f"DO $$ BEGIN RAISE EXCEPTION '{said}' USING ERRCODE = 'XX000'; END $$")

    assert fault is diagnosed(caught.value, "a cluster").fault


@pytest.mark.parametrize(
    ("said", "code", "fault"),
    [
        ('new row for relation "user_activity_daily_102055" violates x', "23514", "configuration"),
        ('new row for relation "user_activity_102055" violates x', "23514", "data"),
        ('unique constraint "user_activity_batch_pkey_102080"', "23505", "duplicate"),
    ],
)
def test_what_a_worker_refuses_of_an_insert_is_told_by_code_and_words(
    plain: psycopg.Connection[Any], said: str, code: str, fault: str
) -> None:
    with pytest.raises(psycopg.Error) as caught:
        plain.execute(f"DO $$ BEGIN RAISE EXCEPTION '{said}' USING ERRCODE = '{code}'; END $$")

    assert fault == diagnosed(caught.value, "a cluster").fault.value
