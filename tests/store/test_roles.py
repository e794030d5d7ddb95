"""
What each role of the recipe may do, tried on a real server.
"""

from __future__ import annotations

import logging

from collections.abc import Iterator

import pytest

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from structlog_activity import ActivityFilter, ActivityLog, SchemaError, feed, stats, to_uuid
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.postgresql.roles import apply_roles, check_role
from structlog_activity.store.schema import Schema
from tests.cli.commands import run
from tests.support.postgres import PostgresServer
from tests.write.doubles import eventually


ROLES = ("writer", "reader", "auditor")
A, B = to_uuid("a"), to_uuid("b")
REFUSED = "42501"


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with the roles, a login for each, and two tenants' records."""
    postgres_server.ensure_running()
    url = postgres_server.create_database()
    with ActivityLog(url, migrate=True, warn_role=False) as log:
        for tenant in ("a", "b", "b"):
            log.record("settings.updated", "settings:global", tenant_id=tenant, channel="c")
        assert log.flush(20)
        apply_roles(log.engine)
        apply_roles(log.engine)  # Again, as after a migration.
    engine = make_engine(parse_url(url))
    with engine.begin() as connection:
        for role in ROLES:
            connection.execute(text(f"DROP ROLE IF EXISTS test_{role}"))
            connection.execute(text(f"CREATE ROLE test_{role} LOGIN IN ROLE activity_{role}"))
        connection.execute(text("ALTER ROLE test_reader SET search_path = activity_scoped, public"))
    yield url
    with engine.begin() as connection:
        for role in (*(f"test_{role}" for role in ROLES), *(f"activity_{r}" for r in ROLES)):
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
    engine.dispose()
    postgres_server.drop_database(url)


def as_role(url: str, role: str) -> str:
    changed = parse_url(url).set(username=f"test_{role}")
    return str(changed.render_as_string(hide_password=False)).replace("+psycopg", "")


def answer(url: str, role: str, *statements: str) -> object:
    """Return what the last statement answers, or the SQLSTATE of the first that fails."""
    engine = make_engine(parse_url(as_role(url, role)))
    try:
        with engine.begin() as connection:
            return [_scalar(connection, statement) for statement in statements][-1]
    except DBAPIError as error:
        return getattr(error.orig, "sqlstate", None)
    finally:
        engine.dispose()


def _scalar(connection: Connection, statement: str) -> object:
    found = connection.execute(text(statement))
    return found.scalar() if found.returns_rows else None


def scope(tenant: object) -> str:
    return f"SELECT set_config('activity.tenant_id', '{tenant}', true)"


COUNT = "SELECT count(*) FROM user_activity"
BASE = "SELECT count(*) FROM public.user_activity"
LEAF = "SELECT count(*) FROM public.user_activity_past"
INSERT = (
    "INSERT INTO public.user_activity SELECT gen_random_uuid(), now(), gen_random_uuid(), "
    "n, n, n, 'v', 't', '', '', '', '{}', 1, 0, '' FROM gen_random_uuid() n"
)
MATRIX = {
    ("writer", f"{INSERT} RETURNING verb"): REFUSED,
    ("writer", f"{INSERT} ON CONFLICT (tenant_id, created_at, id) DO NOTHING"): REFUSED,
    ("writer", BASE): REFUSED,
    ("writer", LEAF): REFUSED,
    ("writer", "SELECT count(*) FROM activity_scoped.user_activity"): REFUSED,
    ("writer", "UPDATE user_activity SET verb = 'x'"): REFUSED,
    ("writer", "DELETE FROM user_activity"): REFUSED,
    ("writer", "TRUNCATE user_activity"): REFUSED,
    ("writer", "DROP TABLE user_activity"): REFUSED,
    ("writer", "ALTER TABLE user_activity ADD COLUMN x int"): REFUSED,
    ("writer", "SELECT count(writer_id) + count(seq) > 0 FROM user_activity_batch"): True,
    ("writer", "SELECT max(written_at) FROM user_activity_batch"): REFUSED,
    ("writer", "UPDATE user_activity_batch SET n = 0"): REFUSED,
    ("writer", "DELETE FROM user_activity_batch"): REFUSED,
    ("writer", "UPDATE user_activity_daily SET tenant_id = gen_random_uuid()"): REFUSED,
    ("writer", "DELETE FROM user_activity_daily"): REFUSED,
    ("writer", "DELETE FROM user_activity_migration"): REFUSED,
    ("reader", COUNT): 0,
    ("reader", BASE): REFUSED,
    ("reader", LEAF): REFUSED,
    ("reader", "SELECT count(*) FROM user_activity_batch"): REFUSED,
    ("reader", "INSERT INTO user_activity SELECT * FROM user_activity"): REFUSED,
    ("reader", "UPDATE user_activity SET verb = 'x'"): REFUSED,
    ("reader", "DELETE FROM user_activity"): REFUSED,
    ("reader", "CREATE VIEW activity_scoped.v AS SELECT 1"): REFUSED,
    ("auditor", BASE.replace("(*)", "(*) > 0")): True,
    ("auditor", "SELECT sum(n) > 0 FROM user_activity_batch"): True,
    ("auditor", "DELETE FROM user_activity"): REFUSED,
    ("auditor", "UPDATE user_activity SET verb = 'x'"): REFUSED,
    ("auditor", "TRUNCATE user_activity"): REFUSED,
    ("auditor", INSERT): REFUSED,
}


@pytest.mark.parametrize(("role", "statement"), list(MATRIX))
def test_a_role_may_do_what_it_needs_and_no_more(database: str, role: str, statement: str) -> None:
    assert answer(database, role, statement) == MATRIX[role, statement]


def test_a_writer_may_add_a_record(database: str) -> None:
    assert answer(database, "writer", INSERT, "ROLLBACK") is None


def test_a_reader_sees_the_tenant_that_was_named_and_no_other(database: str) -> None:
    assert answer(database, "reader", scope(A), COUNT) == 1
    assert answer(database, "reader", scope(B), COUNT) == 2
    assert answer(database, "reader", scope(B), f"{COUNT} WHERE true OR 1 = 1") == 2
    assert answer(database, "reader", scope(B), f"{COUNT} WHERE tenant_id = '{A}'") == 0
    assert answer(database, "reader", scope(""), COUNT) == 0
    assert answer(database, "reader", scope("nonsense"), COUNT) == "22P02"


def test_the_tenant_is_forgotten_with_the_transaction(database: str) -> None:
    engine = make_engine(parse_url(as_role(database, "reader")))
    with engine.connect() as connection:
        with connection.begin():
            connection.execute(text(scope(A)))
            assert connection.scalar(text(COUNT)) == 1
        with connection.begin():
            assert connection.scalar(text(COUNT)) == 0
    engine.dispose()


@pytest.mark.parametrize("failure", ["SELECT 1 / 0", "SELECT pg_cancel_backend(pg_backend_pid())"])
def test_the_tenant_is_forgotten_with_a_failure(database: str, failure: str) -> None:
    engine = make_engine(parse_url(as_role(database, "reader")), pool_size=1, max_overflow=0)
    with pytest.raises(DBAPIError), engine.begin() as connection:
        connection.execute(text(scope(A)))
        connection.execute(text(failure))
    with engine.begin() as connection:  # The very same one, out of the pool.
        assert connection.scalar(text(COUNT)) == 0
    engine.dispose()


def test_no_condition_of_a_readers_sees_another_tenants_rows(database: str) -> None:
    """Of a view without security_barrier it would: a cheap function is asked first."""
    spy = (
        "CREATE FUNCTION pg_temp.spy(text) RETURNS bool COST 0.0001 LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'saw %', $1; END $$"
    )

    def spying(tenant: object) -> object:
        return answer(database, "reader", spy, scope(tenant), f"{COUNT} WHERE pg_temp.spy(verb)")

    assert spying(to_uuid("nobody")) == 0
    assert spying(A) == "P0001"


def test_the_library_reads_through_the_views(database: str) -> None:
    engine = make_engine(parse_url(as_role(database, "reader")))
    with Session(engine) as session:
        session.execute(text(scope(B)))

        assert feed(session, ActivityFilter(tenant_id=B)).total == 2
        assert stats(session, ActivityFilter(tenant_id=B)).total == 2
        assert feed(session, ActivityFilter(tenant_id=A)).total == 0
        assert stats(session, ActivityFilter(tenant_id=A)).total == 0
    engine.dispose()


def test_the_library_writes_as_the_writer(database: str, caplog: pytest.LogCaptureFixture) -> None:
    with ActivityLog(as_role(database, "writer")) as log:
        first = log.record("settings.updated", "settings:global", tenant_id="w")
        assert log.flush(20)
        log.log(first)  # A record that is there already.
        log.record("settings.updated", "settings:global", tenant_id="w")
        assert log.flush(20)
        assert log.counters()["dead"] == 0
        assert log.health().notes == ()

    assert "can change" not in caplog.text
    assert answer(database, "auditor", f"{BASE} WHERE tenant_id = '{to_uuid('w')}'") == 2


# -- a role that could change history ----------------------------------------


def test_a_role_that_can_change_history_is_told_of_once(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), ActivityLog(postgres_url, migrate=True) as log:
        for _ in range(2):
            log.record("a.b", "c:1", tenant_id="a")
            assert log.flush(20)
        eventually(lambda: bool(log.health().notes))
        assert log.health().ok
        assert "can change or remove what was recorded" in log.health().notes[0]

    told = [r for r in caplog.records if "can change or remove" in r.getMessage()]
    assert [(r.name, r.levelname) for r in told] == [("structlog_activity", "WARNING")]
    assert "migrate --roles" in told[0].getMessage()


def test_the_warning_can_be_switched_off(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with ActivityLog(postgres_url, migrate=True, warn_role=False) as log:
        log.record("a.b", "c:1", tenant_id="a")
        assert log.flush(20)
        assert log.health().notes == ()

    assert "can change" not in caplog.text


@pytest.mark.parametrize(
    ("role", "checks"), [("writer", []), ("auditor", []), ("", ["database.history"])]
)
def test_the_doctor_notes_a_role_that_can_change_history(
    database: str, role: str, checks: list[str]
) -> None:
    engine = make_engine(parse_url(as_role(database, role) if role else database))
    found = list(check_role(engine))
    engine.dispose()

    assert [finding.check for finding in found] == checks
    assert all(finding.is_note for finding in found)


# -- the command -------------------------------------------------------------


def test_the_command_prints_the_sql_and_makes_the_roles(postgres_url: str) -> None:
    assert run("--url", postgres_url, "migrate").code == 0

    printed = run("--url", postgres_url, "migrate", "--roles")
    assert printed.code == 0
    assert "GRANT INSERT" in printed.out
    assert "security_barrier" in printed.out
    assert run("--url", postgres_url, "migrate", "--roles", "--apply").code == 0


def test_the_tables_can_be_taken_away_with_the_views_of_readers(postgres_url: str) -> None:
    with ActivityLog(postgres_url, migrate=True, warn_role=False) as log:
        log.migrate()
        apply_roles(log.engine)

        assert [1] == [step.version for step in Schema(log.engine).downgrade(0)]

        with log.engine.connect() as connection:
            left = text("SELECT count(*) FROM pg_views WHERE schemaname = 'activity_scoped'")
            assert 0 == connection.scalar(left)


def test_a_view_of_somebody_else_keeps_the_tables_and_is_named(postgres_url: str) -> None:
    with ActivityLog(postgres_url, migrate=True, warn_role=False) as log:
        log.migrate()
        with log.engine.begin() as connection:
            connection.execute(text("CREATE VIEW theirs AS SELECT * FROM activity_feed_v1"))

        with pytest.raises(SchemaError) as caught:
            Schema(log.engine).downgrade(0)

    assert "view theirs depends on view activity_feed_v1" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sqlite_has_no_roles() -> None:
    refused = run("--url", "sqlite:///:memory:", "migrate", "--roles")

    assert refused.code == 2
    assert "no roles" in refused.err
    assert run("--url", "sqlite:///:memory:", "migrate", "--apply").code == 2
