"""What the doctor finds in a database."""

from __future__ import annotations

import os

from pathlib import Path

import pytest

from sqlalchemy import text

from structlog_activity import ActivityLog
from structlog_activity.store.check_database import check_database
from structlog_activity.store.engine import make_engine, parse_url
from structlog_activity.store.schema import Schema


def checks(url: str, *, migrates: bool = False) -> dict[str, str]:
    engine = make_engine(parse_url(url))
    try:
        return {f.check: f.remedy for f in check_database(engine, migrates=migrates)}
    finally:
        engine.dispose()


def migrate(url: str) -> None:
    with ActivityLog(url) as log:
        log.migrate()


def execute(url: str, *statements: str) -> None:
    engine = make_engine(parse_url(url))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def as_role(url: str, role: str) -> str:
    return str(parse_url(url).set(username=role).render_as_string(hide_password=False)).replace(
        "+psycopg", ""
    )


def test_a_migrated_database_is_sound(postgres_url: str, tmp_path: Path) -> None:
    for url in (postgres_url, f"sqlite:///{tmp_path / 'a.db'}"):
        migrate(url)
        assert {} == checks(url)


def test_missing_tables_name_the_command(postgres_url: str, tmp_path: Path) -> None:
    for url in (postgres_url, f"sqlite:///{tmp_path / 'a.db'}"):
        found = checks(url)
        assert ["database.schema"] == list(found)
        assert " migrate" in found["database.schema"]


def test_tables_that_the_log_makes_itself_need_not_be_there(tmp_path: Path) -> None:
    assert {} == checks(f"sqlite:///{tmp_path / 'a.db'}", migrates=True)
    assert [] == list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_found(tmp_path: Path) -> None:
    found = checks(f"sqlite:///{tmp_path / 'no' / 'a.db'}", migrates=True)

    assert ["database.unreachable"] == list(found)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_file_that_can_not_be_written_is_found(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    migrate(url)
    (tmp_path / "a.db").chmod(0o400)

    assert ["database.read_only"] == list(checks(url))


def test_a_server_that_is_not_there_is_found(tmp_path: Path) -> None:
    found = checks(f"postgresql://u:secret@/db?host={tmp_path}")

    assert ["database.unreachable"] == list(found)
    assert "secret" not in str(found)


def test_privileges_that_are_missing_are_granted_by_the_remedy(postgres_url: str) -> None:
    migrate(postgres_url)
    role = f"writer_{os.getpid()}"
    execute(postgres_url, f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON user_activity TO {role}")
    try:
        found = list(_all(as_role(postgres_url, role)))
        assert found
        assert any("INSERT ON user_activity TO" in remedy for remedy in found)
        execute(postgres_url, *(remedy.rstrip(";") for remedy in found))
        assert {} == checks(as_role(postgres_url, role))
    finally:
        execute(postgres_url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def _all(url: str) -> list[str]:
    engine = make_engine(parse_url(url))
    try:
        return [finding.remedy for finding in check_database(engine, migrates=False)]
    finally:
        engine.dispose()


def test_a_read_only_database_is_found(postgres_url: str) -> None:
    engine = make_engine(parse_url(postgres_url))
    Schema(engine).migrate()
    name = engine.url.database
    engine.dispose()
    execute(postgres_url, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')

    assert ["database.read_only"] == list(checks(postgres_url))
