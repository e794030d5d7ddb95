"""
The command ``migrate``.
"""

from __future__ import annotations

import json
import sqlite3

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from sqlalchemy.engine import make_url

from tests.cli.commands import Cli


def execute(url: str, *statements: str) -> None:
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def test_migrate_makes_tables_that_can_be_read_and_a_second_run_has_nothing_to_do(
    cli: Cli, empty_url: str
) -> None:
    first = cli("--url", empty_url, "migrate")
    second = cli("--url", empty_url, "migrate")
    read = cli("--url", empty_url, "stats", "--all-tenants", "--json")
    assert (0, "applied 0001 user_activity\n", "") == (first.code, first.out, first.err)
    assert (0, "nothing to do\n", "") == (second.code, second.out, second.err)
    assert 0 == read.lines[0]["total"]


def test_migrate_with_json_tells_each_step_taken(cli: Cli, empty_url: str) -> None:
    taken = [{"version": 1, "name": "user_activity", "state": "applied"}]
    assert taken == cli.ok("--url", empty_url, "migrate", "--json").lines
    assert [] == cli.ok("--url", empty_url, "migrate", "--json").lines


def test_status_is_a_finding_until_all_steps_are_taken(cli: Cli, postgres_url: str) -> None:
    before = cli("--url", postgres_url, "migrate", "--status")
    cli.ok("--url", postgres_url, "migrate")
    after = cli("--url", postgres_url, "migrate", "--status")
    assert 1 == before.code
    assert ["1", "user_activity", "pending"] == before.out.splitlines()[1].split()
    assert 0 == after.code
    assert ["1", "user_activity", "applied"] == after.out.splitlines()[1].split()[:3]


def test_status_with_json_is_one_object_per_step(cli: Cli, url: str) -> None:
    steps = cli.ok("--url", url, "migrate", "--status", "--json").lines
    assert [{"version": 1, "name": "user_activity", "state": "applied"}] == steps


@pytest.mark.parametrize("option", [("--status",), ("--down", "0", "--yes")])
def test_looking_at_a_file_that_is_not_there_does_not_make_it(
    cli: Cli, tmp_path: Path, option: tuple[str, ...]
) -> None:
    missing = tmp_path / "missing.db"
    result = cli("--url", f"sqlite:///{missing}", "migrate", *option)
    assert 3 == result.code
    assert f"there is no file {missing}" in result.err
    assert not missing.exists()


@pytest.mark.parametrize(
    "unreached", ["postgresql://app@127.0.0.1:1/app", "sqlite:////no/folder/x.db"]
)
def test_sql_is_printed_without_a_database_and_runs(cli: Cli, unreached: str) -> None:
    sql = cli.ok("--url", unreached, "migrate", "--sql").out
    assert "CREATE TABLE user_activity" in sql
    if unreached.startswith("sqlite"):
        with sqlite3.connect(":memory:") as connection:
            connection.executescript(sql)
            assert (0,) == connection.execute("SELECT count(*) FROM user_activity").fetchone()
        connection.close()


def test_the_printed_sql_runs_on_postgresql(cli: Cli, postgres_url: str) -> None:
    execute(postgres_url, cli.ok("--url", postgres_url, "migrate", "--sql").out)
    execute(postgres_url, "SELECT FROM user_activity, user_activity_daily")


def test_to_stops_at_a_version(cli: Cli, empty_url: str) -> None:
    assert "nothing to do\n" == cli.ok("--url", empty_url, "migrate", "--to", 0).out
    applied = cli.ok("--url", empty_url, "migrate", "--to", 1).out
    assert "applied 0001 user_activity\n" == applied


@pytest.mark.parametrize("option", [("--to", -1), ("--to", 99), ("--down", -1), ("--down", 99)])
def test_a_version_that_there_is_not_is_refused_and_changes_nothing(
    cli: Cli, url: str, option: tuple[str, int]
) -> None:
    result = cli("--url", url, "migrate", *option, "--yes")
    assert 2 == result.code
    assert f"there is no version {option[1]}" in result.err
    assert 0 == cli("--url", url, "migrate", "--status").code


def test_down_wants_yes_and_then_takes_the_tables_away(cli: Cli, url: str) -> None:
    refused = cli("--url", url, "migrate", "--down", 0)
    kept = cli("--url", url, "migrate", "--status").code
    done = cli("--url", url, "migrate", "--down", 0, "--yes")
    assert (2, "", 0) == (refused.code, refused.out, kept)
    assert "add --yes" in refused.err
    assert (0, "undone 0001 user_activity\n") == (done.code, done.out)
    assert 4 == cli("--url", url, "feed", "--all-tenants").code


def test_down_with_json_tells_each_step_undone(cli: Cli, url: str) -> None:
    result = cli.ok("--url", url, "migrate", "--down", 0, "--yes", "--json")
    assert [{"version": 1, "name": "user_activity", "state": "undone"}] == result.lines


def test_status_to_and_down_exclude_each_other(cli: Cli, sqlite_url: str) -> None:
    result = cli("--url", sqlite_url, "migrate", "--status", "--down", 0)
    assert 2 == result.code
    assert "not allowed with" in result.err


def test_a_table_of_somebody_else_is_named_and_left_alone(cli: Cli, postgres_url: str) -> None:
    execute(postgres_url, "CREATE TABLE user_activity (mine text)")
    result = cli("--url", postgres_url, "migrate")
    assert 4 == result.code
    assert "a table of that name exists which this package did not make" in result.err
    execute(postgres_url, "SELECT mine FROM user_activity")


def test_a_file_with_a_table_of_somebody_else_is_left_alone(
    cli: Cli, sqlite_url: str, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "activity.db") as connection:
        connection.execute("CREATE TABLE user_activity (mine text)")
    result = cli("--url", sqlite_url, "migrate")
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    connection.close()
    assert 4 == result.code
    assert "a table of that name exists which this package did not make" in result.err
    assert [("user_activity",)] == tables


@pytest.fixture
def stranger_url(postgres_url: str) -> Iterator[str]:
    """The same database for a role that may log in, and nothing more."""
    role = f"stranger_{make_url(postgres_url).database}"
    execute(
        postgres_url,
        f"CREATE ROLE {role} LOGIN PASSWORD 'pw'",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    )
    url = make_url(postgres_url).set(username=role, password="pw")
    yield url.render_as_string(hide_password=False)
    execute(postgres_url, f"DROP ROLE {role}")


def test_a_role_that_may_not_create_tables_is_told_so(cli: Cli, stranger_url: str) -> None:
    result = cli("--url", stranger_url, "migrate")
    assert 3 == result.code
    assert "no privilege" in result.err
    assert "Traceback" not in result.err


def test_a_role_that_may_not_read_is_told_so(
    cli: Cli, postgres_url: str, stranger_url: str
) -> None:
    cli.ok("--url", postgres_url, "migrate")
    result = cli("--url", stranger_url, "feed", "--all-tenants")
    assert 3 == result.code
    assert "no privilege" in result.err


def test_tables_of_a_newer_release_are_refused(cli: Cli, postgres_url: str) -> None:
    cli.ok("--url", postgres_url, "migrate")
    execute(
        postgres_url,
        "INSERT INTO user_activity_migration SELECT 7, 'future', checksum, applied_at"
        " FROM user_activity_migration WHERE version = 1",
    )
    assert 4 == cli("--url", postgres_url, "migrate").code
    assert 4 == cli("--url", postgres_url, "feed", "--all-tenants").code
    status = cli("--url", postgres_url, "migrate", "--status", "--json")
    assert 1 == status.code
    assert ["applied", "unknown"] == [json.loads(s)["state"] for s in status.out.splitlines()]
