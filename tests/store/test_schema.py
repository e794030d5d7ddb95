"""Migrations: applied once, under a lock, remembered with their checksums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sqlalchemy import Engine, inspect, text

from structlog_activity import SchemaError
from structlog_activity.store import schema as schema_module
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.schema import Schema, migrations
from structlog_activity.store.table import metadata
from tests.support.racing import at_once


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """An empty database of either kind."""
    engine = make_engine(parse_url(url))
    yield engine
    engine.dispose()


def tables(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        names = set(inspect(connection).get_table_names())
    return {
        name
        for name in names
        if not name.startswith(("user_activity_y", "user_activity_past", "user_activity_future"))
    }


ALL = {
    "user_activity",
    "user_activity_batch",
    "user_activity_checkpoint",
    "user_activity_daily",
    "user_activity_monthly",
    "user_activity_migration",
}


def test_migrate_makes_the_tables_once(engine: Engine) -> None:
    assert [1] == [step.version for step in Schema(engine).migrate()]
    assert [] == Schema(engine).migrate()
    assert tables(engine) == ALL
    Schema(engine).check()


def test_the_metadata_say_the_same_as_the_sql(engine: Engine) -> None:
    """Hosts that compare metadata must see no difference."""
    Schema(engine).migrate()
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            found = inspect(connection).get_columns(table.name)
            assert [column.name for column in table.columns] == [c["name"] for c in found]
            assert [c.nullable for c in table.columns] == [c["nullable"] for c in found]
            key = inspect(connection).get_pk_constraint(table.name)["constrained_columns"]
            assert [column.name for column in table.primary_key] == key
            for column, there in zip(table.columns, found, strict=True):
                wanted = column.type.compile(engine.dialect)
                assert type_name(wanted) == type_name(there["type"].compile(engine.dialect))


def type_name(text_: str) -> str:
    synonyms = {"BIGINT": "INTEGER", "SMALLINT": "INTEGER", "DATETIME": "TIMESTAMP", "JSON": "TEXT"}
    name = text_.partition("(")[0].replace(' COLLATE "C"', "").strip()
    return synonyms.get(name, name)


def test_status_tells_what_was_applied(engine: Engine) -> None:
    schema = Schema(engine)
    before = schema.status()
    schema.migrate()
    after = schema.status()

    assert ["pending"] == [step.state for step in before]
    assert ["applied"] == [step.state for step in after]
    assert after[0].applied_at is not None
    assert after[0].applied_at.tzinfo is not None


def test_downgrade_removes_everything_and_migrate_brings_it_back(engine: Engine) -> None:
    schema = Schema(engine)
    schema.migrate()

    assert [1] == [step.version for step in schema.downgrade(0)]
    assert {"user_activity_migration"} == tables(engine)
    assert [1] == [step.version for step in schema.migrate()]
    assert tables(engine) == ALL


def test_an_edited_migration_is_refused(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    Schema(engine).migrate()
    edited = tuple(replace(step, checksum="0" * 64) for step in migrations(engine.dialect.name))
    monkeypatch.setattr(schema_module, "migrations", lambda _: edited)

    with pytest.raises(SchemaError, match="not the one that was applied"):
        Schema(engine).migrate()
    assert ["changed"] == [step.state for step in Schema(engine).status()]


def test_a_newer_schema_is_not_touched(engine: Engine) -> None:
    Schema(engine).migrate()
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO user_activity_migration "
                "SELECT 99, 'future', 'x', applied_at FROM user_activity_migration"
            )
        )

    for act in (Schema(engine).migrate, Schema(engine).check, lambda: Schema(engine).downgrade(0)):
        with pytest.raises(SchemaError, match="upgrade structlog-activity"):
            act()
    assert ["applied", "unknown"] == [step.state for step in Schema(engine).status()]


def test_missing_tables_name_the_command_that_makes_them(engine: Engine) -> None:
    with pytest.raises(SchemaError, match="run structlog-activity migrate"):
        Schema(engine).check()


def test_an_older_schema_names_the_command_too(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    Schema(engine).migrate()
    steps = migrations(engine.dialect.name)
    monkeypatch.setattr(
        schema_module, "migrations", lambda _: (*steps, replace(steps[0], version=2))
    )

    with pytest.raises(SchemaError, match="version 1, 2 is needed: run structlog-activity migrate"):
        Schema(engine).check()


def test_a_table_of_that_name_that_is_not_ours_is_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE user_activity (id integer)"))

    with pytest.raises(SchemaError, match="rename it"):
        Schema(engine).migrate()
    assert {"user_activity"} == tables(engine)


def test_a_failing_step_leaves_nothing_behind(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrations(engine.dialect.name)
    broken = replace(steps[0], version=2, up="CREATE TABLE half (x integer); SELECT nonsense;")
    monkeypatch.setattr(schema_module, "migrations", lambda _: (*steps, broken))

    with pytest.raises(SchemaError, match="migration 2"):
        Schema(engine).migrate()
    assert set() == tables(engine)


def test_any_number_may_migrate_at_once(engine: Engine) -> None:
    taken = at_once(5, engine, lambda own: len(Schema(own).migrate()))

    assert [0, 0, 0, 0, 1] == sorted(taken)


def test_steps_join_the_transaction_of_a_host(engine: Engine) -> None:
    """As a revision of the host's own migration tool does."""
    with engine.connect() as connection:
        Schema(connection).migrate()
        connection.rollback()
    assert set() == tables(engine)

    with engine.begin() as connection:
        Schema(connection).migrate()
    assert tables(engine) == ALL


def test_steps_may_come_after_others_of_the_same_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        connection.execute(text("CREATE TABLE orders (id integer)"))
        Schema(connection).migrate()
        connection.rollback()
    assert set() == tables(engine)


def test_a_role_that_may_not_create_is_told_so(postgres_url: str) -> None:
    owner = make_engine(parse_url(postgres_url))
    with owner.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS activity_guest"))
        connection.execute(text("CREATE ROLE activity_guest LOGIN"))
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    guest = make_engine(parse_url(postgres_url).set(username="activity_guest"))

    from structlog_activity.errors import RepositoryError
    from structlog_activity.store.reaching import reached

    with pytest.raises(RepositoryError, match="privilege"), reached(guest.url):
        Schema(guest).migrate()
    guest.dispose()
    with owner.begin() as connection:
        connection.execute(text("DROP ROLE activity_guest"))
    owner.dispose()
