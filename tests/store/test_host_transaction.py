"""A batch within a transaction of the host: what the repository stores, and nothing disturbed."""

from __future__ import annotations

import dataclasses

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sqlalchemy import Connection, Engine, create_engine, text

from structlog_activity import RepositoryError, SchemaError
from structlog_activity.record.row import Row
from structlog_activity.record.rowmaker import RowMaker
from structlog_activity.store.batch import Batch
from structlog_activity.store.host_transaction import write_inside
from tests.support.postgres import PostgresServer
from tests.support.records import random_records, record
from tests.support.stores import TABLES, Store, empty, postgresql_store


@pytest.fixture
def engine(sql_store: Store) -> Engine:
    return sql_store.database


@pytest.fixture
def batch() -> Batch:
    return Batch.alone(rows(300))


def rows(count: int) -> list[Row]:
    return [RowMaker().make_from(record) for record in random_records(7, count)]


# Another time, another transaction, and salts of its own give another seal.
OWN = {
    "written_at", "ordinal", "chain_id", "flags", "root", "prev", "seal", "key_id", "mac",
    "commitment",
}  # fmt: skip


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All that is in the tables, but for what each writing makes anew."""
    with engine.connect() as connection:
        return {
            table: sorted(
                tuple(str(value) for name, value in row.items() if name not in OWN)
                for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()
            )
            for table in TABLES
        }


def test_it_stores_what_the_repository_stores(
    sql_store: Store, engine: Engine, batch: Batch
) -> None:
    sql_store.repository.write(batch)
    expected = contents(engine)
    empty(engine)
    with engine.begin() as connection:
        write_inside(connection, batch)

    assert expected == contents(engine)
    assert 300 == len(expected["user_activity"])


def test_counts_are_added_to_those_that_are_there(
    sql_store: Store, engine: Engine, batch: Batch
) -> None:
    sql_store.repository.write(batch)
    more = [row._replace(id=row.id[::-1]) for row in batch.rows]
    with engine.begin() as connection:
        write_inside(connection, Batch.alone(more))

    assert 600 == sum(int(row[-1]) for row in contents(engine)["user_activity_daily"])
    tenant = batch.records[0].tenant_id
    assert sql_store.stats(tenant_id=tenant).total == len(sql_store.walk(100, tenant_id=tenant))


def test_it_leaves_the_transaction_to_the_host(engine: Engine, batch: Batch) -> None:
    with engine.connect() as connection:
        write_inside(connection, batch)
        assert connection.in_transaction()
        write_inside(connection, Batch.alone([batch.rows[0]._replace(id=bytes(16))]))
        connection.rollback()

    assert {table: [] for table in TABLES} == contents(engine)


def test_it_leaves_the_settings_of_the_connection(
    sql_store: Store, engine: Engine, batch: Batch
) -> None:
    if sql_store.name == "sqlite":
        ask = "SELECT * FROM pragma_busy_timeout, pragma_foreign_keys, pragma_journal_mode"
    else:
        ask = "SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY 1"
    with engine.connect() as connection:
        if sql_store.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
            connection.execute(text("SET LOCAL statement_timeout = '17s'"))
        before = connection.execute(text(ask)).all()
        write_inside(connection, batch)
        assert before == connection.execute(text(ask)).all()


def test_the_hosts_own_json_and_schemas_are_not_ours(
    sql_store: Store, engine: Engine, batch: Batch
) -> None:
    sql_store.repository.write(batch)
    expected = contents(engine)
    other = create_engine(engine.url, json_serializer=lambda value: "{}")
    with other.connect() as connection:
        moved = connection.execution_options(schema_translate_map={None: "elsewhere"})
        for table in TABLES:
            moved.execute(text(f"DELETE FROM {table}"))
        write_inside(moved, batch)
        moved.commit()
    other.dispose()

    assert expected == contents(engine)


def test_missing_tables_are_told_with_what_to_do(tmp_path: Path, postgres_url: str) -> None:
    for url in (f"sqlite:///{tmp_path / 'empty.db'}", postgres_url):
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection, pytest.raises(SchemaError, match="migrate") as caught:
            write_inside(connection, Batch.alone(rows(1)))
        assert engine.dialect.name in str(caught.value)
        assert caught.value.sqlstate
        engine.dispose()


def test_no_value_and_no_parameter_is_in_an_error(engine: Engine, batch: Batch) -> None:
    """Though the engine is the host's, and shows parameters."""
    other = create_engine(engine.url)
    with other.connect() as connection:
        write_inside(connection, batch)
        with pytest.raises(RepositoryError) as caught:
            write_inside(connection, batch)
    other.dispose()

    assert not isinstance(caught.value, SchemaError)
    assert caught.value.sqlstate in {"23505", "SQLITE_CONSTRAINT_PRIMARYKEY"}
    told = str(caught.value)
    assert not [word for word in batch.rows[0][6:] if len(word) > 3 and word in told]
    assert caught.value.__suppress_context__


def test_a_number_that_another_batch_drew_is_a_reason_to_run_the_transaction_again(
    engine: Engine,
) -> None:
    first, second = Batch.alone(rows(1)), Batch.alone([RowMaker().make_from(record())])
    with engine.begin() as connection:
        write_inside(connection, first)

    with engine.connect() as connection, pytest.raises(RepositoryError, match="again"):
        write_inside(connection, dataclasses.replace(second, batch_id=first.batch_id))


def test_a_role_without_the_privilege_is_told_which_one(
    postgres_server: PostgresServer, migrated_url: str
) -> None:
    postgres_server.ensure_running()
    with postgresql_store(migrated_url) as store, store.database.connect() as connection:
        connection.execute(text("CREATE ROLE stranger"))
        connection.execute(text("SET LOCAL ROLE stranger"))
        with pytest.raises(RepositoryError, match="needs INSERT") as caught:
            write_inside(connection, Batch.alone(rows(1)))
    assert "42501" == caught.value.sqlstate


def test_another_kind_of_database_is_refused() -> None:
    connection = SimpleNamespace(dialect=SimpleNamespace(name="mysql"))

    with pytest.raises(RepositoryError, match="mysql"):
        write_inside(cast("Connection", connection), Batch.alone(rows(1)))


def test_a_snapshot_that_others_have_overtaken_is_to_be_tried_again(
    sql_store: Store, engine: Engine, batch: Batch
) -> None:
    other = create_engine(engine.url)
    with other.connect() as connection:
        if sql_store.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        else:
            connection.exec_driver_sql("BEGIN")
        connection.execute(text("SELECT * FROM user_activity_daily"))
        sql_store.repository.write(batch)
        with pytest.raises(RepositoryError, match=r"again|BEGIN IMMEDIATE") as caught:
            write_inside(connection, Batch.alone([batch.rows[0]._replace(id=bytes(16))]))
    other.dispose()

    assert caught.value.sqlstate in {"40001", "SQLITE_BUSY_SNAPSHOT"}
